// SPDX-License-Identifier: Apache-2.0

package core

import (
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// A File is a file of the state directory that a restart needs.
type File uint8

// The files, by their names in the state directory.
const (
	OverridesFile File = iota + 1 // orders.json
	StandbyFile                   // standby.json
	DrainsFile                    // leaving.json
	HooksFile                     // hooks.json
	RevisionsFile                 // revisions.json
	endOfFiles                    // none
)

// storeTimeout is how long a write may take. After it, the status warns and a command is answered without waiting for the
// file.
const storeTimeout = 2 * time.Second

// A fileState says which generation of a file is wanted, and which is on the disk.
type fileState struct {
	wanted, stored uint64 // generations
	since          time.Time
	problem        string
}

// store requests that a file is written.
func (s *State) store(f File, value any) {
	state := &s.files[f]
	if state.wanted == state.stored {
		state.since = s.now
	}
	state.wanted++
	s.out.Files = append(s.out.Files, FileValue{File: f, Generation: state.wanted, Value: value})
}

func (ev Stored) on(s *State) {
	state := &s.files[ev.File]
	if ev.Problem == "" {
		state.stored = max(state.stored, ev.Generation)
	}
	if ev.Problem != "" && ev.Problem != state.problem {
		s.log(Error, "failed to write to the state directory", "file", ev.File.String(), "error", ev.Problem)
		s.recordDirector(api.EventWarning, "failed to write "+ev.File.String()+" of the state directory", ev.Problem)
	}
	if ev.Problem == "" && state.problem != "" && state.stored == state.wanted {
		s.log(Info, "wrote to the state directory again", "file", ev.File.String())
		s.recordDirector(api.EventWarning, "wrote "+ev.File.String()+" of the state directory again", "")
	}
	state.problem = ev.Problem
	if ev.File == RevisionsFile && state.stored == state.wanted {
		s.revisions.forgetWritten()
	}
}

// lacks returns why a generation of a file is not on the disk. If the file is written, why is empty and done is true. If it may
// still be written in time, why is empty and done is false.
func (f fileState) lacks(generation uint64, now time.Time) (why string, done bool) {
	switch {
	case f.stored >= generation:
		return "", true
	case f.problem != "":
		return f.problem, true
	case now.Sub(f.since) >= storeTimeout:
		return "the disk does not answer", true
	}
	return "", false
}

// A StateDir is what a restart has forgotten or would forget, because the state directory does not work.
type StateDir struct {
	Unread    []string // errors of the files that could not be read when the director started
	Unusable  string   // why nothing can be written
	Unwritten []UnwrittenFile
	Unowned   string // why the list of our own IPVS services could not be written
	History   HistoryFile
}

// An UnwrittenFile is a file whose latest value is not on the disk.
type UnwrittenFile struct {
	File    File
	Problem string
}

// stateDir returns what does not work in the state directory.
func (s *State) stateDir(now time.Time) StateDir {
	dir := StateDir{Unread: s.unread, Unusable: s.unusable, Unowned: s.unowned, History: s.historyFile(now)}
	for f := OverridesFile; f < endOfFiles; f++ {
		state := s.files[f]
		if why, _ := state.lacks(state.wanted, now); why != "" {
			dir.Unwritten = append(dir.Unwritten, UnwrittenFile{f, why})
		}
	}
	return dir
}
