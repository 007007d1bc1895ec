// SPDX-License-Identifier: Apache-2.0

package unit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// A bus is a system bus on which systemd answers.
type bus struct {
	socket string
	mu     sync.Mutex
	states map[string]string // by object path; missing: systemd refuses
	mute   bool              // calls are not answered
	conns  []net.Conn
	asked  int // connections so far
}

func newBus(t *testing.T, states map[string]string) *bus {
	t.Helper()
	b := &bus{socket: filepath.Join(t.TempDir(), "bus"), states: states}
	l, err := net.Listen("unix", b.socket)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			b.conns = append(b.conns, conn)
			b.asked++
			b.mu.Unlock()
			serving.Go(func() { b.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		b.hangUp()
		serving.Wait()
	})
	return b
}

// hangUp closes all connections, as a bus that is restarted does.
func (b *bus) hangUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, conn := range b.conns {
		_ = conn.Close()
	}
	b.conns = nil
}

// serve authenticates a client, and answers its calls (D-Bus specification, "Authentication Protocol").
func (b *bus) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for {
		line, err := in.ReadString('\n')
		switch words := strings.TrimSpace(strings.TrimPrefix(line, "\x00")); {
		case err != nil:
			return
		case words == "AUTH":
			_, _ = fmt.Fprint(conn, "REJECTED EXTERNAL\r\n")
		case strings.HasPrefix(words, "AUTH EXTERNAL"):
			_, _ = fmt.Fprint(conn, "OK 0123456789abcdef0123456789abcdef\r\n")
		case words == "BEGIN":
			for serial := uint32(1); ; serial++ {
				call, err := dbus.DecodeMessage(in)
				if err != nil {
					return
				}
				if answer := b.answer(call); answer != nil {
					var text bytes.Buffer
					if answer.EncodeTo(&text, binary.LittleEndian) != nil {
						return
					}
					binary.LittleEndian.PutUint32(text.Bytes()[8:], serial)
					_, _ = text.WriteTo(conn)
				}
			}
		default:
			_, _ = fmt.Fprint(conn, "ERROR\r\n")
		}
	}
}

// answer returns the answer to a call, or nil for none.
func (b *bus) answer(call *dbus.Message) *dbus.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	body, kind := []any{":1.7"}, dbus.TypeMethodReply
	headers := map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(call.Serial())}
	if member := call.Headers[dbus.FieldMember].Value(); member != "Hello" {
		state, known := b.states[fmt.Sprint(call.Headers[dbus.FieldPath].Value())]
		switch {
		case b.mute:
			return nil
		case !known:
			kind, body = dbus.TypeError, []any{"no such object"}
			headers[dbus.FieldErrorName] = dbus.MakeVariant("org.freedesktop.DBus.Error.UnknownObject")
		default:
			body = []any{dbus.MakeVariant(state)}
		}
	}
	headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	return &dbus.Message{Type: kind, Headers: headers, Body: body}
}

func target(unit string) *healthcheck.Target {
	return &healthcheck.Target{Config: healthcheck.Config{Type: healthcheck.Unit, Unit: unit}}
}

func probe(p *Prober, unit string, timeout time.Duration) healthcheck.Result {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return p.Probe(ctx, target(unit))
}

const long = 10 * time.Second // no answer takes that long

// A unit passes while it is active, and while it loads its configuration again. Systemd calls a unit that does not exist inactive.
func TestUnits(t *testing.T) {
	states := map[string]healthcheck.Result{
		"active": healthcheck.Pass("the unit is active"), "reloading": healthcheck.Pass("the unit is reloading"),
		"refreshing": healthcheck.Pass("the unit is refreshing"),
	}
	for _, state := range []string{"inactive", "failed", "activating", "deactivating", "maintenance", ""} {
		states[state] = healthcheck.Fail(healthcheck.NotRunning, "the unit is "+state)
	}
	b := newBus(t, make(map[string]string))
	p := &Prober{socket: b.socket}
	defer p.Close()
	for state, want := range states {
		b.mu.Lock()
		b.states["/org/freedesktop/systemd1/unit/haproxy_40web_2eservice"] = state
		b.mu.Unlock()
		if got := probe(p, "haproxy@web.service", long); got != want {
			t.Errorf("%s: %+v, want %+v", state, got, want)
		}
	}
	if b.asked != 1 {
		t.Errorf("%d connections", b.asked)
	}
}

// A bus that refuses, hangs or ends says nothing about the unit. The next probe connects again.
func TestBusInTrouble(t *testing.T) {
	b := newBus(t, map[string]string{"/org/freedesktop/systemd1/unit/a_2eservice": "active"})
	p := &Prober{socket: b.socket}
	defer p.Close()
	unknown := func(what string, unit string, timeout time.Duration, reason string) {
		t.Helper()
		if got := probe(p, unit, timeout); got.Outcome != healthcheck.NotRun || !strings.Contains(got.Reason, reason) {
			t.Errorf("%s: %+v, want that it was not run: %s", what, got, reason)
		}
	}
	fine := func(what string) {
		t.Helper()
		if got := probe(p, "a.service", long); got != healthcheck.Pass("the unit is active") {
			t.Errorf("%s: %+v", what, got)
		}
	}
	fine("at first")
	unknown("systemd refuses", "b.service", long, "no such object")
	fine("after a refusal")
	b.hangUp()
	if got := probe(p, "a.service", long); got.Outcome == healthcheck.Failed { // it may have connected again already
		t.Errorf("the bus has ended: %+v", got)
	}
	fine("the bus is back")
	mute := func(is bool) {
		b.mu.Lock()
		b.mute = is
		b.mu.Unlock()
	}
	mute(true)
	unknown("the bus is silent", "a.service", 50*time.Millisecond, "deadline exceeded")
	mute(false)
	fine("the bus speaks again")
	p.Close()
	fine("after Close")
	p.Close()
	p.socket += "-missing"
	unknown("no bus", "a.service", long, "no such file")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if got := p.Probe(ctx, target("a.service")); got.Outcome != healthcheck.Abandoned {
		t.Errorf("cancelled: %+v", got)
	}
}

// A bus that accepts a connection and says nothing holds a probe no longer than its timeout.
func TestBusThatDoesNotGreet(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	p := &Prober{socket: socket}
	defer p.Close()
	if got := probe(p, "a.service", 50*time.Millisecond); got.Outcome != healthcheck.NotRun || !strings.Contains(got.Reason, "timeout") {
		t.Errorf("%+v", got)
	}
}
