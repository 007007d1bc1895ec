// SPDX-License-Identifier: Apache-2.0

// Package load reads the configuration from disk; package configs is pure.
package load

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tandem-lvs/tandem/configs"
)

// A Loader reads configurations for a director.
type Loader struct {
	name   string // of the director; empty: that of the file, or the host name
	review bool   // the file may be for another machine
	files  *Sources
	// recording records the included files while they are read; nil: nobody does.
	recording *gathering
}

// As returns a loader for the director with this name. Without a name, it is that of the file, or the host name.
func As(name string) Loader { return Loader{name: name} }

// Like returns a loader that chooses the director as c was loaded, to read the same file again.
func Like(c *configs.Config) Loader {
	if c.Choice == configs.ChosenByName {
		return As(c.Name)
	}
	return As("")
}

// ForReview returns the loader for a file that may be for another machine: a key file or a secret that is missing, or that
// this user may not read, is only a warning.
func (l Loader) ForReview() Loader {
	l.review = true
	return l
}

// From returns the loader that includes files only from sources that somebody else has read.
func (l Loader) From(s Sources) Loader {
	l.files = &s
	return l
}

// File reads and validates a file. The error is configs.Mistakes, or says why the file could not be read.
func (l Loader) File(path string) (*configs.Config, error) {
	text, err := Read(path)
	if err != nil {
		return nil, err
	}
	return l.Text(path, text)
}

// Text is File for the text of a file that somebody else has read. The path is its name, and says where included files are.
func (l Loader) Text(path string, text []byte) (*configs.Config, error) {
	c, err := configs.ParseIn(l.surroundings(), path, text)
	if err != nil {
		return nil, err
	}
	if err := keys(c, l.review); err != nil {
		return nil, err
	}
	return c, nil
}

// Directors returns the names that a file has a [director.NAME] for. It reports no mistakes in the file.
func Directors(path string) ([]string, error) {
	text, err := Read(path)
	if err != nil {
		return nil, err
	}
	return configs.Directors(As("").surroundings(), path, text), nil
}

// Socket returns the control socket that a file names, whatever mistakes there are in the rest of the file, or
// configs.DefaultSocket if it names none. The error says that the file cannot be read, or is not TOML.
func (l Loader) Socket(path string) (string, error) {
	return l.lookup(path, configs.DefaultSocket, "control", "socket")
}

// StateDir returns the state directory that a file names, as Socket does.
func (l Loader) StateDir(path string) (string, error) {
	return l.lookup(path, configs.DefaultStateDir, "state", "dir")
}

// lookup returns a value of a file, or its default.
func (l Loader) lookup(path, otherwise string, keys ...string) (string, error) {
	text, err := read(path)
	if err != nil {
		return "", err
	}
	value, err := configs.Lookup(l.surroundings(), path, text, keys...)
	if err != nil {
		return "", fmt.Errorf("failed to read configuration %s: %w", path, err)
	}
	return cmp.Or(value, otherwise), nil
}

func (l Loader) surroundings() configs.Surroundings {
	s := configs.Surroundings{
		Name: l.name, Host: os.Hostname, Files: disk{}, Variable: l.variable, Secrets: secrets{l},
	}
	switch {
	case l.files != nil:
		s.Files = l.files
	case l.recording != nil:
		s.Files = l.recording
	}
	return s
}

// systemdCredentials is where systemd puts the credentials of the shipped unit while it runs.
const systemdCredentials = "/run/credentials/tandem.service"

// variable returns the value of a variable of the environment. A command that reviews a file has no credentials of its own: it
// looks where those of the daemon are.
func (l Loader) variable(name string) (value string, set bool) {
	value, set = os.LookupEnv(name)
	if !set && name == "CREDENTIALS_DIRECTORY" && l.review {
		return systemdCredentials, true
	}
	return value, set
}

// disk are the files of this machine.
type disk struct{}

// Match implements toml.Files.
func (disk) Match(pattern string) ([]string, error) { return filepath.Glob(pattern) }

// Read implements toml.Files. The error does not repeat the name.
func (disk) Read(name string) ([]byte, error) {
	text, err := read(name)
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return nil, fmt.Errorf("%s: %w", name, e.Err)
	}
	return text, err
}

// usual is the file of a director that was told of no other.
const usual = "/etc/tandem/tandem.toml"

// Read returns the text of a file for Text.
func Read(path string) ([]byte, error) {
	text, err := read(path)
	if err != nil {
		return nil, unreadConfig(path, err)
	}
	return text, nil
}

// unreadConfig is the error for a file that could not be read. Whoever starts without the usual file is told what to write.
func unreadConfig(path string, err error) error {
	hint := ""
	if path == usual && errors.Is(err, fs.ErrNotExist) {
		hint = "; write one: tandem.toml(5) has all keys, and /usr/share/doc/tandem/examples has examples"
	}
	return fmt.Errorf("failed to read the configuration: %w%s", err, hint)
}

// read returns the text of a file. Of a file that is too large it returns enough to tell.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, configs.MaxSize+1))
	return text, errors.Join(err, f.Close())
}
