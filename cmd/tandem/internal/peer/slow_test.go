// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// A call is one connection to a director, on simulated time.
type call struct {
	t     *testing.T
	conn  net.Conn // of the caller
	began time.Time
	ended chan struct{} // the director has ended it
	h     *hearing
}

// called returns a connection to a director with the usual times.
func called(t *testing.T) *call {
	s := newSide(t, "lb1", netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2"))
	s.Timing, s.instance, s.told, s.nudged = DefaultTiming, "ours", make(chan struct{}, 1), make(chan struct{}, 1)
	s.asks.init()
	theirs, ours := net.Pipe()
	c := &call{t: t, conn: theirs, began: time.Now(), ended: make(chan struct{}), h: &hearing{Link: s.Link, peer: newGate(5, 10), strangers: newGate(1, 5)}}
	if !c.h.peer.enter(time.Now()) {
		t.Fatal("the gate is closed")
	}
	go func() {
		defer close(c.ended)
		c.h.serve(t.Context(), ours, c.h.peer)
	}()
	return c
}

// trickle writes a byte a second for as long as the other end takes them.
func (c *call) trickle(w io.Writer, text []byte) {
	for i := range text {
		if _, err := w.Write(text[i : i+1]); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// secured makes the connection secure, as who has the key.
func (c *call) secured() *tls.Conn {
	c.t.Helper()
	settings, err := credentials(c.h.Config, dialing)
	if err != nil {
		c.t.Fatal(err)
	}
	conn := tls.Client(c.conn, settings)
	if err := conn.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	return conn
}

// introduced makes the connection secure, and introduces the caller.
func (c *call) introduced() *tls.Conn {
	c.t.Helper()
	conn := c.secured()
	if _, err := read(conn, message.MaxHello); err != nil {
		c.t.Fatal(err)
	}
	if err := write(conn, helloOf("lb2")); err != nil {
		c.t.Fatal(err)
	}
	return conn
}

func helloOf(name string) message.Message {
	return message.Message{Kind: message.KindHello, Hello: &message.Hello{Protocol: message.Protocol, Name: name, Instance: "theirs"}}
}

// hungUp waits until the director has hung up, and returns after how long. The place of the handshake is free again.
func (c *call) hungUp() time.Duration {
	c.t.Helper()
	<-c.ended
	after := time.Since(c.began)
	_ = c.conn.Close()
	c.h.peer.mu.Lock()
	defer c.h.peer.mu.Unlock()
	if c.h.peer.inside != 0 {
		c.t.Errorf("%d handshakes go on", c.h.peer.inside)
	}
	return after
}

// channel is the state of the channel.
func (c *call) channel() Channel {
	c.h.Link.mu.Lock()
	defer c.h.Link.mu.Unlock()
	return c.h.Link.channel
}

// TestSlowCallers: who is slow is hung up on, at a time that does not depend on how it is slow.
func TestSlowCallers(t *testing.T) {
	patience, silence := DefaultTiming.Patience, DefaultTiming.Silence
	for _, tt := range []struct {
		name  string
		calls func(c *call)
		after time.Duration
		heard bool   // it had introduced itself
		want  string // the beginning of the problem
	}{
		{"says nothing", func(*call) {}, patience, false, "it does not answer"},
		{"a handshake byte by byte", func(c *call) { c.trickle(c.conn, bytes.Repeat([]byte{0x16, 3, 1, 2, 0}, 100)) }, patience, false, ""},
		{"takes nothing of the handshake", func(c *call) {
			_ = tls.Client(half{c.conn, c.ended}, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}).Handshake()
		}, patience, false, "it does not answer"},
		{"takes no introduction", func(c *call) { c.secured() }, patience, false, "it does not answer"},
		{"introduces itself byte by byte", func(c *call) {
			conn := c.secured()
			if _, err := read(conn, message.MaxHello); err != nil {
				c.t.Error(err)
			}
			octets, _ := message.Encode(helloOf("lb2"))
			c.trickle(conn, octets)
		}, patience, false, "it does not answer"},
		{"falls silent", func(c *call) { c.introduced() }, silence, true, "it fell silent"},
		{"a length byte by byte", func(c *call) { c.trickle(c.introduced(), binary.BigEndian.AppendUint32(nil, 1000)[:3]) }, silence, true, "it fell silent"},
		{"a message byte by byte", func(c *call) {
			c.trickle(c.introduced(), append(binary.BigEndian.AppendUint32(nil, 1000), bytes.Repeat([]byte{' '}, 1000)...))
		}, 3*time.Second + patience, true, "it fell silent"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := called(t)
				over := make(chan struct{})
				go func() { defer close(over); tt.calls(c) }()
				after := c.hungUp()
				<-over
				is := c.channel()
				if after != tt.after || !strings.HasPrefix(is.From.Problem, tt.want) || is.From.Up {
					t.Errorf("after %s, want %s: %+v", after, tt.after, is)
				}
				if refused := uint64(1); tt.heard != (is.Refused == 0) || is.Refused > refused {
					t.Errorf("refused %d times: %q", is.Refused, is.Refusal)
				}
			})
		})
	}
}

// A half is a connection of which nothing is read until its end.
type half struct {
	net.Conn
	ended <-chan struct{}
}

func (h half) Read([]byte) (int, error) {
	<-h.ended
	return 0, io.EOF
}

// TestRudeIntroductions: who has the key and introduces itself against the rules is refused at once, with the reason, and is not heard.
func TestRudeIntroductions(t *testing.T) {
	frame := func(length int, text string) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(length)), text...)
	}
	encoded := func(m message.Message) []byte {
		octets, err := message.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		return octets
	}
	noProtocol := helloOf("lb2")
	noProtocol.Hello = &message.Hello{Name: "lb2"}
	for _, tt := range []struct {
		name  string
		octet []byte
		want  string
	}{
		{"an order instead", encoded(viewOf("www/192.0.2.1:80")), "it does not introduce itself as a director"},
		{"a question instead", encoded(message.Message{Kind: message.KindAsk, Part: &message.Part{ID: "1", To: message.AskStatus}}), "it does not introduce itself as a director"},
		{"a huge one", frame(message.MaxHello+1, "{"), "a message of 4097 bytes: want 2 to 4096"},
		{"garbage", frame(7, "\x00\xff{[\"]}"), "a message that is not JSON of the protocol"},
		{"deep JSON", frame(4000, strings.Repeat("[", 4000)), "a message that is not JSON of the protocol"},
		{"without a name", encoded(helloOf("")), "a hello without protocol or name"},
		{"without a protocol", encoded(noProtocol), "a hello without protocol or name"},
		{"our own name", encoded(helloOf("lb1")), `both directors have the name "lb1"`},
		{"an empty message", frame(0, ""), "a message of 0 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := called(t)
				conn := c.secured()
				if _, err := read(conn, message.MaxHello); err != nil {
					t.Fatal(err)
				}
				go func() { _, _ = conn.Write(tt.octet) }() // the director may hang up before the end
				after := c.hungUp()
				is := c.channel()
				if after != 0 || is.Refused != 1 || !strings.Contains(is.Refusal, tt.want) || is.From.Up || is.Peer.Name != "" {
					t.Errorf("after %s, %+v, want %q", after, is, tt.want)
				}
			})
		})
	}
}

// TestSlowAnswerer: a director that calls another one, which takes the connection and is slow, gives up after its patience.
func TestSlowAnswerer(t *testing.T) {
	for name, answer := range map[string]func(*call, net.Conn){
		"says nothing": func(*call, net.Conn) {},
		"byte by byte": func(c *call, conn net.Conn) { c.trickle(conn, bytes.Repeat([]byte{0x16, 3, 3, 2, 0}, 100)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSide(t, "lb1", netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2"))
				s.Timing = DefaultTiming
				theirs, ours := net.Pipe()
				answered := make(chan struct{})
				go func() {
					defer close(answered)
					hello := make([]byte, 1<<16)
					_, _ = theirs.Read(hello)
					answer(&call{}, theirs)
				}()
				began := time.Now()
				_, _, err := s.handshake(t.Context(), ours, dialing)
				if after := time.Since(began); err == nil || after != DefaultTiming.Patience {
					t.Errorf("after %s: %v", after, err)
				}
				_ = ours.Close()
				<-answered
			})
		})
	}
}
