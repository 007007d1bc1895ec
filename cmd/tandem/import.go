// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/importer"
	"github.com/tandem-lvs/tandem/configs"
)

// importFlags are the flags of tandem import.
type importFlags struct {
	peer, id, peerID, name, peerName, scriptUser string
	ipvsadm, keywords, json                      bool
}

func newImport() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Convert the configuration of keepalived",
		Long: `Convert the configuration of keepalived, and print the result. Included files, conditions (@ID), parameters
($NAME) and sequences (~SEQ, ~LST) are followed. The result passes tandem check. Its defaults are those of
keepalived where tandem has others: they are written out.

What has no equivalent, what becomes something else and what never worked is printed on standard error: with
file, line and what to do. --keywords lists what becomes of each keyword.

With --peer, the result is one file for both directors: what differs is in [director.NAME]. The two files may
be the same file with two IDs: see --config-id.

With --ipvsadm, FILE is what ipvsadm -Sn has printed. With -, it is read from standard input.

The exit code is 0 if everything was converted, 2 if there are notes, and 1 if the file was refused.`,
		Example: `  tandem import /etc/keepalived/keepalived.conf > tandem.toml
  tandem import lb1.conf --peer lb2.conf > tandem.toml && tandem check tandem.toml
  ipvsadm -Sn | tandem import --ipvsadm -`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case f.keywords:
				return listKeywords(cmd.OutOrStdout(), f.json)
			case len(args) == 0:
				return fmt.Errorf("a FILE is missing: see %s --help", cmd.CommandPath())
			case f.ipvsadm && f.peer != "":
				return errors.New("--peer has no meaning with --ipvsadm: both directors have the same table")
			}
			return runImport(cmd, args[0], &f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.peer, "peer", "", "the configuration `FILE` of the other director")
	flags.StringVar(&f.id, "config-id", "", "the `ID` of lines that begin with @ID, as keepalived -i (default: the host name)")
	flags.StringVar(&f.peerID, "peer-config-id", "", "the `ID` of such lines for the other director")
	flags.StringVar(&f.name, "name", "", "the director's `NAME` (default: the router_id)")
	flags.StringVar(&f.peerName, "peer-name", "", "the other director's `NAME`")
	flags.StringVar(&f.scriptUser, "script-user", "", "the `USER` of scripts without one (default: keepalived_script if it exists, or root)")
	flags.BoolVar(&f.ipvsadm, "ipvsadm", false, "FILE is the output of ipvsadm -Sn")
	flags.BoolVar(&f.keywords, "keywords", false, "list what becomes of each keyword of keepalived")
	registerJSON(cmd, &f.json, "the converted file, the notes and why it was refused")
	return cmd
}

// converted is what an import with notes returns: it prints nothing more, and the exit code is 2.
type converted struct{}

func (converted) Error() string { return "" }

func runImport(cmd *cobra.Command, file string, f *importFlags) error {
	text, err := readImport(cmd, file)
	if err != nil {
		return err
	}
	i := importer.Importer{Files: keepalivedFiles{}, ScriptUser: cmp.Or(f.scriptUser, usualScriptUser(user.Lookup))}
	source := importer.Source{File: file, Text: text, ID: cmp.Or(f.id, shortHostName()), Name: f.name}
	var r importer.Result
	switch {
	case f.ipvsadm:
		r = i.Ipvsadm(source)
	case f.peer != "":
		other, err := readImport(cmd, f.peer)
		if err != nil {
			return err
		}
		peer := importer.Source{File: f.peer, Text: other, ID: cmp.Or(f.peerID, f.id, shortHostName()), Name: f.peerName}
		r = i.Pair(source, peer)
	default:
		r = i.Keepalived(source)
	}
	if f.json {
		return printImportJSON(cmd, r)
	}
	return printImport(cmd, r)
}

// An imported file is what import prints for programs.
type imported struct {
	Text    string         `json:"text"` // the converted file; empty if the other one was refused
	Notes   []importedNote `json:"notes"`
	Refused []importedNote `json:"refused"`
}

type importedNote struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"` // none: the file as a whole
	Text string `json:"text"`
	Do   string `json:"do,omitempty"`
}

func printImportJSON(cmd *cobra.Command, r importer.Result) error {
	list := func(notes []importer.Note) []importedNote {
		all := make([]importedNote, len(notes))
		for i, n := range notes {
			all[i] = importedNote{File: n.File, Line: n.Line, Text: n.Text, Do: n.Do}
		}
		return all
	}
	if err := writeJSON(cmd.OutOrStdout(), imported{Text: r.Text, Notes: list(r.Notes), Refused: list(r.Refused)}); err != nil {
		return err
	}
	switch {
	case len(r.Refused) > 0:
		return errPrinted
	case len(r.Notes) > 0:
		return converted{}
	}
	return nil
}

// printImport prints the converted file, and what is to be said about it.
func printImport(cmd *cobra.Command, r importer.Result) error {
	for _, n := range r.Notes {
		fmt.Fprintln(cmd.ErrOrStderr(), n)
	}
	if len(r.Refused) > 0 {
		lines := make([]string, len(r.Refused))
		for i, n := range r.Refused {
			lines[i] = n.String()
		}
		return errors.New(strings.Join(lines, "\n") + "\nnothing was converted")
	}
	if _, err := io.WriteString(cmd.OutOrStdout(), r.Text); err != nil {
		return fmt.Errorf("failed to write the converted file: %w", err)
	}
	if len(r.Notes) > 0 {
		return converted{}
	}
	return nil
}

// readImport reads a file, or standard input for -. Of a file that is too large it returns enough to tell.
func readImport(cmd *cobra.Command, file string) ([]byte, error) {
	if file == "-" {
		text, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), configs.MaxSize+1))
		if err != nil {
			return nil, fmt.Errorf("failed to read standard input: %w", err)
		}
		return text, nil
	}
	text, err := keepalivedFiles{}.Read(file)
	if err != nil {
		return nil, fmt.Errorf("failed to read the configuration of keepalived: %w", err)
	}
	return text, nil
}

// keepalivedFiles are the files of this machine.
type keepalivedFiles struct{}

// Match implements importer.Files.
func (keepalivedFiles) Match(pattern string) ([]string, error) { return filepath.Glob(pattern) }

// Read implements importer.Files. Only regular files are read: a pipe may never end.
func (keepalivedFiles) Read(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, plainError(name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is not a file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, plainError(name, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, configs.MaxSize+1))
	return text, errors.Join(err, f.Close())
}

// plainError is the error of a file without the name of the call.
func plainError(name string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", name, e.Err)
	}
	return err
}

// usualScriptUser returns the user that runs keepalived's scripts by default: keepalived_script, if this machine has it.
func usualScriptUser(lookUp func(name string) (*user.User, error)) string {
	const usual = "keepalived_script"
	if _, err := lookUp(usual); err == nil {
		return usual
	}
	return "root"
}

// shortHostName returns the first part of the host name, which is keepalived's configuration ID by default.
func shortHostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	short, _, _ := strings.Cut(name, ".")
	return short
}

// listKeywords prints what becomes of each keyword.
func listKeywords(out io.Writer, asJSON bool) error {
	if asJSON {
		return writeJSON(out, importer.Keywords())
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "BLOCK\tKEYWORD\tBECOMES\t")
	for _, k := range importer.Keywords() {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", cmp.Or(k.Block, "-"), k.Name, k.Fate, k.Text)
	}
	return w.Flush()
}
