// SPDX-License-Identifier: Apache-2.0

package director

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/revision"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/workers"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/state"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/configs/load"
)

// revisionsDir is the folder of the state directory that has the files of the revisions.
const revisionsDir = "revisions"

// A Beginning is the configuration that a director starts with, and where it comes from.
type Beginning struct {
	Config *configs.Config
	file   string // the director's own
	loader load.Loader
	origin core.Origin
	notes  []string // what went wrong
}

// Begin decides which configuration a director starts with: its own file, or one that was applied. See package revision.
func Begin(loader load.Loader, file string) (*Beginning, error) {
	own, err := readOwn(loader, file)
	if err != nil {
		return nil, err
	}
	dir, err := loader.StateDir(file)
	if err != nil {
		return nil, errors.Join(own.err, err)
	}
	// A file that cannot be read is reported, and set aside, when the state directory is opened.
	saved, _ := state.New[revision.State](filepath.Join(dir, core.RevisionsFile.String()), state.Options{KeepDamaged: true}).Load()
	b := &Beginning{
		file: file, loader: loader,
		origin: core.Origin{Saved: saved, Begin: saved.Start(own.digest, bootNow()), Own: own.digest},
	}
	if n := b.origin.Begin.Revision; n > 0 {
		b.Config, b.origin.Files, err = b.kept(dir, n)
		if err == nil {
			return b, b.loadFormer(dir)
		}
		b.notes = append(b.notes, err.Error()+"; the director started with "+file)
		if b.origin.Begin.Cause == "" && saved.Waiting != nil {
			b.origin.Begin.Cause = err.Error()
		}
		b.origin.Begin.Revision, b.origin.Begin.Left = 0, 0
	}
	if own.err != nil {
		return nil, errors.Join(own.err, err)
	}
	b.Config, b.origin.Files = own.config, own.files
	return b, nil
}

// kept loads a revision from the state directory.
func (b *Beginning) kept(dir string, number int) (*configs.Config, revision.Files, error) {
	r, err := b.origin.Saved.Find(number)
	if err != nil {
		return nil, revision.Files{}, err
	}
	f, err := keptFiles(dir, r)
	if err != nil {
		return nil, f, err
	}
	cfg, err := parse(b.loader, f)
	if err == nil && cfg.State.Dir != dir {
		err = fmt.Errorf("its state directory is %s", cfg.State.Dir)
	}
	if err != nil {
		return nil, f, fmt.Errorf("failed to load revision %d: %w", number, err)
	}
	return cfg, f, nil
}

// loadFormer loads the revision that follows if nobody confirms the one that is loaded.
func (b *Beginning) loadFormer(dir string) error {
	w := b.origin.Saved.Waiting
	if w == nil || b.origin.Begin.Left <= 0 {
		return nil
	}
	cfg, _, err := b.kept(dir, w.Former)
	if err != nil {
		b.notes = append(b.notes, "the director could not roll back: "+err.Error())
		return nil
	}
	b.origin.Former = &core.Loaded{
		Config: cfg, Numbers: workers.ReadNumbers(cfg.Tracks), Maintenance: workers.ReadMaintenance(cfg.MaintenanceFiles()),
	}
	return nil
}

// revisionPath returns the file that has the files of a revision.
func revisionPath(dir, digest string) string { return filepath.Join(dir, revisionsDir, digest+".json") }

// keptFiles reads the files of a revision.
func keptFiles(dir string, r revision.Revision) (revision.Files, error) {
	path := revisionPath(dir, r.SHA256)
	f, err := state.New[revision.Files](path, state.Options{KeepDamaged: true}).Load()
	if err == nil && f.File == "" {
		err = fmt.Errorf("%s is missing", path)
	}
	if err != nil {
		return f, fmt.Errorf("failed to read the copy of revision %d: %w", r.Number, err)
	}
	return renamed(f, r), nil
}

// renamed returns the files under the name that they had as this revision: the copy of two files with the same text has the name
// of one of them.
func renamed(f revision.Files, r revision.Revision) revision.Files {
	if len(f.Matches) == 0 && len(f.Included) == 0 {
		f.File = r.File
	}
	return f
}

// keptTimeout is how long the copy of a revision may take to be read.
const keptTimeout = 5 * time.Second

// filesOf returns the files of a revision.
func (d *Director) filesOf(shot *core.Snapshot, r revision.Revision) (f revision.Files, err error) {
	if f, ok := shot.Revisions.Files[r.SHA256]; ok {
		return renamed(f, r), nil
	}
	type answer struct {
		files revision.Files
		err   error
	}
	read := make(chan answer, 1)
	go func() {
		f, err := keptFiles(shot.Config.State.Dir, r)
		read <- answer{f, err}
	}()
	select {
	case is := <-read:
		return is.files, is.err
	case <-time.After(keptTimeout):
		return f, fmt.Errorf("failed to read the copy of revision %d: the disk does not answer", r.Number)
	}
}

// storeRevisions writes the files of revisions, then the list of revisions. At last it removes files that no revision has.
func (s *savedState) storeRevisions(k revision.Kept) error {
	if len(k.Files) > 0 {
		if err := os.MkdirAll(filepath.Join(s.dir, revisionsDir), 0o700); err != nil {
			return err
		}
	}
	for digest, files := range k.Files {
		path := revisionPath(s.dir, digest)
		if _, err := os.Lstat(path); err == nil {
			continue // a digest always has the same files
		}
		if err := state.New[revision.Files](path, state.Options{}).Store(files); err != nil {
			return err
		}
	}
	if err := s.revisions.Store(k.State); err != nil {
		return err
	}
	keep := k.Digests()
	entries, _ := os.ReadDir(filepath.Join(s.dir, revisionsDir))
	for _, e := range entries {
		if digest, ok := strings.CutSuffix(e.Name(), ".json"); !ok || !keep[digest] {
			_ = os.Remove(filepath.Join(s.dir, revisionsDir, e.Name())) // tried again next time
		}
	}
	return nil
}

// bootNow returns the present moment of the boot clock.
func bootNow() revision.Boot {
	var ts unix.Timespec
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return revision.Boot{}
	}
	return revision.Boot{ID: strings.TrimSpace(string(id)), Clock: time.Duration(ts.Nano())}
}

// lockReload waits until no other configuration comes into force: the file that is read later is put in force later.
func (d *Director) lockReload() (unlock func()) {
	d.reload <- struct{}{}
	return func() { <-d.reload }
}
