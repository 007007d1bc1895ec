// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/handoff"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/supervise"
)

// The installed version replaces this one in the same process. The kernel's table, the addresses and the files of the state directory
// stay as they are, as after a crash. The election process goes on, as if nothing had happened, until that of the new version has
// taken over from it: see packages handoff, supervise and election.

// A Replacement puts the installed program into this process.
type Replacement interface {
	// Check says why the installed program cannot take over what the document describes. It changes nothing.
	Check(ctx context.Context, d handoff.Document) error
	// Exec returns only if it fails, and then nothing has changed.
	Exec(d handoff.Document) error
}

// Upgrade replaces this program by the installed one. It returns only if this fails: then everything goes on as before.
func (d *Director) Upgrade(by string) error {
	if d.replacement == nil {
		return errors.New("this director cannot be replaced")
	}
	defer d.lockReload()()
	s := d.Status()
	switch {
	case s.Config.SHA256 == "":
		return errors.New("this director is starting or leaving: try again in a moment")
	case s.Config.Waits != nil:
		return errors.New("the configuration waits for confirmation: run tandem confirm or tandem rollback first")
	case s.Drill != nil:
		return errors.New("a drill is under way: wait for its end, or stop it")
	}
	ctx := context.Background()
	is, end, err := d.elections.HandOff(ctx)
	if err != nil {
		return err
	}
	defer end()
	document := handoff.Document{
		Format: handoff.Format, Version: d.version, Count: 1, File: d.file, SHA256: s.Config.SHA256, Election: is,
	}
	if f := d.handoff; f != nil {
		document.Count += f.Count
	}
	if err := d.replacement.Check(ctx, document); err != nil {
		return err
	}
	d.log.Info("the installed version replaces this one", "version", d.version, "by", by)
	err = d.replacement.Exec(document)
	d.log.Error("failed to replace this version: it goes on", "error", err)
	return err
}

// CanFollow reports whether a director that starts with this configuration can follow the one that hands off.
func (b *Beginning) CanFollow(d handoff.Document) error {
	switch {
	case b.file != d.File:
		return fmt.Errorf("the configuration is %s, and that of the running director is %s", b.file, d.File)
	case b.Config.SHA256 != d.SHA256:
		return fmt.Errorf("%s has changed since it was loaded: run tandem plan and tandem reload first", b.file)
	}
	return nil
}

// adopt takes over the election of the former version.
func (d *Director) adopt() {
	if d.handoff == nil {
		return
	}
	d.replaced = time.Now()
	d.log.Info("replaced the former version in the same process", "former", d.handoff.Version, "version", d.version)
	if d.handoff.Election == nil {
		return
	}
	e := *d.handoff.Election
	former, err := supervise.Inherit(e)
	if err != nil {
		d.log.Error("failed to take over the election of the former version: it takes this director for dead", "error", err)
		return
	}
	d.adopted = true
	d.elections.Adopt(former, e.Order, e.Report)
}

// settleTimeout is how long the election of a former version goes on at most until that of this version is started. A check that takes
// longer starts as unknown.
const settleTimeout = 10 * time.Second

// awaitSettled waits until the first results of checks and tracks are there: the election of the former version knows them.
func (d *Director) awaitSettled(ctx context.Context) {
	if !d.adopted {
		return
	}
	select {
	case <-d.settled:
	case <-time.After(settleTimeout):
	case <-ctx.Done():
	}
}

// upgraded says what this director has replaced; nil: nothing.
func (d *Director) upgraded() *control.Upgraded {
	if d.handoff == nil {
		return nil
	}
	return &control.Upgraded{Count: d.handoff.Count, From: d.handoff.Version, At: d.replaced, Waits: d.elections.Waiting()}
}
