// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

func TestCount(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }
	gets := func(second int) lab.AddressChange { return lab.AddressChange{When: at(second), Added: true} }
	loses := func(second int) lab.AddressChange { return lab.AddressChange{When: at(second)} }
	type changes []lab.AddressChange
	for _, tt := range []struct {
		name     string
		a, b     changes
		from, to int
		want     tally
	}{
		{"nothing changes", nil, nil, 0, 10, tally{}},
		{"two for 3 s", nil, changes{gets(2), loses(5)}, 0, 10, tally{two: 3 * time.Second, transitions: 2}},
		{"nobody for 4 s", changes{loses(1)}, changes{gets(5)}, 0, 10, tally{none: 4 * time.Second, transitions: 2}},
		{"two, then nobody", changes{loses(4), gets(9)}, changes{gets(2), loses(6)}, 0, 10,
			tally{two: 2 * time.Second, none: 3 * time.Second, transitions: 4}},
		{"two until after the span", nil, changes{gets(2), loses(12)}, 0, 10, tally{two: 8 * time.Second, transitions: 1}},
		{"two since before the span", nil, changes{gets(2), loses(12)}, 10, 20, tally{two: 2 * time.Second, transitions: 1}},
		{"all before the span", changes{loses(1)}, changes{gets(1)}, 10, 20, tally{}},
		{"the address is set once more", changes{gets(3), gets(4)}, nil, 0, 10, tally{}},
	} {
		if got := count(tt.a, tt.b, at(tt.from), at(tt.to)); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
