// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// authenticated connects with the right key, as a director with this name, and returns the connection after the introduction.
func authenticated(t *testing.T, to *side, name string) *tls.Conn {
	t.Helper()
	settings, err := credentials(to.Config, dialing)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", to.Config.Listen, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	m := message.Message{Kind: message.KindHello, Hello: &message.Hello{Protocol: message.Protocol, Name: name, Instance: name}}
	if err := write(conn, m); err != nil {
		t.Fatal(err)
	}
	if _, err := read(conn, message.MaxHello); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestHostile: whatever comes to the port without the key is refused and counted, and the peer is heard after it.
func TestHostile(t *testing.T) {
	x, y := addresses(t)
	a := newSide(t, "lb1", x, y)
	a.Timing.Patience = 2 * time.Second
	a.start().listening()
	open := func(say string) net.Conn {
		conn, err := net.Dial("tcp", x.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, _ = conn.Write([]byte(say))
		return conn
	}
	for range 20 {
		open("GET / HTTP/1.1\r\n\r\n")
		open(string([]byte{0x16, 3, 1, 0xff, 0xff})) // the beginning of a long TLS record, and then silence
		open("")
	}
	a.await("refusing", func(s *side) bool { return s.channel.Refused > 20 && s.channel.Refusal != "" })
	if channel, heard := a.now(); heard > 0 {
		t.Errorf("%d messages heard, %+v", heard, channel)
	}
	newSide(t, "lb2", y, x).start()
	a.awaitUp()
}

// TestRules: a director that has the key and breaks the rules is disconnected, with words, and may come again.
func TestRules(t *testing.T) {
	x, y := addresses(t)
	a := newSide(t, "lb1", x, y)
	a.Timing.Patience = 2 * time.Second
	a.start().listening()
	frame := func(length uint32, text string) []byte {
		return append(binary.BigEndian.AppendUint32(nil, length), text...)
	}
	for _, tt := range []struct {
		name  string
		octet []byte
		want  string
	}{
		{"huge", frame(1<<31, "x"), "it sent a message of 2147483648 bytes: want 2 to 8388608"},
		{"garbage", frame(5, "hello"), "it sent a message that is not JSON of the protocol"},
		{"slow", frame(100, "{"), "it fell silent"},
		{"silent", nil, "it fell silent"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn := authenticated(t, a, "lb2")
			a.await("connected", func(s *side) bool { return s.channel.From.Up })
			if _, err := conn.Write(tt.octet); err != nil {
				t.Fatal(err)
			}
			a.await("told", func(s *side) bool { return strings.HasPrefix(s.channel.From.Problem, tt.want) })
		})
	}
}

// TestHalfOpen: a newer connection replaces one whose other end has gone without a word.
func TestHalfOpen(t *testing.T) {
	x, y := addresses(t)
	a := newSide(t, "lb1", x, y)
	a.Timing.Silence = time.Hour
	a.start().listening()
	old := authenticated(t, a, "lb2")
	a.await("connected", func(s *side) bool { return s.channel.From.Up })
	fresh := authenticated(t, a, "lb2")
	if _, err := io.ReadAll(old); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error(err)
	}
	if err := write(fresh, viewOf("fresh")); err != nil {
		t.Fatal(err)
	}
	a.awaitOrder("fresh")
	a.await("connected", func(s *side) bool { return s.channel.From.Up })
}

// TestGates: strangers that fill their gate do not keep the peer out, and a gate opens again.
func TestGates(t *testing.T) {
	now := time.Unix(0, 0)
	g := newGate(1, 5)
	for i := range 5 {
		if !g.enter(now) {
			t.Fatalf("no %d", i)
		}
		g.leave()
	}
	if g.enter(now) || g.enter(now.Add(900*time.Millisecond)) || !g.enter(now.Add(1100*time.Millisecond)) {
		t.Error("one more a second is expected")
	}
	g = newGate(100, 100)
	if a, b, c := g.enter(now), g.enter(now), g.enter(now); !a || !b || c {
		t.Error("two handshakes at a time are expected")
	}
	g.leave()
	if !g.enter(now) {
		t.Error("the next one is expected")
	}
	x, y := addresses(t)
	h := hearing{Link: newSide(t, "lb1", x, y).Link, peer: newGate(1, 1), strangers: newGate(1, 1)}
	for address, want := range map[string]*gate{"127.0.0.1": h.peer, "::ffff:127.0.0.1": h.peer, "127.0.0.9": h.strangers, "::1": h.strangers} {
		if h.gate(from{address: net.JoinHostPort(address, "99")}) != want {
			t.Error(address)
		}
	}
}

// from is a connection that only has an address.
type from struct {
	net.Conn
	address string
}

func (f from) RemoteAddr() net.Addr { return f }
func (from) Network() string        { return "tcp" }
func (f from) String() string       { return f.address }
