// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/configs/load"
)

// A planned says that a plan has changes, and how to apply them. It sets the exit code.
type planned string

func (p planned) Error() string { return string(p) }

func newPlan() *cobra.Command {
	var s socketFlags
	var asJSON, noProbe bool
	var former int
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what a reload would change, and what each change costs clients",
		Long: `Show what a reload would change: virtual routers, addresses, the kernel's IPVS table, checks, connection
sync, and the kernel settings that tandem sets. The running director compares the file with the configuration
in force and with the kernel. It changes nothing.

Without -c, the file is the one that the director runs with. With -c, any other file can be planned, with
the files that it includes. Variables have the values of the director's environment. tandem apply ID applies
what was planned; the ID is that of these files and of the configuration in force.

Each line begins with + (added), - (removed) or ~ (changed). The line below it is the cost. What hurts most comes first. With the channel of [peer],
it says what the other director makes of a priority: "moves VIP, because lb2 has priority 100: hand-over, 0 ms". New
real servers are checked once, with the check that the file gives them. A line "later" does not happen at the reload, but
when a check passes or when this director becomes master.

With --revision, it shows what tandem rollback N would change: see tandem config log.

If another configuration was applied since the director's own file changed, a reload keeps that one: see
tandem apply --help. With -c and the name of that file, the file itself is planned.

The exit code is 0 if nothing changes, 2 if something changes, and 1 if the director refuses the file or cannot be reached.`,
		Example: `  tandem plan && echo nothing changes
  tandem plan -c new.toml
  tandem plan --revision 7
  tandem plan --no-probe                 # leaves the checks of new servers out
  tandem plan --json | jq -r '.lines[] | select(.harm == "interrupts") | .cost'

  $ tandem plan
  /etc/tandem/tandem.toml: 3 changes

  - server 192.0.2.12:80 of www
      2 connections of 192.0.2.12 end
  ~ virtual router web: priority 150 → 90
      moves VIP if the peer's priority is above 90: hand-over
  + server 192.0.2.13:80 of www: dr, weight 1 when its check passes (later)
      healthy: status 200

  servers with a new check: 1 healthy
  to apply it: tandem apply 0f3c9a51d2e7`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			request := control.PlanRequest{Revision: former}
			switch given := cmd.Flags().Changed; {
			case given("revision") && given("config"):
				return errors.New("--revision is about a configuration that was in force, and -c about a file: leave one of them out")
			case given("revision") && former < 1:
				return fmt.Errorf("--revision: %d is not the number of a revision: see tandem config log", former)
			case given("config"):
				var err error
				if request, err = planRequest(s.config, s.name.is()); err != nil {
					return err
				}
			}
			request.NoProbe = noProbe
			p, err := askPlan(cmd, &s, request)
			if err != nil {
				return err
			}
			return tellPlan(cmd, p, asJSON)
		},
	}
	s.register(cmd)
	cmd.Flag("config").Usage = "configuration `FILE` to plan (without -c: the file that the director runs with)"
	registerJSON(cmd, &asJSON, "the plan")
	cmd.Flags().BoolVar(&noProbe, "no-probe", false, "do not check new real servers")
	cmd.Flags().IntVar(&former, "revision", 0, "plan a rollback to revision `N`")
	return cmd
}

// tellPlan prints a plan and its warnings. The error is that it is refused, or that it has changes.
func tellPlan(cmd *cobra.Command, p control.Plan, asJSON bool) (err error) {
	if asJSON {
		err = writeJSON(cmd.OutOrStdout(), p)
	} else {
		err = printPlan(cmd.OutOrStdout(), p)
	}
	if err != nil {
		return err
	}
	warn(cmd, p.Warnings)
	switch {
	case len(p.Refused) > 0:
		return errors.New(strings.Join(p.Refused, "\n"))
	case len(p.Lines) > 0:
		return planned("to apply it: tandem apply " + p.ID)
	}
	return nil
}

// warn prints warnings on standard error.
func warn(cmd *cobra.Command, warnings []string) {
	for _, w := range warnings {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
	}
}

// askPlan asks the director.
func askPlan(cmd *cobra.Command, s *socketFlags, request control.PlanRequest) (control.Plan, error) {
	client, err := s.client(cmd)
	if err != nil {
		return control.Plan{}, err
	}
	p, err := client.Plan(cmd.Context(), request)
	if errors.Is(err, control.ErrNoDirector) {
		err = fmt.Errorf("%w; without a director, tandem check --live compares a file with the kernel", err)
	}
	return p, err
}

// planRequest reads a file and those that it includes. Its mistakes are found here, where the user may read it. The director
// reads the key files and the environment: if the file uses variables, only the director can tell whether it has mistakes.
func planRequest(file, director string) (control.PlanRequest, error) {
	text, err := load.Read(file)
	if err != nil {
		return control.PlanRequest{}, err
	}
	name, err := filepath.Abs(file)
	if err != nil {
		return control.PlanRequest{}, fmt.Errorf("failed to find the folder of %s: %w", file, err)
	}
	included := load.Gather(name, text)
	variables := strings.Contains(string(text), "${")
	for _, t := range included.Texts {
		variables = variables || strings.Contains(t, "${")
	}
	if !variables {
		if _, err := load.As(director).ForReview().Text(file, text); err != nil {
			return control.PlanRequest{}, err
		}
	}
	return control.PlanRequest{
		File: name, Text: string(text), Matches: included.Matches, Included: included.Texts, Name: director,
	}, nil
}

// printPlan prints a plan for people.
func printPlan(w io.Writer, p control.Plan) error {
	var b strings.Builder
	switch len(p.Lines) {
	case 0:
		fmt.Fprintf(&b, "%s: a reload changes nothing\n", p.File)
	case 1:
		fmt.Fprintf(&b, "%s: 1 change\n\n", p.File)
	default:
		fmt.Fprintf(&b, "%s: %d changes\n\n", p.File, len(p.Lines))
	}
	writeLines(&b, p.Lines)
	if n := p.Probed; n.Healthy+n.Failed+n.NotProbed > 0 {
		fmt.Fprintf(&b, "\nservers with a new check: %s\n", probed(n))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// printLines prints changes, and an empty line after them.
func printLines(w io.Writer, lines []control.PlanLine) error {
	if len(lines) == 0 {
		return nil
	}
	var b strings.Builder
	writeLines(&b, lines)
	_, err := fmt.Fprintln(w, b.String())
	return err
}

// writeLines writes changes with their costs.
func writeLines(b *strings.Builder, lines []control.PlanLine) {
	for _, l := range lines {
		fmt.Fprintln(b, l)
		if l.Cost != "" {
			fmt.Fprintf(b, "    %s\n", l.Cost)
		}
	}
}

// probed writes what the checks of the plan found.
func probed(n control.Probed) string {
	var parts []string
	for _, part := range []struct {
		n    int
		what string
	}{{n.Healthy, "healthy"}, {n.Failed, "not healthy" + causes(n)}, {n.NotProbed, "not checked"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	return strings.Join(parts, ", ")
}

// causes writes why servers are not healthy: ": connection refused", or ": 2 connection refused, 1 no answer".
func causes(n control.Probed) string {
	var parts []string
	for _, c := range n.Causes {
		if c.Servers == n.Failed {
			return ": " + c.Reason
		}
		parts = append(parts, fmt.Sprintf("%d %s", c.Servers, c.Reason))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}
