// SPDX-License-Identifier: Apache-2.0

// Package drill decides about drills: a failure that is made on purpose on a live pair, measured and undone.
//
// It says why a drill must not be made now, what is done and how that is undone, what the outage was, and whether all is as before.
// The package is pure. What touches the machine, and the switch that undoes a fault when the drill dies, are in the package live.
package drill

import (
	"fmt"
	"strings"
	"time"
)

// A Kind is the failure that a drill makes.
type Kind uint8

// The kinds.
const (
	Failover Kind = iota + 1
	Crash
	Freeze
	Cable
	Silence
	Disk
	Flap
	RealServer
)

var kinds = []struct {
	name, about string
}{
	Failover:   {"failover", "hand over to the peer as tandem failover does, and take back"},
	Crash:      {"crash", "kill the processes of this director (SIGKILL); systemd and the director start them again"},
	Freeze:     {"freeze", "stop the processes of this director (SIGSTOP), and let them go on (SIGCONT)"},
	Cable:      {"cable", "take the interfaces of the virtual routers down, and up again"},
	Silence:    {"silence", "drop the advertisements of this director, so that both directors are master for a while"},
	Disk:       {"disk", "make the state directory refuse to be written, and hand over and take back meanwhile"},
	Flap:       {"flap", "take the interfaces of the virtual routers down and up again, several times (--flaps)"},
	RealServer: {"server", "take a real server (--server) out of the tables of both directors, as when its check fails"},
}

func (k Kind) String() string {
	if k == 0 || int(k) >= len(kinds) {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return kinds[k].name
}

// About says in words what a drill of the kind does.
func (k Kind) About() string { return kinds[k].about }

// Kinds returns all kinds.
func Kinds() (all []Kind) {
	for i := range kinds[1:] {
		all = append(all, Kind(i+1))
	}
	return all
}

// Names returns the names of all kinds.
func Names() (all []string) {
	for _, k := range Kinds() {
		all = append(all, k.String())
	}
	return all
}

// ParseKind returns the kind with a name.
func ParseKind(name string) (Kind, error) {
	for _, k := range Kinds() {
		if k.String() == name {
			return k, nil
		}
	}
	return 0, fmt.Errorf("there is no drill %q: want one of %s", name, strings.Join(Names(), ", "))
}

// MarshalText returns the name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the name. A later version may have more kinds: those are 0.
func (k *Kind) UnmarshalText(text []byte) error {
	*k, _ = ParseKind(string(text))
	return nil
}

// takesDown reports whether the drill takes interfaces down.
func (k Kind) takesDown() bool { return k == Cable || k == Flap }

// handsOver reports whether the drill orders a hand-over.
func (k Kind) handsOver() bool { return k == Failover || k == Disk }

// Moves reports whether virtual routers move in the drill.
func (k Kind) Moves() bool { return k != RealServer }

// An Order is what an operator wants.
type Order struct {
	Kind Kind
	// Process is the role of the process that a crash or a freeze is about; empty: both.
	Process string
	Server  string        // the real server that is taken out: SERVICE/ADDRESS or SERVICE/ADDRESS:PORT
	Hold    time.Duration // how long the fault lasts, or each down and each up of a flap; 0: long enough for the peer to take over
	Flaps   int           // how often a flap takes the interfaces down
	Max     time.Duration // after this time it is undone in any case
	Budget  time.Duration // the longest outage of a drill that passes; negative: any
	Lose    int           // established connections that may be lost
	Stay    bool          // the peer may stay master
}

// MaxFlaps is how often a flap can take the interfaces down.
const MaxFlaps = 20

// The roles of processes.
const (
	DirectorProcess = "director"
	ElectionProcess = "election"
)
