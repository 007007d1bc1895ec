// SPDX-License-Identifier: Apache-2.0

package load

import (
	"errors"
	"fmt"

	"github.com/tandem-lvs/tandem/configs"
)

// Sources are files that a configuration includes, as they were read.
type Sources struct {
	Matches map[string][]string // by pattern: the names
	Texts   map[string]string   // by name
}

// Gather returns what the text of a file includes on this machine. Mistakes are left to the one who reads the sources.
func Gather(path string, text []byte) Sources {
	g := &gathering{}
	surroundings := configs.Surroundings{Files: g}
	configs.Directors(surroundings, path, text)
	return g.Sources
}

// Record is File, and also returns what it has read: the text of the file, and what it includes. They are returned even if the
// file has mistakes.
func (l Loader) Record(path string) (c *configs.Config, text []byte, s Sources, err error) {
	if text, err = Read(path); err != nil {
		return nil, nil, s, err
	}
	g := &gathering{}
	l.recording = g
	c, err = l.Text(path, text)
	return c, text, g.Sources, err
}

// Digest returns the SHA-256 sum of a file and of what it includes, as configs.Config has it, whatever mistakes there are in them.
func (s Sources) Digest(path string, text []byte) string {
	return configs.Digest(configs.Surroundings{Files: &s}, path, text)
}

// A gathering records what is read.
type gathering struct {
	disk
	Sources
}

// Match implements toml.Files.
func (g *gathering) Match(pattern string) ([]string, error) {
	names, err := g.disk.Match(pattern)
	if err == nil {
		if g.Matches == nil {
			g.Matches = make(map[string][]string)
		}
		g.Matches[pattern] = names
	}
	return names, err
}

// Read implements toml.Files.
func (g *gathering) Read(name string) ([]byte, error) {
	text, err := g.disk.Read(name)
	if err == nil {
		if g.Texts == nil {
			g.Texts = make(map[string]string)
		}
		g.Texts[name] = string(text)
	}
	return text, err
}

var errNotGiven = errors.New("the request does not have it")

// Match implements toml.Files.
func (s *Sources) Match(pattern string) ([]string, error) {
	names, ok := s.Matches[pattern]
	if !ok {
		return nil, errNotGiven
	}
	return names, nil
}

// Read implements toml.Files.
func (s *Sources) Read(name string) ([]byte, error) {
	text, ok := s.Texts[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, errNotGiven)
	}
	return []byte(text), nil
}
