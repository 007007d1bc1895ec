// SPDX-License-Identifier: Apache-2.0

package election

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/vishvananda/netlink"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/vrrp"
)

// inside marks the test process that has its own network namespace.
const inside = "TANDEM_TEST_IN_NAMESPACE"

// TestMain runs the tests in a process with its own network namespace. The goroutines of a Process run on any thread, so all
// threads must be in the namespace.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childVar); dir != "" {
		os.Exit(child(dir))
	}
	if os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(max(1, exit.ExitCode()))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "these tests need root, for a network namespace:", err)
		os.Exit(1)
	}
}

// cable adds an interface eth0 with 192.0.2.1/24 and its far end far0.
func cable(t *testing.T) {
	t.Helper()
	cableOf(t, "eth0", "far0")
}

func cableOf(t *testing.T, near, far string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = near
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: far}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unplug(t, near) })
	for _, name := range []string{near, far} {
		link, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetUp(link)
		}
		if err == nil && name == "eth0" {
			err = netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(192, 0, 2, 1), Mask: net.CIDRMask(24, 32)}})
		}
		if err != nil {
			t.Fatalf("prepare %s: %v", name, err)
		}
	}
	// Until the kernel has noticed the carrier, it drops what is sent without an error.
	for _, name := range []string{near, far} {
		if !eventually(func() bool {
			link, err := netlink.LinkByName(name)
			return err == nil && link.Attrs().OperState == netlink.OperUp
		}) {
			t.Fatalf("%s is not up", name)
		}
	}
}

func unplug(t *testing.T, name string) {
	t.Helper()
	if link, err := netlink.LinkByName(name); err == nil {
		if err := netlink.LinkDel(link); err != nil {
			t.Error(err)
		}
	}
}

// addresses lists the addresses of eth0, except its own.
func addresses(t *testing.T) []string { t.Helper(); return addressesOn(t, "eth0") }

func addressesOn(t *testing.T, name string) []string {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil
	}
	list, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{}
	for _, a := range list {
		if s := a.IPNet.String(); s != "192.0.2.1/24" {
			all = append(all, s)
		}
	}
	slices.Sort(all)
	return all
}

// A rig is a running Process with the director's end of its socket.
type rig struct {
	t      *testing.T
	conn   net.Conn
	cancel context.CancelFunc
	done   chan error

	mu      sync.Mutex
	reports []message.Report // all of them, the signs of life excepted
	logged  strings.Builder
}

// Write collects the log.
func (r *rig) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.logged.Write(line)
}

// says waits until the log has a text.
func (r *rig) says(text string) {
	r.t.Helper()
	log := func() string {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.logged.String()
	}
	if !eventually(func() bool { return strings.Contains(log(), text) }) {
		r.t.Errorf("the log lacks %q:\n%s", text, log())
	}
}

func newRig(t *testing.T, vips ...string) *rig {
	t.Helper()
	return newRigIn(t, t.TempDir(), vips...)
}

// newRigIn does what newRig does, in a given state directory.
func newRigIn(t *testing.T, dir string, vips ...string) *rig {
	t.Helper()
	r := idleRigIn(t, dir)
	r.order(message.Order{Routers: routers(vips...)})
	return r
}

// idleRigIn does what newRigIn does, without an order.
func idleRigIn(t *testing.T, dir string) *rig {
	t.Helper()
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	r := &rig{t: t, conn: near, cancel: cancel, done: make(chan error, 1)}
	goroutines := runtime.NumGoroutine()
	go func() {
		r.done <- NewProcess(far, Options{Log: hclog.New(&hclog.LoggerOptions{Output: r}), LockDir: dir, StateDir: dir}).Run(ctx)
	}()
	r.listen()
	t.Cleanup(func() {
		cancel()
		_ = near.Close()
		if !eventually(func() bool { return runtime.NumGoroutine() <= goroutines }) {
			t.Errorf("%d goroutines before, %d after", goroutines, runtime.NumGoroutine())
		}
	})
	return r
}

func (r *rig) order(o message.Order) {
	r.t.Helper()
	if err := json.NewEncoder(r.conn).Encode(o); err != nil {
		r.t.Fatal(err)
	}
}

// ended waits for Run to return and checks that no address is left.
func (r *rig) ended() {
	r.t.Helper()
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Errorf("Run: %v", err)
		}
	case <-time.After(time.Minute):
		r.t.Fatal("the election does not end")
	}
	if left := addresses(r.t); len(left) > 0 {
		r.t.Errorf("it left %v behind", left)
	}
}

// holds waits until exactly these VIPs are on eth0.
func (r *rig) holds(vips ...string) {
	r.t.Helper()
	if !eventually(func() bool { return slices.Equal(addresses(r.t), vips) }) {
		r.t.Fatalf("eth0 has %v, want %v", addresses(r.t), vips)
	}
}

// listen collects the reports.
func (r *rig) listen() {
	go func() {
		in := json.NewDecoder(r.conn)
		for {
			var report message.Report
			if in.Decode(&report) != nil {
				return
			}
			r.mu.Lock()
			r.reports = append(r.reports, report)
			r.mu.Unlock()
		}
	}()
}

// latest returns the latest report.
func (r *rig) latest() message.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.reports) == 0 {
		return message.Report{}
	}
	return r.reports[len(r.reports)-1]
}

// asked asks for a report and waits for one, made from now on, in which every router is in state.
func (r *rig) asked(state vrrp.State) message.Report {
	r.t.Helper()
	r.mu.Lock()
	r.reports = nil
	r.mu.Unlock()
	r.order(message.Order{Report: true})
	return r.reported(state)
}

// reported waits for a report in which every router is in state. The report is newer than the one that the last call returned.
func (r *rig) reported(state vrrp.State) message.Report {
	r.t.Helper()
	differs := func(s vrrp.Status) bool { return s.State != state }
	var found message.Report
	if !eventually(func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for i, report := range r.reports {
			if len(report.Routers) > 0 && !slices.ContainsFunc(report.Routers, differs) {
				found, r.reports = report, r.reports[i+1:]
				return true
			}
		}
		return false
	}) {
		r.t.Fatalf("no report of %v; the last is %+v", state, r.latest())
	}
	return found
}

// eventually polls until f, for at most 15 s. The time in which the machine stalls does not count.
func eventually(f func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	last := time.Now()
	for waited := time.Duration(0); waited < 15*time.Second; <-tick.C {
		if f() {
			return true
		}
		now := time.Now()
		waited, last = waited+min(now.Sub(last), 50*time.Millisecond), now
	}
	return f()
}

// routers makes one virtual router for each VIP, with adverts every 50 ms.
func routers(vips ...string) []message.Router {
	var all []message.Router
	for i, vip := range vips {
		all = append(all, message.Router{
			Config: vrrp.Config{
				Name: "r" + fmt.Sprint(i), Interface: "eth0", VRID: uint8(51 + i), Version: 3, Priority: 200,
				AdvertInterval: 50 * time.Millisecond, Preempt: true, VIPs: []netip.Prefix{netip.MustParsePrefix(vip)},
			},
			Announce: garp.DefaultConfig(),
		})
	}
	return all
}

func TestElectionClaimsReportsAndLeaves(t *testing.T) {
	cable(t)
	r := newRig(t, "192.0.2.100/24", "192.0.2.101/24")
	r.holds("192.0.2.100/24", "192.0.2.101/24")
	report := r.reported(vrrp.Master)
	if got := report.Routers[0].Master.String(); got != "192.0.2.1" {
		t.Errorf("the master is %s", got)
	}
	r.order(message.Order{Leave: true})
	r.ended()
}

func TestElectionLetsGoWhenItsDirectorDies(t *testing.T) {
	cable(t)
	r := newRig(t, "192.0.2.100/24")
	r.holds("192.0.2.100/24")
	_ = r.conn.Close()
	r.ended()
}

func TestElectionLetsGoWhenItIsTerminated(t *testing.T) {
	cable(t)
	r := newRig(t, "192.0.2.100/24")
	r.holds("192.0.2.100/24")
	r.cancel()
	r.ended()
}

func TestElectionLeavesOnGarbage(t *testing.T) {
	cable(t)
	r := newRig(t, "192.0.2.100/24")
	r.holds("192.0.2.100/24")
	if _, err := r.conn.Write([]byte("{\"routers\": 7}\n")); err != nil {
		t.Fatal(err)
	}
	r.ended()
}

func TestElectionRemovesLeftOvers(t *testing.T) {
	cable(t)
	put(t, "192.0.2.100/24", "192.0.2.9/24")
	// The interval is long, so the router stays backup during the test.
	slow := routers("192.0.2.100/24")
	slow[0].AdvertInterval = 30 * time.Second
	r := newRig(t)
	r.order(message.Order{Routers: slow})
	r.reported(vrrp.Backup)
	r.holds("192.0.2.9/24") // an address of another program stays
	r.order(message.Order{Leave: true})
	if err := <-r.done; err != nil {
		t.Error(err)
	}
}

func TestElectionFollowsItsOrders(t *testing.T) {
	cable(t)
	r := newRig(t, "192.0.2.100/24", "192.0.2.101/24")
	r.holds("192.0.2.100/24", "192.0.2.101/24")
	if !eventually(func() bool { return r.asked(vrrp.Master).Interfaces[0].AddressWrites == 2 }) {
		t.Fatal("two addresses were not two writes")
	}

	r.order(message.Order{Sequence: 2, Routers: routers("192.0.2.100/24", "192.0.2.101/24")})
	if !eventually(func() bool { return r.asked(vrrp.Master).Sequence == 2 }) {
		t.Fatal("the order was not carried out")
	}
	for range 3 {
		if now := r.asked(vrrp.Master).Interfaces[0].AddressWrites; now != 2 {
			t.Errorf("an order that changes nothing made %d address writes", now-2)
		}
	}

	r.order(message.Order{Routers: routers("192.0.2.102/24")})
	r.holds("192.0.2.102/24")
	r.order(message.Order{Leave: true})
	r.ended()
}

func TestElectionWaitsForItsInterface(t *testing.T) {
	r := newRig(t, "192.0.2.100/24")
	if s := r.reported(vrrp.Fault).Routers[0]; !strings.Contains(s.Reason, "eth0 is missing") {
		t.Errorf("the reason is %q", s.Reason)
	}
	cable(t)
	r.holds("192.0.2.100/24")
	unplug(t, "eth0")
	r.reported(vrrp.Fault)
	cable(t)
	r.holds("192.0.2.100/24")
	r.cancel()
	r.ended()
}
