// SPDX-License-Identifier: Apache-2.0

package api

import (
	"strings"
	"time"
)

// An EventKind says what an event is about.
type EventKind string

// The kinds of events.
const (
	EventTransition EventKind = "transition" // a virtual router has changed its state, or offers its place
	EventPriority   EventKind = "priority"   // of a virtual router, in the election
	EventVerdict    EventKind = "verdict"    // a real server came up or went down, a service lost or regained its quorum
	EventRepair     EventKind = "repair"     // another program's change was undone
	EventOrder      EventKind = "order"      // an operator's command
	EventReload     EventKind = "reload"
	EventHook       EventKind = "hook"    // a hook was told something, or could not be told
	EventWarning    EventKind = "warning" // a warning has begun or ended
	EventDirector   EventKind = "director"
	EventDrill      EventKind = "drill" // a drill began, was undone, or ended
)

// The subjects of events.
const (
	OnRouter    = "router"
	OnSyncGroup = "sync_group"
	OnService   = "service"
	OnServer    = "server"
	OnInterface = "interface"
	OnDirector  = "director"
)

// An Event is something that has happened to a director, with its cause.
type Event struct {
	Time     time.Time `json:"time"`
	Director string    `json:"director"`
	Kind     EventKind `json:"kind"`
	On       string    `json:"on"`              // what the event is about: router, sync_group, service, server, interface or director
	Name     string    `json:"name"`            // of that: "web", "www/192.0.2.11:80"
	What     string    `json:"what"`            // what it did, in words: "became master"
	Cause    string    `json:"cause,omitempty"` // in words
	Old      string    `json:"old,omitempty"`   // "backup"
	New      string    `json:"new,omitempty"`   // "master"
	By       string    `json:"by,omitempty"`    // the user whose command it was
}

// A HistoryQuery selects events.
type HistoryQuery struct {
	Since   time.Time `json:"since,omitzero"`    // zero: no limit
	Router  string    `json:"router,omitempty"`  // only events of this virtual router; empty: of all
	Service string    `json:"service,omitempty"` // only events of this service and of its servers; empty: of all
}

// Matches tells whether a query selects an event.
func (q HistoryQuery) Matches(ev Event) bool {
	if ev.Time.Before(q.Since) {
		return false
	}
	if q.Router == "" && q.Service == "" {
		return true
	}
	service, _, _ := strings.Cut(ev.Name, "/") // the name of a server begins with that of its service
	switch ev.On {
	case OnRouter:
		return q.Router != "" && ev.Name == q.Router
	case OnService, OnServer:
		return q.Service != "" && (service == q.Service || ev.Name == q.Service)
	}
	return false
}

// An EventStream is a subscription to events.
type EventStream struct {
	Before []Event // that have happened already
	// Next has the events that happen. It is closed when the director leaves, or when the reader is too slow.
	Next <-chan Event
	// Dropped says, after Next was closed, whether the reader was too slow.
	Dropped func() bool
	// Close ends the subscription.
	Close func()
}
