// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"io"

	"github.com/spf13/cobra"
)

// registerJSON adds the flag --json of a command that prints one value.
func registerJSON(cmd *cobra.Command, asJSON *bool, what string) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print "+what+" as JSON")
}

// writeJSON prints a value for programs.
func writeJSON(w io.Writer, value any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(value)
}

// errPrinted is the error of a command that has printed what is wrong already. The exit code is 1.
var errPrinted = errors.New("")
