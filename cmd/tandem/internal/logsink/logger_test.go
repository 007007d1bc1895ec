// SPDX-License-Identifier: Apache-2.0

package logsink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/configs"
)

func TestFormatIsChosen(t *testing.T) {
	stream := streamOfStderr(t, 0)
	for _, tt := range []struct{ name, format, stream, want string }{
		{"under systemd", "auto", stream, "journal"},
		{"standard error goes elsewhere", "auto", streamOfStderr(t, 1), "text"},
		{"without systemd", "auto", "", "text"},
		{"a variable of another kind", "auto", "yes", "text"},
		{"text is asked for", "text", stream, "text"},
		{"json is asked for", "json", stream, "json"},
		{"the journal is asked for", "journal", "", "journal"},
	} {
		t.Setenv("JOURNAL_STREAM", tt.stream)
		if got := chosen(tt.format); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		log, sink := Open("warn", tt.format)
		if _, native := sink.out.(*nativeJournal); native != (tt.want == configs.LogJournal) || log.IsInfo() || !log.IsWarn() || log.Name() != "tandem" {
			t.Errorf("%s: to the journal: %t; level %s, name %q", tt.name, native, log.GetLevel(), log.Name())
		}
	}
}

// TestFailure: journalctl -p warning shows why a director does not start.
func TestFailure(t *testing.T) {
	t.Setenv("JOURNAL_STREAM", "")
	if got := string(Failure("one\ntwo")); got != "one\ntwo\n" {
		t.Errorf("%q", got)
	}
	t.Setenv("JOURNAL_STREAM", streamOfStderr(t, 0))
	if got := string(Failure("one\ntwo")); got != "<3>one\n<3>two\n" {
		t.Errorf("to the journal: %q", got)
	}
}

// streamOfStderr is what systemd sets if standard error, or the inode so many behind it, goes to the journal.
func streamOfStderr(t *testing.T, behind uint64) string {
	t.Helper()
	var is unix.Stat_t
	if err := unix.Fstat(unix.Stderr, &is); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d:%d", is.Dev, is.Ino+behind)
}

func TestLinesOfJSON(t *testing.T) {
	var out bytes.Buffer
	lines("info", configs.LogJSON, &out).Named("election").Warn("advertisement is late", "vrid", 51)
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got["@level"] != "warn" || got["@module"] != "tandem.election" ||
		got["@message"] != "advertisement is late" || got["vrid"] != 51. {
		t.Errorf("%s (%v)", &out, err)
	}
}

// Without a sink, an entry is written when the call returns.
func TestDirect(t *testing.T) {
	j := newJournald(t)
	out := &nativeJournal{path: j.path, spare: io.Discard}
	fielded("info", func(e entry) { out.write([]entry{e}) }).Named("realserver").Warn("repaired what somebody changed", "step", "x")
	if got, _ := j.next(); got["COMPONENT"] != "realserver" || got["STEP"] != "x" {
		t.Errorf("%q", got)
	}
}
