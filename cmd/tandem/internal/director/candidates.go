// SPDX-License-Identifier: Apache-2.0

package director

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/revision"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/configs/load"
)

// A candidate is a configuration that may come into force, with the files that it was read from.
type candidate struct {
	config *configs.Config
	files  revision.Files
	isOwn  bool // they are the director's own files
	of     int  // the revision that they are a rollback to; 0: they are not
	base   int  // the revision in force when it was planned
	shared bool // the other director has asked for the plan, so it may apply it
	id     string
}

// ownFiles are the director's own files.
type ownFiles struct {
	files  revision.Files
	digest string
	config *configs.Config
	err    error // mistakes in them
}

// readOwn reads the director's own files. The error says that they cannot be read. Their mistakes are in ownFiles.
func readOwn(loader load.Loader, file string) (ownFiles, error) {
	cfg, text, sources, err := loader.Record(file)
	if text == nil && err != nil {
		return ownFiles{}, err
	}
	return ownFiles{
		files:  revision.Files{File: file, Text: string(text), Matches: sources.Matches, Included: sources.Texts},
		digest: sources.Digest(file, text), config: cfg, err: err,
	}, nil
}

// parse returns the configuration of files that were read before.
func parse(loader load.Loader, f revision.Files) (*configs.Config, error) {
	return loader.From(load.Sources{Matches: f.Matches, Texts: f.Included}).Text(f.File, []byte(f.Text))
}

// candidate returns the configuration of a request, if it could come into force.
func (d *Director) candidate(r control.PlanRequest) (c candidate, err error) {
	shot := d.snapshot()
	if shot == nil {
		return c, errEnded
	}
	c.base = shot.Revisions.Current().Number
	own, ownErr := readOwn(d.loader, d.file)
	switch {
	case r.Revision != 0 || r.Former != "":
		err = d.formerly(&c, r, shot)
	case r.File != "":
		err = d.named(&c, r, own)
	case ownErr != nil:
		return c, ownErr
	case shot.Revisions.Counts(own.digest) && !r.Own:
		c.files, err = d.filesOf(shot, shot.Revisions.Current())
		if err == nil {
			c.config, err = parse(d.loader, c.files)
		}
	default:
		c.config, c.files, c.isOwn, err = own.config, own.files, true, own.err
	}
	if err != nil {
		return c, err
	}
	return c, d.checkMachine(c.config)
}

// formerly takes the files of a revision.
func (d *Director) formerly(c *candidate, r control.PlanRequest, shot *core.Snapshot) error {
	if r.File+r.Text != "" || r.Own || r.Revision != 0 && r.Former != "" {
		return errors.New("a plan is of a file or of one revision, not of both")
	}
	to, err := shot.Revisions.Find(r.Revision)
	if r.Former != "" {
		to, err = shot.Revisions.FindFiles(r.Former)
	}
	if err == nil {
		c.of = to.Number
		c.files, err = d.filesOf(shot, to)
	}
	if err == nil {
		c.config, err = parse(d.loader, c.files)
	}
	return err
}

// named reads the files that a request carries. If they are the director's own files, they count as such.
func (d *Director) named(c *candidate, r control.PlanRequest, own ownFiles) (err error) {
	loader := d.loader
	if r.Name != "" {
		loader = load.As(r.Name)
	}
	c.files = revision.Files{File: r.File, Text: r.Text, Matches: r.Matches, Included: r.Included}
	if c.config, err = parse(loader, c.files); err != nil {
		return err
	}
	if path, absErr := filepath.Abs(d.file); absErr == nil && own.err == nil && r.File == path && c.config.SHA256 == own.digest {
		c.files, c.isOwn = own.files, true
	}
	return nil
}

const (
	// maxCandidates is the number of plans that can be applied, and maxCandidateBytes the maximum size of their files.
	maxCandidates     = 8
	maxCandidateBytes = 64 << 20
)

// candidates are the configurations of the latest plans, the oldest first.
type candidates struct {
	mu  sync.Mutex
	all []candidate
}

// add remembers a candidate and returns its ID, which also depends on the configuration in force.
func (p *candidates) add(c candidate, inForce string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%d\n", c.files.File, c.config.SHA256, inForce, c.base))
	c.id = hex.EncodeToString(sum[:6])
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = slices.DeleteFunc(p.all, func(other candidate) bool {
		c.shared = c.shared || other.id == c.id && other.shared
		return other.id == c.id
	})
	p.all = append(p.all, c)
	size := func() (n int64) {
		for _, other := range p.all {
			n += other.files.Size()
		}
		return n
	}
	for len(p.all) > maxCandidates || len(p.all) > 1 && size() > maxCandidateBytes {
		p.all = slices.Delete(p.all, 0, 1)
	}
	return c.id
}

// find returns the candidate of a plan. The other director may apply only what it has asked for itself: what an operator here has only
// looked at does not come into force over the channel.
func (p *candidates) find(id string, byPeer bool) (candidate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.all {
		if c.id == id && (c.shared || !byPeer) {
			return c, nil
		}
	}
	return candidate{}, fmt.Errorf("this director has no plan %s: it remembers the last %d until it is restarted; run tandem plan again", id, maxCandidates)
}
