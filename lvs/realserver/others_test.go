// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A fakeRules answers as a machine does whose rules of other programs are given.
type fakeRules struct {
	legacy    string // tables of arptables-legacy
	noLegacy  bool   // the kernel has none
	nft       bool
	nftErr    error
	hidden    bool
	hiddenErr error
	questions []string
}

func (f *fakeRules) legacyTables() ([]byte, error) {
	if f.noLegacy {
		return nil, fs.ErrNotExist
	}
	return []byte(f.legacy), nil
}

func (f *fakeRules) nftRules() (bool, error) { return f.nft, f.nftErr }

func (f *fakeRules) hides(iface string, addrs []netip.Addr, own netip.Addr) (bool, error) {
	f.questions = append(f.questions, fmt.Sprintf("%s %v %s", iface, addrs, own))
	return f.hidden, f.hiddenErr
}

// TestRulesOfBothKindsAreFound: rules of arptables-legacy and of nftables (arptables-nft) both lead to a question on the wire. The
// question decides. If it has no answer, as on a kernel before Linux 5.18, our own settings hide the VIPs too.
func TestRulesOfBothKindsAreFound(t *testing.T) {
	const asks, settings = "eth0 [192.0.2.100] 192.0.2.11", 4 // arp_ignore and arp_announce, of all and of eth0
	broken := errors.New("failed to open nftables")
	for _, tt := range []struct {
		name    string
		rules   fakeRules
		asks    string
		steps   int
		unclear string
		err     error
	}{
		{"no rules", fakeRules{hidden: true}, "", settings, "", nil},
		{"no rules, and a kernel without arptables-legacy", fakeRules{noLegacy: true, hidden: true}, "", settings, "", nil},
		{"arptables-legacy, and they hide the VIP", fakeRules{legacy: "filter\n", hidden: true}, asks, 0, "", nil},
		{"arptables-legacy, and they do not", fakeRules{legacy: "filter\n"}, asks, settings, "", nil},
		{"arptables-legacy, and nftables cannot be read", fakeRules{legacy: "filter\n", nftErr: broken, hidden: true}, asks, 0, "", nil},
		{"nftables, and they hide the VIP", fakeRules{nft: true, hidden: true}, asks, 0, "", nil},
		{"nftables on a kernel without arptables-legacy", fakeRules{noLegacy: true, nft: true, hidden: true}, asks, 0, "", nil},
		{"nftables, and they do not", fakeRules{nft: true}, asks, settings, "", nil},
		{"both kinds", fakeRules{legacy: "filter\n", nft: true, hidden: true}, asks, 0, "", nil},
		{"nftables cannot be read", fakeRules{nftErr: broken}, "", 0, "", broken},
		{"the question fails", fakeRules{nft: true, hiddenErr: broken}, asks, 0, "", broken},
		{"an older kernel", fakeRules{nft: true, hiddenErr: cannotAsk(unix.EINVAL)}, asks, settings, "Linux 5.18", nil},
		{"an older kernel that lets the question vanish", fakeRules{legacy: "filter\n", hiddenErr: noAnswer}, asks, settings, "its own address", nil},
		{"a container", fakeRules{nft: true, hiddenErr: cannotAsk(unix.EPERM)}, asks, settings, "may not use BPF", nil},
		{"an older kernel without rules of others", fakeRules{hiddenErr: oldKernel}, "", settings, "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Config{VIPs: vips(vip4), Mode: DirectRouting, Method: Sysctl}
			m, s := New(Options{}), machine(with(at("lo", vip4+"/32")))
			m.rules = &tt.rules
			for range 2 { // the second time, the answer is remembered
				var err error
				if s.Quiet, err = m.quiet(c, s, Record{}); !errors.Is(err, tt.err) {
					t.Fatalf("error %v, want %v", err, tt.err)
				}
				if tt.err != nil {
					return
				}
				p, err := MakePlan(c, s, Record{})
				if err != nil || len(p.Steps) != tt.steps {
					t.Errorf("steps %q, %v, want %d", commands(p.Steps), err, tt.steps)
				}
				if is := m.Unclear(); (is == "") != (tt.unclear == "") || !strings.Contains(is, tt.unclear) {
					t.Errorf("unclear: %q, want %q", is, tt.unclear)
				}
			}
			var want []string
			if tt.asks != "" {
				want = []string{tt.asks}
			}
			if !slices.Equal(tt.rules.questions, want) {
				t.Errorf("asked %q, want %q", tt.rules.questions, want)
			}
		})
	}
}

// TestNothingIsUnclearOfAPreparedMachine: what could not be found out before no longer matters when our settings hide the VIPs.
func TestNothingIsUnclearOfAPreparedMachine(t *testing.T) {
	c := Config{VIPs: vips(vip4), Mode: DirectRouting, Method: Sysctl}
	m := New(Options{})
	m.rules = &fakeRules{nft: true, hiddenErr: oldKernel}
	if _, err := m.quiet(c, machine(with(at("lo", vip4+"/32"))), Record{}); err != nil || m.Unclear() == "" {
		t.Fatalf("before: %q, %v", m.Unclear(), err)
	}
	if quiet, err := m.quiet(c, machine(with(at("lo", vip4+"/32")), silenced), Record{}); quiet || err != nil || m.Unclear() != "" {
		t.Errorf("after: quiet %t, unclear %q, %v", quiet, m.Unclear(), err)
	}
}
