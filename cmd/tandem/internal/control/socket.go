// SPDX-License-Identifier: Apache-2.0

package control

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Socket is the control socket of a director. The kernel lets in who may read or change, by the mode of the socket, and the
// server judges each request by the caller's user and groups.
type Socket struct {
	*net.UnixListener
	path   string
	rights atomic.Pointer[rights]
	users  atomic.Int64 // connections of others than root
}

// maxUsers is how many of the connections others than root may have. The rest is left for root, whatever users do.
const maxUsers = 96

// Listen opens the control socket at path. It creates the folder, and replaces the socket of a director that was killed. A
// socket at which a director answers is an error. Until Allow, it is for the owner and group of this process.
func Listen(path string) (*Socket, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("failed to create the folder of the control socket: %w", err)
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("another director answers at the control socket %s: stop it, or give this director another [control] socket", path)
	}
	if errors.Is(err, unix.ECONNREFUSED) {
		if err := removeSocket(path); err != nil {
			return nil, err
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("failed to open the control socket: %w", err)
	}
	s := &Socket{UnixListener: l, path: path}
	s.rights.Store(new(rights))
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(fmt.Errorf("failed to set the mode of the control socket: %w", err), l.Close())
	}
	return s, nil
}

// removeSocket removes a socket where nobody listens. Connecting to a regular file fails with the same error, so it checks
// that the path is a socket.
func removeSocket(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("failed to examine the control socket: %w", err)
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is not a socket: move it away, or configure another [control] socket", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("failed to remove the stale control socket: %w", err)
	}
	return nil
}

// Allow puts permissions in force, also for connections that are open. If there is an error, root and the director's own user
// can still use the socket, and some of the others cannot.
func (s *Socket) Allow(p Permissions) error {
	if p == (Permissions{}) && s.rights.Load().Permissions == p {
		return nil // a mode or group that somebody gave the socket by hand stays
	}
	r, err := rightsOf(p)
	s.rights.Store(&r) // first: who loses a right loses it although the mode cannot be set
	return errors.Join(err, s.setMode(r))
}

// setMode gives the socket its group and mode: 0660. It has an access control list if there are two groups, or if this process may
// not give it to the group: a director that is not root would need CAP_CHOWN, or be a member.
func (s *Socket) setMode(r rights) error {
	gid, others := os.Getegid(), []*group{r.admins}
	switch {
	case r.readers != nil:
		gid = int(r.readers.gid)
	case r.admins != nil:
		gid, others = int(r.admins.gid), nil
	}
	if err := unix.Removexattr(s.path, accessList); err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.ENOTSUP) {
		return fmt.Errorf("failed to remove the access control list of the control socket %s: %w", s.path, err)
	}
	refused := s.setGroup(gid)
	if errors.Is(refused, unix.EPERM) {
		others = []*group{r.readers, r.admins}
	} else if refused != nil {
		return refused
	}
	if err := os.Chmod(s.path, 0o660); err != nil {
		return fmt.Errorf("failed to set the mode of the control socket: %w", err)
	}
	others = slices.DeleteFunc(others, func(g *group) bool { return g == nil })
	if len(others) == 0 {
		return nil
	}
	if err := unix.Setxattr(s.path, accessList, listOf(others), 0); err != nil {
		if refused != nil {
			return errors.Join(refused, err)
		}
		second := others[0]
		return fmt.Errorf("failed to let the group %s of control.admin_group use the control socket %s: %w; "+
			"its file system has no access control lists, so add the members of this group to %s", second.name, s.path, err, r.Group)
	}
	return nil
}

// setGroup gives the socket to a group. It makes no system call that changes nothing: the unit's sandbox refuses each chown.
func (s *Socket) setGroup(gid int) error {
	var is unix.Stat_t
	if err := unix.Lstat(s.path, &is); err == nil && int(is.Gid) == gid {
		return nil
	}
	if err := os.Lchown(s.path, -1, gid); err != nil {
		return fmt.Errorf("failed to give the control socket %s to the group of [control]: %w", s.path, err)
	}
	return nil
}

// accessList is the extended attribute of a file's access control list, see acl(5).
const accessList = "system.posix_acl_access"

// listOf is an access control list: the owner, the file's group and other groups may read and write.
func listOf(groups []*group) []byte {
	const version, undefined = 2, ^uint32(0)
	const userObj, groupObj, namedGroup, mask, other = 0x01, 0x04, 0x08, 0x10, 0x20
	list := binary.LittleEndian.AppendUint32(nil, version)
	add := func(entry, rights uint16, id uint32) {
		list = binary.LittleEndian.AppendUint16(list, entry)
		list = binary.LittleEndian.AppendUint16(list, rights)
		list = binary.LittleEndian.AppendUint32(list, id)
	}
	add(userObj, 6, undefined)
	add(groupObj, 6, undefined)
	var gids []uint32
	for _, g := range groups {
		gids = append(gids, g.gid)
	}
	slices.Sort(gids) // the kernel wants each of them once, in this order
	for _, gid := range slices.Compact(gids) {
		add(namedGroup, 6, gid)
	}
	add(mask, 6, undefined)
	add(other, 0, undefined)
	return list
}

// Accept returns the next connection. Its remote address is its caller. If others than root have too many connections, one more
// of theirs is closed.
func (s *Socket) Accept() (net.Conn, error) {
	for {
		conn, err := s.AcceptUnix()
		if err != nil {
			return nil, err
		}
		c, err := callerOf(conn)
		switch {
		case err != nil: // the other end may do nothing
			return conn, nil
		case c.uid == 0:
			return &callerConn{UnixConn: conn, caller: c, closed: func() {}}, nil
		case s.users.Add(1) > maxUsers:
			s.users.Add(-1)
			_ = conn.Close()
		default:
			return &callerConn{UnixConn: conn, caller: c, closed: sync.OnceFunc(func() { s.users.Add(-1) })}, nil
		}
	}
}

// A callerConn is a connection whose remote address is its caller.
type callerConn struct {
	*net.UnixConn
	caller *caller
	closed func()
}

func (c *callerConn) RemoteAddr() net.Addr { return c.caller }

// Close implements net.Conn.
func (c *callerConn) Close() error {
	c.closed()
	return c.UnixConn.Close()
}
