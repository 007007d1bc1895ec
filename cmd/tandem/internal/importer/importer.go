// SPDX-License-Identifier: Apache-2.0

// Package importer converts the configuration of keepalived, or what ipvsadm has saved, to that of tandem.
//
// A file goes through five steps. The reader follows includes, conditions, parameters and sequences, and leaves plain lines, each
// with its place. The parser makes a tree of statements. The converter looks each keyword up in the table of keywords, and
// translates it or notes what to do instead. The document is written as `tandem fmt` writes it. At last package configs reads the
// result: what it refuses is told with the line of keepalived's file.
//
// The package is pure: files come from an interface that is handed in.
package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// A Place is a line of a file.
type Place struct {
	File string
	Line int // from 1; 0: the file as a whole
}

// A Note is about something that the converted file does not have, or has in another way. Or it is the reason of a refusal.
type Note struct {
	Place
	Text string // what it is about: "dbus_service_name: has no equivalent"
	Do   string // what to do; may be empty
}

// String writes a note in one line, file and line first.
func (n Note) String() string {
	s := n.place() + ": " + n.Text
	if n.Do != "" {
		s += "; " + n.Do
	}
	return oneLine(s)
}

// place writes the file and the line.
func (p Place) place() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// A Result is what became of a file.
type Result struct {
	Text    string // the converted file; empty if anything was refused
	Notes   []Note
	Refused []Note // why there is no converted file
}

// Files are the files that a configuration may include.
type Files interface {
	// Match returns the names of the files that match a pattern in the form of path.Match, sorted.
	Match(pattern string) ([]string, error)
	// Read returns the text of a file.
	Read(name string) ([]byte, error)
}

// A Source is the configuration of one director.
type Source struct {
	File string
	Text []byte
	// ID is what lines that begin with @ID are for. It is keepalived's option --config-id, by default the host name.
	ID string
	// Name is the director's name. If it is empty, it is the router_id.
	Name string
}

// An Importer has what all sources have in common.
type Importer struct {
	Files Files // nil: there are none
	// ScriptUser is the user that runs scripts which name none: keepalived_script if the machine has this user, otherwise root.
	ScriptUser string
}

// Keepalived converts the configuration of one director.
func (i Importer) Keepalived(s Source) Result {
	c := newConverter(i)
	c.ids = []string{s.ID}
	d := c.convert(s)
	return c.finish(s, d)
}

// Pair converts the configurations of two directors to one file for both.
func (i Importer) Pair(a, b Source) Result {
	c := newConverter(i)
	c.ids = []string{a.ID, b.ID}
	first := c.convert(a)
	c.startPeer()
	second := c.convert(b)
	return c.finish(a, c.pair(first, second, a, b))
}

// report collects notes and refusals, each once.
type report struct {
	notes   []Note
	refused []Note
	known   map[Note]bool
}

func (r *report) note(at Place, do, format string, args ...any) {
	if n := (Note{at, fmt.Sprintf(format, args...), do}); r.isNew(n) {
		r.notes = append(r.notes, n)
	}
}

func (r *report) refuse(at Place, do, format string, args ...any) {
	if n := (Note{at, fmt.Sprintf(format, args...), do}); len(r.refused) == 0 || r.isNew(n) { // a refusal is never dropped
		r.refused = append(r.refused, n)
	}
}

// maxNotes limits what a file that says the same a million times causes.
const maxNotes = 1000

func (r *report) isNew(n Note) bool {
	if len(r.known) >= maxNotes || r.known[n] {
		return false
	}
	if r.known == nil {
		r.known = make(map[Note]bool)
	}
	r.known[n] = true
	return true
}

// sorted orders notes by file and line. The file that was named first stays first.
func sorted(notes []Note, files []string) []Note {
	rank := func(n Note) int {
		if i := slices.Index(files, n.File); i >= 0 {
			return i
		}
		return len(files)
	}
	slices.SortStableFunc(notes, func(a, b Note) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return notes
}
