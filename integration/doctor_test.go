// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A finding is one of the doctor's, by the documented names.
type finding struct {
	ID, Severity, What, Why, Mend string
	Fixable                       bool
}

// doctor runs tandem doctor on a host and returns what it found and its exit code.
func doctor(t *testing.T, h *lab.Host, args ...string) (found []finding, code int) {
	t.Helper()
	p := h.Start(lab.Tandem.Path(), append([]string{"doctor", "--json", "--state-dir", filepath.Join(h.Dir(), "realserver")}, args...)...)
	code = p.Wait(30 * time.Second)
	p.AwaitOutput(5*time.Second, "]\n")
	text := p.Output()
	text = text[strings.Index(text, "["):] // what --fix says comes before
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&found); err != nil {
		t.Fatalf("doctor on %s, exit code %d: %v\n%s", h.Name, code, err, text)
	}
	return found, code
}

// TestDoctorFindsTheServerThatAnswers: healthy machines have no findings; a real server without silence is named on both
// directors and on itself, and mended there.
func TestDoctorFindsTheServerThatAnswers(t *testing.T) {
	p := lab.NewPair(t, lab.PairSettings{})
	p.Launch()
	web := p.Webs[0]
	all := map[*lab.Host][]string{p.A.Host: {"-c", p.A.File}, p.B.Host: {"-c", p.B.File}, web: {"--vip", vip}}
	healthy := func() error {
		for h, args := range all {
			if found, code := doctor(t, h, args...); len(found) > 0 || code != 0 {
				return fmt.Errorf("on %s: %+v, exit code %d", h.Name, found, code)
			}
		}
		return nil
	}
	if err := healthy(); err != nil {
		t.Error(err)
	}

	web.Sysctl(map[string]string{"net.ipv4.conf.all.arp_ignore": "0", "net.ipv4.conf.all.arp_announce": "0"})
	for _, d := range []*lab.Director{p.A, p.B} {
		found, code := doctor(t, d.Host, "-c", d.File)
		if len(found) == 0 || code != 3 || found[0].ID != "server-answers" || found[0].Severity != "error" ||
			!strings.Contains(found[0].What, web.MAC()+" answers for "+vip+": 192.0.2.11") {
			t.Errorf("on %s: %+v, exit code %d, want web1 named, %s", d.Name, found, code, web.MAC())
		}
	}
	found, code := doctor(t, web, "--vip", vip)
	if len(found) != 1 || found[0].ID != "not-silent" || !found[0].Fixable || code != 3 {
		t.Errorf("on web1: %+v, exit code %d", found, code)
	}
	if found, code := doctor(t, web, "--vip", vip, "--fix"); len(found) > 0 || code != 0 {
		t.Errorf("on web1 after the mending: %+v, exit code %d", found, code)
	}
	p.Eventually(20*time.Second, "all is well again", healthy)
}

// dropVRRP has a host's firewall drop advertisements that arrive, until undo is called.
func dropVRRP(t *testing.T, h *lab.Host) (undo func()) {
	t.Helper()
	table := &nftables.Table{Name: "firewall", Family: nftables.TableFamilyIPv4}
	change := func(f func(*nftables.Conn)) {
		t.Helper()
		err := h.Do(func() error {
			conn, err := nftables.New()
			if err != nil {
				return err
			}
			f(conn)
			return conn.Flush()
		})
		if err != nil {
			t.Fatalf("firewall of %s: %v", h.Name, err)
		}
	}
	change(func(c *nftables.Conn) {
		chain := c.AddChain(&nftables.Chain{Name: "in", Table: c.AddTable(table), Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter})
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{112}},
			&expr.Verdict{Kind: expr.VerdictDrop},
		}})
	})
	return func() { t.Helper(); change(func(c *nftables.Conn) { c.DelTable(table) }) }
}

// TestDoctorFindsTheFirewall: the backup's firewall drops advertisements, so that it becomes master beside the master.
func TestDoctorFindsTheFirewall(t *testing.T) {
	d := lab.NewDuo(t, lab.DuoSettings{})
	d.Launch()
	undo := dropVRRP(t, d.B.Host)
	d.B.AwaitState(10*time.Second, "master")
	found, code := doctor(t, d.B.Host, "-c", d.B.File)
	for _, id := range []string{"two-masters", "two-owners"} {
		if !slices.ContainsFunc(found, func(f finding) bool { return f.ID == id && f.Severity == "error" }) || code != 3 {
			t.Errorf("%s is not among %+v, exit code %d", id, found, code)
		}
	}
	undo()
	d.AwaitMaster(d.A)
	d.Eventually(90*time.Second, "all is well again", func() error {
		if found, _ := doctor(t, d.B.Host, "-c", d.B.File); len(found) > 0 {
			return fmt.Errorf("%+v", found)
		}
		return nil
	})
}
