// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/vrrp"
)

// TestSignedPeer: the doctor judges signatures with the key of the configuration. Without the key it says nothing about them.
func TestSignedPeer(t *testing.T) {
	const file = "hmac.key = [{ id = 1, file = \"/k\" }]"
	for _, tt := range []struct {
		name              string
		mine, theirs      byte // the first octet of the key; 0: none
		findings          []string
		what              string
		unsigned, ancient bool
	}{
		{name: "the same key", mine: 'a', theirs: 'a'},
		{name: "no key in the file", theirs: 'a', findings: []string{"peer-differs"}, what: "signs its advertisements of VRID 51 with key 1"},
		{name: "another key", mine: 'a', theirs: 'b', findings: []string{"peer-differs"}, what: "does not fit key 1"},
		{name: "unsigned", mine: 'a', unsigned: true, findings: []string{"peer-differs"}, what: "unsigned advertisements of VRID 51 arrive from 192.0.2.3"},
		{name: "another time", mine: 'a', theirs: 'a', ancient: true, findings: []string{"peer-differs"}, what: "1h0m0s behind our clock"},
	} {
		s := master()
		s.backup()
		s.snapshot.Adverts = nil
		extra := file
		if tt.mine == 0 {
			extra = ""
		}
		c := parsed(t, pairText("dr", extra))
		now := time.Unix(1e9, 0)
		peer := c.Routers[0].Config
		peer.HMAC = vrrp.HMAC{}
		if !tt.unsigned {
			peer.HMAC = vrrp.HMAC{Mode: vrrp.HMACEnforce, AntiReplay: vrrp.AntiReplayTime, Window: 5 * time.Second, ActiveKey: 1,
				Keys: []vrrp.Key{{ID: 1, Secret: secret(tt.theirs)}}}
		}
		sent := now
		if tt.ancient {
			sent = now.Add(-time.Hour)
		}
		r := vrrp.NewRouter(peer)
		r.Packet.Priority = 150
		for range 3 { // three advertisements are one finding
			r.Sign(sent)
			src := netip.MustParseAddr("192.0.2.3")
			frame := append(make([]byte, 14), 0x45, 0xc0, 0, byte(20+r.Packet.Len()), 0, 0, 0, 0, 255, 112, 0, 0, 192, 0, 2, 3, 224, 0, 0, 18)
			a, ok := parseAdvert(r.Packet.AppendTo(frame, src, vrrp.Group4))
			if !ok {
				t.Fatalf("%s: not parsed", tt.name)
			}
			if a.Interface, a.At = "eth0", now; !a.in(s.snapshot.Adverts) {
				s.snapshot.Adverts = append(s.snapshot.Adverts, a)
			}
		}
		if n := len(s.snapshot.Adverts); n != 1 {
			t.Errorf("%s: %d different advertisements", tt.name, n)
		}
		got := Director(c, s.snapshot)
		if tt.mine != 0 && len(got) > 0 {
			t.Errorf("%s, without the secret: %v", tt.name, got)
		}
		c.SetSecret("web", 1, secret(tt.mine))
		got = Director(c, s.snapshot)
		if !slices.Equal(ids(got), tt.findings) || len(got) > 0 && !strings.Contains(got[0].What, tt.what) {
			t.Errorf("%s: %v, want %q", tt.name, got, tt.what)
		}
	}
}

func secret(first byte) vrrp.Secret {
	return vrrp.NewSecret([]byte(strings.Repeat(string(rune(first)), vrrp.MinSecret)))
}
