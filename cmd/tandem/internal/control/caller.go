// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A caller is the process at the other end of a connection, as the kernel knew it when it connected. A Socket gives its
// connections the caller as their remote address, because that passes through all wrappers of a connection.
type caller struct {
	uid    uint32
	groups []uint32 // the primary one, too
	pid    int32    // 0: in another namespace of processes
}

func (*caller) Network() string  { return "unix" }
func (c *caller) String() string { return fmt.Sprintf("user %d", c.uid) } // cheap: it is called for each connection

// callerOf asks the kernel. It uses the groups of the connection (SO_PEERGROUPS, Linux 4.13): the groups of /proc/PID would be
// those of another process if the number is used again, and a directory server of users can be slow or gone.
func callerOf(conn *net.UnixConn) (*caller, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := new(caller)
	err = errors.Join(raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err != nil {
			return
		}
		c.uid, c.pid = cred.Uid, cred.Pid
		c.groups = append(peerGroups(int(fd)), cred.Gid)
	}), err)
	if err != nil {
		return nil, fmt.Errorf("failed to ask the kernel who uses the control socket: %w", err)
	}
	return c, nil
}

// peerGroups reads the supplementary groups of a connection's other end. The kernel says how many there are if the room is too
// small. That number does not change any more. A kernel that cannot tell them leaves the caller without them.
func peerGroups(fd int) []uint32 {
	groups := make([]uint32, 64)
	for range 2 {
		size := uint32(4 * len(groups))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch errno {
		case 0:
			return groups[:size/4]
		case unix.ERANGE:
			groups = make([]uint32, size/4)
		default:
			return nil
		}
	}
	return nil
}

// name returns the caller's user: "alice", or "root (alice)" if alice has logged in and become root.
func (c *caller) name() string {
	name := userName(c.uid)
	if c.pid <= 0 {
		return name
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/loginuid", c.pid))
	if err != nil {
		return name
	}
	login, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil || uint32(login) == c.uid || uint32(login) == ^uint32(0) { // all bits set: nobody has logged in
		return name
	}
	return fmt.Sprintf("%s (%s)", name, userName(uint32(login)))
}

// userName returns the name of a user, or its number if it has no name.
func userName(uid uint32) string {
	u, err := user.LookupId(fmt.Sprint(uid))
	if err != nil {
		return fmt.Sprintf("user %d", uid)
	}
	return u.Username
}

// in reports whether the caller is in a group. No group has nobody in it.
func (c *caller) in(g *group) bool { return g != nil && slices.Contains(c.groups, g.gid) }

type callerKey struct{}

// withCaller adds the caller of a connection to the context of its requests.
func withCaller(ctx context.Context, conn net.Conn) context.Context {
	c, _ := conn.RemoteAddr().(*caller)
	return context.WithValue(ctx, callerKey{}, c)
}

// callerIn returns the caller of a request; nil: not known.
func callerIn(ctx context.Context) *caller {
	c, _ := ctx.Value(callerKey{}).(*caller)
	return c
}
