// SPDX-License-Identifier: Apache-2.0

package director

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/report"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/revision"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/state"
)

// Stored are the revisions in a state directory, for when no director runs.
type Stored struct {
	Path string // the file with the list
	dir  string
	is   revision.State
}

// OpenStored reads the list of revisions in a state directory. It changes nothing there.
func OpenStored(dir string) (*Stored, error) {
	s := &Stored{Path: filepath.Join(dir, core.RevisionsFile.String()), dir: dir}
	if _, err := os.Stat(s.Path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist: no configuration was in force there, or the state directory is another one (see -c)", s.Path)
	}
	var err error
	if s.is, err = state.New[revision.State](s.Path, state.Options{KeepDamaged: true}).Load(); err != nil {
		return nil, fmt.Errorf("failed to read the list of revisions: %w", err)
	}
	return s, nil
}

// ConfigLog returns the configurations that were in force, the oldest first.
func (s *Stored) ConfigLog() (control.ConfigLog, error) {
	var waits *control.Wait
	if w := s.is.Waiting; w != nil {
		waits = &control.Wait{Former: w.Former, Until: w.Until}
	}
	return configLog(s.is, waits), nil
}

// ConfigFiles returns the files of a revision.
func (s *Stored) ConfigFiles(r control.ConfigSelection) (control.ConfigFiles, error) {
	is, err := selected(s.is, r)
	if err != nil {
		return control.ConfigFiles{}, err
	}
	f, err := keptFiles(s.dir, is)
	return configFiles(is, f), err
}

// configLog returns the list of revisions for operators.
func configLog(s revision.State, waits *control.Wait) control.ConfigLog {
	log := control.ConfigLog{Revisions: []control.Revision{}, Waits: waits}
	for _, r := range s.Revisions {
		log.Revisions = append(log.Revisions, report.Revision(r))
	}
	return log
}

// selected returns the revision that a request means.
func selected(s revision.State, r control.ConfigSelection) (revision.Revision, error) {
	if is := s.Current(); r.Revision == 0 && is.Number > 0 {
		return is, nil
	}
	return s.Find(max(1, r.Revision))
}

// configFiles returns the files of a revision for operators.
func configFiles(is revision.Revision, f revision.Files) control.ConfigFiles {
	all := control.ConfigFiles{Revision: report.Revision(is), Files: []control.ConfigFile{}}
	for _, name := range f.Names() {
		all.Files = append(all.Files, control.ConfigFile{Name: name, Text: f.TextOf(name)})
	}
	return all
}
