// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"testing"
)

func TestProgressOnATerminalIsOneLine(t *testing.T) {
	var out bytes.Buffer
	p := progress{w: &out, terminal: true}
	p.show("10 connections")
	p.show("10 connections")
	p.show("9 connections")
	p.done("done")
	if got, want := out.String(), "\r10 connections\r9 connections \rdone         \n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
