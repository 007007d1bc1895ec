// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
)

// A What is what an action does.
type What string

// What actions do. Each fault is followed by what undoes it.
const (
	HandOver     What = "hand over"
	Release      What = "release"
	Kill         What = "kill"
	StartUnit    What = "start unit"
	Stop         What = "stop"
	Continue     What = "continue"
	LinkDown     What = "link down"
	LinkUp       What = "link up"
	DropAdverts  What = "drop advertisements"
	PassAdverts  What = "pass advertisements"
	RefuseWrites What = "refuse writes"
	AcceptWrites What = "accept writes"
	TakeOut      What = "take out"
	PutBack      What = "put back"
	Wait         What = "wait"
)

// An Action makes a part of a fault, or undoes it. To undo what is not so does no harm.
type Action struct {
	Do        What          `json:"do"`
	Routers   []string      `json:"routers,omitempty"`
	Process   Process       `json:"process,omitzero"`
	Unit      string        `json:"unit,omitempty"`
	Interface string        `json:"interface,omitempty"`
	Link      Link          `json:"link,omitzero"` // how the interface was
	Path      string        `json:"path,omitempty"`
	Server    string        `json:"server,omitempty"`
	For       time.Duration `json:"for,omitempty"`
}

// A Process is a process of this director.
type Process struct {
	Role    string `json:"role"`
	PID     int    `json:"pid"`
	Started uint64 `json:"started"` // clock ticks after the start of the machine: a PID can be used again
}

// A Link is how an interface was. Taking it down loses its routes and its IPv6 addresses.
type Link struct {
	Addresses []netip.Prefix `json:"addresses,omitempty"`
	Routes    []Route        `json:"routes,omitempty"`
}

// A Route is a route of an interface that the kernel does not make by itself.
type Route struct {
	To       netip.Prefix `json:"to"`
	Gateway  netip.Addr   `json:"gateway,omitzero"`
	Source   netip.Addr   `json:"source,omitzero"`
	Table    int          `json:"table"`
	Metric   int          `json:"metric,omitempty"`
	Scope    int          `json:"scope,omitempty"`
	Protocol int          `json:"protocol,omitempty"`
	MTU      int          `json:"mtu,omitempty"`
	OnLink   bool         `json:"on_link,omitempty"`
}

func (a Action) String() string {
	switch a.Do {
	case HandOver:
		return "hand over " + strings.Join(a.Routers, ", ")
	case Release:
		return "end the standby of " + strings.Join(a.Routers, ", ")
	case Kill:
		return fmt.Sprintf("kill the %s process %d", a.Process.Role, a.Process.PID)
	case StartUnit:
		return "systemctl start " + a.Unit
	case Stop:
		return fmt.Sprintf("stop the %s process %d (SIGSTOP)", a.Process.Role, a.Process.PID)
	case Continue:
		return fmt.Sprintf("let the %s process %d go on (SIGCONT)", a.Process.Role, a.Process.PID)
	case LinkDown:
		return "take " + a.Interface + " down"
	case LinkUp:
		return fmt.Sprintf("take %s up, with its %s and %s", a.Interface, summary.Counted(len(a.Link.Addresses), "address"), summary.Counted(len(a.Link.Routes), "route"))
	case DropAdverts:
		return "drop the advertisements that leave (nftables table inet " + TableName + ")"
	case PassAdverts:
		return "remove the nftables table inet " + TableName
	case RefuseWrites:
		return "make " + a.Path + " and its files immutable"
	case AcceptWrites:
		return "make " + a.Path + " and its files writable"
	case TakeOut:
		return "disable " + a.Server + " on both directors"
	case PutBack:
		return "enable " + a.Server + " on both directors, unless somebody else has disabled it"
	case Wait:
		return "wait " + a.For.String()
	}
	return string(a.Do)
}

// TableName is the name of the nftables table that drops advertisements.
const TableName = "tandem_drill"

// A Plan is what a drill does.
type Plan struct {
	Fault []Action
	Undo  []Action // in this order
}

// Plan returns what the drill does.
func (s *Situation) Plan() Plan {
	p := s.fault()
	if s.Order.Kind != Flap {
		p.Fault = append(p.Fault, Action{Do: Wait, For: s.hold()})
	}
	return p
}

func (s *Situation) fault() (p Plan) {
	add := func(fault, undo Action) {
		p.Fault = append(p.Fault, fault)
		p.Undo = append(p.Undo, undo)
	}
	switch s.Order.Kind {
	case Failover:
		add(Action{Do: HandOver, Routers: s.names()}, Action{Do: Release, Routers: s.names()})
	case Disk:
		add(Action{Do: RefuseWrites, Path: s.StateDir}, Action{Do: AcceptWrites, Path: s.StateDir})
		add(Action{Do: HandOver, Routers: s.names()}, Action{Do: Release, Routers: s.names()})
	case Crash:
		for _, process := range s.victims() {
			p.Fault = append(p.Fault, Action{Do: Kill, Process: process})
		}
		if s.kills(DirectorProcess) {
			p.Undo = append(p.Undo, Action{Do: StartUnit, Unit: s.Unit})
		}
	case Freeze:
		// The director first: it would kill an election that is silent.
		for _, process := range s.victims() {
			add(Action{Do: Stop, Process: process}, Action{Do: Continue, Process: process})
		}
	case Cable:
		for _, name := range s.interfaces() {
			add(Action{Do: LinkDown, Interface: name}, Action{Do: LinkUp, Interface: name, Link: s.Links[name]})
		}
	case Flap:
		return s.flap()
	case Silence:
		add(Action{Do: DropAdverts}, Action{Do: PassAdverts})
	case RealServer:
		add(Action{Do: TakeOut, Server: s.target()}, Action{Do: PutBack, Server: s.target()})
	}
	return p
}

// flap takes the interfaces down and up again, several times. In the end they are up already: the undoing is for a drill that dies.
func (s *Situation) flap() (p Plan) {
	for _, name := range s.interfaces() {
		p.Undo = append(p.Undo, Action{Do: LinkUp, Interface: name, Link: s.Links[name]})
	}
	for range max(1, s.Order.Flaps) {
		for _, name := range s.interfaces() {
			p.Fault = append(p.Fault, Action{Do: LinkDown, Interface: name})
		}
		p.Fault = append(p.Fault, Action{Do: Wait, For: s.flapTime()})
		p.Fault = append(p.Fault, p.Undo...)
		p.Fault = append(p.Fault, Action{Do: Wait, For: s.flapTime()})
	}
	return p
}

// flapTime is how long a flap keeps the interfaces down, and then up.
func (s *Situation) flapTime() time.Duration {
	if s.Order.Hold > 0 {
		return s.Order.Hold
	}
	return time.Second
}

// kills reports whether a process of a role is among the victims.
func (s *Situation) kills(role string) bool {
	for _, process := range s.victims() {
		if process.Role == role {
			return true
		}
	}
	return false
}

// victims are the processes that a crash or a freeze is about.
func (s *Situation) victims() (all []Process) {
	for _, process := range s.Processes {
		if s.Order.Process == "" || s.Order.Process == process.Role {
			all = append(all, process)
		}
	}
	return all
}

// shortHold is how long a planned hand-over lasts, and how long a real server is out.
const shortHold = 2 * time.Second

// hold is how long the fault lasts: unless it was ordered, the peer has time to take over.
func (s *Situation) hold() time.Duration {
	if s.Order.Kind == Flap {
		return 2 * time.Duration(max(1, s.Order.Flaps)) * s.flapTime()
	}
	if s.Order.Hold > 0 {
		return s.Order.Hold
	}
	if s.Order.Kind.handsOver() || s.Order.Kind == RealServer {
		return shortHold
	}
	var longest time.Duration
	for _, r := range s.mastered() {
		interval, _ := time.ParseDuration(r.AdvertInterval) // of a director of this version
		longest = max(longest, time.Duration(r.DownAdverts+1)*interval)
	}
	return longest + shortHold
}
