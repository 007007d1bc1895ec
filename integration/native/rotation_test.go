// SPDX-License-Identifier: Apache-2.0

package native

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestKeyRotation: a pair that serves gets a second key, signs with it, and loses the first one: one director after the other, by
// reloads alone. No question of a client that asks every millisecond is left unanswered, no router changes its state, and no
// advertisement is refused. What was on the wire is verified here by the rules of the draft, without a line of tandem's.
func TestKeyRotation(t *testing.T) {
	d := lab.NewDuo(t, lab.DuoSettings{Advert: floodedAdvert})
	signed(t, d, "", "")
	heard := d.Client.Capture("eth0", lab.Frame.IsVRRP)
	d.Launch()
	awaitAdverts(t, d, 2)
	before := states(t, d)
	moves := []*lab.AddressWatch{d.A.WatchAddress(vip), d.B.WatchAddress(vip)}
	d.Steady().Stop() // from now on, all know each other's hardware addresses
	probe := d.Client.Probe(echoVIP)
	d.Answers(probe)
	for _, k := range []keyring{{"enforce", 1, []int{1, 2}}, {"enforce", 2, []int{1, 2}}, {"enforce", 2, []int{2}}} {
		for _, x := range []*lab.Director{d.B, d.A} {
			k.apply(t, d, x, priorityOf(d, x))
			awaitAdverts(t, d, 2)
		}
	}
	d.Answers(probe)
	out := probe.Stop()

	if out.Lost > 0 {
		t.Errorf("%d of %d questions have no answer: %s", out.Lost, out.Sent, out)
	}
	moved := len(moves[0].Changes()) + len(moves[1].Changes())
	if after := states(t, d); !slices.Equal(after, before) || moved > 0 {
		t.Errorf("states were %v and are %v; the VIP was added or removed %d times", before, after, moved)
	}
	for _, x := range []*lab.Director{d.A, d.B} {
		s, err := x.Status()
		if err != nil || len(s.VRRP[0].Counters.AdvertsDropped) > 0 || len(s.Warnings) > 0 {
			t.Errorf("%s: dropped %v, warnings %q, %v", x.Name, s.VRRP[0].Counters.AdvertsDropped, s.Warnings, err)
		}
	}
	by := verifyAll(t, heard.Frames())
	if by[1] == 0 || by[2] == 0 || len(by) != 2 {
		t.Errorf("advertisements by key: %v; want keys 1 and 2", by)
	}
	t.Logf("hmac: rotation: 6 reloads; %d of %d questions unanswered, 0 is the goal; VIP moved %d times; %d advertisements signed with key 1, then %d with key 2",
		out.Lost, out.Sent, moved, by[1], by[2])
}

// signed configures both directors of a pair for key 1, before their first start.
func signed(t *testing.T, d lab.Duo, more, tables string) {
	t.Helper()
	for _, x := range []*lab.Director{d.A, d.B} {
		keyring{"enforce", 1, []int{1}}.write(t, x, priorityOf(d, x), more, tables)
	}
}

func priorityOf(d lab.Duo, x *lab.Director) int {
	if x == d.A {
		return lab.PriorityA
	}
	return lab.PriorityB
}

// verifyAll verifies captured advertisements, and returns how many were signed with each key. The sequence of each sender must
// grow, and a key that was left must not come back.
func verifyAll(t *testing.T, frames []lab.Frame) map[int]int {
	t.Helper()
	by, last, key := map[int]int{}, map[string]uint64{}, map[string]int{}
	for i, f := range frames {
		id, sequence, err := verify(f)
		from := f.Source().String()
		switch {
		case err != nil:
			t.Errorf("advertisement %d from %s: %v: %x", i, from, err, f.Data)
		case sequence <= last[from]:
			t.Errorf("advertisement %d from %s: sequence %x after %x", i, from, sequence, last[from])
		case id < key[from]:
			t.Errorf("advertisement %d from %s: key %d after key %d", i, from, id, key[from])
		}
		by[id]++
		last[from], key[from] = sequence, id
	}
	return by
}

// verify checks the signature of a captured advertisement over IPv4, and returns its key and sequence.
func verify(f lab.Frame) (key int, sequence uint64, err error) {
	ip := f.Data[14:]
	ip = ip[:min(len(ip), int(binary.BigEndian.Uint16(ip[2:])))]
	header := int(ip[0]&0x0f) * 4
	pdu := 8 + 4*int(ip[header+3]) // version 3: eight octets, and an address each
	message := ip[header:]
	if len(message) != pdu+28 {
		return 0, 0, fmt.Errorf("%d octets, want %d and a trailer of 28", len(message), pdu)
	}
	trailer := message[pdu:]
	key, sequence = int(trailer[1]), binary.BigEndian.Uint64(trailer[4:])
	// draft-cassen-vrrp-auth-hmac: what is hashed begins with the family, the version, the VRID, 0, and the sender in 16 octets. The
	// checksum and the hash itself count as 0.
	input := append([]byte{4, message[0] >> 4, message[1], 0}, ip[12:16]...)
	input = append(append(input, make([]byte, 12)...), message[:pdu+12]...)
	input = append(input, make([]byte, 16)...)
	input[20+6], input[20+7] = 0, 0
	h := hmac.New(sha256.New, secret(key))
	h.Write(input)
	if trailer[0] != 1 || !hmac.Equal(h.Sum(nil)[:16], trailer[12:]) {
		return key, sequence, fmt.Errorf("scheme %d, key %d: the hash is wrong", trailer[0], key)
	}
	return key, sequence, nil
}
