// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/workers"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/doctor"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/configs/load"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe"
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

func newCheck() *cobra.Command {
	var live bool
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

The exit code is 0 if no file has a mistake, and 1 otherwise. Warnings and notes do not change it.`,
		Example: `  tandem check /etc/tandem/tandem.toml
  tandem check lb1.toml lb2.toml && echo both are good`,
		Args: arguments(1, -1),
		RunE: func(cmd *cobra.Command, files []string) error {
			var failed []error
			for _, file := range files {
				failed = append(failed, checkFile(cmd, file, live))
			}
			return errors.Join(failed...)
		},
	}
	cmd.Flags().BoolVar(&live, "live", false, "also list the services of other programs in this kernel that a director with this file would replace")
	return cmd
}

// checkFile checks one file, and prints its warnings and notes, or that it has no mistake. Its mistakes are the error.
func checkFile(cmd *cobra.Command, file string, live bool) error {
	cfg, err := load.ForReview(file)
	if err != nil {
		return err
	}
	if err := checkSchedulers(cfg); err != nil {
		return err
	}
	out := cmd.ErrOrStderr()
	for _, w := range cfg.Warnings {
		fmt.Fprintf(out, "warning: %v\n", w)
	}
	for _, w := range examineChecks(cfg) {
		fmt.Fprintf(out, "warning: %v\n", w)
	}
	for _, w := range examineHooks(cfg) {
		fmt.Fprintf(out, "warning: %v\n", w)
	}
	for _, s := range doctor.TryScripts(cmd.Context(), cfg.Tracks) {
		fmt.Fprintf(out, "warning: %s: %s\n", file, diagnosis.FailingScript(s).Advice())
	}
	for _, note := range cfg.Notes() {
		fmt.Fprintf(out, "note: %s: %s\n", file, note)
	}
	if live {
		changes, err := replaced(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		for _, c := range changes {
			fmt.Fprintf(out, "warning: %s: replaces what another program has set up: %s\n", file, c)
		}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: ok (%s)\n", file, contents(cfg))
	return nil
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
