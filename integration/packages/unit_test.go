// SPDX-License-Identifier: Apache-2.0

package packages

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// exposure is the score that systemd-analyze prints at the end.
var exposure = regexp.MustCompile(`Overall exposure level for \S+: (\d+\.\d)`)

// TestUnitIsHardened prints how exposed systemd finds each unit, without and with its drop-ins. For the director 2.5 of 10 is the most.
func TestUnitIsHardened(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Fatal("this test needs systemd-analyze: apt install systemd")
	}
	for _, c := range []struct {
		name, limit string // in tenths
		files       []string
	}{
		{"tandem.service", "25", []string{"tandem.service"}},
		{"tandem.service with other-users.conf", "30", []string{"tandem.service", "tandem.service.d/other-users.conf"}},
		{"tandem.service with as-root.conf", "100", []string{"tandem.service", "tandem.service.d/as-root.conf"}},
		{"tandem-realserver.service", "70", []string{"tandem-realserver.service"}},
	} {
		var unit strings.Builder
		for _, file := range c.files {
			text, err := os.ReadFile(filepath.Join(top, "configs", file))
			if err != nil {
				t.Fatal(err)
			}
			unit.Write(text) // settings of a drop-in count after those of the unit
		}
		path := filepath.Join(t.TempDir(), c.files[0])
		if err := os.WriteFile(path, []byte(unit.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold="+c.limit, path)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
		out, err := cmd.CombinedOutput()
		score := exposure.FindSubmatch(out)
		if score == nil {
			t.Fatalf("%s: systemd-analyze printed no score: %v\n%s", c.name, err, out)
		}
		t.Logf("%s: exposure %s", c.name, score[1])
		if err != nil {
			t.Errorf("%s: exposure %s of 10 is more than %s tenths: %v\n%s", c.name, score[1], c.limit, err, out)
		}
		if strings.Contains(string(out), "nknown") || strings.Contains(string(out), "ignoring") {
			t.Errorf("%s: systemd does not know a setting:\n%s", c.name, out)
		}
	}
}
