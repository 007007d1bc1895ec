// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/handoff"
	"github.com/tandem-lvs/tandem/configs/load"
)

// A fakeReplacement records what it gets.
type fakeReplacement struct {
	refuses, fails  error
	checked, execed []handoff.Document
}

func (r *fakeReplacement) Check(_ context.Context, d handoff.Document) error {
	r.checked = append(r.checked, d)
	return r.refuses
}

func (r *fakeReplacement) Exec(d handoff.Document) error {
	r.execed = append(r.execed, d)
	return r.fails
}

// TestUpgrade: a version that cannot take over is not run, and this director goes on. The document says what is in force.
func TestUpgrade(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tandem.toml")
	write(t, file, fmt.Sprintf("name = \"lb1\"\ncontrol = { socket = %q }\nstate = { dir = %q }\n", filepath.Join(dir, "s"), filepath.Join(dir, "state")))
	b, err := Begin(load.As(""), file)
	if err != nil {
		t.Fatal(err)
	}
	r := &fakeReplacement{refuses: errors.New("format 2"), fails: errors.New("no such program")}
	d := New(Options{
		Begin: b, Version: "v2", Log: hclog.NewNullLogger(), Replacement: r,
		Handoff: &handoff.Document{Format: handoff.Format, Version: "v1", Count: 3, File: file, SHA256: "51"},
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	<-d.begun
	await(t, "a configuration in force", func() bool { return d.Status().Config.SHA256 != "" })
	if u := d.Status().Upgraded; u == nil || u.Count != 3 || u.From != "v1" || u.At.IsZero() || u.Waits != "" {
		t.Errorf("%+v", u)
	}
	if err := d.Upgrade("root"); !errors.Is(err, r.refuses) || len(r.checked) != 1 || len(r.execed) != 0 {
		t.Errorf("%v, %+v", err, r)
	}
	r.refuses = nil
	if err := d.Upgrade("root"); !errors.Is(err, r.fails) || len(r.execed) != 1 {
		t.Errorf("%v, %+v", err, r)
	}
	if is := r.execed[0]; is.Version != "v2" || is.Count != 4 || is.Format != handoff.Format || is.Election != nil || b.CanFollow(is) != nil {
		t.Errorf("%+v, %v", is, b.CanFollow(is))
	}
	other := r.execed[0]
	other.SHA256 = "52"
	if err := b.CanFollow(other); err == nil || !strings.Contains(err.Error(), "has changed since it was loaded") {
		t.Error(err)
	}
	other.File = "/etc/other.toml"
	if err := b.CanFollow(other); err == nil || !strings.Contains(err.Error(), "that of the running director is /etc/other.toml") {
		t.Error(err)
	}
}

// TestUpgradeWithoutElection: while the election is not ready for a successor, no program is asked.
func TestUpgradeWithoutElection(t *testing.T) {
	w := newWorkshop(t)
	w.start()
	if err := w.Upgrade("root"); err == nil || !strings.Contains(err.Error(), "cannot be replaced") {
		t.Error(err)
	}
	r := &fakeReplacement{}
	w.replacement = r
	if err := w.Upgrade("root"); err == nil || !strings.Contains(err.Error(), "the election process") || len(r.checked) != 0 {
		t.Errorf("%v, %+v", err, r)
	}
}
