// SPDX-License-Identifier: Apache-2.0

// Package report collects what a program measures inside the lab, and prints it.
//
// The outer run of such a program calls [Gather] for each [Kind] of kernel that it needs. The inner run calls [Emit] for each
// result.
package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// A Kind is what an inner run needs of its kernel.
type Kind string

// The kinds. What needs no IPVS runs on this machine's own kernel, because emulation distorts times.
const (
	Native Kind = "native"
	IPVS   Kind = "ipvs"
)

// kindVar tells the inner run its kind. The lab passes it on.
const kindVar = "TANDEM_LAB_KIND"

// Inside returns the kind of this inner run. It is "" in the outer run.
func Inside() Kind { return Kind(os.Getenv(kindVar)) }

// mark begins the line of a result, to distinguish it from other output.
const mark = "lab-result: "

// Emit sends a result, which json can encode, to the outer run.
func Emit(result any) {
	text, err := json.Marshal(result)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s%s\n", mark, text)
}

// Gather runs this program again with the same arguments on a kernel of that kind, and calls take with the text of each result
// that it emits. Its other output goes to standard error. The environment ("NAME=value") is added to that of this program.
func Gather(kind Kind, take func(text []byte) error, environment ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), kindVar+"="+string(kind))
	if kind == Native && os.Geteuid() == 0 && os.Getenv("TANDEM_LAB") == "" {
		cmd.Env = append(cmd.Env, "TANDEM_LAB=direct")
	}
	cmd.Env = append(cmd.Env, environment...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	var bad error
	for lines.Scan() {
		text, ok := bytes.CutPrefix(lines.Bytes(), []byte(mark))
		if !ok {
			fmt.Fprintln(os.Stderr, lines.Text())
		} else if err := take(text); err != nil {
			bad = errors.Join(bad, fmt.Errorf("read the result %s: %w", text, err))
		}
	}
	if err := errors.Join(bad, lines.Err(), cmd.Wait()); err != nil {
		return fmt.Errorf("inner run: %w", err)
	}
	return nil
}

// A Message is what the inner run tells the outer one: the machine that it runs on, or a row of its results.
type Message[R any] struct {
	Machine *Machine `json:"machine,omitempty"`
	Row     *R       `json:"row,omitempty"`
}

// Take decodes a Message, and appends what it holds to the machines and rows that have arrived so far.
func Take[R any](text []byte, machines *[]Machine, rows *[]R) error {
	var m Message[R]
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	if m.Machine != nil {
		*machines = append(*machines, *m.Machine)
	}
	if m.Row != nil {
		*rows = append(*rows, *m.Row)
	}
	return nil
}
