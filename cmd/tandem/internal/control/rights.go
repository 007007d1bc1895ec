// SPDX-License-Identifier: Apache-2.0

package control

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// Permissions say who may use the control socket, beside root and the director's own user. Without both, it is the members of
// the director's own group, and they may do everything.
type Permissions struct {
	Group      string // whose members may read
	AdminGroup string // whose members may read and change
}

// A group is a group of this machine.
type group struct {
	name string
	gid  uint32
}

// rights are Permissions with the groups of this machine.
type rights struct {
	Permissions
	readers, admins *group // nil: none, or this machine does not have it
}

// rightsOf looks the groups up. A group that this machine does not have has no members. The error names such groups.
func rightsOf(p Permissions) (r rights, err error) {
	r.Permissions = p
	var errs [2]error
	r.readers, errs[0] = lookUp("group", p.Group)
	r.admins, errs[1] = lookUp("admin_group", p.AdminGroup)
	return r, errors.Join(errs[:]...)
}

func lookUp(key, name string) (*group, error) {
	if name == "" {
		return nil, nil
	}
	g, err := user.LookupGroup(name)
	if unknown := user.UnknownGroupError(""); errors.As(err, &unknown) {
		return nil, fmt.Errorf("control.%s: this machine has no group %q, so its members cannot use the control socket: "+
			"create it with groupadd --system %s", key, name, name)
	}
	if err != nil {
		return nil, fmt.Errorf("control.%s: failed to look up the group %q: %w", key, name, err)
	}
	gid, err := strconv.ParseUint(g.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("control.%s: the group %q has the number %q", key, name, g.Gid)
	}
	return &group{name, uint32(gid)}, nil
}

// An access is what a request needs.
type access int

const (
	reads access = iota + 1
	changes
)

// errUnknownCaller says that the kernel did not tell who the caller is.
var errUnknownCaller = errors.New("the director does not know your user: see its log")

// allow returns an error if the caller may not do that.
func (r *rights) allow(c *caller, to access) error {
	switch {
	case c == nil:
		return errUnknownCaller
	case c.uid == 0 || c.uid == uint32(os.Geteuid()):
		return nil
	case r.Group == "" && r.AdminGroup == "":
		return nil // the mode of the socket has let the caller in
	case c.in(r.admins) || to == reads && c.in(r.readers):
		return nil
	}
	who := "root"
	if r.AdminGroup != "" {
		who += " and the members of the group " + r.AdminGroup
	}
	name := userName(c.uid)
	if c.in(r.readers) {
		return fmt.Errorf("%s may read, but not change: this is for %s", name, who)
	}
	if r.Group != "" && to == reads {
		who += " and of the group " + r.Group
		if r.AdminGroup == "" {
			who = "root and the members of the group " + r.Group
		}
	}
	return fmt.Errorf("%s may not use the control socket: this is for %s", name, who)
}
