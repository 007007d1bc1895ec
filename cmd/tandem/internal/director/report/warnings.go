// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// warnings returns sentences about everything that is not as it should be, in the order of their weight: first what keeps
// clients from a server or the VIPs from their place, then what may, then what only the operators miss.
func warnings(in Input) (all []string) {
	shot := in.State
	all = append(all, stepBackWarnings(shot)...)
	all = append(all, shot.Unfenced...)
	all = append(all, allPoolWarnings(shot.Config.Services, poolsOf(shot))...)
	all = append(all, rivalWarnings(shot.Report, shot.Config.Services)...)
	all = append(all, electionWarnings(shot.Report)...)
	all = append(all, trafficWarnings(shot.Services, shot.Peer)...)
	if in.Problem != "" {
		all = append(all, "the kernel's IPVS table cannot be read: "+in.Problem)
	}
	if shot.Settings.Timeouts != "" {
		all = append(all, "the timeouts of connections are not those of [lvs] timeouts: "+shot.Settings.Timeouts)
	}
	if shot.Settings.Problem != "" {
		all = append(all, "failed to set the kernel's IPVS settings, without which clients of a lost server may get silence: "+shot.Settings.Problem)
	}
	if shot.Sync.Problem != "" {
		all = append(all, shot.Sync.Problem)
	}
	all = append(all, checkWarnings(in.Checks)...)
	all = append(all, stateDirWarnings(shot)...)
	all = append(all, hookWarnings(shot.Hooks)...)
	for _, split := range shot.Config.NATSplits {
		all = append(all, diagnosis.SplitNAT(split).Advice())
	}
	for _, w := range shot.Config.Warnings {
		all = append(all, w.Error())
	}
	all = append(all, RevisionWarnings(shot)...)
	all = append(all, departedWarnings(shot.Departed)...)
	all = append(all, peerWarnings(shot)...)
	all = append(all, drillWarnings(shot.Drills.UnderWay)...)
	for _, operators := range []string{in.Control, in.Metrics, in.Web} {
		if operators != "" {
			all = append(all, operators)
		}
	}
	return all
}

const allDown = "every real server that is checked fails its checks: this director steps back at priority 1, " +
	"so that the peer serves if a server is healthy there"

// serverWarnings returns those of the warnings that follow from failures of real servers.
func serverWarnings(shot *core.Snapshot) []string {
	all := allPoolWarnings(shot.Config.Services, poolsOf(shot))
	if shot.AllDown {
		all = append(all, allDown)
	}
	return all
}

func poolsOf(shot *core.Snapshot) []lvs.PoolOutput {
	pools := make([]lvs.PoolOutput, 0, len(shot.Services))
	for _, is := range shot.Services {
		pools = append(pools, is.Pool)
	}
	return pools
}

// stepBackWarnings returns sentences about why a director cannot serve or be master.
func stepBackWarnings(shot *core.Snapshot) (all []string) {
	switch {
	case shot.CutOff:
		all = append(all, "no real server answers this director, and no neighbour on the way to them: it seems to be cut off, so it leaves the servers at their weights and steps back at priority 1; look at its own cable, interface and addresses")
	case shot.Silent:
		all = append(all, "no real server answers this director, although neighbours do: the servers have failed, or the way to them has; it steps back at priority 1, so that the peer serves if it reaches them")
	}
	for _, iface := range shot.Isolated {
		all = append(all, diagnosis.SilentSegment(iface).Advice())
	}
	if shot.AllDown && len(shot.Config.Routers) > 0 {
		all = append(all, allDown)
	}
	if shot.Unready && len(shot.Config.Routers) > 0 {
		all = append(all, "the first results of the checks since it started, or since it last stood still, are not there yet: until then this director does not preempt, and runs at priority 1")
	}
	if shot.Trouble != "" {
		all = append(all, tableFault(shot).Warning)
	}
	return all
}

// tableFault says why the kernel's table is not as it should be. It returns nil if it is.
func tableFault(shot *core.Snapshot) *api.TableFault {
	if shot.Trouble == "" {
		return nil
	}
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
		return &api.TableFault{Warning: "the kernel's IPVS table is not in line: " + oneLine(shot.Trouble) + consequence}
	}
	return &api.TableFault{Warning: fmt.Sprintf("the kernel refuses %s: %s%s", few(names), oneLine(shot.Trouble), consequence), Refused: names}
}

// maxUnanswered is the maximum number of servers that have a warning of their own because they do not answer clients.
const maxUnanswered = 5

// trafficWarnings returns sentences about servers that do not answer clients.
func trafficWarnings(services []*core.Service, peer *core.Peer) (all []string) {
	var ids []string
	for _, svc := range services {
		for _, srv := range svc.Servers {
			if n := srv.Unanswered; n != nil {
				ids = append(ids, srv.ID)
				all = append(all, diagnosis.Unanswered(*unanswered(peer, srv.ID, n)).Advice())
			}
		}
	}
	if len(all) > maxUnanswered {
		return []string{fmt.Sprintf("%d servers do not answer clients, others of the same services do: %s; "+
			"look on them for the VIP, the listener, the default route and the firewall", len(ids), few(ids))}
	}
	return all
}

// unanswered returns what is known of a server that does not answer clients.
func unanswered(peer *core.Peer, id string, is *core.Unanswered) *api.Unanswered {
	return &api.Unanswered{Server: id, Since: is.Since, Connections: is.Unanswered, OthersPercent: is.OthersPercent, Checked: is.Checked,
		TriedAgain: is.Until, Peer: peer.Sees(id)}
}

func oneLine(text string) string { return strings.ReplaceAll(text, "\n", "; ") }

// checkWarnings returns sentences about checks that the director cannot run: one for each reason.
func checkWarnings(checks map[string]healthcheck.TargetStatus) (all []string) {
	ids := make(map[string][]string) // by reason
	for id, is := range checks {
		if is.Trouble != "" {
			ids[is.Trouble] = append(ids[is.Trouble], id)
		}
	}
	for _, why := range slices.Sorted(maps.Keys(ids)) {
		these := ids[why]
		slices.Sort(these)
		name := "the check of " + these[0]
		if n := len(these); n > 1 {
			name = fmt.Sprintf("%d checks, the first of them of %s,", n, these[0])
		}
		all = append(all, name+" cannot be run: "+why+": this is the director's trouble, so it does not count against the servers; "+
			"they keep their weights, and their health is unknown after 3 × fall × interval without a result; tandem check looks for the cause")
	}
	return all
}

// allPoolWarnings returns sentences about services as a whole. If many have lost their quorum, there is one sentence for all.
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
	switch {
	case !pool.Sorry && svc.Sorry != nil:
		what = fmt.Sprintf("its sorry server, %s, is unhealthy, so clients do not go there", svc.Sorry.Addr)
	case pool.Sorry:
		what = fmt.Sprintf("the sorry server, %s, serves its clients", svc.Sorry.Addr)
	}
	return fmt.Sprintf("%s has lost its quorum, with %d of %d servers up: %s", svc.Name, pool.Up, len(svc.Servers), what)
}

func panicWarning(svc configs.Service, pool lvs.PoolOutput) string {
	return fmt.Sprintf("%s has only %d of %d servers up: all are treated as healthy", svc.Name, pool.Up, len(svc.Servers))
}

// departedWarnings returns sentences about services that were removed from the configuration and still drain.
func departedWarnings(services []core.Departed) (all []string) {
	for _, is := range services {
		all = append(all, fmt.Sprintf("%s (%s) is not in the configuration and stays for the connections that it has, until %s at most",
			is.Name, is.ID, is.Until.UTC().Format(time.RFC3339)))
	}
	return all
}

// maxAlike is the maximum number of services with the same fault that get a warning each.
const maxAlike = 3

// few writes the first names, and the number of the others.
func few(names []string) string {
	if len(names) <= maxAlike {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:maxAlike], ", "), len(names)-maxAlike)
}
