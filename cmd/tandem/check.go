// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/plan"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/workers"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/doctor"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/configs/load"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe"
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

func newCheck() *cobra.Command {
	var live, asJSON bool
	var name string
	cmd := &cobra.Command{
		Use:   "check FILE…",
		Short: "Check configuration files and list every mistake",
		Long: `Check configuration files without running a director. Each mistake is one line on standard error. The line
has the file, the line number, the key and the mistake. If a valid key is similar, the line suggests that
key.

A scheduler that this machine's kernel does not have is a mistake. If the kernel has no IPVS, schedulers
are not checked. If this machine cannot run a check, because it lacks the program, the user or the
certificate, this is only a warning: the file may be for another machine. The same is true for a key
file that is missing or cannot be read. A key file that other users can read is a mistake.

Likewise, it is a warning if this machine cannot run a hook: it lacks the program, the user or the secret, the
program is not executable, or somebody else could change a program that runs as root. It runs no hook.

If root runs the command, it runs each tracked script once, as the script's user. A script that fails is
a warning.

A note is about something that works but could be better.

Files that a file includes are checked with it. A file with [director.NAME] is checked for each director, or
for that of --name.

Two directors, in two files or in one, are compared. It is a mistake if something differs that must be
equal, such as the VRID, the VIPs, the services and their servers. It is also a mistake if the addresses for
unicast do not fit. Equal priorities, and differences that do no harm, are warnings.

The exit code is 0 if there is no mistake, and 1 otherwise. Warnings and notes do not change it.`,
		Example: `  tandem check /etc/tandem/tandem.toml
  tandem check lb1.toml lb2.toml && echo both are good, and fit together
  tandem check --name lb2 /etc/tandem/tandem.toml`,
		Args: arguments(1, -1),
		RunE: func(cmd *cobra.Command, files []string) error {
			c := &checking{ctx: cmd.Context(), live: live, said: make(map[string]bool)}
			if !asJSON {
				c.out, c.errs = cmd.OutOrStdout(), cmd.ErrOrStderr()
				return c.all(files, name)
			}
			c.found = &checkFound{Good: []string{}, Mistakes: []string{}, Warnings: []string{}, Notes: []string{}}
			err := c.all(files, name)
			if err != nil {
				c.found.Mistakes = strings.Split(err.Error(), "\n")
			}
			if printErr := writeJSON(cmd.OutOrStdout(), c.found); printErr != nil {
				return printErr
			}
			if err != nil {
				return errPrinted
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&live, "live", false, "also list the services of other programs in this kernel that a director with this file would replace")
	registerJSON(cmd, &asJSON, "what has no mistake, the mistakes, warnings and notes")
	cmd.Flags().StringVar(&name, "name", "", "check only for the director with this `NAME` (default: for each [director.NAME] of the file)")
	return cmd
}

// A checking checks files, and prints or collects what it finds.
type checking struct {
	ctx       context.Context
	live      bool
	said      map[string]bool
	out, errs io.Writer
	found     *checkFound // instead of out and errs
}

// A checkFound is what check has found, for programs.
type checkFound struct {
	Good     []string `json:"good"` // what has no mistake, in words
	Mistakes []string `json:"mistakes"`
	Warnings []string `json:"warnings"`
	Notes    []string `json:"notes"`
}

// good tells what has no mistake.
func (c *checking) good(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); c.found != nil {
		c.found.Good = append(c.found.Good, text)
	} else {
		fmt.Fprintln(c.out, text)
	}
}

// warn tells a warning, and note a note. What was said before is not said again.
func (c *checking) warn(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); c.first("warning: "+text) && c.found != nil {
		c.found.Warnings = append(c.found.Warnings, text)
	}
}

func (c *checking) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); c.first("note: "+text) && c.found != nil {
		c.found.Notes = append(c.found.Notes, text)
	}
}

// first prints a line, if there is where to, and returns false if it was said before.
func (c *checking) first(line string) bool {
	if c.said[line] {
		return false
	}
	c.said[line] = true
	if c.found == nil {
		fmt.Fprintln(c.errs, line)
	}
	return true
}

// all checks files. If they are for two directors, it compares them.
func (c *checking) all(files []string, name string) error {
	var failed []error
	var good []*configs.Config
	for _, file := range files {
		for _, director := range directorsOf(file, name) {
			cfg, err := c.file(file, director)
			if err != nil {
				failed = append(failed, unsaid(err, c.said))
				continue
			}
			good = append(good, cfg)
		}
	}
	if len(failed) == 0 && len(good) == 2 && isDirector(good[0]) && isDirector(good[1]) {
		failed = append(failed, c.pair(good[0], good[1]))
	}
	return errors.Join(failed...)
}

// directorsOf returns the names of the directors of a file that are checked. "" is the one that this machine would be.
func directorsOf(file, name string) []string {
	if name != "" {
		return []string{name}
	}
	names, err := load.Directors(file)
	if err != nil || len(names) == 0 { // an error is told when the file is read
		return []string{""}
	}
	return names
}

// unsaid returns an error without the lines that an earlier director of the same file had too.
func unsaid(err error, said map[string]bool) error {
	var left []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !said[line] {
			said[line] = true
			left = append(left, line)
		}
	}
	if len(left) == 0 {
		return nil
	}
	return errors.New(strings.Join(left, "\n"))
}

func isDirector(cfg *configs.Config) bool { return len(cfg.Routers)+len(cfg.Services) > 0 }

// pair tells what two directors should have in common and have not, and what should differ and does not. The error is
// what does not work.
func (c *checking) pair(a, b *configs.Config) error {
	var wrong []error
	for _, d := range plan.Pair(a, b) {
		if d.Wrong {
			wrong = append(wrong, fmt.Errorf("pair: %s", d.Text))
		} else {
			c.warn("pair: %s", d.Text)
		}
	}
	if len(wrong) == 0 {
		c.good("pair: ok (%s and %s)", a.Name, b.Name)
	}
	return errors.Join(wrong...)
}

// file checks one file for one director, and tells its warnings and notes that were not said before, or that it has no
// mistake. Its mistakes are the error.
func (c *checking) file(file, director string) (*configs.Config, error) {
	cfg, err := load.As(director).ForReview().File(file)
	if err != nil {
		return nil, err
	}
	if err := checkSchedulers(cfg); err != nil {
		return nil, err
	}
	for _, w := range cfg.Warnings {
		c.warn("%v", w)
	}
	for _, w := range examineChecks(cfg) {
		c.warn("%v", w)
	}
	for _, w := range examineHooks(cfg) {
		c.warn("%v", w)
	}
	for _, s := range doctor.TryScripts(c.ctx, cfg.Tracks) {
		c.warn("%s: %s", file, diagnosis.FailingScript(s).Advice())
	}
	for _, note := range cfg.Notes() {
		c.note("%s: %s", file, note)
	}
	if c.live {
		changes, err := replaced(c.ctx, cfg)
		if err != nil {
			return nil, err
		}
		for _, change := range changes {
			c.warn("%s: replaces what another program has set up: %s", file, change)
		}
	}
	who := ""
	if director != "" {
		who = cfg.Name + ": "
	}
	c.good("%s: ok (%s%s)", file, who, contents(cfg))
	return cfg, nil
}

// contents returns in words what a file describes.
func contents(cfg *configs.Config) string {
	var parts []string
	if cfg.RealServer == nil || len(cfg.Routers)+len(cfg.Services) > 0 {
		parts = append(parts, fmt.Sprintf("virtual routers: %d, services: %d", len(cfg.Routers), len(cfg.Services)))
	}
	if r := cfg.RealServer; r != nil {
		vips := "VIPs"
		if len(r.VIPs) == 1 {
			vips = "VIP"
		}
		parts = append(parts, fmt.Sprintf("real server: %d %s, mode %s", len(r.VIPs), vips, r.Mode))
	}
	return strings.Join(parts, ", ")
}

// checkSchedulers refuses schedulers that this machine's kernel does not have. If the kernel has no IPVS, or its modules
// cannot be listed, this machine is probably not the director. Then checkSchedulers refuses none.
func checkSchedulers(cfg *configs.Config) error {
	have, err := kernel.AvailableSchedulers()
	if err != nil {
		return nil
	}
	return missingSchedulers(cfg, have)
}

// missingSchedulers returns a mistake for each service whose scheduler is not in the list.
func missingSchedulers(cfg *configs.Config, have []string) error {
	var mistakes []error
	for _, f := range diagnosis.MissingSchedulers(cfg.Services, have) {
		mistakes = append(mistakes, fmt.Errorf("%s: %s", cfg.File, f.Advice()))
	}
	return errors.Join(mistakes...)
}

// examineChecks returns why this machine cannot run checks of the configuration. Each cause is returned once.
func examineChecks(cfg *configs.Config) (all []error) {
	seen := make(map[string]bool)
	examine := func(owner string, c *healthcheck.Config) {
		err := probe.Examine(c)
		if err == nil {
			return
		}
		warning := fmt.Errorf("%s: %s: this machine cannot run the check of type %s: %w", cfg.File, owner, c.Type, err)
		if !seen[warning.Error()] {
			seen[warning.Error()] = true
			all = append(all, warning)
		}
	}
	for _, svc := range cfg.Services {
		for _, srv := range svc.Servers {
			for i := range srv.Checks {
				examine("service "+svc.Name, &srv.Checks[i])
			}
		}
	}
	for _, t := range cfg.Tracks {
		if t.Check != nil {
			examine("virtual router "+t.Router, t.Check)
		}
	}
	return all
}

// examineHooks returns why this machine cannot run hooks of the configuration.
func examineHooks(cfg *configs.Config) (all []error) {
	for i := range cfg.Hooks {
		if err := workers.ExamineHook(&cfg.Hooks[i]); err != nil {
			all = append(all, fmt.Errorf("%s: hook %s: this machine cannot run it: %w", cfg.File, cfg.Hooks[i].Name, err))
		}
	}
	return all
}
