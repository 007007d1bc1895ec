// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"time"
)

// A File is a file of the state directory that a restart needs.
type File uint8

// The files, by their names in the state directory.
const (
	OverridesFile File = iota + 1 // orders.json
	StandbyFile                   // standby.json
	DrainsFile                    // leaving.json
	HooksFile                     // hooks.json
	endOfFiles                    // none
)

// holds returns in words what the file is for.
func (f File) holds() string {
	switch f {
	case OverridesFile:
		return "what operators ordered about real servers"
	case StandbyFile:
		return "which virtual routers stand by on command"
	case HooksFile:
		return "what hooks were told last"
	}
	return "which removed servers are draining"
}

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
	}
	if ev.Problem == "" && state.problem != "" && state.stored == state.wanted {
		s.log(Info, "wrote to the state directory again", "file", ev.File.String())
	}
	state.problem = ev.Problem
}

// lacks returns why the generation of a file is not on the disk. If it is there, or may still be written in time, the answer
// is empty: done distinguishes the two.
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

// forgotten returns sentences about the state that a restart would forget.
func (s *State) forgotten(now time.Time) (all []string) {
	all = append(all, s.startProblems...)
	for f := OverridesFile; f < endOfFiles; f++ {
		state := s.files[f]
		if why, _ := state.lacks(state.wanted, now); why != "" {
			all = append(all, fmt.Sprintf("%s is not remembered: %s: a restart would forget it", f.holds(), why))
		}
	}
	if s.unowned != "" {
		all = append(all, fmt.Sprintf("which IPVS services are ours is not remembered: %s", s.unowned))
	}
	return all
}
