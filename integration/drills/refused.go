// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

func refusedPart() part {
	return part{
		name:    "refused",
		title:   "The other director is stopped: each kind of drill is refused, and nothing is done.",
		heading: []string{"what is so", "refused", "reasons"},
		rows:    []row{{"director-b does not run", withoutPeer}},
	}
}

// withoutPeer makes each kind of drill without director-b.
func withoutPeer(t *lab.Attempt) []string {
	s := newSite(t, lab.Tandem, "")
	for _, pid := range s.b.Pids() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	var before snapshot
	s.Eventually(30*time.Second, "director-a knows that director-b is gone", func() error {
		before = s.snapshot()
		if !slices.ContainsFunc(before, func(line string) bool { return strings.HasSuffix(line, "{To:{Up:false} From:{Up:false}}") }) {
			return errors.New("it does not")
		}
		return nil
	})
	refused, reasons := 0, []string(nil)
	for _, k := range kinds {
		out, err := s.a.TryRun(s.a.Program(), append([]string{"drill", "-c", s.a.File}, k.command()...)...)
		_, reason, found := strings.Cut(out, "refused: ")
		if reason, _, _ = strings.Cut(reason, "\n"); err == nil || !found || !strings.Contains(reason, "the other director cannot be asked") {
			t.Errorf("%s: %v, want it refused: %s", k.name, err, out)
			continue
		}
		refused++
		if !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	if text := s.differs(before, 5*time.Second); text != "" {
		t.Errorf("not as before: %s", text)
	}
	return []string{fmt.Sprintf("%d of %d", refused, len(kinds)), strings.Join(reasons, "; ")}
}
