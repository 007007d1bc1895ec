// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/upgrade"
)

// directorUnit is the unit of the shipped file configs/tandem.service.
const directorUnit = "tandem.service"

// defaultEnvironment is the file of variables that the shipped units read.
const defaultEnvironment = "/etc/default/tandem"

// errNotUpgraded is the error of a command that has printed why the director was not restarted. The exit code is 2.
var errNotUpgraded = errors.New("")

func newUpgrade() *cobra.Command {
	var s socketFlags
	var environment string
	var alone, inPlace, asJSON bool
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Put the installed version into service, without a gap for clients",
		Long: `Put another version of tandem into service after it was installed. The command

  1. checks the configuration with the installed version,
  2. hands over the virtual routers whose master is this director,
  3. restarts tandem.service,
  4. ends the standby of these virtual routers, so that the director with the highest priority is master again.

If no other director takes over, the installed version replaces the running one in the same process, and
clients notice nothing: addresses, the IPVS table and the election go on. --in-place does this at once, and
hands nothing over. It needs no systemd. The running director first asks the installed version whether it can
read what it takes over. If it cannot, the running director goes on as before. It also goes on if the
configuration has changed since it was loaded, while a configuration waits for confirmation, and during a drill.

The election process of the former version goes on until that of the new version has taken over from it. If
that fails, tandem status says why. The former one then still holds the addresses, but is not told of changes.
Changes of tandem.service and of its variables come with the next restart.

If the installed version refuses the configuration, the running director goes on as before, and the exit code
is 1. If no other director takes over and the director cannot be replaced in place, nothing is restarted, and
the exit code is 2: give --alone to restart it nevertheless. If the new version does not start, the other
director serves: install the former version again, and run tandem release.

If the director does not run, the command does nothing. Upgrading the package runs this command.`,
		Example: `  tandem upgrade
  tandem upgrade --in-place               # hand nothing over: also for a director without a peer
  tandem upgrade --alone                  # if neither works: clients wait until the director is master again`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := adoptEnvironment(environment); err != nil {
				return err
			}
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			o := upgrade.Options{
				Unit: systemdUnit(directorUnit), Director: client, File: s.config, Check: s.checkConfiguration, Alone: alone, InPlace: inPlace,
				Tell: func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) },
				Pause: func(ctx context.Context) error {
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(200 * time.Millisecond):
						return nil
					}
				},
			}
			result, err := upgrade.Run(cmd.Context(), o)
			if asJSON {
				if printErr := writeJSON(cmd.OutOrStdout(), result); printErr != nil {
					return printErr
				}
			}
			if errors.Is(err, upgrade.ErrAlone) {
				fmt.Fprintln(cmd.ErrOrStderr(), err)
				return errNotUpgraded
			}
			return err
		},
	}
	s.register(cmd)
	cmd.Flags().BoolVar(&alone, "alone", false, "restart the director even if no other director takes over and it cannot be replaced in place")
	cmd.Flags().BoolVar(&inPlace, "in-place", false, "replace the running version in the same process, and hand nothing over")
	cmd.MarkFlagsMutuallyExclusive("alone", "in-place")
	cmd.Flags().StringVar(&environment, "environment", defaultEnvironment, "`FILE` with the variables of the unit")
	registerJSON(cmd, &asJSON, "what was done")
	return cmd
}

// checkConfiguration checks a file as tandem check does, and tells only mistakes.
func (s *socketFlags) checkConfiguration(ctx context.Context, file string) error {
	c := &checking{ctx: ctx, said: make(map[string]bool), found: &checkFound{}}
	return c.all([]string{file}, s.name.is())
}

// adoptEnvironment sets the variables of a file that the unit reads, as systemd does: see EnvironmentFile in systemd.exec(5). A variable
// that is set already stays. There may be no such file.
func adoptEnvironment(file string) error {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("failed to read the variables of the unit: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, value, found := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		if !found || strings.HasPrefix(name, "#") || strings.HasPrefix(name, ";") {
			continue
		}
		value = strings.TrimSpace(value)
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		if _, set := os.LookupEnv(name); set {
			continue
		}
		if err := os.Setenv(strings.TrimSpace(name), value); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return lines.Err()
}

// A systemdUnit is the name of a unit.
type systemdUnit string

var _ upgrade.Unit = systemdUnit("")

// Active implements upgrade.Unit. systemctl fails if the unit is not active, so its exit code says nothing more.
func (u systemdUnit) Active(ctx context.Context) (bool, error) {
	out, err := exec.CommandContext(ctx, "systemctl", "is-active", string(u)).Output()
	if _, ran := errors.AsType[*exec.ExitError](err); err != nil && !ran {
		return false, fmt.Errorf("failed to ask systemd whether %s runs: restart the director by hand: %w", u, err)
	}
	switch strings.TrimSpace(string(out)) {
	case "active", "activating", "reloading":
		return true, nil
	}
	return false, nil
}

// Restart implements upgrade.Unit.
func (u systemdUnit) Restart(ctx context.Context) error {
	if out, err := exec.CommandContext(ctx, "systemctl", "restart", string(u)).CombinedOutput(); err != nil {
		return fmt.Errorf("systemctl restart %s: %w: %s", u, err, strings.TrimSpace(string(out)))
	}
	return nil
}
