// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
)

// A Mistake is one thing wrong with a configuration file.
type Mistake = toml.Mistake

// Mistakes is everything that is wrong with one file, ordered by line.
type Mistakes = toml.Mistakes

// Parse validates the text of a file. The name is used in mistakes only. The error is always Mistakes. It reads
// nothing else: Config.Name is empty if the text has none.
func Parse(name string, text []byte) (*Config, error) {
	f, warnings, err := toml.Parse(name, text, fileTable())
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	c := &f.Config
	c.File, c.SHA256, c.Warnings = name, hex.EncodeToString(sum[:]), warnings
	return c, nil
}

// Keys returns every key that a file may have. A table comes before its keys.
func Keys() []toml.Key {
	return fileTable().Keys
}
