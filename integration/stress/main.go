// SPDX-License-Identifier: Apache-2.0

// Command stress runs the tests that touch real time again and again, and shows how often each of them fails.
//
// Each package is built once, with the race detector, as make test does. What a failed run has written is kept in a file.
// The exit code is 1 if any test failed.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// timed are the packages whose tests touch real time: sockets, timers, processes, namespaces. What runs on an emulated
// machine is left out, because a run takes minutes.
var timed = []string{
	"./cmd/tandem/...",
	"./garp/...",
	"./healthcheck/...",
	"./lvs/...",
	"./vrrp/...",
	"./integration/lab",
	"./integration/native",
}

// runLimit is the maximum time of a run. It ends a run that hangs.
const runLimit = 10 * time.Minute

type options struct {
	times int
	run   string
	logs  string
}

func main() {
	var o options
	flag.IntVar(&o.times, "n", 20, "run each test so many `TIMES`")
	flag.StringVar(&o.run, "run", "", "run only the tests that match `REGEXP`")
	flag.StringVar(&o.logs, "logs", filepath.Join(os.TempDir(), "tandem-stress"), "`DIRECTORY` for the output of failed runs")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: stress [flags] [packages]\n\nDefault packages: %s\n\n", strings.Join(timed, " "))
		flag.PrintDefaults()
	}
	flag.Parse()
	patterns := flag.Args()
	if len(patterns) == 0 {
		patterns = timed
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	failed, err := stress(ctx, patterns, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "stress:", err)
	}
	if err != nil || failed {
		stop()
		os.Exit(1)
	}
}

// stress builds the packages, runs them by turns, and prints the table also when it is interrupted.
func stress(ctx context.Context, patterns []string, o options) (failed bool, err error) {
	dir, err := os.MkdirTemp("", "tandem-stress-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	if err := os.MkdirAll(o.logs, 0o755); err != nil {
		return false, err
	}
	binaries, err := build(ctx, dir, patterns)
	if err != nil {
		return false, err
	}
	var t tally
	for n := 1; n <= o.times && ctx.Err() == nil; n++ {
		for _, b := range binaries {
			began := time.Now()
			out, err := b.run(ctx, o.run)
			if ctx.Err() != nil {
				break
			}
			fails := t.add(b.name, out, err)
			fmt.Fprintf(os.Stderr, "%d of %d: %s, %.0f s, %d failed\n", n, o.times, b.name, time.Since(began).Seconds(), fails)
			if fails == 0 {
				continue
			}
			file := filepath.Join(o.logs, fmt.Sprintf("%s-%d.log", strings.ReplaceAll(b.name, "/", "-"), n))
			if err := os.WriteFile(file, out, 0o644); err != nil {
				return true, err
			}
			fmt.Fprintf(os.Stderr, "  see %s\n", file)
		}
	}
	t.print(os.Stdout)
	return t.failed(), nil
}

// A binary is the test binary of a package.
type binary struct {
	name string // the package's path in the module
	file string
	dir  string // where its tests expect to run
}

// build compiles the tests of the packages that have some.
func build(ctx context.Context, dir string, patterns []string) ([]binary, error) {
	const format = "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Module.Path}} {{.Dir}}{{end}}"
	out, err := exec.CommandContext(ctx, "go", append([]string{"list", "-f", format}, patterns...)...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("failed to list the packages: %w", err)
	}
	var all []binary
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		b := binary{name: strings.TrimPrefix(fields[0], fields[1]+"/"), dir: fields[2]}
		b.file = filepath.Join(dir, strings.ReplaceAll(b.name, "/", "-"))
		text, err := exec.CommandContext(ctx, "go", "test", "-c", "-race", "-vet=off", "-o", b.file, fields[0]).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("failed to build the tests of %s: %w\n%s", b.name, err, text)
		}
		all = append(all, b)
	}
	return all, nil
}

// run runs the tests once and returns what they write.
func (b binary) run(ctx context.Context, pattern string) ([]byte, error) {
	args := []string{"-test.v", "-test.timeout=" + runLimit.String()}
	if pattern != "" {
		args = append(args, "-test.run="+pattern)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, b.file, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = b.dir, &out, &out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	return out.Bytes(), err
}

// verdict matches the line with the result of a test. The lines of subtests are indented.
var verdict = regexp.MustCompile(`(?m)^--- (PASS|FAIL|SKIP): (\S+) \(([0-9.]+)s\)`)
