// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// A director that steps back warns with the cause. If the kernel refuses a service, the sentence has the kernel's words.
func TestStepBackWarnings(t *testing.T) {
	web := lvs.ServiceID{Protocol: lvs.TCP, Port: 80}
	cfg := &configs.Config{Routers: make([]configs.Router, 1), Services: []configs.Service{
		{Name: "www", Virtuals: []lvs.Service{{ServiceID: web}}}, {Name: "mail"},
	}}
	refused := map[lvs.ServiceID]core.Refusal{web: {}}
	for _, c := range []struct {
		shot core.Snapshot
		want string // in the only warning; empty: no warning
	}{
		{core.Snapshot{}, ""},
		{core.Snapshot{Silent: true}, "although neighbours do"},
		{core.Snapshot{Silent: true, CutOff: true}, "seems to be cut off"},
		{core.Snapshot{Unready: true}, "does not preempt"},
		{core.Snapshot{AllDown: true}, "every real server that is checked fails its checks"},
		{core.Snapshot{Trouble: "it hangs"}, "the kernel's IPVS table is not in line: it hangs; meanwhile this director steps back at priority 1"},
		{core.Snapshot{Trouble: "no scheduler mh\nno memory", Refused: refused}, "the kernel refuses www: no scheduler mh; no memory; meanwhile"},
	} {
		c.shot.Config = cfg
		got := stepBackWarnings(&c.shot)
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("got %q, want one with %q", got, c.want)
		}
		table, named := tableFault(&c.shot), []string(nil)
		if c.shot.Refused != nil {
			named = []string{"www"}
		}
		if (table != nil) != (c.shot.Trouble != "") || table != nil && (table.Warning != got[0] || !slices.Equal(table.Refused, named)) {
			t.Errorf("the fault of the table is %+v beside %q, want it with %v refused", table, got, named)
		}
	}
}

// TestWarningsAreInTheOrderOfTheirWeight: what keeps clients from a server is told before what only operators miss.
func TestWarningsAreInTheOrderOfTheirWeight(t *testing.T) {
	got := warnings(Input{
		Metrics: "no metrics", Control: "no group", Problem: "it hangs",
		State: &core.Snapshot{
			Silent: true, Config: &configs.Config{Services: []configs.Service{{Name: "www"}}},
			Services: []*core.Service{{Pool: lvs.PoolOutput{State: lvs.PoolState{QuorumLost: true}}}},
			Sync:     core.SyncState{Problem: "no sync"}, Settings: core.SettingsState{Problem: "no setting"},
		},
	})
	want := []string{"no real server answers", "www has lost its quorum", "the kernel's IPVS table cannot be read", "failed to set", "no sync", "no group", "no metrics"}
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("warning %d is %q, want %q", i, got[i], want[i])
		}
	}
}

// What only operators miss is said last: clients are served.
func TestOperatorsDoorsAreToldLast(t *testing.T) {
	in := Input{State: &core.Snapshot{Config: &configs.Config{}}, Control: "nobody may command", Metrics: "no metrics", Web: "no page", Problem: "no counters"}
	want := []string{"the kernel's IPVS table cannot be read: no counters", "nobody may command", "no metrics", "no page"}
	if got := warnings(in); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
