// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/configs/load"
)

func newFmt() *cobra.Command {
	var diff bool
	cmd := &cobra.Command{
		Use:   "fmt FILE…",
		Short: "Give configuration files the usual white space",
		Long: `Give configuration files the usual white space: one blank line between tables, two spaces before the keys of a
table inside another, and the equals signs of neighbouring lines in one column. Comments, the order of the
keys and the form of the values stay, and the file means the same as before.

It writes the files that change, and prints their names. With -, it reads standard input and writes to
standard output. With -d, it writes nothing, and prints what it would change.

The exit code is 0, or 1 if a file cannot be read or is not TOML. With -d, it is also 1 if a file would change.`,
		Example: `  tandem fmt /etc/tandem/tandem.toml
  tandem fmt -d *.toml`,
		Args: arguments(1, -1),
		RunE: func(cmd *cobra.Command, files []string) error {
			var failed []error
			for _, file := range files {
				failed = append(failed, format(cmd, file, diff))
			}
			return errors.Join(failed...)
		},
	}
	cmd.Flags().BoolVarP(&diff, "diff", "d", false, "print what would change, and write nothing")
	return cmd
}

// format formats one file.
func format(cmd *cobra.Command, file string, diff bool) error {
	text, err := load.Read(file)
	if file == "-" {
		text, err = io.ReadAll(cmd.InOrStdin())
		if err != nil {
			err = fmt.Errorf("failed to read standard input: %w", err)
		}
	}
	if err != nil {
		return err
	}
	formatted, changes, err := configs.Format(file, text)
	out := cmd.OutOrStdout()
	switch {
	case err != nil:
		return err
	case diff && len(changes) > 0:
		fmt.Fprintln(out, strings.Join(changes, "\n"))
		return fmt.Errorf("%s: is not formatted; run tandem fmt %s", file, file)
	case file == "-" && !diff:
		_, err := io.WriteString(out, formatted)
		return err
	case len(changes) > 0:
		if err := replace(file, formatted); err != nil {
			return fmt.Errorf("failed to write %s: %w", file, err)
		}
		fmt.Fprintln(out, file)
	}
	return nil
}

// replace gives a file another text. Whoever reads it meanwhile gets one or the other. Mode and owner stay.
func replace(file, text string) (err error) {
	if file, err = filepath.EvalSymlinks(file); err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // it is not there if all went well
	_, err = f.WriteString(text)
	owner := info.Sys().(*syscall.Stat_t)
	err = errors.Join(err, f.Chmod(info.Mode().Perm()), f.Chown(int(owner.Uid), int(owner.Gid)), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
