// SPDX-License-Identifier: Apache-2.0

package election

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/logsink"
	"github.com/tandem-lvs/tandem/vrrp"
)

// childVar makes the test binary an election process, as tandem election is one.
const childVar = "TANDEM_TEST_ELECTION_IN"

// child runs an election process in the test binary.
func child(dir string) int {
	conn, err := Inherited()
	if err != nil {
		return 1
	}
	sink := logsink.New(os.Stderr)
	log := hclog.New(&hclog.LoggerOptions{Output: sink, Level: hclog.Trace})
	go sink.Run(log)
	for range 100_000 {
		log.Info("this line does not fit into the pipe")
	}
	if NewProcess(conn, Options{Log: log, LockDir: dir, StateDir: dir}).Run(context.Background()) != nil {
		return 1
	}
	return 0
}

// If nobody reads its standard error, an election still becomes master, adds its address, and leaves.
func TestElectionWhoseLogNobodyReads(t *testing.T) {
	cable(t)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "election"), os.NewFile(uintptr(fds[1]), "director")
	defer ours.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childVar+"="+t.TempDir())
	cmd.Stderr = out
	cmd.ExtraFiles = []*os.File{theirs}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	_ = theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := &rig{t: t, conn: conn, done: make(chan error, 1)}
	r.listen()
	go func() { r.done <- cmd.Wait() }()
	r.order(message.Order{Routers: routers("192.0.2.100/24")})
	r.reported(vrrp.Master)
	r.holds("192.0.2.100/24")
	r.order(message.Order{Leave: true})
	r.ended()
}

// hangs makes path a file on which each opening hangs, as on a broken disk, until write is called.
func hangs(t *testing.T, path string) (write func(text []byte)) {
	t.Helper()
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return func(text []byte) {
		f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0)
		if err == nil {
			_, err = f.Write(text)
			_ = f.Close()
		}
		if err != nil {
			t.Errorf("nobody has opened %s: %v", path, err)
		}
	}
}

// If the disk hangs, the record of the addresses cannot be read. The election works without it.
func TestElectionWhoseRecordHangs(t *testing.T) {
	cable(t)
	dir := t.TempDir()
	write := hangs(t, filepath.Join(dir, "election.json"))
	r := newRigIn(t, dir, "192.0.2.100/24")
	r.holds("192.0.2.100/24")
	r.order(message.Order{Leave: true})
	r.ended()
	write(nil)
}

// If the disk hangs, an election cannot open its lock. It reports this, gives signs of life, and leaves when ordered.
func TestElectionWhoseLockHangs(t *testing.T) {
	cable(t)
	dir := t.TempDir()
	write := hangs(t, lockPath(dir))
	r := newRigIn(t, dir, "192.0.2.100/24")
	if !eventually(func() bool { return r.latest().Problem == problemLock }) {
		t.Errorf("it reports %+v", r.latest())
	}
	r.cancel()
	r.ended()
	write(nil)
}

// put puts addresses on eth0.
func put(t *testing.T, prefixes ...string) {
	t.Helper()
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range prefixes {
		addr, err := netlink.ParseAddr(p)
		if err == nil {
			err = netlink.AddrAdd(link, addr)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// If the record is read late, its addresses are still removed.
func TestElectionWhoseRecordIsLate(t *testing.T) {
	cable(t)
	put(t, "192.0.2.111/24")
	dir := t.TempDir()
	write := hangs(t, filepath.Join(dir, "election.json"))
	r := newRigIn(t, dir, "192.0.2.100/24")
	r.holds("192.0.2.100/24", "192.0.2.111/24")
	text, err := json.Marshal(map[string]any{"version": 1, "value": []vrrp.Config{routers("192.0.2.111/24")[0].Config}})
	if err != nil {
		t.Fatal(err)
	}
	write(text)
	r.holds("192.0.2.100/24")
	r.order(message.Order{Leave: true})
	r.ended()
}

// A hanging is a log. A goroutine that changes its level hangs until it is released; the serving goroutine does this.
type hanging struct {
	hclog.Logger
	let <-chan struct{}
}

func (h hanging) SetLevel(hclog.Level) { <-h.let }

// The serving goroutine of an election hangs. The election sends nothing more, though its reporter works and is asked: to the
// director every message is a sign of life.
func TestElectionThatHangsIsSilent(t *testing.T) {
	cable(t)
	let := make(chan struct{})
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	r := &rig{t: t, conn: near, cancel: cancel, done: make(chan error, 1)}
	dir := t.TempDir()
	go func() {
		r.done <- NewProcess(far, Options{Log: hanging{hclog.NewNullLogger(), let}, LockDir: dir, StateDir: dir}).Run(ctx)
	}()
	heard := make(chan time.Time, 1)
	go func() {
		for buf := make([]byte, 1<<16); ; {
			if _, err := near.Read(buf); err != nil {
				return
			}
			select {
			case <-heard:
			default:
			}
			heard <- time.Now()
		}
	}()
	silent := func() bool { // for ten beats
		select {
		case <-heard:
			return false
		case <-time.After(10 * message.MinBeatInterval):
			return true
		}
	}
	r.order(message.Order{Routers: routers("192.0.2.100/24")})
	r.holds("192.0.2.100/24")
	alive := func() bool { return !silent() }
	if !eventually(alive) {
		t.Error("it works, and gives no sign of life")
	}
	r.order(message.Order{Routers: routers("192.0.2.100/24"), LogLevel: "info"})
	asking := time.NewTicker(message.MinBeatInterval)
	defer asking.Stop()
	asked := make(chan struct{})
	go func() {
		for range asking.C {
			if json.NewEncoder(near).Encode(message.Order{Report: true}) != nil {
				close(asked)
				return
			}
		}
	}()
	if !eventually(silent) {
		t.Error("it hangs, and gives signs of life")
	}
	close(let)
	if !eventually(alive) {
		t.Error("it works again, and gives no sign of life")
	}
	cancel()
	r.ended()
	_ = near.Close()
	<-asked
}
