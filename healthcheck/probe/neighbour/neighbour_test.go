// SPDX-License-Identifier: Apache-2.0

package neighbour

import (
	"bytes"
	"context"
	"encoding/hex"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/healthcheck"
)

var (
	own    = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	theirs = net.HardwareAddr{2, 0, 0, 0, 0, 2}
	asked  = netip.MustParseAddr("192.0.2.1")
)

// TestARP: the question is that of RFC 826 byte by byte, and only a reply of another machine about the address is an answer.
func TestARP(t *testing.T) {
	const question = "0001 0800 06 04 0001 020000000001 c0000203 000000000000 c0000201"
	b, err := arpQuestion(own, netip.MustParseAddr("192.0.2.3"), asked)
	if want := strings.ReplaceAll(question, " ", ""); err != nil || hex.EncodeToString(b) != want {
		t.Errorf("%x, %v, want %s", b, err, want)
	}
	const reply = "0001 0800 06 04 0002 020000000002 c0000201 020000000001 c0000203"
	for name, tt := range map[string]struct {
		packet string
		want   net.HardwareAddr
	}{
		"a reply":                         {reply, theirs},
		"with padding":                    {reply + strings.Repeat("00", 18), theirs},
		"our own question":                {question, nil},
		"a question of that machine":      {strings.Replace(reply, "0002", "0001", 1), nil},
		"a reply about another address":   {strings.Replace(reply, "c0000201", "c0000209", 1), nil},
		"a reply of our own":              {strings.Replace(reply, "020000000002", "020000000001", 1), nil},
		"another kind of hardware":        {strings.Replace(reply, "0001", "0020", 1), nil},
		"another protocol":                {strings.Replace(reply, "0800", "86dd", 1), nil},
		"hardware addresses of one octet": {"0001 0800 01 04 0002 02 c0000201 01 c0000203", nil},
		"a short packet":                  {reply[:40], nil},
		"nothing":                         {"", nil},
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(tt.packet, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if got := arpAnswer(b, own, asked); !bytes.Equal(got, tt.want) {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func FuzzARP(f *testing.F) {
	f.Fuzz(func(_ *testing.T, b []byte) { arpAnswer(b, own, asked) })
}

func TestND(t *testing.T) {
	addr := netip.MustParseAddr("2001:db8::1")
	advert := func(target string, options ...ndp.Option) ndp.Message {
		return &ndp.NeighborAdvertisement{Solicited: true, TargetAddress: netip.MustParseAddr(target), Options: options}
	}
	link := func(d ndp.Direction, at net.HardwareAddr) ndp.Option {
		return &ndp.LinkLayerAddress{Direction: d, Addr: at}
	}
	for name, tt := range map[string]struct {
		message ndp.Message
		want    net.HardwareAddr
	}{
		"an answer":              {advert("2001:db8::1", ndp.NewMTU(1500), link(ndp.Target, theirs)), theirs},
		"about another address":  {advert("2001:db8::2", link(ndp.Target, theirs)), nil},
		"of our own":             {advert("2001:db8::1", link(ndp.Target, own)), nil},
		"the sender's address":   {advert("2001:db8::1", link(ndp.Source, theirs)), nil},
		"without a link address": {advert("2001:db8::1"), nil},
		"a question":             {&ndp.NeighborSolicitation{TargetAddress: addr}, nil},
	} {
		if got := ndAnswer(tt.message, own, addr); !bytes.Equal(got, tt.want) {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// A fakeLink answers a question after a while; each time that is 0 is a question without an answer.
type fakeLink struct {
	answers []time.Duration
	asked   int
	fails   error
	end     *time.Timer
}

func (l *fakeLink) ask() error {
	l.asked++
	return l.fails
}

func (l *fakeLink) hear() (net.HardwareAddr, error) {
	var answer <-chan time.Time
	if wait := l.answers[l.asked-1]; wait > 0 {
		answer = time.After(wait)
	}
	select {
	case <-answer:
		return theirs, nil
	case <-l.end.C:
		return nil, os.ErrDeadlineExceeded
	}
}

func (l *fakeLink) expire(at time.Time) error {
	if l.end == nil {
		l.end = time.NewTimer(time.Until(at))
	}
	l.end.Reset(max(0, time.Until(at)))
	return nil
}

func (l *fakeLink) Close() error { return nil }

// TestAsk: a probe asks three times within its timeout, and ends at the first answer, at its timeout or when it is cancelled.
func TestAsk(t *testing.T) {
	const timeout = 900 * time.Millisecond
	ms := func(all ...int) (waits []time.Duration) {
		for _, n := range all {
			waits = append(waits, time.Duration(n)*time.Millisecond)
		}
		return waits
	}
	for name, tt := range map[string]struct {
		link   fakeLink
		cancel time.Duration
		want   healthcheck.Outcome
		asked  int
		took   time.Duration
		silent bool
	}{
		"an answer":         {fakeLink{answers: ms(20)}, 0, healthcheck.Passed, 1, 20 * time.Millisecond, false},
		"a question lost":   {fakeLink{answers: ms(0, 20)}, 0, healthcheck.Passed, 2, 320 * time.Millisecond, false},
		"two lost":          {fakeLink{answers: ms(0, 0, 20)}, 0, healthcheck.Passed, 3, 620 * time.Millisecond, false},
		"nobody":            {fakeLink{answers: ms(0, 0, 0)}, 0, healthcheck.Failed, 3, timeout, true},
		"no link":           {fakeLink{fails: unix.ENETDOWN}, 0, healthcheck.Failed, 1, 0, true},
		"no memory":         {fakeLink{fails: unix.ENOBUFS}, 0, healthcheck.NotRun, 1, 0, false},
		"the director ends": {fakeLink{answers: ms(0, 0, 0)}, 400 * time.Millisecond, healthcheck.Abandoned, 2, 400 * time.Millisecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithTimeout(t.Context(), timeout)
				defer stop()
				if tt.cancel > 0 {
					time.AfterFunc(tt.cancel, stop)
				}
				began := time.Now()
				target := &healthcheck.Target{Config: healthcheck.Config{Timeout: timeout}}
				got := ask(ctx, &tt.link, target)
				if took := time.Since(began); got.Outcome != tt.want || got.Silent != tt.silent || tt.link.asked != tt.asked || took != tt.took {
					t.Errorf("%+v after %s and %d questions, want %v after %s and %d", got, took, tt.link.asked, tt.want, tt.took, tt.asked)
				}
			})
		})
	}
}

// TestNoInterface: without a usable interface the witness counts as silent. That is no trouble of the director's own, which would leave
// the last result in force.
func TestNoInterface(t *testing.T) {
	for device, want := range map[string]string{"nosuchif0": "does not have the interface nosuchif0", "lo": "lo has no Ethernet address"} {
		got := Probe(t.Context(), &healthcheck.Target{Config: healthcheck.Config{
			Type: healthcheck.Neighbour, Device: device, Address: asked, Timeout: time.Second,
		}})
		if got.Outcome != healthcheck.Failed || !got.Silent || !strings.Contains(got.Reason, want) {
			t.Errorf("%+v, want %q", got, want)
		}
	}
}
