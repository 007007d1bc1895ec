// SPDX-License-Identifier: Apache-2.0

package director

import (
	"reflect"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
)

// TestStored: what is read without a director is what the director said.
func TestStored(t *testing.T) {
	w := newWorkshop(t)
	w.start()
	w.apply(90, 0)
	w.apply(80, time.Hour)
	log, err := w.ConfigLog()
	if err != nil {
		t.Fatal(err)
	}
	var files []control.ConfigFiles
	for n := range 4 {
		f, err := w.ConfigFiles(control.ConfigSelection{Revision: n})
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	_, unknown := w.ConfigFiles(control.ConfigSelection{Revision: 9})
	w.stop()
	s, err := OpenStored(w.state)
	if err != nil {
		t.Fatal(err)
	}
	is, err := s.ConfigLog()
	if sameLog(t, &is, &log); err != nil || !reflect.DeepEqual(is, log) {
		t.Errorf("%v\n%+v\n%+v", err, is, log)
	}
	for n, want := range files {
		f, err := s.ConfigFiles(control.ConfigSelection{Revision: n})
		f.Revision.At, want.Revision.At = time.Time{}, time.Time{}
		if err != nil || len(f.Files) != 2 || !reflect.DeepEqual(f, want) {
			t.Errorf("%d: %v\n%+v\n%+v", n, err, f, want)
		}
	}
	if _, err := s.ConfigFiles(control.ConfigSelection{Revision: 9}); err == nil || err.Error() != unknown.Error() {
		t.Errorf("%v, want %v", err, unknown)
	}
}

// sameLog compares the times of two logs, and removes them: they have different zones.
func sameLog(t *testing.T, a, b *control.ConfigLog) {
	t.Helper()
	if len(a.Revisions) != len(b.Revisions) || a.Waits == nil || b.Waits == nil || !a.Waits.Until.Equal(b.Waits.Until) {
		t.Fatalf("%+v\n%+v", a, b)
	}
	a.Waits.Until, b.Waits.Until = time.Time{}, time.Time{}
	for i := range a.Revisions {
		if !a.Revisions[i].At.Equal(b.Revisions[i].At) {
			t.Errorf("%+v, %+v", a.Revisions[i], b.Revisions[i])
		}
		a.Revisions[i].At, b.Revisions[i].At = time.Time{}, time.Time{}
	}
}
