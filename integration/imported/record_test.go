// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"
)

// TestCompare: each exception is for one difference, and a difference beside it is still one.
func TestCompare(t *testing.T) {
	const sync = "sync daemon (mcast=eth1, syncid=51)"
	for name, tt := range map[string]struct {
		part               string
		keepalived, tandem []string
	}{
		"sync both ways":       {table, []string{"master " + sync}, []string{"backup " + sync, "master " + sync}},
		"no broadcast address": {addresses, []string{"eth0 inet 192.0.2.102/24 brd 192.0.2.255 scope global eth0"}, []string{"eth0 inet 192.0.2.102/24 scope global eth0"}},
		"scope global":         {addresses, []string{"eth0 inet 10.9.0.5/24 scope link eth0"}, []string{"eth0 inet 10.9.0.5/24 scope global eth0"}},
		"no address of the macvlan": {addresses,
			[]string{`vmac6 inet6 fe80::2453:c2ff:fe82:e401/64 scope link nodad deprecated \ valid_lft forever preferred_lft 0sec`}, nil},
		"no source address": {addresses,
			[]string{`eth0 inet6 2001:db8::101/64 scope global nodad \ valid_lft forever preferred_lft forever`},
			[]string{`eth0 inet6 2001:db8::101/64 scope global nodad deprecated \ valid_lft forever preferred_lft 0sec`}},
		"own mark":      {routes, []string{"4 default via 192.0.2.1 dev eth0 proto keepalived"}, []string{"4 default via 192.0.2.1 dev eth0 proto 112"}},
		"scope link":    {routes, []string{"4 10.2.0.0/16 dev eth1 proto keepalived"}, []string{"4 10.2.0.0/16 dev eth1 proto 112 scope link"}},
		"hop limit 255": {adverts, []string{"VRID 52 on eth0 to 2001:db8::3: hop limit 64, x"}, []string{"VRID 52 on eth0 to 2001:db8::3: hop limit 255, x"}},
	} {
		c := compare(tt.part, tt.keepalived, tt.tandem)
		if !slices.ContainsFunc(c.excepted, func(e *exception) bool { return e.name == name }) || len(c.differences) > 0 {
			t.Errorf("%s: %+v", name, c)
		}
		if c := compare(tt.part, append(slices.Clone(tt.keepalived), "more"), tt.tandem); !slices.Equal(c.differences, []string{"- more"}) {
			t.Errorf("%s, and a line more: %+v", name, c)
		}
		if c := compare(tt.part, tt.tandem, tt.keepalived); len(c.differences) == 0 {
			t.Errorf("%s the other way round is no difference: %+v", name, c)
		}
	}
	for _, e := range exceptions {
		if e.reason == "" || !slices.Contains(parts, e.part) {
			t.Errorf("%s: it needs a reason, and a part of a record: %+v", e.name, e)
		}
	}
}

// TestSameTwice: a line that is there twice is not the same as one that is there once.
func TestSameTwice(t *testing.T) {
	one, two := record{table: {"-A x"}}, record{table: {"-A x", "-A x"}}
	if got := one.differences(two); !slices.Equal(got, []string{"+ -A x"}) {
		t.Errorf("%q", got)
	}
	if got := two.minus(one); !got.equal(one) {
		t.Errorf("%v", got)
	}
}

// TestAlive: a server of the table counts as dead if its weight is 0, and if it is not there.
func TestAlive(t *testing.T) {
	r := record{table: {"-A -t 192.0.2.100:80 -s rr", "-a -t 192.0.2.100:80 -r 10.0.0.1:80 -m -w 1", "-a -t 192.0.2.100:80 -r 10.0.0.2:80 -m -w 0"}}
	if got := r.alive([]string{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"}); !slices.Equal(got, []string{"10.0.0.1:80"}) {
		t.Errorf("%q", got)
	}
}

// TestFiles: there is a configuration for each file, ten at least, and each says what it was made of.
func TestFiles(t *testing.T) {
	entries, err := files.ReadDir("conf")
	if err != nil || len(entries) != len(configurations) || len(entries) < 10 {
		t.Fatalf("%d files, %d configurations, %v", len(entries), len(configurations), err)
	}
	for _, c := range configurations {
		if text := c.text(); !strings.HasPrefix(text, "! From ") || len(c.has) == 0 {
			t.Errorf("%s: it begins with %.30q, and has %q", c.name, text, c.has)
		}
	}
}
