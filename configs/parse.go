// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
)

// A Mistake is one thing wrong with a configuration file.
type Mistake = toml.Mistake

// Mistakes is everything that is wrong with one file and the files that it includes, ordered by file and line.
type Mistakes = toml.Mistakes

// A Refusal says why something cannot be used, and what to do.
type Refusal = toml.Refusal

// MaxSize is the maximum size of a configuration in bytes.
const MaxSize = toml.MaxSize

// Surroundings are what a file may refer to. The zero value has nothing: then a file that refers to something has mistakes.
type Surroundings struct {
	// Name is the director's name. It replaces that of the file.
	Name string
	// Host returns the host name, which is the director's name if there is no other; nil: it is not known.
	Host func() (string, error)
	// Files are the files that may be included.
	Files toml.Files
	// Variable returns the value of a variable of the environment.
	Variable func(name string) (value string, set bool)
	// Secrets are the texts that are kept outside of the file. If it is nil, they count as valid.
	Secrets toml.Secrets
}

// Parse validates the text of a file. The name is used in mistakes only. The error is always Mistakes. It reads
// nothing else: Config.Name is empty if the text has none.
func Parse(name string, text []byte) (*Config, error) { return ParseIn(Surroundings{}, name, text) }

// ParseIn validates the text of a file and what the file refers to. The error is always Mistakes.
func ParseIn(s Surroundings, name string, text []byte) (*Config, error) {
	d, ok := open(s, name, text)
	if !ok {
		return nil, d.Mistakes()
	}
	director, choice := choose(s, d)
	override(d, director)
	d.Expand(s.Variable)
	if director != "" && choice != ChosenByHost {
		d.Set(nameKey, director)
	}
	f, warnings, err := toml.Read(d, fileTable(), s.Secrets)
	if err != nil {
		return nil, err
	}
	c := &f.Config
	c.File, c.SHA256, c.Warnings, c.Choice = name, digest(d.Sources()), warnings, choice
	c.NATSplits = c.splitNAT()
	if choice == ChosenByHost {
		c.Name = director
	}
	return c, nil
}

// Lookup returns the string that a file has at a path, whatever mistakes there are in the rest of the file; "" if it has none. The
// error says that the file is not TOML.
func Lookup(s Surroundings, name string, text []byte, keys ...string) (string, error) {
	d, ok := open(s, name, text)
	if !ok {
		return "", d.Mistakes()
	}
	director, _ := choose(s, d)
	override(d, director)
	d.Expand(s.Variable)
	return d.Lookup(keys...), nil
}

// Digest returns the SHA-256 sum of a file and of what it includes, as Config.SHA256, whatever mistakes there are in them.
func Digest(s Surroundings, name string, text []byte) string {
	d, _ := open(s, name, text)
	return digest(d.Sources())
}

// open reads a file and what it includes.
func open(s Surroundings, name string, text []byte) (d *toml.Document, ok bool) {
	d, ok = toml.Open(name, text, Keys())
	if ok {
		d.Include(includeKey, s.Files)
	}
	return d, ok
}

// digest returns the SHA-256 sum of a file, in hexadecimal. With included files, it is the sum of the list of their names and
// sums.
func digest(files []toml.File) string {
	sum := func(text string) string {
		s := sha256.Sum256([]byte(text))
		return hex.EncodeToString(s[:])
	}
	if len(files) == 1 {
		return sum(files[0].Text)
	}
	list := ""
	for _, f := range files {
		list += fmt.Sprintf("%s  %s\n", sum(f.Text), f.Name)
	}
	return sum(list)
}

// A Key describes a key of the schema.
type Key = toml.Key

// Keys returns every key that a file may have. A table comes before its keys.
func Keys() []Key {
	return keys()
}
