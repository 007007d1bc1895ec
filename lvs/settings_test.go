// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"fmt"
	"maps"
	"testing"
)

func TestPlanSettings(t *testing.T) {
	type values = map[string]string
	type changed = map[string]ChangedSetting
	for _, c := range []struct {
		name       string
		have, want values
		changed    changed
		writes     string
		after      changed
	}{
		{"as it should be", values{"a": "1"}, values{"a": "1"}, nil, "[]", nil},
		{"set", values{"a": "0"}, values{"a": "1"}, nil, "[a: 0 → 1]", changed{"a": {"0", "1"}}},
		{"fields, by tabs and by spaces", values{"a": "3\t50"}, values{"a": "3 50"}, nil, "[]", nil},
		{"set to another value", values{"a": "1"}, values{"a": "2"}, changed{"a": {"0", "1"}}, "[a: 1 → 2]", changed{"a": {"0", "2"}}},
		{"somebody has changed it, and it is wanted", values{"a": "5"}, values{"a": "1"}, changed{"a": {"0", "1"}}, "[a: 5 → 1]",
			changed{"a": {"0", "1"}}},
		{"no longer wanted", values{"a": "1"}, nil, changed{"a": {"0", "1"}}, "[a: 1 → 0]", nil},
		{"no longer wanted, and restored already", values{"a": "0"}, nil, changed{"a": {"0", "1"}}, "[]", nil},
		{"no longer wanted, and somebody has changed it", values{"a": "5"}, nil, changed{"a": {"0", "1"}}, "[]", nil},
		{"no longer wanted, from a file without our value", values{"a": "5"}, nil, changed{"a": {"0", ""}}, "[a: 5 → 0]", nil},
		{"gone", nil, nil, changed{"a": {"0", "1"}}, "[]", nil},
		{"wanted and not there", nil, values{"a": "1"}, nil, "[]", nil},
		{"the order", values{"a": "0", "b": "0", "c": "1", "d": "1"}, values{"b": "1", "a": "1"},
			changed{"c": {"0", "1"}, "d": {"0", "1"}}, "[a: 0 → 1 b: 0 → 1 d: 1 → 0 c: 1 → 0]",
			changed{"a": {"0", "1"}, "b": {"0", "1"}}},
	} {
		p := PlanSettings(c.have, c.want, c.changed)
		if got := fmt.Sprint(append(p.Set, p.Restore...)); got != c.writes {
			t.Errorf("%s: %s, want %s", c.name, got, c.writes)
		}
		if !maps.Equal(p.After, c.after) {
			t.Errorf("%s: remembers %v, want %v", c.name, p.After, c.after)
		}
		for path := range c.changed {
			if _, ok := p.Before[path]; !ok {
				t.Errorf("%s: forgets %s before it is restored", c.name, path)
			}
		}
	}
}

func TestSettingName(t *testing.T) {
	for path, want := range map[string]string{
		"net/ipv4/vs/pmtu_disc":           "net.ipv4.vs.pmtu_disc",
		"net/ipv4/conf/eth0.5/rp_filter":  "net/ipv4/conf/eth0.5/rp_filter",
		"net/ipv4/conf/eth0/accept_local": "net.ipv4.conf.eth0.accept_local",
	} {
		if got := SettingName(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
