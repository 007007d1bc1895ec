// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/configs"
)

// TestGuideSteps: each block that the scene of the guide runs is on its page, and so are the addresses of its machines.
func TestGuideSteps(t *testing.T) {
	steps := slices.Concat(guideInstall, guideLook, guideFailOvers, guideOrders,
		[]guideStep{guideSecondFile, guideStart, guideKey, guideChannel})
	read := func(page string) string {
		text, err := fs.ReadFile(configs.Shipped, path.Join("guide", page))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, s := range steps {
		if all := guideBlocks(read(s.page), s.heading)["sh"]; s.block >= len(all) {
			t.Errorf("%s: %d blocks of commands below %q, want number %d", s.page, len(all), s.heading, s.block)
		}
	}
	first := guideBlocks(read("2-first-pair.md"), "Write the file")["toml"]
	channel := guideBlocks(read("2-first-pair.md"), "The pair as one thing")["toml"]
	if len(first) == 0 || len(channel) == 0 || !strings.Contains(channel[0], guideAddress) {
		t.Fatalf("files %q and %q", first, channel)
	}
	for _, addr := range []string{"192.0.2.100:80", "192.0.2.11", "192.0.2.12"} {
		if !strings.Contains(first[0], `"`+addr+`"`) {
			t.Errorf("the file of the first pair has no %s", addr)
		}
	}
	if drills := guideBlocks(read("6-drills.md"), "")["sh"]; len(drills) == 0 || !strings.Contains(drills[0], strings.TrimSpace(guideDryRun)) {
		t.Errorf("the page about drills does not begin with %s: %q", guideDryRun, drills)
	}
	for _, server := range guideInstall[1:] {
		if script := guideBlocks(read(server.page), server.heading)["sh"][0]; !strings.Contains(script, "192.0.2.100") {
			t.Errorf("the real servers do not get the VIP: %s", script)
		}
	}
}

func TestGuideBlocks(t *testing.T) {
	const text = "# 1\n\n    a  # b\n    c\n\ntext\n\n## H\n\n```toml\nx = 1\n```\n\n    d\n\n```\nout\n```\n\n    e\n## I\n\n    f\n"
	for heading, want := range map[string]string{"": "a  # b\nc\n", "H": "d\n|e\n", "I": "f\n", "J": ""} {
		if got := strings.Join(guideBlocks(text, heading)["sh"], "|"); got != want {
			t.Errorf("%q: %q, want %q", heading, got, want)
		}
	}
	if got := guideBlocks(text, "H")["toml"]; !slices.Equal(got, []string{"x = 1\n"}) {
		t.Errorf("%q", got)
	}
}
