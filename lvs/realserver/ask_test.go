// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// ownRules installs rules as an operator does, in a table of another name.
func ownRules(name string, rules ...Rule) error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	table := conn.AddTable(&nftables.Table{Name: name, Family: nftables.TableFamilyARP})
	addRules(conn, table, rules, &expr.Counter{}) // with a counter, these are not our expressions
	return conn.Flush()
}

// TestRulesOfOnesOwnAreRecognised: a question on the wire decides whether the VIP is hidden. If another program's rules hide
// it, we need neither settings nor a filter of our own. If they do not, we do.
func TestRulesOfOnesOwnAreRecognised(t *testing.T) {
	vip, own := vips(vip4)[0], vips("192.0.2.11")[0]
	drop, rewrite := Rule{VIP: vip}, Rule{vip, "eth0", own}
	other := vips("192.0.2.99")[0]
	for _, tt := range []struct {
		name  string
		rules []Rule
		quiet bool
	}{
		{"none", nil, false},
		{"both", []Rule{drop, rewrite}, true},
		{"about another address", []Rule{{VIP: other}, {other, "eth0", own}}, false},
		{"about all that is sent, so also about answers", []Rule{rewrite}, true},
		{"only about requests that arrive", []Rule{drop}, false},
		{"that hide all", []Rule{drop, {VIP: own}, rewrite}, false}, // the question could have gone wrong
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, method := range []Method{Sysctl, ARPFilter} {
				p := newPair(t)
				p.in(p.server, func() error { return ownRules("operator", tt.rules...) })
				p.in(p.server, func() error { return addAddr("lo", vip4+"/32") })
				c := Config{VIPs: vips(vip4), Mode: DirectRouting, Method: method}
				p.in(p.server, func() error {
					steps, err := p.machine.Check(c)
					if (len(steps) == 0) != tt.quiet {
						t.Errorf("%s: steps %q", method, commands(steps))
					}
					return err
				})
				if done := p.apply(c); (len(done) == 0) != tt.quiet {
					t.Errorf("%s: apply did %q", method, done)
				}
				p.remove()
			}
		})
	}
}

// TestTheQuestionIsRight: the machine answers our question as it answers a neighbour.
func TestTheQuestionIsRight(t *testing.T) {
	p := newPair(t)
	vip, own := vips(vip4), vips("192.0.2.11")[0]
	hidden := func() (quiet bool) {
		p.in(p.server, func() (err error) {
			quiet, err = hides("eth0", vip, own)
			return err
		})
		return quiet
	}
	if !hidden() || p.answersFor(vip4) {
		t.Error("a machine without the VIP answers for it")
	}
	p.in(p.server, func() error { return addAddr("lo", vip4+"/32") })
	if hidden() || !p.answersFor(vip4) {
		t.Error("a machine that has the VIP on lo, and nothing else, is taken for one that hides it")
	}
	p.apply(Config{VIPs: vip, Mode: DirectRouting, Method: Sysctl})
	if !hidden() || p.answersFor(vip4) {
		t.Error("a prepared machine does not hide the VIP")
	}
}
