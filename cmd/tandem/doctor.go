// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/doctor"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/configs/load"
	"github.com/tandem-lvs/tandem/lvs/realserver"
)

// A verdict is the worst severity among the findings, which are printed already. It sets the exit code.
type verdict diagnosis.Severity

func (v verdict) Error() string { return "worst finding: " + diagnosis.Severity(v).String() }

func newDoctor() *cobra.Command {
	var f realServerFlags
	var asJSON, fix bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find the faults of this director or real server, and say how to fix them",
		Long: `Examine this machine and its network for the usual faults. Each finding is one line: the fault, why it
matters, and what to do: the command that fixes it, if there is one. The configuration says whether the
machine is a director, a real server, or both.

It needs root: it reads the firewall and runs the tracked scripts as their users.

Without --fix, doctor changes nothing. With --fix, it runs the safe commands and examines again. With
--persist, it also writes the sysctls to a file, so that they last over reboots. "tandem realserver remove"
removes that file.

The exit code is 0 without findings or with notes only, 2 with warnings, 3 with errors, and 1 if the
examination failed.`,
		Example: `  tandem doctor
  tandem doctor --fix
  tandem doctor --vip 192.0.2.100        # on a real server without a file
  tandem doctor --json | jq -r '.[].id'`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings, err := examine(cmd.Context(), &f)
			if err != nil {
				return err
			}
			if fix {
				file := ""
				if f.persist {
					file = filepath.Join(f.sysctlDir, doctorFile)
				}
				fixed, err := doctor.Fix(cmd.Context(), findings, f.machine(), file)
				for _, m := range fixed {
					fmt.Fprintf(cmd.ErrOrStderr(), "fixed %s: %s%s\n", m.ID, m.What, f.untilWhen(m, file))
				}
				if err != nil {
					return err
				}
				if findings, err = examine(cmd.Context(), &f); err != nil {
					return err
				}
			}
			if err := report(cmd, findings, asJSON); err != nil {
				return err
			}
			if worst := doctor.Worst(findings); worst > diagnosis.Note {
				return verdict(worst)
			}
			return nil
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print an array of {id, severity, what, why, mend, fixable}")
	cmd.Flags().BoolVar(&fix, "fix", false, "run the safe commands, and examine again")
	return sayingRoot(cmd, "reads the firewall and the ARP filter, and --fix changes sysctls")
}

// doctorFile is the name of the file of sysctls that --fix --persist writes.
const doctorFile = "60-tandem-doctor.conf"

// untilWhen says how long a repair lasts.
func (f *realServerFlags) untilWhen(m doctor.Finding, file string) string {
	switch {
	case m.RealServer() != nil:
		return "; " + f.lasting(*m.RealServer())
	case !m.Sysctl():
		return ""
	case file != "":
		return "; " + file + " keeps it over reboots"
	}
	return "; this lasts until the next boot: --persist keeps it in " + filepath.Join(f.sysctlDir, doctorFile)
}

// examine returns the findings about each role that the machine has.
func examine(ctx context.Context, f *realServerFlags) ([]doctor.Finding, error) {
	cfg := &configs.Config{}
	if len(f.vips) == 0 {
		loaded, err := load.As(f.name.is()).ForReview().File(f.config)
		switch {
		case err == nil:
			cfg = loaded
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	findings := []doctor.Finding{}
	c, err := f.loadOrRecorded()
	isDirector := len(cfg.Routers) > 0 || len(cfg.Services) > 0 && cfg.RealServer == nil
	if err != nil && !(isDirector && errors.Is(err, errNoRealServer)) {
		return nil, err
	}
	if err == nil {
		found, err := examineRealServer(ctx, f, c, cfg.Services)
		if err != nil {
			return nil, err
		}
		findings = append(findings, found...)
	}
	// Services in a real server's file do not make it a director: they say on which ports something must listen.
	if isDirector {
		s, err := doctor.GatherDirector(ctx, cfg)
		if err != nil {
			return nil, err
		}
		findings = append(findings, doctor.Director(cfg, s)...)
	}
	return findings, nil
}

func examineRealServer(ctx context.Context, f *realServerFlags, c realserver.Config, services []configs.Service) ([]doctor.Finding, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s, err := doctor.GatherRealServer(ctx, c, f.machine())
	if err != nil {
		return nil, err
	}
	s.Apply = f.command(c)
	return doctor.RealServer(c, services, s), nil
}

func report(cmd *cobra.Command, findings []doctor.Finding, asJSON bool) error {
	if asJSON {
		out := json.NewEncoder(cmd.OutOrStdout())
		out.SetIndent("", "  ")
		return out.Encode(findings)
	}
	for _, f := range findings {
		fmt.Fprintln(cmd.OutOrStdout(), f)
	}
	if len(findings) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "ok: no fault was found")
	}
	return nil
}

// exitCode returns 2 or 3 for the doctor's findings, 2 for a plan with changes, for an import with notes and for an upgrade without a
// peer, the code of a monitor, and 1 for every failure.
func exitCode(err error) int {
	var v verdict
	var c planned
	var m monitored
	switch {
	case errors.As(err, &m):
		return int(m)
	case errors.As(err, &c), errors.Is(err, converted{}), errors.Is(err, errNotUpgraded):
		return 2
	case !errors.As(err, &v):
		return 1
	case diagnosis.Severity(v) == diagnosis.Error:
		return 3
	}
	return 2
}
