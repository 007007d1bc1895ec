// SPDX-License-Identifier: Apache-2.0

package logsink

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// A journald is the receiving end of the native protocol.
type journald struct {
	*net.UnixConn
	t    *testing.T
	path string
}

func startJournald(t *testing.T, path string) *journald {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &journald{conn, t, path}
}

func newJournald(t *testing.T) *journald {
	t.Helper()
	dir, err := os.MkdirTemp("", "journal") // a socket's path is at most 107 bytes long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return startJournald(t, filepath.Join(dir, "socket"))
}

// stop ends it. Entries are refused from now on.
func (j *journald) stop() {
	j.t.Helper()
	if err := errors.Join(j.Close(), os.Remove(j.path)); err != nil {
		j.t.Fatal(err)
	}
}

// next returns the next entry, and whether it came as a file.
func (j *journald) next() (fields map[string]string, asFile bool) {
	j.t.Helper()
	data, rights := make([]byte, 1<<17), make([]byte, unix.CmsgSpace(4))
	if err := j.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		j.t.Fatal(err)
	}
	n, oobn, _, _, err := j.ReadMsgUnix(data, rights)
	if err != nil {
		j.t.Fatal(err)
	}
	data = data[:n]
	if oobn > 0 {
		if n > 0 {
			j.t.Errorf("%d bytes beside a file: journald would take these", n)
		}
		data = j.file(rights[:oobn])
	}
	return parse(j.t, data), oobn > 0
}

// file returns what is in a file that was sent.
func (j *journald) file(rights []byte) []byte {
	j.t.Helper()
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		j.t.Fatal(err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		j.t.Fatal(err)
	}
	file := os.NewFile(uintptr(fds[0]), "sent")
	defer file.Close()
	const all = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if seals, err := unix.FcntlInt(file.Fd(), unix.F_GET_SEALS, 0); err != nil || seals&all != all {
		j.t.Errorf("seals %#x (%v), want %#x: journald refuses the file", seals, err, all)
	}
	data, err := io.ReadAll(io.NewSectionReader(file, 0, 1<<30))
	if err != nil {
		j.t.Fatal(err)
	}
	return data
}

// parse reads an entry as https://systemd.io/JOURNAL_NATIVE_PROTOCOL/ says.
func parse(t *testing.T, data []byte) map[string]string {
	t.Helper()
	fields := make(map[string]string)
	for len(data) > 0 {
		line, rest, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			t.Fatalf("%q has no end", data)
		}
		name, value, ok := bytes.Cut(line, []byte("="))
		if !ok {
			size := binary.LittleEndian.Uint64(rest)
			value, rest = rest[8:8+size], rest[8+size:]
			if rest[0] != '\n' {
				t.Fatalf("%q goes on behind its length with %q", name, rest)
			}
			rest = rest[1:]
		}
		if _, twice := fields[string(name)]; twice {
			t.Errorf("%s is there twice", name)
		}
		fields[string(name)], data = string(value), rest
	}
	return fields
}

// sinkTo returns a running sink to a journal, and its logger.
func sinkTo(path string, spare io.Writer) (*Sink, hclog.Logger) {
	s := sinkFor(&nativeJournal{path: path, spare: spare})
	log := fielded("info", func(e entry) { s.put(e, 1) })
	go s.Run(log) // ends with the process, as documented
	return s, log
}

func TestEntries(t *testing.T) {
	j := newJournald(t)
	_, log := sinkTo(j.path, io.Discard)
	election := log.Named("election")
	for _, tt := range []struct {
		name string
		log  func()
		want map[string]string
	}{
		{"of the election", func() {
			election.Warn("advertisement is late", "router", "web", "vrid", uint8(51), "late", 20*time.Millisecond, "cause", "was busy for 20ms")
		}, map[string]string{
			"PRIORITY": "4", "COMPONENT": "election", "ROUTER": "web", "VRID": "51", "LATE": "20ms", "CAUSE": "was busy for 20ms",
			"MESSAGE": `election: advertisement is late: router=web vrid=51 late=20ms cause="was busy for 20ms"`,
		}},
		{"of the director", func() { log.Info("server is healthy", "target", "www/192.0.2.11:80 #2", "reason", "") }, map[string]string{
			"PRIORITY": "6", "COMPONENT": "director", "TARGET": "www/192.0.2.11:80 #2", "SERVER": "www/192.0.2.11:80", "SERVICE": "www",
			"REASON": "", "MESSAGE": `server is healthy: target="www/192.0.2.11:80 #2" reason=""`,
		}},
		{"with what the logger has", func() {
			log.Named("lvs").With("interface", "eth0").Error("failed to look", "error", fmt.Errorf("no %s", "permission"))
		}, map[string]string{
			"PRIORITY": "3", "COMPONENT": "lvs", "INTERFACE": "eth0", "ERROR": "no permission",
			"MESSAGE": `lvs: failed to look: interface=eth0 error="no permission"`,
		}},
		{"a key that journald knows", func() { election.Info("another priority", "priority", 90, "own-priority", 100) }, map[string]string{
			"PRIORITY": "6", "COMPONENT": "election", "TANDEM_PRIORITY": "90", "OWN_PRIORITY": "100",
			"MESSAGE": "election: another priority: priority=90 own-priority=100",
		}},
		{"a value from outside", func() { log.Warn("hook says", "line", "x\nPRIORITY=0\nMESSAGE=all is well\n") }, map[string]string{
			"PRIORITY": "4", "COMPONENT": "director", "LINE": "x\nPRIORITY=0\nMESSAGE=all is well\n",
			"MESSAGE": "hook says:\n  line=\n  | x\n  | PRIORITY=0\n  | MESSAGE=all is well",
		}},
		{"no pairs", func() { election.Info("started") }, map[string]string{"PRIORITY": "6", "COMPONENT": "election", "MESSAGE": "election: started"}},
	} {
		before := time.Now().Truncate(time.Microsecond)
		tt.log()
		got, _ := j.next()
		if at, err := time.Parse(time.RFC3339Nano, got["LOGGED_AT"]); err != nil || at.Before(before) || at.After(time.Now()) {
			t.Errorf("%s: logged at %s (%v)", tt.name, got["LOGGED_AT"], err)
		}
		delete(got, "LOGGED_AT")
		tt.want["SYSLOG_IDENTIFIER"] = "tandem"
		if !maps.Equal(got, tt.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", tt.name, got, tt.want)
		}
	}
}

// The level of one logger is that of all, and nothing below it is sent.
func TestLevels(t *testing.T) {
	j := newJournald(t)
	_, log := sinkTo(j.path, io.Discard)
	election := log.Named("election")
	log.Debug("unseen")
	election.SetLevel(hclog.Trace)
	for level, priority := range map[hclog.Level]string{hclog.Trace: "7", hclog.Debug: "7", hclog.Info: "6", hclog.Warn: "4", hclog.Error: "3"} {
		log.Log(level, "seen")
		if got, _ := j.next(); got["PRIORITY"] != priority || got["MESSAGE"] != "seen" {
			t.Errorf("%s: %q", level, got)
		}
	}
	log.SetLevel(hclog.Error)
	election.Warn("unseen")
	election.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Error}).Print("a library complains")
	if got, _ := j.next(); got["MESSAGE"] != "election: a library complains" {
		t.Errorf("%q", got)
	}
}

// What is too large for a datagram comes as a file.
func TestLargeEntry(t *testing.T) {
	j := newJournald(t)
	_, log := sinkTo(j.path, io.Discard)
	stack := strings.Repeat("goroutine 1\n", 30_000)
	log.Error("check panicked", "stack", stack)
	if got, asFile := j.next(); !asFile || got["STACK"] != stack || got["PRIORITY"] != "3" {
		t.Errorf("as a file: %t, %d bytes of stack", asFile, len(got["STACK"]))
	}
	log.Info("small")
	if got, asFile := j.next(); asFile || got["MESSAGE"] != "small" {
		t.Errorf("as a file: %t, %q", asFile, got)
	}
}

// While there is no journald, the lines go to standard error with their priority in front; a new one gets entries again.
func TestJournaldIsGone(t *testing.T) {
	j := newJournald(t)
	var spare bytes.Buffer
	s, log := sinkTo(j.path, &spare)
	log.Info("one")
	j.next()
	j.stop()
	log.Warn("two")
	log.Info("three", "text", "a\nb")
	if !s.Flush(10 * time.Second) {
		t.Fatal("not written")
	}
	if want := "<4>two\n<6>three:\n<6>  text=\n<6>  | a\n<6>  | b\n"; spare.String() != want {
		t.Errorf("got\n%q, want\n%q", spare.String(), want)
	}
	again := startJournald(t, j.path)
	log.Info("four")
	if got, _ := again.next(); got["MESSAGE"] != "four" {
		t.Errorf("%q", got)
	}
}

// A journald that was started anew has another socket at the same path: the first entry already reaches it.
func TestJournaldIsRestarted(t *testing.T) {
	j := newJournald(t)
	var spare bytes.Buffer
	s, log := sinkTo(j.path, &spare)
	log.Info("one")
	j.next()
	j.stop()
	again := startJournald(t, j.path)
	log.Info("two")
	if got, _ := again.next(); got["MESSAGE"] != "two" || !s.Flush(10*time.Second) || spare.Len() > 0 {
		t.Errorf("got %q, and on standard error %q", got, spare.String())
	}
}

// A journald that has stopped must not delay the sender. When it reads again, the log says how many lines are missing.
func TestJournaldHasStopped(t *testing.T) {
	j := newJournald(t)
	out := &nativeJournal{path: j.path, spare: io.Discard}
	s := sinkFor(out)
	log := fielded("info", func(e entry) { s.put(e, 1) })
	go s.Run(log)
	log.Info("one")
	j.next()
	if !s.Flush(10 * time.Second) {
		t.Fatal("not written")
	}
	// A write from a socket that is not connected would not sleep.
	if to := out.conn.RemoteAddr(); to == nil || to.String() != j.path {
		t.Errorf("the socket is connected to %v", to)
	}
	pourFlood(t, s, log)
	var got flooded
	for !got.whole() {
		fields, _ := j.next()
		if fields["COUNT"] == "" {
			got.lines++
			continue
		}
		n, err := strconv.Atoi(fields["COUNT"])
		if err != nil || fields["PRIORITY"] != "4" {
			t.Errorf("%q (%v)", fields, err)
		}
		got.dropped += n
	}
	got.judge(t)
	log.Info(roomAgain)
	if fields, _ := j.next(); fields["MESSAGE"] != roomAgain {
		t.Errorf("%q", fields)
	}
	if !s.Flush(10 * time.Second) {
		t.Error("not written although somebody reads")
	}
}
