// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// An imported is what tandem import says about a file, as it prints it for programs.
type imported struct {
	Text  string
	Notes []struct {
		Text, Do string
		Line     int
	}
	Refused []struct{ Text string }

	byHand []string // the notes that the scene obeys
}

// importFile converts the file of director-a, which becomes tandem's, and that of director-b, which must be no different.
func (m *machine) importFile() {
	s := m.scene
	for _, of := range []*machine{s.b, m} {
		// Nothing runs on the machine yet.
		file := of.Dir() + "/" + disk + keepalivedAt
		out, _ := of.TryRun(lab.Tandem.Path(), "import", "--json", file) // the exit code 2 is for notes
		_, text, found := strings.Cut(out, "{")
		s.imported = imported{}
		if err := json.Unmarshal([]byte("{"+text), &s.imported); err != nil || !found {
			s.t.Fatalf("tandem import %s: %v: %s", file, err, out)
		}
		for _, r := range s.imported.Refused {
			s.t.Fatalf("%s is refused: %s", file, r.Text)
		}
		s.obey()
	}
	m.write(tandemAt, s.imported.Text)
}

// obey looks at the notes. Those that the deployment knows are done by the scene. There must be no others.
func (s *scene) obey() {
	known := make(map[string]bool)
	for _, n := range s.imported.Notes {
		key, _, _ := strings.Cut(n.Text, ":")
		what, ok := s.byHand[key]
		if !ok {
			s.t.Errorf("%s: line %d: %s; %s", s.name, n.Line, n.Text, n.Do)
			continue
		}
		if !known[what] {
			known[what] = true
			s.imported.byHand = append(s.imported.byHand, what)
		}
	}
	if len(known) == 0 && len(s.byHand) > 0 {
		s.t.Errorf("%s: the import does not say what is left to do by hand: %v", s.name, s.byHand)
	}
}

// summary is for the table: what was refused, and what is left to do.
func (i imported) summary() string {
	if len(i.byHand) == 0 {
		return fmt.Sprintf("%d, %d", len(i.Refused), len(i.Notes))
	}
	return fmt.Sprintf("%d, %d: %s", len(i.Refused), len(i.byHand), strings.Join(i.byHand, "; "))
}
