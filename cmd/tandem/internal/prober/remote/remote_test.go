// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober/ask"
)

var testKey = []byte("0123456789abcdef0123456789abcdef")

// A relay passes connections to a listener, until it is cut.
type relay struct {
	net.Listener
	mu    sync.Mutex
	all   []net.Conn
	isCut bool
}

func (r *relay) Accept() (net.Conn, error) {
	for {
		conn, err := r.Listener.Accept()
		if err != nil {
			return nil, err
		}
		r.mu.Lock()
		cut := r.isCut
		r.all = append(r.all, conn)
		r.mu.Unlock()
		if !cut {
			return conn, nil
		}
		_ = conn.Close()
	}
}

// cut ends all connections, and refuses others for a time.
func (r *relay) cut(is bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isCut = is
	for _, conn := range r.all {
		_ = conn.Close()
	}
	r.all = nil
}

// listening runs a listener that probes a web server of its own.
func listening(t *testing.T) (address string, connections *relay, log func() string) {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var lines []string
	listener := &Listener{
		Probe: ask.Probe{
			Target:  ask.Target{Protocol: ask.HTTP, Addr: netip.MustParseAddrPort(web.Listener.Addr().String()), Host: "x", Path: "/"},
			Options: prober.Options{Every: 10 * time.Millisecond, For: time.Minute, Timeout: 20 * time.Second, Slow: 20 * time.Second},
		},
		Log: func(line string) {
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, line)
		},
	}
	connections = &relay{Listener: l}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- listener.Serve(ctx, connections, testKey) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the listener: %v", err)
		}
		web.Close()
	})
	return l.Addr().String(), connections, func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(lines, "\n")
	}
}

func drive(t *testing.T, address string, key []byte) *Driver {
	t.Helper()
	d, err := NewDriver(address, key)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDrive: the driver gets what the listener's machine saw, also if the connection between them breaks meanwhile.
func TestDrive(t *testing.T) {
	address, connections, log := listening(t)
	shown := 0
	r, err := drive(t, address, testKey).Run(t.Context(), time.Second, func(v prober.Live) {
		if shown++; shown == 1 {
			connections.cut(true)
			time.AfterFunc(300*time.Millisecond, func() { connections.cut(false) })
		}
		if v.For != prober.Seconds(time.Second) {
			t.Errorf("shown: %+v", v)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := uint32(0)
	for _, b := range r.Timeline.Buckets {
		for _, n := range b.Rows {
			rows += n
		}
	}
	if r.Asked == 0 || r.Asked+r.NotAsked != 100 || int(rows) != r.Answered || !strings.HasPrefix(r.Target, "http://x/ at 127.0.0.1:") {
		t.Errorf("%+v, %d answers in the timeline, target %s", r.Counts, rows, r.Target)
	}
	if r.ClockAhead == nil || time.Duration(*r.ClockAhead).Abs() > time.Minute {
		t.Errorf("clock ahead: %v", r.ClockAhead)
	}
	if text := log(); shown == 0 || !strings.Contains(text, "a probe begins: ") || !strings.Contains(text, "the probe has ended: ") {
		t.Errorf("shown %d times; log: %s", shown, text)
	}
}

// TestStop: a driver that is interrupted ends the probe, and has its report.
func TestStop(t *testing.T) {
	address, _, _ := listening(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := drive(t, address, testKey).Run(ctx, time.Minute, func(prober.Live) { cancel() })
	if err != nil || r.Duration >= prober.Seconds(time.Minute) {
		t.Errorf("%v, %s", err, r.Duration)
	}
	if _, err := drive(t, address, testKey).Run(t.Context(), time.Hour, nil); err == nil || !strings.Contains(err.Error(), "at most 1m0s") {
		t.Errorf("too long: %v", err)
	}
}

// TestOneAtATime: a second driver does not change the probe of the first one.
func TestOneAtATime(t *testing.T) {
	address, _, _ := listening(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := drive(t, address, testKey).Run(ctx, time.Minute, func(prober.Live) {
		if ctx.Err() == nil {
			if _, err := drive(t, address, testKey).Run(t.Context(), time.Second, nil); err == nil || !strings.Contains(err.Error(), "another probe is under way") {
				t.Errorf("the second driver: %v", err)
			}
		}
		cancel()
	})
	if err != nil {
		t.Error(err)
	}
}

// A lockWatcher notes whether the listener's lock is held while an answer is written.
type lockWatcher struct {
	*httptest.ResponseRecorder
	l    *Listener
	held bool
}

func (w *lockWatcher) Write(p []byte) (int, error) {
	if w.l.mu.TryLock() {
		w.l.mu.Unlock()
	} else {
		w.held = true
	}
	return w.ResponseRecorder.Write(p)
}

// TestSlowDriver: a driver that does not read its answer holds up neither the probe nor other drivers.
func TestSlowDriver(t *testing.T) {
	l := &Listener{Probe: ask.Probe{Options: prober.Options{For: time.Minute}}, stop: func() {}}
	w := &lockWatcher{ResponseRecorder: httptest.NewRecorder(), l: l}
	l.begin(w, httptest.NewRequest(http.MethodPost, "/v1/probe", strings.NewReader(`{"for_seconds": 1}`)))
	if w.held || w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "another probe is under way") {
		t.Errorf("lock held: %t, status %d, %s", w.held, w.Code, w.Body)
	}
}

// TestStrangers: who has no key, another key, or the key of another use, gets no answer.
func TestStrangers(t *testing.T) {
	address, _, log := listening(t)
	other := drive(t, address, []byte("another key of 32 octets, or so."))
	if _, err := other.Run(t.Context(), time.Second, nil); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("with another key: %v", err)
	}
	// Only the listener's own check is left: the driver accepts everybody.
	careless := drive(t, address, []byte("another key of 32 octets, or so."))
	careless.client.Transport.(*http.Transport).TLSClientConfig.VerifyConnection = nil
	plain := drive(t, address, testKey)
	plain.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	for name, d := range map[string]*Driver{"another key": careless, "no certificate": plain} {
		if _, err := d.Run(t.Context(), time.Second, nil); err == nil {
			t.Errorf("%s: it was answered", name)
		}
	}
	if text := log(); text != "" {
		t.Errorf("a stranger has begun a probe: %s", text)
	}
}
