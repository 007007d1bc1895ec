// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
)

func TestFindingsAsJSON(t *testing.T) {
	text, err := json.Marshal([]Finding{{diagnosis.Finding{ID: "x", Severity: diagnosis.Warning, What: "a", Why: "b", Mend: "c"}, &fix{module: "m"}}})
	const want = `[{"id":"x","severity":"warning","what":"a","why":"b","mend":"c","fixable":true}]`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v, want %s", text, err, want)
	}
}

// TestJudgingDoesNoIO: only the files that gather facts and the file that repairs may do I/O.
func TestJudgingDoesNoIO(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasPrefix(name, "gather") || name == "fix.go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			switch path := strings.Trim(i.Path.Value, `"`); path {
			case "net", "os", "os/exec", "syscall", "golang.org/x/sys/unix", "github.com/vishvananda/netlink":
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}
