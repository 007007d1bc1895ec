// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// An ApplyRequest applies a plan.
type ApplyRequest struct {
	Plan string `json:"plan"` // its ID
	// ConfirmSeconds is how long the configuration waits for confirmation, before the former one follows; 0: it does not wait.
	ConfirmSeconds float64 `json:"confirm_seconds,omitempty"`
}

// The limits of ConfirmSeconds.
const (
	MinConfirm = time.Second
	MaxConfirm = 24 * time.Hour
)

// A RollbackRequest puts a former configuration in force again.
type RollbackRequest struct {
	// Revision is its number; 0: the former one, or the latest that differs from the one in force.
	Revision       int     `json:"revision,omitempty"`
	ConfirmSeconds float64 `json:"confirm_seconds,omitempty"` // as in ApplyRequest
}

// A WaitingRevision names a revision that waits for confirmation.
type WaitingRevision struct {
	Revision int `json:"revision"` // its number
}

// An Applied is the answer to a command about the configuration. It says what is in force.
type Applied struct {
	Config
	Lines []PlanLine `json:"lines"` // what has changed; empty: nothing
	// Warnings are about the file, and about what is not known about the change.
	Warnings []string `json:"warnings"`
	// NotRemembered is why the state directory does not have it. Empty: it does.
	NotRemembered string `json:"not_remembered,omitempty"`
}

// A Wait says that the configuration in force waits for confirmation.
type Wait struct {
	Former int       `json:"former"` // the revision that follows otherwise
	Until  time.Time `json:"until"`
}

// A Revision is a configuration that was in force, or is.
type Revision struct {
	Number  int       `json:"number"`       // from 1
	At      time.Time `json:"at"`           // when it came into force
	How     string    `json:"how"`          // start, reload, apply, rollback or automatic rollback
	Of      int       `json:"of,omitempty"` // the revision that a rollback made current again
	File    string    `json:"file"`
	SHA256  string    `json:"sha256"` // as in Config
	Bytes   int64     `json:"bytes"`  // of its files
	Changes int       `json:"changes"`
	Lines   []string  `json:"lines,omitempty"` // the first of its changes
}

// A ConfigLog are the revisions that are kept, the oldest first. The last one is in force.
type ConfigLog struct {
	Revisions []Revision `json:"revisions"`
	Waits     *Wait      `json:"waits,omitempty"`
}

// A ConfigSelection asks for the files of a revision.
type ConfigSelection struct {
	Revision int `json:"revision"` // 0: the one in force
}

// ConfigFiles are the files of a revision.
type ConfigFiles struct {
	Revision Revision     `json:"revision"`
	Files    []ConfigFile `json:"files"` // first the file itself, then those that it includes
}

// A ConfigFile is one of them.
type ConfigFile struct {
	Name string `json:"name"`
	Text string `json:"text"`
}
