// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// The advertisements of a virtual router may travel by several paths: over its Interface, and by those of Config.Heartbeat. A
// master sends each advertisement by all of them at once. A backup takes over when all are silent. What is heard on several paths
// counts once:
//
//   - An advertisement that repeats one of another path has no effect, except that its path is not silent.
//   - So has priority 0 within an interval after priority 0 on another path.
//   - After priority 0, what the same master sent before and arrives late on another path has no effect.
//   - A router has another address on each path. The machine calls it by its address on the first path on which it was heard.
//
// The checks of a packet are the same on each path: TTL 255 and the group's address for multicast; the sender and TTLMin for unicast;
// then version, VIPs and signature. The signature covers the sender's address, and a replay is recognised on each path by itself. An
// advertisement has the same sequence number on all paths, and one path may be behind another by a master-down time only. The skew
// time and the master-down time do not depend on the paths: they count from the last advertisement that had an effect.
//
// Equal priorities are decided by the addresses of the first path on which the two masters hear each other: on different paths
// the addresses may be in different orders. So a path leaves one interval to those before it.

// MaxHeartbeat is the maximum number of paths besides the Interface.
const MaxHeartbeat = 8

// A Path is a way of the advertisements besides the Interface and the UnicastPeers: either multicast on another interface, or
// unicast to a peer.
type Path struct {
	// Interface carries multicast. It is empty if there is a Peer.
	Interface string `json:"interface,omitempty"`
	// Peer gets unicast, on the interface that the routes say. Only its advertisements are accepted on this path.
	Peer netip.Addr `json:"peer,omitzero"`
	// Source is the address that unicast is sent from; the zero Addr: the kernel's choice.
	Source netip.Addr `json:"source,omitzero"`
	// TTLMin is the lowest accepted TTL or hop limit of unicast. 0 is 255: there is no router in between.
	TTLMin uint8 `json:"ttl_min,omitempty"`
}

// Name is the interface, or the peer.
func (p Path) Name() string {
	if p.Peer.IsValid() {
		return p.Peer.String()
	}
	return p.Interface
}

// String returns the path with all that is configured of it.
func (p Path) String() string {
	s := p.Name()
	if p.Source.IsValid() {
		s += " from " + p.Source.String()
	}
	if p.TTLMin != 0 && p.TTLMin != TTL {
		s += fmt.Sprintf(" with ttl_min %d", p.TTLMin)
	}
	return s
}

// A PathState says what is heard on a path.
type PathState uint8

// The states, by their names in status: unknown, heard, silent, down.
const (
	PathUnknown PathState = iota + 1 // nobody has to be heard: this router is master, or has just begun to listen
	PathHeard                        // the master is heard
	PathSilent                       // the master is heard on other paths only
	PathDown                         // this machine cannot use the path
)

var pathStates = [...]string{"", "unknown", "heard", "silent", "down"}

// String returns the state as the status names it.
func (s PathState) String() string {
	if int(s) < len(pathStates) {
		return pathStates[s]
	}
	return fmt.Sprintf("path state %d", uint8(s))
}

// MarshalText implements encoding.TextMarshaler.
func (s PathState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. A name that it does not know is PathUnknown: a newer process may send it.
func (s *PathState) UnmarshalText(text []byte) error {
	*s = PathUnknown
	if i := slices.Index(pathStates[:], string(text)); i > 0 {
		*s = PathState(i)
	}
	return nil
}

// A PathStatus describes a path at one moment. The first path of a router is its Interface.
type PathStatus struct {
	// Name is the path's interface or peer.
	Name string `json:"name"`
	// Unicast says that Name is a peer.
	Unicast bool      `json:"unicast,omitempty"`
	State   PathState `json:"state"`
	// Since is when the State began. A path is silent since its last advertisement.
	Since time.Time `json:"since,omitzero"`
	// Source is our address on the path. Master is who was heard there last.
	Source netip.Addr `json:"source,omitzero"`
	Master netip.Addr `json:"master,omitzero"`
	// Fault says why the path is down.
	Fault string `json:"fault,omitempty"`
	// Sent, Received and SendErrors count advertisements. Received has those that another path brought first.
	Sent       uint64 `json:"sent"`
	Received   uint64 `json:"received"`
	SendErrors uint64 `json:"send_errors"`
}

// Warning says what is wrong with the path, and what to do; "" if nothing is.
func (p *PathStatus) Warning() string {
	switch p.State {
	case PathSilent:
		return fmt.Sprintf("the master is not heard over %s, only over another path: look at the cable, the switch and the firewall "+
			"there (protocol 112), and set the same heartbeat on both directors", p.Name)
	case PathDown:
		return fmt.Sprintf("the path over %s does not work: %s", p.Name, p.Fault)
	}
	return ""
}

// pathCount returns the number of paths, the Interface included.
func (c *Config) pathCount() int { return 1 + len(c.Heartbeat) }

// PathName returns the name of a path. 0 is the Interface.
func (c *Config) PathName(path int) string {
	if path == 0 {
		return c.Interface
	}
	return c.Heartbeat[path-1].Name()
}

// PathOf returns the path of a packet that came over an interface. An empty interface stands for a socket that hears all of them,
// for unicast. It reports false for a packet that another socket hears as well.
func (c *Config) PathOf(iface string, h Header) (path int, ok bool) {
	if iface == c.Interface {
		unicast := func(p Path) bool { return p.Peer == h.Source }
		return 0, h.Destination.IsMulticast() || !slices.ContainsFunc(c.Heartbeat, unicast)
	}
	i := slices.IndexFunc(c.Heartbeat, func(p Path) bool {
		if iface == "" {
			return p.Peer == h.Source && !h.Destination.IsMulticast()
		}
		return p.Interface == iface && h.Destination.IsMulticast()
	})
	return i + 1, i >= 0
}

// sequenceOf returns the sender and the path of a packet, for the guard.
func (r *Router) sequenceOf(h Header) Sequence {
	s := Sequence{Sender: h.Source}
	if h.Path > 0 {
		s.Path = r.Config.PathName(int(h.Path))
	}
	return s
}

// A heardPath is what the machine knows of a path.
type heardPath struct {
	own      netip.Addr // our address there
	from     netip.Addr // who was heard last
	twin     sender     // the same router on a path before this one; without an address: not known
	heard    time.Time  // the last advertisement; the zero time: none
	counted  time.Time  // the last advertisement that had an effect
	priority uint8      // of that one
	state    PathState
	since    time.Time // of state
	tie      time.Time // when another master of our priority was first heard here, and on no path before
}

// A sender is a router by its address on a path.
type sender struct {
	addr netip.Addr
	path int
}

// paths are all paths of a machine. Without a heartbeat there are none here, and they cost nothing.
type paths struct {
	all      []heardPath
	waits    time.Time // when the router began to listen for a master
	zero     time.Time // when priority 0 last counted
	zeroPath int
	compared int    // the path whose addresses decide between equal priorities
	repeated bool   // the last advertisement had no effect
	changes  uint64 // of states
}

// configurePaths makes the paths those of the configuration. What is known of a path goes on if its name stays.
func (m *Machine) configurePaths(now time.Time, former, c *Config) {
	if len(c.Heartbeat) == 0 {
		if m.paths.all != nil {
			m.paths = paths{changes: m.paths.changes + 1}
		}
		return
	}
	was := m.paths.all
	m.paths.all = make([]heardPath, c.pathCount())
	for i := range m.paths.all {
		m.paths.all[i].state = PathUnknown
		for j := range was {
			if former.PathName(j) == c.PathName(i) {
				m.paths.all[i] = was[j]
			}
		}
	}
	m.paths.waits = now
	m.paths.changes++
}

// SetPathSource says which address this router has on a path of the heartbeat; the zero Addr: none.
func (m *Machine) SetPathSource(path int, own netip.Addr) {
	if path < len(m.paths.all) {
		m.paths.all[path].own = own
	}
}

// PathSource returns our address on a path.
func (m *Machine) PathSource(path int) netip.Addr {
	if path == 0 || path >= len(m.paths.all) {
		return m.source
	}
	return m.paths.all[path].own
}

// PathChanges returns how often the result of PathStatus has changed.
func (m *Machine) PathChanges() uint64 { return m.paths.changes }

// Repeated reports whether the last advertisement had no effect, because another path had brought the same.
func (m *Machine) Repeated() bool { return m.paths.repeated }

// PathStatus returns what is heard on a path.
func (m *Machine) PathStatus(path int) (state PathState, since time.Time, from netip.Addr) {
	if path >= len(m.paths.all) {
		return PathUnknown, time.Time{}, netip.Addr{}
	}
	p := &m.paths.all[path]
	return p.state, p.since, p.from
}

// listensToMaster reports whether there is a master that the router must hear.
func (m *Machine) listensToMaster() bool {
	return m.state == Backup || m.state == Fault && m.isUnfit() && !m.stopped
}

// resetPaths forgets what was heard: the router has changed its state.
func (m *Machine) resetPaths(now time.Time) {
	m.paths.waits = now
	for i := range m.paths.all {
		p := &m.paths.all[i]
		if p.tie = (time.Time{}); p.state != PathUnknown {
			m.setPath(p, PathUnknown, now)
		}
	}
}

func (m *Machine) setPath(p *heardPath, s PathState, since time.Time) {
	p.state, p.since = s, since
	m.paths.changes++
}

// hear records an advertisement on its path. It reports whether the advertisement counts, and gives it the address by which the
// machine calls its sender.
func (m *Machine) hear(now time.Time, ev *Event) (counts bool) {
	if len(m.paths.all) == 0 {
		return true
	}
	m.paths.repeated = true
	at := int(ev.Path)
	if at >= len(m.paths.all) {
		return false
	}
	p := &m.paths.all[at]
	was := *p
	if p.from != ev.Source {
		p.from, p.twin, p.tie = ev.Source, sender{}, time.Time{}
	}
	p.heard = now
	repeats := m.pair(now, at, ev)
	m.findSilence(now, p, ev)
	is := m.identity(at, ev.Source)
	ev.Source, m.paths.compared = is.addr, is.path
	switch {
	case ev.Priority == PriorityLeaving && m.afterZero(now, at, ev):
		return false
	case ev.Priority == PriorityLeaving:
		m.paths.zero, m.paths.zeroPath = now, at
	case m.late(now, at, &was, ev), m.undecided(now, at, p, ev):
		return false
	case repeats:
		m.rename(at, ev)
		return false
	}
	p.counted, p.priority = now, ev.Priority
	m.paths.repeated = false
	return true
}

// pair reports whether an advertisement repeats one of another path. If so, it notes which addresses the sender has on the two.
func (m *Machine) pair(now time.Time, at int, ev *Event) (repeats bool) {
	for i := range m.paths.all {
		p := &m.paths.all[i]
		if i == at || p.counted.IsZero() || p.priority != ev.Priority || now.Sub(p.counted) >= ev.Interval/2 {
			continue
		}
		if i < at {
			m.paths.all[at].twin = m.identity(i, p.from)
		} else {
			p.twin = m.identity(at, ev.Source)
		}
		repeats = true
	}
	return repeats
}

// identity returns the router that is heard on a path, by its address on the first path on which it was heard.
func (m *Machine) identity(at int, from netip.Addr) sender {
	if at < len(m.paths.all) {
		if p := &m.paths.all[at]; p.from == from && p.twin.addr.IsValid() {
			return p.twin
		}
	}
	return sender{from, at}
}

// rename corrects the master's address after an earlier path has repeated what a later one had brought first.
func (m *Machine) rename(at int, ev *Event) {
	if m.state == Master {
		return
	}
	for _, p := range m.paths.all[at+1:] {
		if p.twin.addr != ev.Source {
			continue
		}
		if m.master == p.from {
			m.master = ev.Source
		}
		if m.lower.source == p.from {
			m.lower.source = ev.Source
		}
	}
}

// afterZero reports whether priority 0 was heard on another path within an interval.
func (m *Machine) afterZero(now time.Time, at int, ev *Event) bool {
	return !m.paths.zero.IsZero() && m.paths.zeroPath != at && now.Sub(m.paths.zero) < ev.Interval
}

// late reports whether a backup knows from another path that the sender leaves. was is the path before this advertisement.
func (m *Machine) late(now time.Time, at int, was *heardPath, ev *Event) bool {
	return m.zero.IsValid() && m.afterZero(now, at, ev) && was.from == m.paths.all[at].from &&
		m.paths.zero.Sub(was.heard) < m.downInterval(ev.Interval)
}

// undecided reports whether a master leaves the decision between two equal priorities to an earlier path. If the machine knows the
// sender's address on an earlier path, the paths do not matter.
func (m *Machine) undecided(now time.Time, at int, p *heardPath, ev *Event) bool {
	if at == 0 || p.twin.addr.IsValid() || m.state != Master || m.offering() || ev.Priority != m.Priority() {
		return false
	}
	if p.tie.IsZero() || now.Sub(p.tie) > m.downInterval(ev.Interval) {
		p.tie = now
	}
	if now.Sub(p.tie) < ev.Interval/2 {
		return true
	}
	return slices.ContainsFunc(m.paths.all[:at], func(o heardPath) bool {
		return !o.heard.IsZero() && now.Sub(o.heard) < ev.Interval*3/2
	})
}

// findSilence updates the states of the paths after an advertisement on p.
func (m *Machine) findSilence(now time.Time, p *heardPath, ev *Event) {
	if !m.listensToMaster() {
		return
	}
	if p.state != PathHeard {
		m.setPath(p, PathHeard, now)
	}
	for i := range m.paths.all {
		o := &m.paths.all[i]
		last := later(o.heard, m.paths.waits)
		if o.state != PathSilent && now.Sub(last) > m.downInterval(ev.Interval) {
			m.setPath(o, PathSilent, last)
		}
	}
}
