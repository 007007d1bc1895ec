// SPDX-License-Identifier: Apache-2.0

// Package history records what happens to a director, with causes, and tells it in words. It does no input or output.
package history

import (
	"fmt"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// The limits of what is recorded. A thousand servers that come and go must not push what happened to the virtual routers out
// of the file, and neither must the hooks: each change of a virtual router makes several events of hooks.
const (
	burst         = 1000 // events of each class at once
	serverPause   = 10 * time.Second
	directorPause = time.Second
	// maxText is the maximum number of bytes of a text. A configuration that is refused can have thousands of mistakes: an agent that
	// tries it again and again would fill the memory, and push all other events out of the file.
	maxText = 2000
)

// A class of subjects has a limit of its own.
const (
	directorClass = iota // virtual routers, and the director itself
	serverClass          // services and real servers
	hookClass            // what hooks were told
	classes
)

var (
	pauses = [classes]time.Duration{directorClass: directorPause, serverClass: serverPause, hookClass: directorPause}
	kinds  = [classes]string{
		directorClass: "of virtual routers and of the director", serverClass: "of services and real servers", hookClass: "of hooks",
	}
)

// A Recorder collects the events of a step. It leaves events out when there are too many, and says so afterwards. It never leaves out
// the end of a director: the next director would say that this one was killed.
type Recorder struct {
	events []api.Event
	left   [classes]int       // events that may be recorded now
	filled [classes]time.Time // when left was last raised
	missed [classes]int
}

// Add records an event.
func (r *Recorder) Add(ev api.Event) {
	c := classOf(ev)
	r.fill(c, ev.Time)
	stopped := isStopped(ev)
	if r.left[c] == 0 && !stopped {
		r.missed[c]++
		return
	}
	if n := r.missed[c]; n > 0 {
		r.missed[c] = 0
		r.events = append(r.events, api.Event{
			Time: ev.Time, Director: ev.Director, Kind: api.EventWarning, On: api.OnDirector, Name: ev.Director,
			What: fmt.Sprintf("left out %d events %s", n, kinds[c]), Cause: "there were too many",
		})
	}
	if !stopped {
		r.left[c]--
	}
	ev.What, ev.Cause = short(ev.What), short(ev.Cause)
	r.events = append(r.events, ev)
}

func classOf(ev api.Event) int {
	switch {
	case ev.Kind == api.EventHook:
		return hookClass
	case ev.On == api.OnServer || ev.On == api.OnService:
		return serverClass
	}
	return directorClass
}

// short cuts a text that is too long. The rest of it is not kept in memory.
func short(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText-len("…")], "") + "…"
}

// fill raises the number of events of a class that may be recorded.
func (r *Recorder) fill(c int, now time.Time) {
	if r.filled[c].IsZero() {
		r.left[c], r.filled[c] = burst, now
		return
	}
	n := int(min(now.Sub(r.filled[c])/pauses[c], burst))
	if n > 0 {
		r.left[c] = min(r.left[c]+n, burst)
		r.filled[c] = now
	}
	if now.Before(r.filled[c]) { // the clock was set back
		r.filled[c] = now
	}
}

// Take returns the events since the last call.
func (r *Recorder) Take() []api.Event {
	all := r.events
	r.events = nil
	return all
}
