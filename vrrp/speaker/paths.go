// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/vrrp"
)

// routedPaths is the name of the sockets for unicast that arrives on any interface.
const routedPaths = ""

// sourcePause is the least time between two looks at the routes to a peer.
const sourcePause = time.Second

// A carrier is the sockets of an interface that is a path of some router's heartbeat, or of all unicast paths.
type carrier struct {
	iface string
	link  vrrp.Link // of the interface, as last applied
	known bool      // the link is known
	conn  *conn     // nil: none is open
}

// A routerPath is a path of a router's heartbeat. Only the loop's thread touches it, except for the counters.
type routerPath struct {
	carrier  *carrier   // nil: none yet
	source   netip.Addr // the zero Addr: none
	fault    string     // why it cannot be used; empty: it can
	looked   time.Time  // when the routes were last looked at
	counters *pathCounters
}

// pathCounters are those of vrrp.PathStatus.
type pathCounters struct{ sent, received, sendErrors atomic.Uint64 }

// SetPathLink sets the state of another interface, which is a path of a heartbeat; the latest call wins. A fault of it is no fault
// of the routers.
func (l *Loop) SetPathLink(link vrrp.Link) {
	link.Addrs = slices.Clone(link.Addrs)
	l.setDesired(func(w *desired) {
		links := map[string]vrrp.Link{link.Name: link}
		for name, other := range w.pathLinks {
			if name != link.Name {
				links[name] = other
			}
		}
		w.pathLinks = links
	})
}

// connectPaths opens and closes the sockets of the heartbeats' paths.
func (l *Loop) connectPaths() {
	var carriers []*carrier
	for _, r := range l.routers {
		for i := range r.paths {
			name := r.Config.Heartbeat[i].Interface // empty for a peer: routedPaths
			at := slices.IndexFunc(carriers, func(c *carrier) bool { return c.iface == name })
			if at < 0 {
				at = len(carriers)
				carriers = append(carriers, l.carrierOf(name))
			}
			r.paths[i].carrier = carriers[at]
		}
	}
	for _, c := range l.carriers {
		if !slices.Contains(carriers, c) {
			l.closeCarrier(c)
		}
	}
	l.carriers = carriers
	for _, c := range carriers {
		l.openCarrier(c)
	}
}

// setPaths makes the paths those of the configuration. Those that the router had before keep their counters. connectPaths gives
// them sockets.
func (r *router) setPaths() {
	if len(r.Config.Heartbeat) == 0 {
		r.paths, r.pathNames = nil, nil
		return
	}
	paths, names := make([]routerPath, len(r.Config.Heartbeat)), make([]string, len(r.Config.Heartbeat))
	if r.onInterface == nil {
		r.onInterface = &pathCounters{}
	}
	counted := []*pathCounters{r.onInterface}
	for i := range paths {
		names[i] = r.Config.PathName(i + 1)
		if at := slices.Index(r.pathNames, names[i]); at >= 0 {
			paths[i] = r.paths[at]
		} else {
			paths[i].counters = &pathCounters{}
		}
		counted = append(counted, paths[i].counters)
	}
	r.paths, r.pathNames = paths, names
	r.counted.Store(&counted)
}

func (l *Loop) carrierOf(name string) *carrier {
	if i := slices.IndexFunc(l.carriers, func(c *carrier) bool { return c.iface == name }); i >= 0 {
		return l.carriers[i]
	}
	return &carrier{iface: name}
}

func (l *Loop) closeCarrier(c *carrier) {
	if c.conn == nil {
		return
	}
	if err := c.conn.Close(); err != nil {
		l.log.write(hclog.Warn, "failed to close the sockets of a heartbeat", "interface", c.iface, "error", err)
	}
	c.conn = nil
}

// openCarrier makes the sockets for the present interface, and closes those of a former one of the same name.
func (l *Loop) openCarrier(c *carrier) {
	if c.iface != routedPaths {
		c.link, c.known = l.applied.pathLinks[c.iface], false
		_, c.known = l.applied.pathLinks[c.iface]
	}
	if c.conn != nil && c.conn.index != c.link.Index {
		l.closeCarrier(c)
	}
	if c.conn == nil && (c.iface == routedPaths || c.known && c.link.FaultCause().Kind == 0) {
		c.conn = newConn(c.iface, c.link.Index)
	}
}

// tunePaths opens the sockets that the paths need, sets their filters, and finds out which paths can be used.
func (l *Loop) tunePaths(now time.Time) {
	for _, c := range l.carriers {
		var vrids [2]vridSet
		var own []netip.Addr
		for _, r := range l.routers {
			for i := range r.paths {
				if r.paths[i].carrier != c {
					continue
				}
				vrids[familyIndex(r.Config.Family() == 6)].add(r.Config.VRID)
				l.findSource(r, i, now)
				if src := r.paths[i].source; src.Is4() && c.iface != routedPaths {
					own = append(own, src)
				}
			}
		}
		if c.conn == nil {
			continue
		}
		if err := c.conn.meet(vrids[0], vrids[1], own); err != nil && l.reopen.IsZero() {
			l.reopen = now.Add(reopenPause)
			if l.log.allows(now, key{why: err.Error()}) {
				l.log.write(hclog.Warn, "failed to open VRRP socket of a heartbeat, trying again", "error", err)
			}
		}
	}
	for _, r := range l.routers {
		for i := range r.paths {
			l.findFault(r, i)
		}
		l.tell(r)
	}
}

// findFault finds out whether a path can be used.
func (l *Loop) findFault(r *router, i int) {
	if fault := l.pathFault(r, i); fault != r.paths[i].fault {
		r.paths[i].fault = fault
		r.pathFaults++
	}
}

// pathFault says why a path cannot be used.
func (l *Loop) pathFault(r *router, i int) string {
	p := &r.paths[i]
	c := p.carrier
	switch {
	case c.iface != routedPaths && !c.known:
		return "interface " + c.iface + " is not known yet"
	case c.iface != routedPaths && c.link.Fault() != "":
		return c.link.Fault()
	case c.conn == nil:
		return "its socket is not open"
	}
	missing := ""
	if !p.source.IsValid() {
		missing = fmt.Sprintf("interface %s has no address of its family to send from", c.iface)
		if c.iface == routedPaths {
			missing = fmt.Sprintf("there is no route to %s, or none with an address of this machine as source: set source",
				r.Config.Heartbeat[i].Peer)
		}
	}
	return cmp.Or(c.conn.fault(r.Config.Family() == 6), missing)
}

// findSource finds the address that a router sends from on a path.
func (l *Loop) findSource(r *router, i int, now time.Time) {
	p, path := &r.paths[i], &r.Config.Heartbeat[i]
	p.looked = now
	switch {
	case path.Source.IsValid():
		p.source = path.Source
	case path.Peer.IsValid():
		p.source = routeSource(path.Peer)
		if l.isVIP(p.source) {
			p.source = netip.Addr{}
		}
	default:
		from := sourcesOf(p.carrier.link, l.isVIP)
		all := from.ipv4
		if r.Config.Family() == 6 {
			all = from.linkLocal
		}
		if !slices.Contains(all, p.source) {
			p.source = netip.Addr{}
			if len(all) > 0 {
				p.source = all[0]
			}
		}
	}
	r.Machine.SetPathSource(i+1, p.source)
}

// routeSource returns the address that the kernel would send to a peer from; the zero Addr: there is no route.
func routeSource(peer netip.Addr) netip.Addr {
	const discard = 9 // any port: nothing is sent
	family, to := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: discard, Addr: peer.As16()})
	if peer.Is4() {
		family, to = unix.AF_INET, &unix.SockaddrInet4{Port: discard, Addr: peer.As4()}
	}
	fd, err := openSocket(family, unix.SOCK_DGRAM, 0)
	if err != nil {
		return netip.Addr{}
	}
	defer func() { _ = unix.Close(fd) }()
	if unix.Connect(fd, to) != nil {
		return netip.Addr{}
	}
	own, err := unix.Getsockname(fd)
	if err != nil {
		return netip.Addr{}
	}
	switch a := own.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(a.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(a.Addr)
	}
	return netip.Addr{}
}

// sendByPaths sends an advertisement by the paths of the heartbeat, and reports whether it could.
func (l *Loop) sendByPaths(r *router, now time.Time) (sent bool) {
	for i := range r.paths {
		p, path := &r.paths[i], &r.Config.Heartbeat[i]
		if path.Peer.IsValid() && p.carrier != nil && now.Sub(p.looked) >= sourcePause {
			l.findSource(r, i, now) // the routes may have changed
			l.findFault(r, i)
		}
		if p.carrier == nil || p.carrier.conn == nil || !p.source.IsValid() || p.carrier.iface != routedPaths && p.carrier.link.FaultCause().Kind != 0 {
			continue
		}
		to := path.Peer
		if !to.IsValid() {
			to = vrrp.Group4
			if p.source.Is6() {
				to = vrrp.Group6
			}
		}
		err := p.carrier.conn.send(l.out, &r.Packet, p.source, to)
		if err == nil {
			sent = true
			p.counters.sent.Add(1)
			continue
		}
		p.counters.sendErrors.Add(1)
		if why := err.Error(); l.log.allows(now, key{peer: to, vrid: r.Config.VRID, why: p.carrier.iface + why}) {
			l.log.write(hclog.Error, "failed to send advertisement on a path of the heartbeat",
				"router", r.Config.Name, "vrid", r.Config.VRID, "path", r.pathNames[i], "error", why)
		}
	}
	return sent
}

// closePaths closes all sockets of the paths.
func (l *Loop) closePaths() (all error) {
	for _, c := range l.carriers {
		if c.conn != nil {
			all = errors.Join(all, c.conn.Close())
		}
	}
	l.carriers = nil
	return all
}

// pathStatus returns the paths of a router, the interface first, without counters; nil: there is no heartbeat.
func (r *router) pathStatus() (rows []vrrp.PathStatus) {
	for i := range len(r.paths) + 1 {
		if len(r.paths) == 0 {
			return nil
		}
		row := vrrp.PathStatus{Name: r.Config.PathName(i), Source: r.Machine.PathSource(i)}
		row.State, row.Since, row.Master = r.Machine.PathStatus(i)
		if i > 0 {
			row.Unicast = r.Config.Heartbeat[i-1].Peer.IsValid()
			if row.Fault = r.paths[i-1].fault; row.Fault != "" {
				row.State, row.Since = vrrp.PathDown, time.Time{}
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// countPaths adds the counters to the paths of a status.
func (r *router) countPaths(s *vrrp.Status) {
	if len(s.Paths) == 0 {
		return
	}
	s.Paths = slices.Clone(s.Paths)
	for i, c := range *r.counted.Load() {
		if i < len(s.Paths) { // a new configuration may not be in the status yet
			s.Paths[i].Sent, s.Paths[i].Received, s.Paths[i].SendErrors = c.sent.Load(), c.received.Load(), c.sendErrors.Load()
		}
	}
}

// pathWarnings returns what is wrong with the paths of a status.
func pathWarnings(paths []vrrp.PathStatus) (all []string) {
	for i := range paths {
		if text := paths[i].Warning(); text != "" {
			all = append(all, text)
		}
	}
	return all
}

// countReceived counts a good advertisement on its path.
func (r *router) countReceived(h vrrp.Header) {
	if len(r.paths) > 0 {
		(*r.counted.Load())[h.Path].received.Add(1)
	}
}
