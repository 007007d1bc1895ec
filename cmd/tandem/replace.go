// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/handoff"
	"github.com/tandem-lvs/tandem/configs/load"
)

// A replacement puts the program that is installed where this one was started from into this process.
type replacement struct {
	hangup chan os.Signal
	flush  func() // of the log
}

var _ director.Replacement = (*replacement)(nil)

// Check implements director.Replacement.
func (*replacement) Check(ctx context.Context, d handoff.Document) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	return handoff.Check(ctx, program, os.Args[1:], d)
}

// Exec implements director.Replacement. An ignored signal stays ignored until the other program wants it. Any other would end that
// program as long as it starts.
func (r *replacement) Exec(d handoff.Document) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGHUP)
	defer signal.Notify(r.hangup, syscall.SIGHUP)
	r.flush()
	return handoff.Exec(program, os.Args[1:], d)
}

// checkHandoff says why this version cannot take over what the running one hands off.
func checkHandoff(file, name string, document io.Reader) error {
	d, err := handoff.Read(document)
	if err != nil {
		return err
	}
	begin, err := director.Begin(load.As(name), file)
	if err != nil {
		return err
	}
	return begin.CanFollow(d)
}
