// SPDX-License-Identifier: Apache-2.0

package director

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/report"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/revision"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/workers"
)

// Reload reads the configuration file again. If the file has mistakes, or changes something that a running director cannot
// change, nothing changes and the error says why. The file is read here, so that a slow disk delays nobody else. If the file has
// not changed since another configuration was applied, that one is loaded again.
func (d *Director) Reload(by string) (control.Applied, error) {
	defer d.lockReload()()
	c, err := d.candidate(control.PlanRequest{})
	if err != nil {
		d.post(core.ReloadRefused{By: by, Problem: strings.ReplaceAll(err.Error(), "\n", "; ")})
		return control.Applied{}, err
	}
	return d.enforce(by, c, core.Change{How: revision.Reloaded})
}

// Apply puts the configuration of a plan into force, if the configuration is still in force for which the plan was made.
func (d *Director) Apply(by string, r control.ApplyRequest) (control.Applied, error) {
	return d.applyPlan(by, r, false)
}

// applyPlan is Apply. byPeer says that the other director asks.
func (d *Director) applyPlan(by string, r control.ApplyRequest, byPeer bool) (control.Applied, error) {
	confirm, err := waitTime(r.ConfirmSeconds)
	if err != nil {
		return control.Applied{}, err
	}
	c, err := d.candidates.find(r.Plan, byPeer)
	if err != nil {
		return control.Applied{}, err
	}
	defer d.lockReload()()
	if c.isOwn {
		if own, err := readOwn(d.loader, d.file); err != nil || own.digest != c.config.SHA256 {
			return control.Applied{}, fmt.Errorf("%s has changed since the plan %s was made: run tandem plan again", d.file, r.Plan)
		}
	}
	// Secrets and variables may have changed since.
	cfg, err := parse(d.loader, c.files)
	if err != nil {
		return control.Applied{}, err
	}
	if cfg.Name != c.config.Name {
		return control.Applied{}, fmt.Errorf("the plan %s is for the director %s, and this is %s", r.Plan, c.config.Name, cfg.Name)
	}
	if err := d.checkMachine(cfg); err != nil {
		return control.Applied{}, err
	}
	c.config = cfg
	change := core.Change{How: revision.Applied, Base: c.base, Confirm: confirm}
	if c.of > 0 {
		change.How, change.Of = revision.RolledBack, c.of
	}
	return d.enforce(by, c, change)
}

// waitTime returns the time for a confirmation.
func waitTime(seconds float64) (time.Duration, error) {
	wait := time.Duration(seconds * float64(time.Second))
	if seconds != 0 && (wait < control.MinConfirm || wait > control.MaxConfirm) { // wait can be rounded to 0
		return 0, fmt.Errorf("the time for the confirmation, %s, is out of range: want %s to %s", wait, control.MinConfirm, control.MaxConfirm)
	}
	return wait, nil
}

// enforce puts a candidate into force.
func (d *Director) enforce(by string, c candidate, change core.Change) (control.Applied, error) {
	lines, texts, warnings, found := d.changes(c.config)
	own, err := readOwn(d.loader, d.file)
	if c.isOwn {
		own.digest = c.config.SHA256 // what was read is in force; what was edited meanwhile counts next time
	} else if err != nil {
		warnings = append(warnings, err.Error())
		if shot := d.snapshot(); shot != nil {
			own.digest = shot.Revisions.Own
		}
	}
	change.Files, change.Own, change.Lines, change.Boot = c.files, own.digest, texts, bootNow()
	numbers, present := workers.ReadNumbers(c.config.Tracks), workers.ReadMaintenance(c.config.MaintenanceFiles())
	reply := d.ask(func(r core.Request) core.Event {
		return core.Reload{Request: r, By: by, Config: c.config, Numbers: numbers, Maintenance: present, Change: &change, Found: found}
	})
	return d.applied(reply, lines, warnings)
}

// applied answers a command about the configuration.
func (d *Director) applied(reply core.Reply, lines []control.PlanLine, warnings []string) (control.Applied, error) {
	done := control.Applied{Lines: lines, Warnings: warnings, NotRemembered: reply.NotRemembered}
	if reply.Err != nil {
		return done, reply.Err
	}
	shot := d.snapshot()
	if shot == nil {
		return done, errEnded
	}
	done.Config = report.Config(shot)
	if shot.Revisions.Apart() {
		done.Warnings = append(done.Warnings, report.RevisionWarnings(shot)...)
	}
	if done.Lines == nil {
		done.Lines = []control.PlanLine{}
	}
	if done.Warnings == nil {
		done.Warnings = []string{}
	}
	return done, nil
}

// Confirm says that the configuration in force stays, which waits for confirmation.
func (d *Director) Confirm(by string) (control.Applied, error) {
	return d.applied(d.ask(func(r core.Request) core.Event { return core.Confirm{Request: r, By: by} }), nil, nil)
}

// Rollback puts a former revision in force again. Without a number it is the former one, if the one in force waits for
// confirmation, and otherwise the latest that has other files.
func (d *Director) Rollback(by string, r control.RollbackRequest) (control.Applied, error) {
	confirm, err := waitTime(r.ConfirmSeconds)
	if err != nil {
		return control.Applied{}, err
	}
	defer d.lockReload()()
	shot := d.snapshot()
	if shot == nil {
		return control.Applied{}, errEnded
	}
	if w := shot.Revisions.Waiting; w != nil && (r.Revision == 0 || r.Revision == w.Former) {
		return d.rollBackWaiting(by, shot, confirm)
	}
	is := shot.Revisions.Current()
	to, err := shot.Revisions.Before(is.Number)
	if r.Revision > 0 {
		to, err = shot.Revisions.Find(r.Revision)
	}
	if err != nil {
		return control.Applied{}, err
	}
	if to.SHA256 == is.SHA256 {
		return control.Applied{}, fmt.Errorf("revision %d has the files that are in force", to.Number)
	}
	c := candidate{}
	if c.files, err = d.filesOf(shot, to); err != nil {
		return control.Applied{}, err
	}
	if c.config, err = parse(d.loader, c.files); err != nil {
		return control.Applied{}, err
	}
	if err := d.checkMachine(c.config); err != nil {
		return control.Applied{}, err
	}
	return d.enforce(by, c, core.Change{How: revision.RolledBack, Of: to.Number, Confirm: confirm})
}

// rollBackWaiting puts the former revision in force instead of one that waits for confirmation.
func (d *Director) rollBackWaiting(by string, shot *core.Snapshot, confirm time.Duration) (control.Applied, error) {
	if confirm > 0 {
		return control.Applied{}, errors.New("a rollback of what waits for confirmation needs no confirmation itself: leave --confirm out")
	}
	var lines []control.PlanLine
	var warnings []string
	if former := shot.Revisions.Former; former != nil {
		lines, _, warnings, _ = d.changes(former.Config)
	}
	return d.applied(d.ask(func(r core.Request) core.Event { return core.RollBack{Request: r, By: by} }), lines, warnings)
}

// ConfigLog returns the configurations that were in force, the oldest first.
func (d *Director) ConfigLog() (control.ConfigLog, error) {
	shot := d.snapshot()
	if shot == nil {
		return control.ConfigLog{}, errEnded
	}
	return configLog(shot.Revisions.State, report.Config(shot).Waits), nil
}

// ConfigFiles returns the files of a revision.
func (d *Director) ConfigFiles(r control.ConfigSelection) (control.ConfigFiles, error) {
	shot := d.snapshot()
	if shot == nil {
		return control.ConfigFiles{}, errEnded
	}
	is, err := selected(shot.Revisions.State, r)
	if err != nil {
		return control.ConfigFiles{}, err
	}
	f, err := d.filesOf(shot, is)
	return configFiles(is, f), err
}
