// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
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
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what a reload would change, and what each change costs clients",
		Long: `Show what a reload would change: virtual routers, addresses, the kernel's IPVS table, checks, connection
sync, and the kernel settings that tandem sets. The running director compares the file with the configuration
in force and with the kernel. It changes nothing.

Without -c, the file is the one that the director runs with. With -c, any other file can be planned, with
the files that it includes. Variables have the values of the director's environment.

Each line begins with + (added), - (removed) or ~ (changed). The line below it is the cost. What hurts most comes first. New
real servers are checked once, with the check that the file gives them. A line "later" does not happen at the reload, but
when a check passes or when this director becomes master.

The exit code is 0 if nothing changes, 2 if something changes, and 1 if the director refuses the file or cannot be reached.`,
		Example: `  tandem plan && echo nothing changes
  tandem plan -c new.toml
  tandem plan --json | jq -r '.lines[] | select(.harm == "interrupts") | .cost'

  $ tandem plan
  /etc/tandem/tandem.toml: 3 changes

  - server 192.0.2.12:80 of www
      2 connections of 192.0.2.12 end
  ~ virtual router web: priority 150 → 90
      moves VIP if the peer's priority is above 90: hand-over
  + server 192.0.2.13:80 of www: dr, weight 1 when its check passes (later)
      healthy: status 200

  servers with a new check: 1 healthy`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, named, err := askPlan(cmd, &s)
			if err != nil {
				return err
			}
			if asJSON {
				out := json.NewEncoder(cmd.OutOrStdout())
				out.SetIndent("", "  ")
				err = out.Encode(p)
			} else {
				err = printPlan(cmd.OutOrStdout(), p)
			}
			if err != nil {
				return err
			}
			for _, w := range p.Warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
			}
			switch {
			case len(p.Refused) > 0:
				return errors.New(strings.Join(p.Refused, "\n"))
			case len(p.Lines) > 0 && named:
				return planned("to apply it: replace the director's file, and run tandem reload")
			case len(p.Lines) > 0:
				return planned("to apply it: tandem reload")
			}
			return nil
		},
	}
	s.register(cmd)
	cmd.Flag("config").Usage = "configuration `FILE` to plan (without -c: the file that the director runs with)"
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the plan as JSON")
	return cmd
}

// askPlan asks the director. named says that the user has named a file.
func askPlan(cmd *cobra.Command, s *socketFlags) (p control.Plan, named bool, err error) {
	var request control.PlanRequest
	if named = cmd.Flags().Changed("config"); named {
		if request, err = planRequest(s.config, s.name.is()); err != nil {
			return p, named, err
		}
	}
	client, err := s.client(cmd)
	if err != nil {
		return p, named, err
	}
	p, err = client.Plan(cmd.Context(), request)
	if errors.Is(err, control.ErrNoDirector) {
		err = fmt.Errorf("%w; without a director, tandem check --live compares a file with the kernel", err)
	}
	return p, named, err
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

// signs are the first characters of the lines, by operation.
var signs = map[string]string{"add": "+", "remove": "-", "change": "~"}

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
	for _, l := range p.Lines {
		fmt.Fprintf(&b, "%s %s", signs[l.Op], l.Object)
		if l.Change != "" {
			fmt.Fprintf(&b, ": %s", l.Change)
		}
		if l.Later {
			b.WriteString(" (later)")
		}
		b.WriteString("\n")
		if l.Cost != "" {
			fmt.Fprintf(&b, "    %s\n", l.Cost)
		}
	}
	if n := p.Probed; n.Healthy+n.Failed+n.NotProbed > 0 {
		fmt.Fprintf(&b, "\nservers with a new check: %s\n", probed(n))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// probed writes what the checks of the plan found.
func probed(n control.Probed) string {
	var parts []string
	for _, part := range []struct {
		n    int
		what string
	}{{n.Healthy, "healthy"}, {n.Failed, "not healthy"}, {n.NotProbed, "not checked"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	return strings.Join(parts, ", ")
}
