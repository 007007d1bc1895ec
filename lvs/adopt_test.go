// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"fmt"
	"slices"
	"testing"
)

func TestReplaced(t *testing.T) {
	one, two, by := server("192.0.2.11:80", DR, 1), server("192.0.2.12:80", DR, 1), server("192.0.2.11:80", NAT, 7)
	heavy := server("192.0.2.11:80", DR, 9)
	for _, c := range []struct {
		name       string
		have, want []Entry
		owned      []string
		changes    []string
	}{
		{"nothing there", nil, []Entry{entry(www, "rr", one)}, nil, nil},
		{"ours", []Entry{entry(www, "wlc", two)}, []Entry{entry(www, "rr", one)}, []string{www}, nil},
		{"another's service that is not wanted", []Entry{entry(dns, "wlc", two)}, []Entry{entry(www, "rr", one)}, nil, nil},
		{"the same", []Entry{entry(www, "rr", one)}, []Entry{entry(www, "rr", one, two)}, nil, nil},
		{"another weight", []Entry{entry(www, "rr", heavy)}, []Entry{entry(www, "rr", one)}, nil, nil},
		{"another's service", []Entry{entry(www, "wlc", two, by)}, []Entry{entry(www, "rr", one)}, nil, []string{
			"set scheduler of tcp 192.0.2.100:80: wlc → rr", "set weight, method of 192.0.2.11:80 in tcp 192.0.2.100:80: 7 → 1, nat → dr",
			"delete 192.0.2.12:80 from tcp 192.0.2.100:80",
		}},
	} {
		owned := make(map[ServiceID]bool)
		for _, s := range c.owned {
			id, err := ParseServiceID(s)
			if err != nil {
				t.Fatal(err)
			}
			owned[id.Canonical()] = true
		}
		var got []string
		for _, change := range Replaced(c.have, c.want, owned) {
			got = append(got, fmt.Sprint(change))
		}
		if !slices.Equal(got, c.changes) {
			t.Errorf("%s: %q, want %q", c.name, got, c.changes)
		}
	}
}
