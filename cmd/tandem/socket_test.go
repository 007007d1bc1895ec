// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestSocketIsFoundByFlagThenEnvironmentThenConfiguration(t *testing.T) {
	s := socketFlags{config: "/nonexistent/tandem.toml"}
	t.Setenv("TANDEM_SOCKET", "")
	if got, err := s.path(false); err != nil || got != "/run/tandem/control.sock" {
		t.Errorf("by default: %s", got)
	}
	file := writeConfig(t, "[control]\nsocket = \"/from/the/file.sock\"\n")
	s.config = file
	if got, err := s.path(false); err != nil || got != "/from/the/file.sock" {
		t.Errorf("by the configuration: %s", got)
	}
	// A file with mistakes still names its socket: an operator wants to run tandem status there.
	s.config = writeConfig(t, "prioritty = 1\n[control]\nsocket = \"/from/the/broken/file.sock\"\n")
	if got, err := s.path(true); err != nil || got != "/from/the/broken/file.sock" {
		t.Errorf("by a file with mistakes: %s, %v", got, err)
	}
	s.config = "/nonexistent/tandem.toml"
	if got, err := s.path(true); err == nil {
		t.Errorf("by a file that was asked for and is missing: %s", got)
	}
	t.Setenv("TANDEM_SOCKET", "/from/the/environment.sock")
	if got, err := s.path(false); err != nil || got != "/from/the/environment.sock" {
		t.Errorf("by the environment: %s", got)
	}
	s.socket = "/from/the/flag.sock"
	if got, err := s.path(false); err != nil || got != "/from/the/flag.sock" {
		t.Errorf("by the flag: %s", got)
	}
}
