// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/revision"
	"github.com/tandem-lvs/tandem/configs"
)

// An Origin says where the first configuration of a director comes from.
type Origin struct {
	Saved revision.State // of earlier processes
	Begin revision.Start // what was decided from it, and was done
	Files revision.Files // those of the configuration
	Own   string         // the digest of the director's own files
	// Former is the configuration that follows if nobody confirms this one; nil: there is none, or it cannot be loaded.
	Former *Loaded
}

// A Loaded is a configuration, and what belongs to it.
type Loaded struct {
	Config  *configs.Config
	Numbers map[string]Number

	Maintenance Maintenance
}

// A Change says where the new configuration of a Reload comes from.
type Change struct {
	How   revision.How
	Files revision.Files
	Own   string   // the digest of the director's own files
	Of    int      // the revision that a rollback makes current again
	Lines []string // what changes
	// Base is the revision for which the change was planned. If another one is in force, the change is refused. 0: any.
	Base int
	// Confirm is how long the revision waits for confirmation, before the former one follows; 0: it does not wait.
	Confirm time.Duration
	Boot    revision.Boot // now
}

// A Confirm says that the revision in force stays.
type Confirm struct {
	Request Request
	By      string // as in Reload
}

// A RollBack puts the former revision in force again, instead of one that waits for confirmation.
type RollBack struct {
	Request Request
	By      string // as in Reload
}

// revisionState is what a director knows about its revisions.
type revisionState struct {
	is     revision.State
	files  map[string]revision.Files // by digest: those that may not be on the disk
	former *Loaded                   // of the revision that waits for confirmation; nil: it cannot be loaded
	until  time.Time                 // when its time is over
	// proposal is a change that comes into force when it is on the disk.
	proposal *proposal
	ended    string // how the last one ended that waited
	back     uint64 // how many were rolled back because nobody confirmed them
}

// A proposal is a Reload that waits for the disk.
type proposal struct {
	Reload
	next       revision.State
	until      time.Time
	generation uint64
}

// Revisions are the revisions in a Snapshot.
type Revisions struct {
	revision.State
	Files      map[string]revision.Files // by digest: some of them
	Until      time.Time                 // when the time for a confirmation is over
	Former     *Loaded                   // what follows then
	RolledBack uint64                    // how many revisions were rolled back because nobody confirmed them
}

// begin adopts the revisions of earlier processes.
func (s *State) begin(o *Origin) {
	r := &s.revisions
	r.is, r.files = o.Saved, map[string]revision.Files{s.cfg.SHA256: o.Files}
	was := r.is.Current()
	if o.Begin.Left > 0 {
		r.until, r.former = s.now.Add(o.Begin.Left), o.Former
		s.log(Warn, "the configuration still waits for confirmation", "revision", was.Number, "until", r.until.Format(time.RFC3339))
		return
	}
	rev := newRevision(s.now, s.cfg, &Change{How: revision.Started, Files: o.Files})
	former := 0
	if o.Begin.Cause != "" {
		if to, err := r.is.Find(r.is.Waiting.Former); err == nil && to.SHA256 == rev.SHA256 {
			former, rev.How, rev.Of = to.Number, revision.Unattended, to.Number
		}
		r.back++
		s.tellRollBack(was.Number, former, o.Begin.Cause)
	}
	next := r.is.Put(rev, o.Own)
	if next.Own != r.is.Own || next.Current().Number != was.Number || r.is.Waiting != nil {
		r.is = next
		s.storeRevisions(next)
	}
}

// newRevision returns a revision without a number.
func newRevision(now time.Time, cfg *configs.Config, c *Change) revision.Revision {
	r := revision.Revision{At: now.Round(0), File: cfg.File, SHA256: cfg.SHA256, Size: c.Files.Size(), How: c.How, Of: c.Of}
	r.Describe(c.Lines)
	return r
}

// after returns the revisions after a reload.
func (r *revisionState) after(now time.Time, ev Reload) revision.State {
	if ev.Change == nil {
		return r.is
	}
	if r.files == nil {
		r.files = make(map[string]revision.Files)
	}
	r.files[ev.Config.SHA256] = ev.Change.Files
	next := r.is.Put(newRevision(now, ev.Config, ev.Change), ev.Change.Own)
	if r.is.Waiting != nil { // other files would have been refused; an edit of the own ones counts afterwards
		next.Waiting, next.Own = r.is.Waiting, r.is.Own
	}
	return next
}

// storeRevisions requests that the revisions are written, with the files that may be missing on the disk.
func (s *State) storeRevisions(next revision.State) {
	kept := next.Digests()
	maps.DeleteFunc(s.revisions.files, func(digest string, _ revision.Files) bool { return !kept[digest] })
	s.store(RevisionsFile, revision.Kept{State: next, Files: maps.Clone(s.revisions.files)})
}

// forgetWritten forgets the files of revisions that are on the disk, except those in force.
func (r *revisionState) forgetWritten() {
	is := r.is.Current().SHA256
	maps.DeleteFunc(r.files, func(digest string, _ revision.Files) bool { return digest != is && r.proposal == nil })
}

// refusesReload returns why a new configuration cannot come into force now.
func (s *State) refusesReload(ev Reload) error {
	if err := fixed(s.cfg, ev.Config); err != nil {
		return err
	}
	r, c := &s.revisions, ev.Change
	if c == nil {
		return nil
	}
	is := r.is.Current()
	if r.proposal != nil {
		return errors.New("another configuration is being applied: try again in a moment")
	}
	if c.Base != 0 && c.Base != is.Number {
		return s.stale(c.Base)
	}
	if r.is.Waiting != nil && ev.Config.SHA256 != s.cfg.SHA256 {
		return fmt.Errorf("revision %d waits for confirmation until %s: run tandem confirm or tandem rollback first",
			is.Number, r.until.Format(time.RFC3339))
	}
	return nil
}

// stale says what has changed since a revision.
func (s *State) stale(base int) error {
	var since []string
	for _, r := range s.revisions.is.Since(base) {
		text := fmt.Sprintf("revision %d (%s of %s at %s)", r.Number, r.How, r.File, r.At.Format(time.RFC3339))
		if what := r.Summary(); what != "" {
			text += ": " + what
		}
		since = append(since, text)
	}
	return fmt.Errorf("the plan was made for revision %d, which is no longer in force; since then came %s; run tandem plan again",
		base, strings.Join(since, ", then "))
}

// propose stores a change that must be confirmed. It comes into force when it is on the disk: otherwise a restart of the director
// would forget that it must be confirmed.
func (s *State) propose(ev Reload) {
	c, r := ev.Change, &s.revisions
	until := s.now.Add(c.Confirm)
	next := r.after(s.now, ev)
	next.Waiting = &revision.Waiting{Former: r.is.Current().Number, Until: until.Round(0), End: c.Boot.Add(c.Confirm)}
	s.storeRevisions(next)
	r.proposal = &proposal{Reload: ev, next: next, until: until, generation: s.files[RevisionsFile].wanted}
}

// seeProposal puts a proposal into force when it is on the disk, and refuses it if it cannot be written.
func (s *State) seeProposal() {
	r := &s.revisions
	p := r.proposal
	if p == nil {
		return
	}
	why, done := s.files[RevisionsFile].lacks(p.generation, s.now)
	if !done {
		return
	}
	r.proposal = nil
	if why != "" {
		s.storeRevisions(r.is)
		s.refuse(p.Reload, fmt.Errorf("the state directory cannot be written: %s: nothing was changed, because after a restart the "+
			"director would not know that it must roll back; repair %s, or apply without --confirm", why, s.cfg.State.Dir))
		return
	}
	r.is, r.until, r.former = p.next, p.until, &Loaded{s.cfg, s.numbers, s.maintenance}
	s.load(p.Reload, p.next, true)
	s.answerLater(Reply{Request: p.Request}, RevisionsFile, true)
}

// load puts a new configuration into force. fresh says that it is a new revision.
func (s *State) load(ev Reload, next revision.State, fresh bool) {
	s.reloads.Done++
	was := s.cfg.SHA256
	s.find(ev.Found, ev.Config)
	s.enact(Loaded{ev.Config, ev.Numbers, ev.Maintenance})
	for _, w := range ev.Config.Warnings {
		s.log(Warn, "configuration", "warning", w.Error())
	}
	pairs := []any{"config", ev.Config.File, "sha256", ev.Config.SHA256}
	if fresh {
		pairs = append(pairs, "revision", next.Current().Number)
	}
	if next.Waiting != nil {
		pairs = append(pairs, "unless-confirmed-until", s.revisions.until.Format(time.RFC3339))
	}
	s.logOrder("configuration reloaded", ev.By, pairs...)
	s.logLines(ev.Change)
	loaded := api.Event{
		Kind: api.EventReload, On: api.OnDirector, Name: s.cfg.Name, What: s.loadedWhat(ev, next, fresh), Old: was, New: ev.Config.SHA256, By: ev.By,
	}
	if ev.By != "" {
		loaded.Cause = ordered(ev.By)
	}
	s.record(loaded)
}

// loadedWhat says in words what a reload did.
func (s *State) loadedWhat(ev Reload, next revision.State, fresh bool) string {
	what, c := "loaded the configuration of "+ev.Config.File, ev.Change
	if c == nil {
		return what
	}
	switch {
	case c.How == revision.RolledBack:
		what = fmt.Sprintf("rolled back to revision %d, the configuration of %s,", c.Of, ev.Config.File)
	case c.How == revision.Applied:
		what = "applied the configuration of " + ev.Config.File
	}
	if fresh {
		what += fmt.Sprintf(" as revision %d", next.Current().Number)
	}
	if fresh && next.Waiting != nil {
		what += ", until " + s.revisions.until.Format(time.RFC3339) + " unless it is confirmed"
	}
	if text := revision.Summary(c.Lines, len(c.Lines)); text != "" {
		what += ": " + text
	}
	return what
}

// maxLoggedLines is the maximum number of changes of one reload that are logged.
const maxLoggedLines = 50

// logLines logs what a reload changes.
func (s *State) logLines(c *Change) {
	if c == nil {
		return
	}
	for _, l := range c.Lines[:min(len(c.Lines), maxLoggedLines)] {
		s.log(Info, "configuration changes", "change", l)
	}
	if more := len(c.Lines) - maxLoggedLines; more > 0 {
		s.log(Info, "configuration changes", "more", more)
	}
}

func (ev Confirm) on(s *State) {
	r := &s.revisions
	if r.is.Waiting == nil {
		s.out.Replies = append(s.out.Replies, Reply{Request: ev.Request, Err: s.nothingWaits()})
		return
	}
	number := r.is.Current().Number
	r.is.Waiting, r.former, r.until = nil, nil, time.Time{}
	r.ended = fmt.Sprintf("revision %d was confirmed at %s", number, s.now.Format(time.RFC3339))
	s.logOrder("configuration confirmed", ev.By, "revision", number)
	s.record(api.Event{
		Kind: api.EventOrder, On: api.OnDirector, Name: s.cfg.Name, What: fmt.Sprintf("confirmed revision %d of the configuration", number),
		Cause: ordered(ev.By), By: ev.By,
	})
	s.storeRevisions(r.is)
	s.answerLater(Reply{Request: ev.Request}, RevisionsFile, false)
}

// nothingWaits is the error of a command that is about a revision that waits.
func (s *State) nothingWaits() error {
	if s.revisions.ended != "" {
		return errors.New("no configuration waits for confirmation: " + s.revisions.ended)
	}
	return errors.New("no configuration waits for confirmation")
}

func (ev RollBack) on(s *State) {
	r := &s.revisions
	err := s.nothingWaits()
	if r.is.Waiting != nil {
		if err = s.rollBack(revision.RolledBack, ordered(ev.By)); err == nil {
			s.answerLater(Reply{Request: ev.Request}, RevisionsFile, true)
			return
		}
	}
	s.out.Replies = append(s.out.Replies, Reply{Request: ev.Request, Err: err})
}

// seeConfirmation rolls back when the time for a confirmation is over.
func (s *State) seeConfirmation() {
	r := &s.revisions
	if r.is.Waiting == nil || s.now.Before(r.until) {
		return
	}
	if err := s.rollBack(revision.Unattended, "nobody confirmed it until "+r.until.Format(time.RFC3339)); err != nil {
		s.log(Error, "failed to roll back", "error", err)
		s.recordDirector(api.EventReload, "failed to roll back the configuration", err.Error())
		r.ended = err.Error()
		r.is.Waiting, r.until = nil, time.Time{}
		s.storeRevisions(r.is)
		return
	}
	r.back++
}

// rollBack puts the former revision into force instead of the one that waits for confirmation.
func (s *State) rollBack(how revision.How, cause string) error {
	r := &s.revisions
	from, to := r.is.Current().Number, r.is.Waiting.Former
	if r.former == nil {
		return fmt.Errorf("revision %d stays, because revision %d could not be loaded when the director started: repair that, and run tandem rollback %d",
			from, to, to)
	}
	rev := newRevision(s.now, r.former.Config, &Change{How: how, Of: to})
	if former, err := r.is.Find(to); err == nil {
		rev.Size = former.Size
	}
	s.enact(*r.former)
	r.is = r.is.Put(rev, r.is.Own)
	r.former, r.until = nil, time.Time{}
	s.tellRollBack(from, to, cause)
	s.storeRevisions(r.is)
	return nil
}

// tellRollBack logs and records that a revision was rolled back. to is 0 if the director's own files follow.
func (s *State) tellRollBack(from, to int, cause string) {
	follows := fmt.Sprintf("revision %d, the configuration of %s", to, s.cfg.File)
	if to == 0 {
		follows = "the director's own file " + s.cfg.File
	}
	s.revisions.ended = fmt.Sprintf("revision %d was rolled back at %s: %s", from, s.now.Format(time.RFC3339), cause)
	s.log(Warn, "configuration rolled back", "from", fmt.Sprintf("revision %d", from), "to", follows, "reason", cause)
	s.record(api.Event{
		Kind: api.EventReload, On: api.OnDirector, Name: s.cfg.Name, Cause: cause, New: s.cfg.SHA256,
		What: fmt.Sprintf("rolled back from revision %d to %s", from, follows),
	})
}

// shownRevisions returns the revisions for a snapshot.
func (s *State) shownRevisions() Revisions {
	r := s.revisions
	return Revisions{State: r.is, Files: maps.Clone(r.files), Until: r.until, Former: r.former, RolledBack: r.back}
}
