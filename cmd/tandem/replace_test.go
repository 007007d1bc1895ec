// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/handoff"
	"github.com/tandem-lvs/tandem/configs/load"
)

// TestCheckHandoff: this version takes over from one that has the same configuration in force, and whose hand-off it can read.
func TestCheckHandoff(t *testing.T) {
	file := writeConfig(t, "name = \"lb1\"\n")
	b, err := director.Begin(load.As(""), file)
	if err != nil {
		t.Fatal(err)
	}
	d := handoff.Document{Format: handoff.Format, Version: "v1", Count: 1, File: file, SHA256: b.Config.SHA256}
	for _, c := range []struct {
		name   string
		change func(d *handoff.Document)
		want   string
	}{
		{"the same", func(*handoff.Document) {}, ""},
		{"another format", func(d *handoff.Document) { d.Format++ }, "the hand-off of the running version has format 2, and this version reads format 1"},
		{"another configuration", func(d *handoff.Document) { d.SHA256 = "51" }, "has changed since it was loaded"},
	} {
		is := d
		c.change(&is)
		text, err := json.Marshal(is)
		if err != nil {
			t.Fatal(err)
		}
		cmd := newRoot()
		cmd.SetArgs([]string{"run", "-c", file, "--" + handoff.CheckFlag})
		cmd.SetIn(strings.NewReader(string(text)))
		if err := cmd.ExecuteContext(context.Background()); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if err := os.WriteFile(file, []byte("nam = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkHandoff(file, "", strings.NewReader(`{"format":1,"version":"v1","count":1,"file":"f","sha256":"51"}`)); err == nil || !strings.Contains(err.Error(), "nam") {
		t.Errorf("a configuration with mistakes: %v", err)
	}
}
