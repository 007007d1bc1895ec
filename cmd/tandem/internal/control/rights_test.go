// SPDX-License-Identifier: Apache-2.0

package control

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/client"
)

func TestRights(t *testing.T) {
	ops, admins := &group{"ops", 10}, &group{"admins", 20}
	both := rights{Permissions{"ops", "admins"}, ops, admins}
	for _, c := range []struct {
		what            string
		rights          rights
		uid             uint32
		groups          []uint32
		read, change    bool
		refusesWithText string
	}{
		{"root", both, 0, nil, true, true, ""},
		{"the director's own user", both, uint32(os.Geteuid()), nil, true, true, ""},
		{"a reader", both, 4001, []uint32{10}, true, false, "user 4001 may read, but not change: this is for root and the members of the group admins"},
		{"an admin", both, 4001, []uint32{7, 20}, true, true, ""},
		{"both", both, 4001, []uint32{20, 10}, true, true, ""},
		{"neither", both, 4001, []uint32{30}, false, false, "user 4001 may not use the control socket: this is for root and the members of the group admins"},
		{"a reader, no admins", rights{Permissions{"ops", ""}, ops, nil}, 4001, []uint32{10}, true, false, "user 4001 may read, but not change: this is for root"},
		{"a stranger, no readers", rights{Permissions{"", "admins"}, nil, admins}, 4001, []uint32{10}, false, false, "user 4001 may not use the control socket: this is for root and the members of the group admins"},
		{"who could connect, without groups", rights{}, 4001, nil, true, true, ""},
		{"a group that does not exist", rights{Permissions{"ops", "admins"}, nil, nil}, 4001, []uint32{10, 20}, false, false, ""},
	} {
		who := &caller{uid: c.uid, groups: c.groups}
		read, change := c.rights.allow(who, reads), c.rights.allow(who, changes)
		if (read == nil) != c.read || (change == nil) != c.change {
			t.Errorf("%s: read %v, change %v", c.what, read, change)
		}
		if c.refusesWithText != "" && (change == nil || change.Error() != c.refusesWithText) {
			t.Errorf("%s: %v, want %s", c.what, change, c.refusesWithText)
		}
	}
	if err := both.allow(nil, reads); !errors.Is(err, errUnknownCaller) {
		t.Errorf("without a caller: %v", err)
	}
}

// as returns a client that connects as another user.
func as(t *testing.T, s *Socket, uid, gid int, groups ...uint32) *Client {
	t.Helper()
	return client.NewOver(s.path, &http.Transport{DisableKeepAlives: true, DialContext: dialAs(s, uid, gid, groups...)})
}

// dialAs connects as another user. The kernel keeps the identity of the thread that connected.
func dialAs(s *Socket, uid, gid int, groups ...uint32) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		type result struct {
			conn net.Conn
			err  error
		}
		dialled := make(chan result, 1)
		go func() {
			runtime.LockOSThread() // and never unlock it: the thread ends with this goroutine
			conn, err := net.Conn(nil), become(uid, gid, groups)
			if err == nil {
				conn, err = net.Dial("unix", s.path)
			}
			dialled <- result{conn, err}
		}()
		r := <-dialled
		return r.conn, r.err
	}
}

// become changes the user and groups of this thread alone.
func become(uid, gid int, groups []uint32) error {
	groups = append(groups, uint32(gid))
	for _, call := range [][4]uintptr{
		{unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&groups[0])), 0},
		{unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)},
		{unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)},
	} {
		if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			return errno
		}
	}
	return nil
}

// TestUsersOfTheSocket: by mode and credentials of a real socket, each user does what the configuration allows.
func TestUsersOfTheSocket(t *testing.T) {
	d := &fakeDirector{}
	root, s := serveSocket(t, d)
	if err := os.Chmod(filepath.Dir(filepath.Dir(filepath.Dir(s.path))), 0o755); err != nil { // of this test alone
		t.Fatal(err)
	}
	const reader, admin = 4711, 4712
	stranger := as(t, s, 4001, 4001)
	readers := as(t, s, 4001, 4001, 1, 2, reader)
	many := []uint32{reader}
	for i := range uint32(200) { // more than fit into the first attempt
		many = append(many, 5000+i)
	}
	admins := as(t, s, 4001, 4001, append(many[1:], admin)...)
	byPrimary := as(t, s, 4001, admin)
	try := func(c *Client) (can string) {
		if _, err := c.Status(t.Context()); err == nil {
			can = "read"
		}
		d.by = ""
		if _, err := c.Release(t.Context(), nil); err == nil {
			can += " change"
			if want := userName(4001); c != root && d.by != want && !strings.HasPrefix(d.by, want+" (") {
				t.Errorf("the command is by %q, want %q", d.by, want)
			}
		}
		if _, err := c.Plan(t.Context(), PlanRequest{}); err == nil {
			can += " plan"
		}
		if _, err := c.Plan(t.Context(), PlanRequest{File: "/x", Text: "x"}); err == nil {
			can += " plan-of-text"
		}
		return can
	}
	const all = "read change plan plan-of-text"
	for _, row := range []struct {
		what                                       string
		readers, admins                            *group
		strangerCan, readerCan, adminCan, primaryC string
	}{
		{"no groups", nil, nil, "", "", "", ""},
		{"readers", &group{"r", reader}, nil, "", "read plan", "", ""},
		{"admins", nil, &group{"a", admin}, "", "", all, all},
		{"both", &group{"r", reader}, &group{"a", admin}, "", "read plan", all, all},
		{"no groups again", nil, nil, "", "", "", ""},
	} {
		r := rights{readers: row.readers, admins: row.admins}
		if r.readers != nil {
			r.Group = r.readers.name
		}
		if r.admins != nil {
			r.AdminGroup = r.admins.name
		}
		s.rights.Store(&r)
		if err := s.setMode(r); err != nil {
			t.Fatalf("%s: %v", row.what, err)
		}
		for _, who := range []struct {
			name, want string
			client     *Client
		}{
			{"root", all, root}, {"a stranger", row.strangerCan, stranger}, {"a reader", row.readerCan, readers},
			{"an admin", row.adminCan, admins}, {"an admin by the primary group", row.primaryC, byPrimary},
		} {
			if can := try(who.client); can != who.want {
				t.Errorf("%s: %s can %q, want %q", row.what, who.name, can, who.want)
			}
		}
	}
}

// TestSocketOfAnOrdinaryUser: a director that is not root, and in none of the groups of [control], lets their members in.
func TestSocketOfAnOrdinaryUser(t *testing.T) {
	_, s := serveSocket(t, &fakeDirector{})
	if err := os.Chmod(filepath.Dir(filepath.Dir(filepath.Dir(s.path))), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(s.path, 4000, 4000); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		what            string
		readers, admins *group
		reader, admin   string // how connecting fails
	}{
		{"both", &group{"r", 4712}, &group{"a", 4711}, "", ""},
		{"the same", &group{"r", 4711}, &group{"r", 4711}, "denied", ""},
		{"readers", &group{"r", 4712}, nil, "", "denied"},
		{"admins", nil, &group{"a", 4711}, "denied", ""},
		{"none", nil, nil, "denied", "denied"},
	} {
		failed := make(chan error, 1)
		go func() {
			runtime.LockOSThread() // and never unlock it
			err := become(4000, 4000, nil)
			if err == nil {
				err = s.setMode(rights{readers: row.readers, admins: row.admins})
			}
			failed <- err
		}()
		if err := <-failed; err != nil && (row.readers != nil || row.admins != nil) {
			t.Errorf("%s: %v", row.what, err)
		}
		for _, who := range []struct {
			group uint32
			want  string
		}{{4712, row.reader}, {4711, row.admin}, {4713, "denied"}} {
			conn, err := dialAs(s, 4001, 4001, who.group)(t.Context(), "", "")
			if err == nil {
				_ = conn.Close()
			}
			if denied := err != nil; denied != (who.want != "") {
				t.Errorf("%s: a member of %d connects: %v, want %q", row.what, who.group, err, who.want)
			}
		}
	}
}

func TestAllowNamesAMissingGroup(t *testing.T) {
	_, s := serveSocket(t, &fakeDirector{})
	err := s.Allow(Permissions{Group: "no-such-group"})
	if err == nil || !strings.Contains(err.Error(), `control.group: this machine has no group "no-such-group"`) || !strings.Contains(err.Error(), "groupadd --system no-such-group") {
		t.Errorf("got %v", err)
	}
	info, err := os.Stat(s.path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := s.Allow(Permissions{Group: "daemon"}); err != nil {
		t.Error(err)
	}
}

// TestUsersLeaveRoomForRoot: users with slow requests, and with more connections than they may have, do not keep root out.
func TestUsersLeaveRoomForRoot(t *testing.T) {
	root, s := serveSocket(t, &fakeDirector{})
	s.users.Store(maxUsers - 1) // as if they were there
	if err := os.Chmod(filepath.Dir(filepath.Dir(filepath.Dir(s.path))), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.path, 0o666); err != nil {
		t.Fatal(err)
	}
	dial := dialAs(s, 4001, 4001)
	last, err := dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := last.Write([]byte("GET /v1/status HTTP/1.1\r\n")); err != nil { // and nothing more
		t.Fatal(err)
	}
	over, err := dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := over.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Errorf("a connection too many gets %d bytes, error %v", n, err)
	}
	if _, err := root.Status(t.Context()); err != nil {
		t.Errorf("root: %v", err)
	}
	_ = last.Close()
	for wait := time.Now().Add(10 * time.Second); s.users.Load() >= maxUsers; {
		if time.Now().After(wait) {
			t.Fatal("the place of a closed connection is not free again")
		}
		runtime.Gosched()
	}
}

// TestGarbageDoesNoHarm: what is no request is refused or hung up on, and the next request is answered.
func TestGarbageDoesNoHarm(t *testing.T) {
	d := &fakeDirector{}
	c, s := serveSocket(t, d)
	for name, text := range map[string][]byte{
		"nothing":         nil,
		"bytes":           bytes.Repeat([]byte{0, 0xff, '\n'}, 1<<16),
		"a long line":     append([]byte("GET /"), bytes.Repeat([]byte{'a'}, 1<<20)...),
		"long headers":    append([]byte("GET /v1/status HTTP/1.1\r\nHost: x\r\n"), bytes.Repeat([]byte("a: b\r\n"), 1<<16)...),
		"a huge body":     append([]byte("POST /v1/servers HTTP/1.1\r\nHost: x\r\nContent-Length: 1099511627776\r\n\r\n{\"server\":\""), bytes.Repeat([]byte{'a'}, 2*maxRequest)...),
		"broken JSON":     []byte("POST /v1/failover HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[}"),
		"deep JSON":       append([]byte("POST /v1/failover HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"), bytes.Repeat([]byte{'['}, 100000)...),
		"another method":  []byte("DELETE /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"),
		"a path upwards":  []byte("GET /v1/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"),
		"a negative size": []byte("POST /v1/release HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
	} {
		conn, err := net.Dial("unix", s.path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		go func() {
			_, _ = conn.Write(text) // fails when the server hangs up
			_ = conn.(*net.UnixConn).CloseWrite()
		}()
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		answer := make([]byte, 64)
		n, err := conn.Read(answer)
		if first := string(answer[:n]); strings.Contains(first, " 200 ") || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the answer begins with %q, error %v", name, first, err)
		}
		_ = conn.Close()
		if _, err := c.Status(t.Context()); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
	if d.by != "" {
		t.Errorf("a command was carried out for %s", d.by)
	}
}
