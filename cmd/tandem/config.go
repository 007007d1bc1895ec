// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/textdiff"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the configurations that were in force",
		Long: `Show the configurations that were in force. The director keeps the last 20, with the files that they include,
in its state directory. Each has a number: it is a revision. If no director runs, the state directory is read; -c
names the configuration that names it.`,
		Example: `  tandem config log
  tandem config show 7
  tandem config diff 7`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigLog(), newConfigShow(), newConfigDiff())
	return cmd
}

// revisionNumber returns the argument at that index, or 0.
func revisionNumber(args []string, i int) (int, error) {
	if i >= len(args) {
		return 0, nil
	}
	n, err := strconv.Atoi(args[i])
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not the number of a revision: see tandem config log", args[i])
	}
	return n, nil
}

func newConfigLog() *cobra.Command {
	var s socketFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "log",
		Short: "List the configurations that were in force",
		Long: `List the configurations that were in force, the latest first. The first one is in force. HOW is start, reload,
apply, rollback or automatic rollback. CHANGES are the first changes that it made, as tandem plan prints them.`,
		Example: `  tandem config log
  tandem config log --json | jq -r '.revisions[-1].sha256'`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := (&configReader{cmd: cmd, s: &s}).log()
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), log)
			}
			return printConfigLog(cmd.OutOrStdout(), log)
		},
	}
	s.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the list as JSON, the oldest first")
	return cmd
}

// printConfigLog prints the list for people.
func printConfigLog(w io.Writer, log control.ConfigLog) error {
	if wait := log.Waits; wait != nil {
		fmt.Fprintf(w, "the first one waits for confirmation until %s; otherwise revision %d follows\n\n",
			wait.Until.Local().Format("2006-01-02 15:04:05"), wait.Former)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "REVISION\tSINCE\tHOW\tFILE\tCHANGES")
	for _, r := range slices.Backward(log.Revisions) {
		how := r.How
		if r.Of > 0 {
			how += fmt.Sprintf(" to %d", r.Of)
		}
		changes := "-"
		if len(r.Lines) > 0 {
			changes = r.Lines[0]
		}
		if more := r.Changes - 1; more > 0 {
			changes += fmt.Sprintf("; and %d more", more)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\n", r.Number, r.At.Local().Format("2006-01-02 15:04:05"), how, r.File, changes)
	}
	return t.Flush()
}

func newConfigShow() *cobra.Command {
	var s socketFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show [N]",
		Short: "Print the files of a configuration",
		Long: `Print the files of revision N, or of the one in force: as they were read, with comments. If it includes other
files, each begins with a line that names it. Passwords in the files themselves are shown; secrets that are kept
in other files are not.`,
		Example: `  tandem config show
  tandem config show 7 > /etc/tandem/tandem.toml
  tandem config show 7 --json | jq -r '.files[].name'`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			is, err := (&configReader{cmd: cmd, s: &s}).files(args, 0)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), is)
			}
			for i, f := range is.Files {
				if len(is.Files) > 1 {
					if i > 0 {
						fmt.Fprintln(cmd.OutOrStdout())
					}
					fmt.Fprintf(cmd.OutOrStdout(), "# ==> %s <==\n", f.Name)
				}
				if _, err := io.WriteString(cmd.OutOrStdout(), f.Text); err != nil {
					return err
				}
			}
			return nil
		},
	}
	s.register(cmd)
	registerJSON(cmd, &asJSON, "the files")
	return cmd
}

// A configReader asks the director. If none runs, it reads the state directory, and says so once.
type configReader struct {
	cmd    *cobra.Command
	s      *socketFlags
	stored *director.Stored // nil: a director runs, or was not asked yet
}

// log returns the list of revisions.
func (r *configReader) log() (control.ConfigLog, error) {
	return readConfigs(r, (*director.Stored).ConfigLog, func(c *control.Client) (control.ConfigLog, error) { return c.ConfigLog(r.cmd.Context()) })
}

// files returns the files of the revision that the argument names.
func (r *configReader) files(args []string, i int) (control.ConfigFiles, error) {
	n, err := revisionNumber(args, i)
	if err != nil {
		return control.ConfigFiles{}, err
	}
	want := control.ConfigSelection{Revision: n}
	return readConfigs(r,
		func(s *director.Stored) (control.ConfigFiles, error) { return s.ConfigFiles(want) },
		func(c *control.Client) (control.ConfigFiles, error) { return c.ConfigFiles(r.cmd.Context(), want) })
}

func readConfigs[T any](r *configReader, read func(*director.Stored) (T, error), ask func(*control.Client) (T, error)) (value T, err error) {
	if r.stored != nil {
		return read(r.stored)
	}
	client, err := r.s.client(r.cmd)
	if err != nil {
		return value, err
	}
	if value, err = ask(client); !errors.Is(err, control.ErrNoDirector) {
		return value, err
	}
	dir, dirErr := r.s.stateDir(r.cmd.Flags().Changed("config"))
	if dirErr == nil {
		r.stored, dirErr = director.OpenStored(dir)
	}
	if dirErr != nil {
		return value, errors.Join(err, dirErr)
	}
	fmt.Fprintf(r.cmd.ErrOrStderr(), "no director runs: this is from %s; what is called in force was it last\n", r.stored.Path)
	return read(r.stored)
}

// A configDiff is what config diff prints for programs.
type configDiff struct {
	From control.Revision `json:"from"`
	To   control.Revision `json:"to"`
	Diff string           `json:"diff"` // in the form of diff -u; empty: they are equal
}

func newConfigDiff() *cobra.Command {
	var s socketFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "diff [N [M]]",
		Short: "Compare the files of two configurations",
		Long: `Print the differences from revision N to revision M, or to the one in force, in the form of diff -u. Without N,
it is the one before. tandem plan shows what a change means for clients.`,
		Example: `  tandem config diff
  tandem config diff 7
  tandem config diff 5 7`,
		Args: arguments(0, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := &configReader{cmd: cmd, s: &s}
			to, err := r.files(args, 1)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				if args, err = r.oneBefore(); err != nil {
					return err
				}
			}
			from, err := r.files(args, 0)
			if err != nil {
				return err
			}
			diff := configDiff{From: from.Revision, To: to.Revision, Diff: diffFiles(from, to)}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), diff)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), diff.Diff)
			return err
		},
	}
	s.register(cmd)
	registerJSON(cmd, &asJSON, "the two revisions and their differences")
	return cmd
}

// oneBefore returns the number of the latest revision that differs from the one in force.
func (r *configReader) oneBefore() ([]string, error) {
	log, err := r.log()
	if err != nil {
		return nil, err
	}
	for _, is := range slices.Backward(log.Revisions) {
		if is.SHA256 != log.Revisions[len(log.Revisions)-1].SHA256 {
			return []string{strconv.Itoa(is.Number)}, nil
		}
	}
	return nil, fmt.Errorf("there is no configuration before the one in force: see tandem config log")
}

// diffFiles compares the files of two revisions. The files themselves are compared even if their names differ.
func diffFiles(from, to control.ConfigFiles) (text string) {
	name := func(r control.Revision, file string) string { return fmt.Sprintf("%s (revision %d)", file, r.Number) }
	if len(from.Files) > 0 && len(to.Files) > 0 {
		a, b := from.Files[0], to.Files[0]
		text = textdiff.Unified(name(from.Revision, a.Name), name(to.Revision, b.Name), a.Text, b.Text)
		from.Files, to.Files = from.Files[1:], to.Files[1:]
	}
	texts := func(files []control.ConfigFile) map[string]string {
		all := make(map[string]string)
		for _, f := range files {
			all[f.Name] = f.Text
		}
		return all
	}
	before, after := texts(from.Files), texts(to.Files)
	var names []string
	for _, f := range slices.Concat(from.Files, to.Files) {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	for _, n := range slices.Compact(names) {
		a, b := name(from.Revision, n), name(to.Revision, n)
		if _, ok := before[n]; !ok {
			a = "/dev/null"
		}
		if _, ok := after[n]; !ok {
			b = "/dev/null"
		}
		text += textdiff.Unified(a, b, before[n], after[n])
	}
	return text
}
