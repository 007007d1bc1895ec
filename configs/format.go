// SPDX-License-Identifier: Apache-2.0

package configs

import "github.com/tandem-lvs/tandem/configs/internal/toml"

// Format returns the text of a file with the usual white space: one space around the equals sign, with those of lines that follow
// each other in one column, and one blank line between tables. It changes nothing else. The diff has a line for each line that
// differs, and is empty if none does. The error says that the text is not TOML. It may have other mistakes.
func Format(name string, text []byte) (formatted string, diff []string, err error) {
	lines, formatted, err := toml.Format(name, text)
	if err != nil || formatted == string(text) {
		return formatted, nil, err
	}
	return formatted, toml.Diff(name, lines), nil
}
