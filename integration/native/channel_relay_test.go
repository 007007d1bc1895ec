// SPDX-License-Identifier: Apache-2.0

package native

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const (
	relayAddress = "192.0.2.9"
	channelPort  = ":8474"
	largestFrame = 8 << 20 // bytes of a message of the channel
)

// A relay stands between two directors. Each of them has the relay's address as that of the other one. The relay passes on what
// they say, and in a disturbance what the meddler makes of it.
type relay struct {
	*lab.Host
	settings *tls.Config // with the key, it reads and writes messages; nil: it passes on octets that it cannot read
	listener net.Listener
	lives    context.Context
	running  sync.WaitGroup

	mu     sync.Mutex
	meddle meddler
	lasts  context.Context // as long as the disturbance
	conns  map[net.Conn]bool
	ended  bool
	kept   []byte // the beginning of what was said on the latest connection
}

// A said is a piece of what one director says to the other one: with the key a message, otherwise some octets.
type said struct {
	octets []byte
	asker  bool     // it is from the director that made the connection; the other one only introduces itself there
	to     net.Conn // to the director that it is for
}

// first reports whether it is a message with which a director introduces itself.
func (s said) first() bool { return strings.HasPrefix(string(s.octets[4:]), `{"kind":"hello"`) }

// A meddler passes on what it likes. Its ctx ends with the disturbance. After an error, both connections are closed.
type meddler func(ctx context.Context, s said) error

// newRelay makes a relay on a host of its own.
func newRelay(t *testing.T, l *lab.Lab, withKey bool) *relay {
	t.Helper()
	lives, cancel := context.WithCancel(context.Background())
	r := &relay{Host: l.Host("relay", relayAddress+"/24"), lives: lives, conns: make(map[net.Conn]bool)}
	if withKey {
		key, err := hex.DecodeString(channelKey)
		if err != nil {
			t.Fatal(err)
		}
		r.settings = channelTLS(t, key)
	}
	if err := r.Do(func() (err error) {
		r.listener, err = net.Listen("tcp", relayAddress+channelPort)
		return err
	}); err != nil {
		cancel()
		t.Fatal(err)
	}
	r.running.Go(r.accept)
	t.Cleanup(func() { cancel(); r.end() })
	return r
}

// disturb lets a meddler have all that is said until mend is called.
func (r *relay) disturb(m meddler) (mend func()) {
	ctx, cancel := context.WithCancel(r.lives)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.meddle, r.lasts = m, ctx
	return func() {
		r.mu.Lock()
		r.meddle, r.lasts = nil, nil
		r.mu.Unlock()
		cancel()
	}
}

// cut ends all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		_ = c.Close()
	}
}

func (r *relay) end() {
	r.mu.Lock()
	r.ended, r.meddle = true, nil
	r.mu.Unlock()
	r.cut()
	_ = r.listener.Close()
	r.running.Wait()
}

func (r *relay) accept() {
	for {
		from, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.running.Go(func() { r.join(from) })
	}
}

// dial connects to a director from the relay's host.
func (r *relay) dial(address string) (conn net.Conn, err error) {
	err = r.Do(func() error {
		conn, err = net.DialTimeout("tcp", address, 5*time.Second)
		return err
	})
	return conn, err
}

// join connects a director that has come with the other one, until one of the connections ends.
func (r *relay) join(from net.Conn) {
	defer r.close(from)
	other := "192.0.2.3"
	if strings.HasPrefix(from.RemoteAddr().String(), other+":") {
		other = "192.0.2.2"
	}
	to, err := r.dial(other + channelPort)
	if err != nil {
		return
	}
	defer r.close(to)
	r.mu.Lock()
	ended := r.ended
	r.conns[from], r.conns[to], r.kept = true, true, nil
	r.mu.Unlock()
	if ended {
		return
	}
	in, out := from, to
	if r.settings != nil {
		in, out = tls.Server(from, r.settings), tls.Client(to, r.settings)
	}
	var both sync.WaitGroup
	both.Go(func() { r.pass(in, out, true); r.close(from); r.close(to) })
	both.Go(func() { r.pass(out, in, false); r.close(from); r.close(to) })
	both.Wait()
}

func (r *relay) close(conn net.Conn) {
	r.mu.Lock()
	delete(r.conns, conn)
	r.mu.Unlock()
	_ = conn.Close()
}

// pass passes on what comes on one connection until it ends, or a meddler ends it.
func (r *relay) pass(from, to net.Conn, asker bool) {
	next := readSome
	if r.settings != nil {
		next = readFrame
	}
	for {
		octets, err := next(from)
		if err != nil {
			return
		}
		r.mu.Lock()
		meddle, lasts := r.meddle, r.lasts
		if asker && len(r.kept) < keeps {
			r.kept = append(r.kept, octets...)
		}
		r.mu.Unlock()
		if meddle == nil {
			_, err = to.Write(octets)
		} else {
			err = meddle(lasts, said{octets, asker, to})
		}
		if err != nil {
			return
		}
	}
}

// keeps is how many octets of a connection a relay keeps: more than the introduction.
const keeps = 16 << 10

// flood says what it has kept to both directors again, on new connections, and octets without meaning on others, until mend is called.
// The connections come from the address that the directors have as that of the other one.
func (r *relay) flood() (mend func()) {
	r.mu.Lock()
	again := bytes.Clone(r.kept)
	r.mu.Unlock()
	ctx, mend := context.WithCancel(r.lives)
	for _, director := range []string{"192.0.2.2", "192.0.2.3"} {
		r.running.Go(func() {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				if conn, err := r.dial(director + channelPort); err == nil {
					_, _ = conn.Write([][]byte{again, noise(1 << 10)}[n%2])
					time.AfterFunc(time.Second, func() { _ = conn.Close() })
				}
			}
		})
	}
	return mend
}

func readSome(r io.Reader) ([]byte, error) {
	octets := make([]byte, 16<<10)
	n, err := r.Read(octets)
	if n > 0 {
		err = nil
	}
	return octets[:n], err
}

// readFrame reads one message with its length.
func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > largestFrame {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	octets := make([]byte, 4+n)
	copy(octets, head[:])
	_, err := io.ReadFull(r, octets[4:])
	return octets, err
}

// frame returns a message with its length.
func frame(text []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)
}
