// SPDX-License-Identifier: Apache-2.0

// Package unit asks systemd whether a unit is active, over the system's D-Bus.
package unit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// busSocket is where the system bus listens, unless DBUS_SYSTEM_BUS_ADDRESS says otherwise (D-Bus specification, "Well-known
// Message Bus Instances").
const busSocket = "/run/dbus/system_bus_socket"

// A Prober asks about units. It keeps one connection. Its methods may be called at the same time.
type Prober struct {
	socket string

	mu   sync.Mutex
	conn *dbus.Conn // nil: not connected
}

// New returns a Prober that is not connected yet.
func New() *Prober {
	path, _ := strings.CutPrefix(os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"), "unix:path=")
	return &Prober{socket: cmp.Or(path, busSocket)}
}

// Close closes the connection. A later probe opens it again.
func (p *Prober) Close() { p.drop(nil) }

// Probe checks a valid target of type Unit once. It passes if the unit is active, also while it reloads. ctx carries the probe's
// deadline.
func (p *Prober) Probe(ctx context.Context, t *healthcheck.Target) healthcheck.Result {
	state, err := p.activeState(ctx, t.Config.Unit)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return healthcheck.Result{Outcome: healthcheck.Abandoned}
	case err != nil:
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: fmt.Sprintf("systemd cannot be asked: %s", err)}
	case slices.Contains([]string{"active", "reloading", "refreshing"}, state):
		return healthcheck.Pass("the unit is " + state)
	}
	return healthcheck.Fail(healthcheck.NotRunning, "the unit is "+state)
}

// activeState returns the ActiveState of a unit: "active", "failed", …. A unit that does not exist is "inactive".
func (p *Prober) activeState(ctx context.Context, unit string) (string, error) {
	conn, err := p.connect(ctx)
	if err != nil {
		return "", err
	}
	path := dbus.ObjectPath("/org/freedesktop/systemd1/unit/" + systemd.PathBusEscape(unit))
	value, state := dbus.Variant{}, ""
	err = conn.Object("org.freedesktop.systemd1", path).
		CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, "org.freedesktop.systemd1.Unit", "ActiveState").Store(&value)
	if err == nil {
		err = value.Store(&state)
	}
	if err != nil && !errors.As(err, new(dbus.Error)) {
		p.drop(conn) // the bus was restarted, or does not answer
	}
	return state, err
}

// connect returns the connection, and opens it if there is none.
func (p *Prober) connect(ctx context.Context) (*dbus.Conn, error) {
	p.mu.Lock()
	conn := p.conn
	p.mu.Unlock()
	if conn != nil && conn.Connected() {
		return conn, nil
	}
	raw, err := (&net.Dialer{}).DialContext(ctx, "unix", p.socket)
	if err != nil {
		return nil, err
	}
	if until, ok := ctx.Deadline(); ok {
		_ = raw.SetDeadline(until) // a bus that hangs may accept connections
	}
	conn, err = dbus.NewConn(raw)
	if err == nil {
		err = conn.Auth([]dbus.Auth{dbus.AuthExternal(fmt.Sprint(os.Getuid()))})
	}
	if err == nil {
		err = conn.Hello()
	}
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	_ = raw.SetDeadline(time.Time{})
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil && p.conn.Connected() {
		_ = conn.Close() // another probe was faster
		return p.conn, nil
	}
	p.conn = conn
	return conn, nil
}

// drop closes a connection, or any if it is nil.
func (p *Prober) drop(conn *dbus.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil && (conn == nil || conn == p.conn) {
		_ = p.conn.Close()
		p.conn = nil
	}
}
