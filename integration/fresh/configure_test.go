// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"slices"
	"testing"

	"github.com/tandem-lvs/tandem/configs"
)

// TestGrow: the shipped example has the places for the additions, and is a valid configuration of both directors with them.
func TestGrow(t *testing.T) {
	example, err := os.ReadFile("../../configs/pair.toml")
	if err != nil {
		t.Fatal(err)
	}
	text, err := grow(string(example), slices.Concat(channel, everything))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lb1", "lb2"} {
		config, err := configs.ParseIn(configs.Surroundings{Name: name}, "pair.toml", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if len(config.Routers) != 2 {
			t.Errorf("%s has %d virtual routers, want 2", name, len(config.Routers))
		}
	}
	if _, err := grow(text, []string{"x = 1\nno such line"}); err == nil {
		t.Error("an addition without its place: no error")
	}
}
