// SPDX-License-Identifier: Apache-2.0

package hooks

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/configs"
)

//go:generate go tool stringer -type Kind -linecomment -output names_string.go

// A Kind is what a subject is.
type Kind uint8

// The kinds.
const (
	Router    Kind = iota + 1 // router
	SyncGroup                 // sync_group
	Service                   // service
	Server                    // server
	Director                  // director
)

// A Subject is something that has a state and a queue of its own.
type Subject struct {
	Kind Kind
	Name string
}

// String names the subject: "router web".
func (s Subject) String() string { return s.Kind.String() + " " + s.Name }

// An Event says what has happened to a subject. Fields that have no meaning for the subject are zero.
type Event struct {
	Subject
	What     configs.HookEvent
	Previous configs.HookEvent // the event before, of the same subject; 0: none is known
	At       time.Time
	Reason   string
	Director string

	// Of a virtual router, and in part of a sync group:
	State     string // "master"
	Priority  uint8  // that the election uses
	Weighted  uint8  // the configured one with the weights of the tracks, also in a fault
	Interface string
	VRID      uint8
	VIPs      []netip.Prefix

	// Of a server and a service:
	Service string
	Address netip.AddrPort // of a server
}

// good are the events that tell that something is as it should be. A subject that was never told of is in this state.
func good(e configs.HookEvent) bool {
	return e == configs.HookServerUp || e == configs.HookQuorumRegained
}

// isState tells whether an event is a state that lasts. The others are moments.
func isState(e configs.HookEvent) bool { return !isContest(e) && !isDirector(e) }

func isContest(e configs.HookEvent) bool {
	return e == configs.HookContested || e == configs.HookContestOver
}

func isDirector(e configs.HookEvent) bool {
	return e == configs.HookDirectorStart || e == configs.HookDirectorStop || e == configs.HookDrill
}

// eventOf is the inverse of HookEvent.String. 0: there is no such event.
func eventOf(name string) configs.HookEvent {
	for e := configs.HookMaster; e <= configs.HookDirectorStop; e++ {
		if e.String() == name {
			return e
		}
	}
	return 0
}

// A body is the JSON form of an event. Each member is also a variable of a command.
type body struct {
	Event     string   `json:"event"`
	Kind      string   `json:"kind"`
	Name      string   `json:"name"`
	Previous  string   `json:"previous,omitempty"`
	Reason    string   `json:"reason,omitempty"`
	Time      string   `json:"time"`
	Director  string   `json:"director"`
	Hook      string   `json:"hook"`
	Attempt   int      `json:"attempt"`
	State     string   `json:"state,omitempty"`
	Priority  *uint8   `json:"priority,omitempty"`
	Interface string   `json:"interface,omitempty"`
	VRID      uint8    `json:"vrid,omitempty"`
	VIPs      []string `json:"vips,omitempty"`
	Service   string   `json:"service,omitempty"`
	Address   string   `json:"address,omitempty"`
	Port      uint16   `json:"port,omitempty"`
}

func (r Run) body() body {
	ev := r.Event
	b := body{
		Event: ev.What.String(), Kind: ev.Kind.String(), Name: ev.Name, Reason: ev.Reason, Time: ev.At.Format(time.RFC3339Nano),
		Director: ev.Director, Hook: r.Hook.Name, Attempt: r.Attempt,
		State: ev.State, Interface: ev.Interface, VRID: ev.VRID, Service: ev.Service,
	}
	if ev.Previous != 0 {
		b.Previous = ev.Previous.String()
	}
	if ev.Kind == Router {
		b.Priority = &ev.Priority
	}
	for _, vip := range ev.VIPs {
		b.VIPs = append(b.VIPs, vip.String())
	}
	if ev.Address.IsValid() {
		b.Address, b.Port = ev.Address.Addr().String(), ev.Address.Port()
	}
	return b
}

// JSON is the body that is posted to a URL.
func (r Run) JSON() []byte {
	text, err := json.Marshal(r.body())
	if err != nil { // no member can cause one
		return []byte("{}")
	}
	return text
}

// Environment returns the variables of a command: the members of JSON, in upper case, behind TANDEM_.
func (r Run) Environment() (all []string) {
	b := reflect.ValueOf(r.body())
	for i := range b.NumField() {
		name, _, _ := strings.Cut(b.Type().Field(i).Tag.Get("json"), ",")
		value := ""
		switch v := b.Field(i).Interface().(type) {
		case string:
			value = v
		case []string:
			value = strings.Join(v, " ")
		case int:
			value = strconv.Itoa(v)
		case uint8:
			value = positive(uint64(v))
		case uint16:
			value = positive(uint64(v))
		case *uint8:
			if v != nil {
				value = strconv.Itoa(int(*v))
			}
		}
		if value != "" {
			// A NUL byte, which the kernel would refuse, could come from a reason.
			all = append(all, "TANDEM_"+strings.ToUpper(name)+"="+strings.ReplaceAll(value, "\x00", " "))
		}
	}
	return all
}

// positive writes a number. It writes nothing for 0.
func positive(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// keepalivedStates are the STATE arguments of keepalived that are not the event in capitals.
var keepalivedStates = map[configs.HookEvent]string{
	configs.HookContested: "MASTER_RX_LOWER_PRI", configs.HookContestOver: "MASTER",
}

// Command returns the program and its arguments.
func (r Run) Command() []string {
	if r.Hook.Style != configs.HookKeepalived {
		return r.Hook.Command
	}
	kind, priority := "INSTANCE", r.Event.Weighted
	if r.Event.Kind == SyncGroup {
		kind, priority = "GROUP", 0
	}
	state := cmp.Or(keepalivedStates[r.Event.What], strings.ToUpper(r.Event.What.String()))
	return append(append([]string(nil), r.Hook.Command...), kind, r.Event.Name, state, strconv.Itoa(int(priority)))
}
