// SPDX-License-Identifier: Apache-2.0

//go:build flood

package native

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

var hmacFlood = flag.Duration("hmac-flood", 5*time.Second, "flood both directors of several pairs with forged packets, each for this `TIME`, and print what it costs them")

// groupMAC is the Ethernet address of 224.0.0.18 (RFC 1112, section 6.4): both directors get what is sent to it.
const groupMAC = "01:00:5e:00:00:12"

// A flooded is a pair under the flood, of tandem or of keepalived.
type flooded struct {
	lab.Duo
	name, what string
	keepalived bool
	unsigned   bool // tandem has no keys
	forge      func(from *lab.Host) [][]byte
}

// TestHMACFlood: 100,000 forged packets a second at both directors at once move nothing and cost no answer. It prints the time of a
// processor that they cost the process that reads them, and the same of keepalived for packets without a signature, because
// Debian's keepalived knows none. It needs both processors for a minute.
func TestHMACFlood(t *testing.T) {
	wrong := func(from *lab.Host) [][]byte { return forgedTrailers(from, false) }
	plain := func(from *lab.Host) [][]byte {
		return [][]byte{group(from, func(a *lab.Advert) { a.BreakChecksum = true }), group(from, func(a *lab.Advert) { a.BreakChecksum, a.Priority = true, 0 })}
	}
	for _, f := range []flooded{
		{name: "wrong hash", what: "tandem with hmac, of packets with a wrong hash", forge: wrong},
		{name: "mixed", what: "tandem with hmac, of packets each fifth of which has a wrong hash, the others none, an old time, an unknown key or an unknown scheme",
			forge: func(from *lab.Host) [][]byte { return forgedTrailers(from, true) }},
		{name: "no hmac", what: "tandem without hmac, of packets with a wrong checksum", forge: plain, unsigned: true},
		{name: "keepalived", what: "keepalived with its log off, of packets with a wrong checksum", forge: plain, keepalived: true},
	} {
		t.Run(f.name, func(t *testing.T) { f.run(t) })
	}
}

func (f *flooded) run(t *testing.T) {
	f.Duo = lab.NewDuo(t, lab.DuoSettings{Advert: floodedAdvert})
	stranger := f.Host("stranger", "192.0.2.66/24")
	f.start(t)
	f.Client.HoldMulticast() // else a third of the flood goes there, and the processors have other things to do
	f.Steady().Stop()
	probe := f.Client.Probe(echoVIP)
	f.Answers(probe)
	hosts := []*lab.Host{f.A.Host, f.B.Host}
	moves := []*lab.AddressWatch{f.A.WatchAddress(vip), f.B.WatchAddress(vip)}
	var before []string
	if !f.keepalived {
		before = states(t, f.Duo)
	}
	frames := f.forge(stranger)
	var used [2]time.Duration
	var arrived, refused [2]int
	count := func(sign int) {
		for i, h := range hosts {
			used[i] += time.Duration(sign) * f.cpu(t, h)
			arrived[i] += sign * h.ReceivedIP()
			refused[i] += sign * f.refused(t, i)
		}
	}
	lost := -backlogDrops(t)
	count(-1)
	began := time.Now()
	sent := floodTwice(stranger, frames)
	took := time.Since(began)
	count(+1)
	lost += backlogDrops(t)
	f.Answers(probe)
	out := probe.Stop()

	// keepalived is measured, not judged.
	moved := len(moves[0].Changes()) + len(moves[1].Changes())
	if moved > 0 && !f.keepalived {
		t.Errorf("the VIP was added or removed %d times", moved)
	}
	if !f.keepalived {
		if after := states(t, f.Duo); !slices.Equal(after, before) {
			t.Errorf("states were %v and are %v", before, after)
		}
	}
	// The kernel's queue is before all programs: what it drops, no director can answer.
	if out.Lost > lost && !f.keepalived {
		t.Errorf("%d of %d questions have no answer, and the kernel dropped %d packets: %s", out.Lost, out.Sent, lost, out)
	}
	rate := float64(sent) / took.Seconds()
	short := ""
	if rate < flood*98/100 { // the time has the start and the end of the sender in it
		short = fmt.Sprintf(" (want %d; the sender got no more of the processors)", flood)
	}
	share := func(i int) string {
		s := fmt.Sprintf("%.1f %% of a processor", 100*used[i].Seconds()/took.Seconds())
		if n := refused[i]; n > 0 {
			s += fmt.Sprintf(", %d packets refused a second, %s each", int(float64(n)/took.Seconds()), (used[i] / time.Duration(n)).Round(10*time.Nanosecond))
		} else if n := arrived[i]; n > 0 {
			s += fmt.Sprintf(", %s for each packet that arrived", (used[i] / time.Duration(n)).Round(10*time.Nanosecond))
		}
		return s
	}
	t.Logf("hmac: flood of %s: %.0f packets a second%s for %s, to both directors; master: %s; backup: %s; VIP moved %d times; %d of %d questions unanswered; the kernel's queue dropped %d packets",
		f.what, rate, short, took.Round(100*time.Millisecond), share(0), share(1), moved, out.Lost, out.Sent, lost)
}

// floodTwice floods from two threads: one cannot send so much, because the thread that sends also carries its packets over the switch.
func floodTwice(from *lab.Host, frames [][]byte) (sent int) {
	other := make(chan int)
	go func() { other <- from.Flood(flood/2, *hmacFlood, frames) }()
	sent = from.Flood(flood/2, *hmacFlood, frames)
	return sent + <-other
}

// start starts the pair, and waits until director-a is master.
func (f *flooded) start(t *testing.T) {
	t.Helper()
	if !f.keepalived {
		if !f.unsigned {
			signed(t, f.Duo, "", "")
		}
		f.Launch()
		return
	}
	for _, x := range []*lab.Director{f.A, f.B} {
		x.SilentKeepalived("", lab.KeepalivedRouter{Priority: priorityOf(f.Duo, x), Advert: floodedAdvert})
	}
	f.Eventually(10*time.Second, "director-a has the VIP alone", func() error {
		if !f.A.Has(vip) || f.B.Has(vip) {
			return errNotYet
		}
		return nil
	})
}

// cpu is the processor time of what reads the packets: the election process, or all processes of keepalived.
func (f *flooded) cpu(t *testing.T, h *lab.Host) (all time.Duration) {
	t.Helper()
	pids := h.Pids()
	for _, x := range []*lab.Director{f.A, f.B} {
		if x.Host == h && !f.keepalived {
			pid, err := x.ElectionPid()
			if err != nil {
				t.Fatal(err)
			}
			pids = []int{pid}
		}
	}
	for _, pid := range pids {
		used, err := lab.CPUTime(pid)
		if err != nil {
			t.Fatal(err)
		}
		all += used
	}
	return all
}

// refused is how many packets a tandem has refused.
func (f *flooded) refused(t *testing.T, i int) (all int) {
	t.Helper()
	if f.keepalived {
		return 0
	}
	s, err := []*lab.Director{f.A, f.B}[i].Status()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range s.VRRP[0].Counters.AdvertsDropped {
		all += n
	}
	return all
}

// group is a frame of a router that does not exist, to both directors.
func group(from *lab.Host, change func(*lab.Advert)) []byte {
	a := lab.Advert{
		To: groupMAC, From: from.MAC(), Source: "192.0.2.66", TTL: 255, Version: 3, VRID: 51, Priority: 254,
		Centiseconds: 25, VIPs: []string{vip},
	}
	change(&a)
	return a.Frame()
}

// forgedTrailers are frames with a trailer whose hash is wrong. mixed adds such as are refused for other reasons before that.
func forgedTrailers(from *lab.Host, mixed bool) (frames [][]byte) {
	now := uint32(time.Now().Unix()) + 2 // in the window for the time of the flood
	kinds := [][]byte{nil}
	trailer := func(scheme, key byte, seconds uint32) []byte {
		b := binary.BigEndian.AppendUint32([]byte{scheme, key, 0, 0}, seconds)
		return append(b, bytes.Repeat([]byte{0x5a}, 20)...)
	}
	kinds[0] = trailer(1, 1, now)
	if mixed {
		kinds = append(kinds, nil, trailer(1, 1, now-600), trailer(1, 9, now), trailer(2, 1, now))
	}
	for _, b := range kinds {
		for _, priority := range []byte{254, 0} {
			frames = append(frames, group(from, func(a *lab.Advert) { a.Trailer, a.Priority = b, priority }))
		}
	}
	return frames
}

// backlogDrops is how many packets the kernel has dropped because a processor's queue of received packets was full: the second
// column of softnet_stat, a line a processor.
func backlogDrops(t *testing.T) (all int) {
	t.Helper()
	text, err := os.ReadFile("/proc/net/softnet_stat")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var processed, dropped int
		if _, err := fmt.Sscanf(line, "%x %x", &processed, &dropped); err != nil {
			t.Fatal(err)
		}
		all += dropped
	}
	return all
}
