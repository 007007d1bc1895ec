// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// recorded returns what a director said before there were questions, message by message.
func recorded(t *testing.T) (all [][]byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/older.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		all = append(all, append(binary.BigEndian.AppendUint32(nil, uint32(len(line))), line...))
	}
	return all
}

// older is a director of that version: it says what was recorded, and notes what it hears.
type older struct {
	said  [][]byte
	noted func() // is called when it has noted something
	mu    sync.Mutex
	all   []message.Kind
}

// listen is its end of the connection from the other director.
func (o *older) listen(t *testing.T, l net.Listener, settings *tls.Config) {
	raw, err := l.Accept()
	if err != nil {
		t.Error(err)
		return
	}
	conn := tls.Server(raw, settings)
	defer conn.Close()
	for {
		m, err := read(conn, message.MaxSize)
		if err != nil {
			return // the test is over
		}
		if m.Kind == message.KindHello {
			_, _ = conn.Write(o.said[0])
		}
		o.mu.Lock()
		o.all = append(o.all, m.Kind)
		o.mu.Unlock()
		o.noted()
	}
}

// TestOlderDirector: all that a director of the version before tells is heard. It is not asked what it does not know, and who asks
// is told that it is older.
func TestOlderDirector(t *testing.T) {
	x, y := addresses(t)
	a := newSide(t, "lb1", x, y)
	a.Timing.Silence = time.Hour // nothing follows what was recorded
	l, err := net.Listen("tcp", y.String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := credentials(a.Config, accepting)
	if err != nil {
		t.Fatal(err)
	}
	o := &older{said: recorded(t), noted: a.wake}
	var all sync.WaitGroup
	all.Go(func() { o.listen(t, l, server) })
	a.start().listening()
	client, err := credentials(a.Config, dialing)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", x.String(), client)
	if err != nil {
		t.Fatal(err)
	}
	for _, octets := range o.said {
		if _, err := conn.Write(octets); err != nil {
			t.Fatal(err)
		}
	}
	a.awaitUp()
	a.awaitOrder("www/192.0.2.11:80")
	a.await("told its settings", func(s *side) bool {
		return s.messages[message.KindFacts].Facts != nil && s.channel.Peer.Version == "v1.0.0"
	})
	for _, to := range message.Abilities() {
		if _, err := a.Ask(t.Context(), to, "alice", nil); !errors.Is(err, ErrOlder) || !strings.Contains(err.Error(), "tandem v1.0.0") {
			t.Errorf("%s: %v", to, err)
		}
	}
	a.Out.Put(viewOf("later"))
	a.await("heard", func(*side) bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return slices.Contains(o.all, message.KindView)
	})
	_ = conn.Close()
	a.stop()
	_ = l.Close()
	all.Wait()
	if slices.Contains(o.all, message.KindAsk) {
		t.Errorf("it was asked: %v", o.all)
	}
}
