// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
)

// Load reads and validates a file. The error is Mistakes, or says why the file could not be read.
func Load(path string) (*Config, error) {
	text, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("failed to read the configuration: %w", err)
	}
	c, err := Parse(path, text)
	if err == nil && c.Name == "" {
		if c.Name, err = os.Hostname(); err != nil {
			problem := fmt.Sprintf("is missing, and the host name cannot be read: %s", err)
			err = Mistakes{{File: path, Line: 1, Key: "name", Problem: problem}}
		}
	}
	if err != nil {
		return nil, err
	}
	return c, nil
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

// SocketOf returns the control socket that a file names, whatever mistakes there are in the rest of the file, or
// DefaultSocket if it names none. The error says that the file cannot be read, or is not TOML.
func SocketOf(file string) (string, error) {
	text, err := read(file)
	if err != nil {
		return "", err
	}
	socket, err := toml.Lookup(text, "control", "socket")
	if err != nil {
		return "", fmt.Errorf("failed to read configuration %s: %w", file, err)
	}
	if socket == "" {
		return DefaultSocket, nil
	}
	return socket, nil
}
