// SPDX-License-Identifier: Apache-2.0

// Package revision remembers which configurations were in force, and decides which one counts after a restart. It does no input
// or output.
//
// # Which configuration counts
//
// A configuration that comes into force gets a number: it is a revision. The director keeps a copy of the last ones in its state
// directory, with all included files. It never writes the file that it was started with: that file is an operator's, is perhaps a
// git checkout, and may include files that others maintain.
//
// The director's own file counts whenever it has changed. Each revision notes the digest that the director's own files had when it
// came into force (State.Own). As long as they still have this digest, the revision counts: over a reload, over a restart and
// over a reboot, also if it came from another file or is an older revision. If they have another digest, an operator has changed
// them, and they count at the next reload or restart, as they always did.
//
// # Confirmation
//
// A revision that waits for confirmation is stored with the moment of its end before it comes into force. The moment is a
// time of the machine's boot clock (CLOCK_BOOTTIME) and the identity of the boot: a wall clock that is set does not matter,
// a restarted director waits for what is left, and a machine that was restarted meanwhile goes back to the former revision. An
// edit of the director's own files during the wait counts afterwards.
//
// Others rewrite the operator's file (netplan try, VyOS), keep the roll-back in memory until a reboot (most commit-confirm
// implementations), or own the file (Junos, Nokia). The first two lose the roll-back with a restart, or let the next reload
// undo it. NixOS keeps each generation beside the operator's file, as is done here.
package revision

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// Keep is the number of revisions that are kept.
	Keep = 20
	// MaxBytes is the maximum size of all kept files. The revision in force and the one before are kept in any case.
	MaxBytes = 64 << 20
	// maxLines and maxLine limit what a revision remembers of its changes.
	maxLines, maxLine = 20, 200
)

// A How says how a revision came into force.
type How string

// The ways.
const (
	Started    How = "start"
	Reloaded   How = "reload"
	Applied    How = "apply"
	RolledBack How = "rollback"
	Unattended How = "automatic rollback" // because nobody confirmed the revision before
)

// Files are the files of a configuration, as they were read. Secrets that the configuration keeps in other files are not in them.
type Files struct {
	File     string              `json:"file"` // its name
	Text     string              `json:"text"`
	Matches  map[string][]string `json:"matches,omitempty"`  // by pattern of include: the names
	Included map[string]string   `json:"included,omitempty"` // by name: the text
}

// Size returns the number of bytes of the texts.
func (f Files) Size() (n int64) {
	n = int64(len(f.Text))
	for _, text := range f.Included {
		n += int64(len(text))
	}
	return n
}

// Names returns the names of the files: first the file itself, then those that are included, in order.
func (f Files) Names() []string {
	return append([]string{f.File}, slices.Sorted(maps.Keys(f.Included))...)
}

// TextOf returns the text of one of the files.
func (f Files) TextOf(name string) string {
	if name == f.File {
		return f.Text
	}
	return f.Included[name]
}

// A Revision is a configuration that came into force.
type Revision struct {
	Number int       `json:"number"` // from 1
	At     time.Time `json:"at"`
	File   string    `json:"file"`   // its name
	SHA256 string    `json:"sha256"` // of its files, see configs.Config
	Size   int64     `json:"size"`   // of its files in bytes
	How    How       `json:"how"`
	// Of is the revision that a rollback made current again; 0: it was no rollback.
	Of int `json:"of,omitempty"`
	// Lines are the changes that it made, at most maxLines. Changes is their number.
	Lines   []string `json:"lines,omitempty"`
	Changes int      `json:"changes,omitempty"`
}

// Describe sets the changes.
func (r *Revision) Describe(lines []string) {
	r.Changes, r.Lines = len(lines), nil
	for _, l := range lines[:min(len(lines), maxLines)] {
		if runes := []rune(l); len(runes) > maxLine {
			l = string(runes[:maxLine-1]) + "…"
		}
		r.Lines = append(r.Lines, l)
	}
}

// Summary returns the first changes in one sentence, or "".
func (r Revision) Summary() string { return Summary(r.Lines, r.Changes) }

// Summary joins the first lines. total is the number of all.
func Summary(lines []string, total int) string {
	const most = 4
	first := lines[:min(len(lines), most)]
	text := strings.Join(first, "; ")
	if more := total - len(first); more > 0 && text != "" {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// A Boot is a moment of the machine's boot clock, which neither stops nor is set. The ID is that of the boot.
type Boot struct {
	ID    string        `json:"id"`
	Clock time.Duration `json:"clock_ns"`
}

// Add returns the moment after d.
func (b Boot) Add(d time.Duration) Boot { return Boot{b.ID, b.Clock + d} }

// Left returns the time from now to the moment. It is false if the machine was restarted meanwhile.
func (b Boot) Left(now Boot) (left time.Duration, same bool) {
	return b.Clock - now.Clock, b.ID != "" && b.ID == now.ID
}

// Waiting says that the revision in force waits for confirmation.
type Waiting struct {
	Former int       `json:"former"` // the revision that follows otherwise
	Until  time.Time `json:"until"`  // for people
	End    Boot      `json:"end"`
}

// A State is what is remembered. States share memory: nobody changes a value in place.
type State struct {
	// Revisions are those that are kept, the oldest first. The last one is in force.
	Revisions []Revision `json:"revisions,omitempty"`
	// Own is the digest that the director's own files had when the last revision came into force.
	Own     string   `json:"own,omitempty"`
	Waiting *Waiting `json:"waiting,omitempty"`
}

// Validate returns an error if the state makes no sense.
func (s State) Validate() error {
	for i, r := range s.Revisions {
		if r.SHA256 == "" || strings.ContainsAny(r.SHA256, "/.") {
			return fmt.Errorf("revision %d has the digest %q", r.Number, r.SHA256)
		}
		if r.Number < 1 || i > 0 && r.Number <= s.Revisions[i-1].Number {
			return fmt.Errorf("revision %d is at the wrong place", r.Number)
		}
	}
	if w := s.Waiting; w != nil {
		if _, err := s.Find(w.Former); err != nil || w.Former == s.Current().Number {
			return errors.New("a revision waits for confirmation, but the former one is missing")
		}
	}
	return nil
}

// Current returns the revision in force; the zero value if none is known.
func (s State) Current() Revision {
	if len(s.Revisions) == 0 {
		return Revision{}
	}
	return s.Revisions[len(s.Revisions)-1]
}

// Find returns a revision. The error says which ones there are.
func (s State) Find(number int) (Revision, error) {
	for _, r := range s.Revisions {
		if r.Number == number {
			return r, nil
		}
	}
	if len(s.Revisions) == 0 {
		return Revision{}, fmt.Errorf("there is no revision %d: none is kept", number)
	}
	return Revision{}, fmt.Errorf("there is no revision %d: those from %d to %d are kept, see tandem config log",
		number, s.Revisions[0].Number, s.Current().Number)
}

// FindFiles returns the latest revision whose files have that digest.
func (s State) FindFiles(digest string) (Revision, error) {
	for _, r := range slices.Backward(s.Revisions) {
		if r.SHA256 == digest {
			return r, nil
		}
	}
	return Revision{}, fmt.Errorf("no revision that is kept has these files (SHA-256 %s): see tandem config log", digest)
}

// Before returns the latest revision with other files than the one given.
func (s State) Before(number int) (Revision, error) {
	r, err := s.Find(number)
	if err != nil {
		return r, err
	}
	for _, before := range slices.Backward(s.Revisions) {
		if before.Number < number && before.SHA256 != r.SHA256 {
			return before, nil
		}
	}
	return Revision{}, fmt.Errorf("no revision before %d is kept", number)
}

// Since returns the revisions that came into force after one.
func (s State) Since(number int) []Revision {
	i := slices.IndexFunc(s.Revisions, func(r Revision) bool { return r.Number > number })
	if i < 0 {
		return nil
	}
	return s.Revisions[i:]
}

// Apart tells whether something else is in force than the director's own files had when it came into force.
func (s State) Apart() bool { return len(s.Revisions) > 0 && s.Current().SHA256 != s.Own }

// Counts tells whether the revision in force counts at a reload, and not the director's own files, which have this digest.
func (s State) Counts(own string) bool { return s.Apart() && s.Own == own }

// Put returns the state after a revision came into force while the director's own files had that digest. If the revision has the
// same files as the one before, it gets no number of its own. What waited for confirmation waits no longer.
func (s State) Put(r Revision, own string) State {
	next := State{Revisions: s.Revisions, Own: own}
	if is := s.Current(); is.SHA256 == r.SHA256 {
		return next
	}
	r.Number = s.Current().Number + 1
	next.Revisions = append(slices.Clone(s.Revisions), r)
	for next.tooMuch() {
		next.Revisions = next.Revisions[1:]
	}
	return next
}

func (s State) tooMuch() bool {
	size, seen := int64(0), make(map[string]bool)
	for _, r := range s.Revisions {
		if !seen[r.SHA256] {
			size += r.Size
		}
		seen[r.SHA256] = true
	}
	return len(s.Revisions) > Keep || len(s.Revisions) > 2 && size > MaxBytes
}

// Digests returns the digests of all revisions that are kept.
func (s State) Digests() map[string]bool {
	all := make(map[string]bool, len(s.Revisions))
	for _, r := range s.Revisions {
		all[r.SHA256] = true
	}
	return all
}

// A Start says what a director starts with.
type Start struct {
	Revision int // 0: its own files
	// Left is how long the revision still waits for confirmation; 0: it does not wait.
	Left time.Duration
	// Cause is why the revision that waited is rolled back; empty: none is.
	Cause string
}

// Start decides what a director starts with, whose own files have this digest.
func (s State) Start(own string, now Boot) Start {
	w := s.Waiting
	if w == nil {
		if s.Counts(own) {
			return Start{Revision: s.Current().Number}
		}
		return Start{}
	}
	left, same := w.End.Left(now)
	if same && left > 0 {
		return Start{Revision: s.Current().Number, Left: left}
	}
	back := Start{Cause: "nobody confirmed it until " + w.Until.Format(time.RFC3339) + ", when no director ran"}
	if !same {
		back.Cause = "the machine was restarted before anybody confirmed it"
	}
	if former, err := s.Find(w.Former); err == nil && s.Own == own && former.SHA256 != own {
		back.Revision = former.Number
	}
	return back
}

// Kept is what is written to the state directory.
type Kept struct {
	State
	// Files has, by digest, those that may not be written yet.
	Files map[string]Files
}
