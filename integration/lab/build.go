// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
)

const modulePath = "github.com/tandem-lvs/tandem"

// A runFile is one file of a run, for the directory inside.
type runFile struct {
	name string
	mode uint32
	data []byte
}

// An order is what init runs.
type order struct {
	Args []string
	Env  []string
}

const orderFile = "order.json"

// files builds the payload and the cargo and returns them with the order to run them.
func (tr trip) files(ctx context.Context) ([]runFile, error) {
	dir, err := os.MkdirTemp("", "tandem-lab-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var files []runFile
	for _, c := range append([]Cargo{tr.payload}, tr.cargo...) {
		data, err := c.build(ctx, dir)
		if err != nil {
			return nil, err
		}
		files = append(files, runFile{name: c.Name, mode: 0o755, data: data})
	}
	for _, c := range tr.carried {
		data, err := os.ReadFile(c.From)
		if err != nil {
			return nil, err
		}
		files = append(files, runFile{name: c.Name, mode: 0o644, data: data})
	}
	text, err := json.Marshal(order{Args: tr.args, Env: append(tr.env, passedEnv()...)})
	if err != nil {
		return nil, err
	}
	return append(files, runFile{name: orderFile, mode: 0o644, data: text}), nil
}

// build makes a static binary, also where the caller was built with cgo (as go test -race does): the inside has no C
// library.
func (c Cargo) build(ctx context.Context, dir string) ([]byte, error) {
	out := filepath.Join(dir, c.Name)
	args := []string{"build"}
	if c.Tests {
		args = []string{"test", "-c", "-vet=off"}
	}
	flags := "-ldflags=-s -w"
	if c.Version != "" {
		flags += " -X main.released=" + c.Version
	}
	args = append(args, "-o", out, flags)
	if c.Tags != "" {
		args = append(args, "-tags", c.Tags)
	}
	if c.ModFile != "" {
		args = append(args, "-modfile", c.ModFile)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, c.Package)...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return nil, errors.New("the lab builds static binaries with the go command, which is not in PATH: install Go")
		}
		return nil, fmt.Errorf("build %s for the lab: %w\n%s", c.Package, err, text)
	}
	data, err := os.ReadFile(out)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("build %s for the lab: it has no tests", c.Package)
	}
	return data, err
}

// passedEnv returns those of the caller's variables that the inner run reads.
func passedEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if (strings.HasPrefix(name, "TANDEM_LAB") && name != roleVar) || name == "GOTRACEBACK" || name == "GODEBUG" {
			env = append(env, kv)
		}
	}
	return env
}

// buildTags returns the tags that this binary was built with.
func buildTags() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "-tags" {
			return s.Value
		}
	}
	return ""
}
