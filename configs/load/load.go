// SPDX-License-Identifier: Apache-2.0

// Package load reads the configuration from disk; package configs is pure.
package load

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/configs/internal/toml"
)

// File reads and validates a file. A configuration without a name gets the host name. The error is configs.Mistakes, or says
// why the file could not be read.
func File(path string) (*configs.Config, error) { return file(path, false) }

// ForReview reads and validates a file that may be for another machine: a key file that is missing, or that this user may not
// read, is only a warning.
func ForReview(path string) (*configs.Config, error) { return file(path, true) }

func file(path string, elsewhere bool) (*configs.Config, error) {
	text, err := Read(path)
	if err != nil {
		return nil, err
	}
	return parse(path, text, elsewhere)
}

// Text is File for the text of a file that somebody else has read. The path is only its name.
func Text(path string, text []byte) (*configs.Config, error) { return parse(path, text, false) }

// TextForReview is ForReview for the text of a file that somebody else has read.
func TextForReview(path string, text []byte) (*configs.Config, error) { return parse(path, text, true) }

func parse(path string, text []byte, elsewhere bool) (*configs.Config, error) {
	c, err := configs.Parse(path, text)
	if err != nil {
		return nil, err
	}
	if err := keys(c, elsewhere); err != nil {
		return nil, err
	}
	if c.Name == "" {
		if c.Name, err = os.Hostname(); err != nil {
			problem := fmt.Sprintf("is missing, and the host name cannot be read: %s", err)
			return nil, configs.Mistakes{{File: path, Line: 1, Key: "name", Problem: problem}}
		}
	}
	return c, nil
}

// Read returns the text of a file for Text.
func Read(path string) ([]byte, error) {
	text, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("failed to read the configuration: %w", err)
	}
	return text, nil
}

// read returns the text of a file. Of a file that is too large it returns enough to tell.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, toml.MaxSize+1))
	return text, errors.Join(err, f.Close())
}

// Socket returns the control socket that a file names, whatever mistakes there are in the rest of the file, or
// configs.DefaultSocket if it names none. The error says that the file cannot be read, or is not TOML.
func Socket(path string) (string, error) {
	text, err := read(path)
	if err != nil {
		return "", err
	}
	return lookup(path, text, configs.DefaultSocket, "control", "socket")
}

// StateDir returns the state directory that a file names, as Socket does.
func StateDir(path string) (string, error) {
	text, err := read(path)
	if err != nil {
		return "", err
	}
	return lookup(path, text, configs.DefaultStateDir, "state", "dir")
}

// lookup returns a value of a file, or its default.
func lookup(path string, text []byte, otherwise string, keys ...string) (string, error) {
	value, err := toml.Lookup(text, keys...)
	if err != nil {
		return "", fmt.Errorf("failed to read configuration %s: %w", path, err)
	}
	return cmp.Or(value, otherwise), nil
}
