// SPDX-License-Identifier: Apache-2.0

package native

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// An otherPeer speaks the protocol of the channel between two directors, as its documentation says, and not with tandem's code. It
// is of another version, or has another time.
type otherPeer struct {
	ahead time.Duration
	old   bool // it is older: another version, and no answers to questions

	settings *tls.Config
	listener net.Listener
	all      sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	hello map[string]any // of the director
	sent  int64          // by the director's latest message, and heard by our clock
	heard int64
	ended bool
}

// newOtherPeer listens on a host at own, and connects to a director at to. The key is that of the channel.
func newOtherPeer(t *testing.T, h *lab.Host, own, to string, key []byte, p *otherPeer) (stop func()) {
	t.Helper()
	p.settings = channelTLS(t, key)
	// The director that has just given up the port closes its socket a moment after the reload.
	var err error
	for end := time.Now().Add(2 * time.Second); p.listener == nil && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		err = h.Do(func() (err error) {
			p.listener, err = net.Listen("tcp", own)
			return err
		})
	}
	if p.listener == nil {
		t.Fatal(err)
	}
	p.all.Go(p.accept)
	p.all.Go(func() {
		for !p.isEnded() {
			var conn net.Conn
			err := h.Do(func() (err error) {
				conn, err = net.DialTimeout("tcp", to, time.Second)
				return err
			})
			if err == nil && p.keep(conn) {
				_ = p.tell(tls.Client(conn, p.settings))
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	return func() {
		p.mu.Lock()
		p.ended = true
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		_ = p.listener.Close()
		p.all.Wait()
	}
}

// channelTLS returns settings with the key that follows from the shared one.
func channelTLS(t *testing.T, key []byte) *tls.Config {
	t.Helper()
	seed, err := hkdf.Key(sha256.New, key, nil, "tandem peer ed25519 1", ed25519.SeedSize)
	if err != nil {
		t.Fatal(err)
	}
	private := ed25519.NewKeyFromSeed(seed)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(1, 0, 0)}
	made, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"tandem-peer"}, InsecureSkipVerify: true, ClientAuth: tls.RequireAnyClientCert,
		Certificates: []tls.Certificate{{Certificate: [][]byte{made}, PrivateKey: private}},
	}
}

func (p *otherPeer) isEnded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// keep remembers a connection, so that it can be closed.
func (p *otherPeer) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		_ = conn.Close()
		return false
	}
	p.conns = append(p.conns, conn)
	return true
}

// accept hears the director.
func (p *otherPeer) accept() {
	for {
		raw, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.keep(raw) {
			p.all.Go(func() { _ = p.listen(tls.Server(raw, p.settings)) })
		}
	}
}

// listen takes what the director tells.
func (p *otherPeer) listen(conn *tls.Conn) error {
	defer conn.Close()
	hello, err := readMessage(conn)
	if err != nil {
		return err
	}
	if err := writeMessage(conn, p.introduce(hello)); err != nil {
		return err
	}
	for {
		m, err := readMessage(conn)
		if err != nil {
			return err
		}
		if clock, ok := m["clock"].(map[string]any); ok {
			sent, _ := clock["sent"].(json.Number).Int64()
			p.mu.Lock()
			p.sent, p.heard = sent, p.now()
			p.mu.Unlock()
		}
	}
}

// tell gives the director signs of life.
func (p *otherPeer) tell(conn *tls.Conn) error {
	defer conn.Close()
	p.mu.Lock()
	hello := p.hello
	p.mu.Unlock()
	if hello == nil {
		return errors.New("the director has not come yet")
	}
	if err := writeMessage(conn, p.introduce(hello)); err != nil {
		return err
	}
	if _, err := readMessage(conn); err != nil {
		return err
	}
	for {
		p.mu.Lock()
		clock := map[string]any{"sent": p.now(), "echo": p.sent, "heard": p.heard}
		p.mu.Unlock()
		if err := writeMessage(conn, map[string]any{"kind": "alive", "clock": clock}); err != nil {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (p *otherPeer) now() int64 { return time.Now().Add(p.ahead).UnixNano() }

// introduce returns the first message: like that of the director, but for the name, and the version if it is another.
func (p *otherPeer) introduce(hello map[string]any) map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hello = hello
	mine := map[string]any{"protocol": 1, "name": "other", "instance": "other"}
	if theirs, ok := hello["hello"].(map[string]any); ok {
		mine["version"], mine["can"] = theirs["version"], theirs["can"]
	}
	if p.old {
		mine["version"] = "v0.1.0"
		delete(mine, "can")
	}
	return map[string]any{"kind": "hello", "hello": mine}
}

func readMessage(r io.Reader) (m map[string]any, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > 8<<20 {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	in := json.NewDecoder(io.LimitReader(r, int64(n)))
	in.UseNumber()
	return m, in.Decode(&m)
}

func writeMessage(w io.Writer, m map[string]any) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	return err
}
