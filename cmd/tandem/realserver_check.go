// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/lvs/realserver"
)

func newRealServerCheck(f *realServerFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Print the commands that apply would run; the exit code is 1 if there are any",
		Long: `Print the commands that "apply" would run, and change nothing. The exit code is 1 if there are any. Without
--vip and without a file, the settings are those of the last "apply".`,
		Example: `  tandem realserver check
  tandem realserver check --vip 192.0.2.100`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.loadOrRecorded()
			if err != nil {
				return err
			}
			if asJSON {
				return f.checkJSON(cmd, c)
			}
			machine := f.machine()
			return f.checkText(cmd, c, machine.Check, machine.Unclear)
		},
	}
	registerJSON(cmd, &asJSON, "the commands")
	return cmd
}

// checkText prints what apply would run, for people.
func (f *realServerFlags) checkText(
	cmd *cobra.Command, c realserver.Config, check func(realserver.Config) ([]realserver.Step, error), unclear func() string,
) error {
	missing, err := listSteps(cmd, func() ([]realserver.Step, error) { return check(c) })
	switch {
	case err != nil:
		return err
	case missing > 0 && unclear() != "":
		return fmt.Errorf("this machine is not prepared as a real server: `%s` runs the commands above; other programs have rules about ARP, and it "+
			"is not known whether they hide the VIPs, because %s", f.command(c), unclear())
	case missing > 0:
		return fmt.Errorf("this machine is not prepared as a real server: `%s` runs the commands above", f.command(c))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "ok: this machine is prepared as a real server (mode %s) for %s\n", c.Mode, addresses(c.VIPs))
	return nil
}

// checkJSON prints what apply would run, for programs.
func (f *realServerFlags) checkJSON(cmd *cobra.Command, c realserver.Config) error {
	machine := f.machine()
	steps, err := machine.Check(c)
	if err != nil {
		return err
	}
	if err := writeJSON(cmd.OutOrStdout(), checked(steps, machine.Unclear())); err != nil {
		return err
	}
	if len(steps) > 0 {
		return errPrinted
	}
	return nil
}

// checked is the result of a check, for programs. unclear is why it is not known whether rules of another program about ARP hide the
// VIPs; empty: it is known, or there are none.
func checked(steps []realserver.Step, unclear string) map[string]any {
	is := map[string]any{"prepared": len(steps) == 0, "commands": commandsOf(steps)}
	if unclear != "" {
		is["unclear"] = unclear
	}
	return is
}

// lasting returns in words how long the changes of apply last.
func (f *realServerFlags) lasting(c realserver.Config) string {
	unit := "; to apply all settings at each boot, enable tandem-realserver.service"
	if len(f.vips) > 0 || f.config != defaultConfig { // not what the service reads
		unit = "; to apply all settings at each boot, add [realserver] to " + defaultConfig + " and enable tandem-realserver.service"
	}
	switch {
	case c.DropIn != "":
		return "the sysctls are in " + c.DropIn + " and survive reboots; the other settings last only until the next boot" + unit
	case c.Mode == realserver.NAT || c.Method == realserver.ARPFilter:
		return "this lasts until the next boot" + unit
	}
	return "this lasts until the next boot: --persist makes the sysctls last" + unit
}

func addresses(list []netip.Addr) string {
	var words []string
	for _, a := range list {
		words = append(words, a.String())
	}
	return strings.Join(words, ", ")
}
