// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/integration/lab"
)

// guideMachines are those of the guide's first pair.
const guideMachines = tableHead + `
|---|---|---|---|
| client | 192.0.2.1/24 | | |
| lb1 | 192.0.2.2/24 | | |
| lb2 | 192.0.2.3/24 | | |
| web1 | 192.0.2.11/24 | | |
| web2 | 192.0.2.12/24 | | |
`

// A guideStep is a block of commands of the guide, and the machines to type them on. Several blocks below one heading have numbers.
type guideStep struct {
	page, heading string
	block         int
	where         string
}

// The steps of the guide, in the order in which its reader takes them.
var (
	guideInstall = []guideStep{
		{"1-install.md", "Without a package", 0, "each machine"},
		{"3-real-servers.md", "Prepare one", 0, "each web server"},
	}
	guideSecondFile = guideStep{"2-first-pair.md", "Write the file", 0, "lb2"}
	guideStart      = guideStep{"2-first-pair.md", "Check and start", 0, "each director"}
	guideLook       = []guideStep{
		{"2-first-pair.md", "Look at the result", 0, "each director"},
		{"2-first-pair.md", "Look at the result", 1, "the client"},
	}
	guideFailOvers = []guideStep{
		{"2-first-pair.md", "Fail it over", 0, "lb1"},
		{"5-failover.md", "", 0, "lb1"},
	}
	guideKey     = guideStep{"2-first-pair.md", "The pair as one thing", 0, "lb1"}
	guideChannel = guideStep{"2-first-pair.md", "The pair as one thing", 1, "each director"}
	guideOrders  = []guideStep{
		{"3-real-servers.md", "Take one out of service, and back", 0, "lb1"},
		{"8-troubleshooting.md", "", 0, "each director"},
		{"8-troubleshooting.md", "No master", 0, "each director"},
		{"8-troubleshooting.md", "The VIP flaps", 0, "each director"},
		{"8-troubleshooting.md", "Weights are not what I set", 0, "lb2"},
	}
)

const (
	guideFile    = "/etc/tandem/tandem.toml"
	guideDryRun  = "tandem drill failover --dry-run\n"
	guideAddress = "192.0.2.3:8474"
)

// BuildGuide makes the machines of the guide's first pair. It follows no step yet.
func BuildGuide(t lab.T) *Network {
	t.Helper()
	n := &Network{Lab: lab.New(t), Name: "guide", VIP: netip.MustParseAddrPort("192.0.2.100:80"), t: t, vips: []string{"192.0.2.100"}, port: 80}
	var err error
	if n.page, err = parse(guideMachines + "\n" + fence + "sh\ntrue\n" + fence + "\n"); err != nil {
		t.Fatalf("guide: %v", err)
	}
	switches := networks(n.page.machines)
	for _, m := range n.page.machines {
		n.add(m, switches)
	}
	for _, m := range append([]*Machine{n.A, n.B}, n.Webs...) { // what scp knows, and a directory that Debian has
		m.Must(fmt.Sprintf("printf 'lb1 %d\\nlb2 %d\\n' >/run/hosts; mkdir -p /etc/bash_completion.d", n.A.disk, n.B.disk))
	}
	t.Cleanup(func() {
		if t.Failed() {
			n.LogPrograms()
		}
	})
	return n
}

// FollowGuide does what the guide says, from empty machines to a pair with a channel that would pass a drill, and back.
func (n *Network) FollowGuide() {
	n.t.Helper()
	n.guide(guideInstall...)
	first := n.block("2-first-pair.md", "Write the file", "toml", 0)
	for _, m := range []*Machine{n.A, n.B} {
		m.Must("cat >" + guideFile + " <<'END'\n" + first + "END\n")
	}
	n.guide(guideSecondFile, guideStart)
	n.AwaitPair()
	n.guide(guideLook...)
	for _, s := range guideFailOvers {
		n.guide(s)
		n.AwaitPair()
	}

	n.guide(guideKey)
	channel := n.block("2-first-pair.md", "The pair as one thing", "toml", 0)
	for m, other := range map[*Machine]string{n.A: guideAddress, n.B: "192.0.2.2:8474"} {
		m.Must("cat >>" + guideFile + " <<'END'\n\n" + strings.ReplaceAll(channel, guideAddress, other) + "END\n")
	}
	for _, m := range []*Machine{n.A, n.B} { // the channel has two ends: the second reload makes it
		m.Must("tandem reload")
	}
	n.Eventually(20*time.Second, "the directors are connected", func() error {
		_, err := n.A.Shell("tandem drain www/192.0.2.11 | grep 'in force here and on lb2' && tandem undrain www/192.0.2.11")
		return err
	})
	n.guide(guideChannel)
	n.guide(guideOrders...)
	n.AwaitPair()
	n.Eventually(20*time.Second, "a drill could be made", func() error {
		_, err := n.A.Shell(guideDryRun)
		return err
	})
	for _, m := range []*Machine{n.A, n.B} {
		m.Must("systemctl disable --now tandem")
		if m.Has(n.VIP.Addr().String()) {
			n.t.Errorf("%s has the VIP after the removal", m.Name)
		}
	}
}

// guide runs the blocks of steps on their machines. The first command that fails ends the test.
func (n *Network) guide(steps ...guideStep) {
	n.t.Helper()
	for _, s := range steps {
		// The kernel remembers connections that have ended for minutes: nothing here waits for that.
		script := strings.ReplaceAll(n.block(s.page, s.heading, "sh", s.block), " --wait", "")
		for _, m := range n.where(s.where) {
			out, err := m.Shell("set -e; " + script)
			if err != nil {
				n.t.Fatalf("guide, %s, %q, on %s: %v", s.page, s.heading, m.Name, err)
			}
			n.Logf("guide, %s, on %s:\n%s%s", s.page, m.Name, script, out)
		}
	}
}

func (n *Network) block(page, heading, language string, number int) string {
	n.t.Helper()
	text, err := fs.ReadFile(configs.Shipped, path.Join("guide", page))
	if err != nil {
		n.t.Fatalf("guide: %v", err)
	}
	all := guideBlocks(string(text), heading)[language]
	if number >= len(all) {
		n.t.Fatalf("guide, %s: %d blocks of %s below %q, want number %d", page, len(all), language, heading, number)
	}
	return all[number]
}

// guideBlocks returns the blocks below a heading by their language. Indented ones are for a shell. What comes before the first
// heading of the second level is below the empty one.
func guideBlocks(text, heading string) map[string][]string {
	const indent = "    "
	all := make(map[string][]string)
	lines := strings.Split(text, "\n")
	at := ""
	for i := 0; i < len(lines); i++ {
		if name, ok := strings.CutPrefix(lines[i], "## "); ok {
			at = name
		}
		language, fenced := strings.CutPrefix(lines[i], fence)
		var block strings.Builder
		switch {
		case fenced:
			for i++; i < len(lines) && lines[i] != fence; i++ {
				fmt.Fprintln(&block, lines[i])
			}
		case strings.HasPrefix(lines[i], indent):
			language = "sh"
			for ; i < len(lines) && strings.HasPrefix(lines[i], indent); i++ {
				fmt.Fprintln(&block, strings.TrimSpace(lines[i]))
			}
			i--
		}
		if block.Len() > 0 && at == heading {
			all[language] = append(all[language], block.String())
		}
	}
	return all
}
