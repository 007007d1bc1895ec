// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"time"
)

// A File is one of those that remember what a restart must know.
type File uint8

// The files, by their names in the state directory.
const (
	OrdersFile  File = iota + 1 // orders.json
	StandbyFile                 // standby.json
	DrainsFile                  // leaving.json
	endOfFiles                  // none
)

// holds says what the file is for.
func (f File) holds() string {
	switch f {
	case OrdersFile:
		return "what operators ordered about real servers"
	case StandbyFile:
		return "which virtual routers stand by on command"
	}
	return "which removed servers are draining"
}

// storeTimeout is how long the disk may take before that is worth a warning, and before a command is answered without it.
const storeTimeout = 2 * time.Second

// A fileState is how the keeping of a file stands.
type fileState struct {
	wanted, stored uint64 // generations
	since          time.Time
	problem        string
}

// store has a file written.
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

// lacks says why the generation of a file is not on the disk. An empty answer means that it is, or that there is still
// time: done tells the two apart.
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

// forgotten are sentences about what a restart would forget.
func (s *State) forgotten(now time.Time) (all []string) {
	all = append(all, s.startProblems...)
	for f := OrdersFile; f < endOfFiles; f++ {
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
