// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// stepBackWarnings are sentences about what keeps a director from serving, or from being master.
func stepBackWarnings(shot *core.Snapshot) (all []string) {
	switch {
	case shot.CutOff:
		all = append(all, "no real server answers this director, and no neighbour on the way to them: it seems to be cut off, so it leaves the servers at their weights and steps back at priority 1; look at its own cable, interface and addresses")
	case shot.Silent:
		all = append(all, "no real server answers this director, although neighbours do: the servers have failed, or the way to them has; it steps back at priority 1, so that the peer serves if it reaches them")
	}
	if shot.Unready && len(shot.Config.Routers) > 0 {
		all = append(all, "the first results of the checks since it started, or since it last stood still, are not there yet: until then this director does not preempt, and runs at priority 1")
	}
	if shot.Trouble != "" {
		all = append(all, tableWarning(shot))
	}
	return all
}

// tableWarning says why the kernel's table is not as it should be.
func tableWarning(shot *core.Snapshot) string {
	consequence := ""
	if len(shot.Config.Routers) > 0 {
		consequence = "; meanwhile this director steps back at priority 1"
	}
	var names []string
	for _, svc := range shot.Config.Services {
		for _, virtual := range svc.Virtuals {
			if _, refused := shot.Refused[virtual.ServiceID]; refused {
				names = append(names, svc.Name)
				break
			}
		}
	}
	if len(names) == 0 {
		return "the kernel's IPVS table is not in line: " + oneLine(shot.Trouble) + consequence
	}
	return fmt.Sprintf("the kernel refuses %s: %s%s", few(names), oneLine(shot.Trouble), consequence)
}

func oneLine(text string) string { return strings.ReplaceAll(text, "\n", "; ") }

// maxAlike is how many services with the same trouble have a warning each.
const maxAlike = 3

// few names the first of many.
func few(names []string) string {
	if len(names) <= maxAlike {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:maxAlike], ", "), len(names)-maxAlike)
}

// allPoolWarnings are sentences about services as a whole. Many that have lost their quorum are one sentence.
func allPoolWarnings(services []configs.Service, pools []lvs.PoolOutput) (all []string) {
	var lost, panicked []string
	sorry := 0
	for i, svc := range services {
		if pools[i].State.QuorumLost {
			lost = append(lost, svc.Name)
			if pools[i].Sorry {
				sorry++
			}
		}
		if pools[i].Panic {
			panicked = append(panicked, svc.Name)
		}
	}
	for i, svc := range services {
		if pools[i].State.QuorumLost && len(lost) <= maxAlike {
			all = append(all, quorumWarning(svc, pools[i]))
		}
		if pools[i].Panic && len(panicked) <= maxAlike {
			all = append(all, panicWarning(svc, pools[i]))
		}
	}
	if len(lost) > maxAlike {
		all = append(all, fmt.Sprintf("%d services have lost their quorum: %s; sorry servers serve the clients of %d of them", len(lost), few(lost), sorry))
	}
	if len(panicked) > maxAlike {
		all = append(all, fmt.Sprintf("%d services have so few servers up that all are treated as healthy: %s", len(panicked), few(panicked)))
	}
	return all
}

func quorumWarning(svc configs.Service, pool lvs.PoolOutput) string {
	what := "it has no sorry server"
	if pool.Sorry {
		what = fmt.Sprintf("the sorry server, %s, serves its clients", svc.Sorry.Addr)
	}
	return fmt.Sprintf("%s has lost its quorum, with %d of %d servers up: %s", svc.Name, pool.Up, len(svc.Servers), what)
}

func panicWarning(svc configs.Service, pool lvs.PoolOutput) string {
	return fmt.Sprintf("%s has only %d of %d servers up: all are treated as healthy", svc.Name, pool.Up, len(svc.Servers))
}
