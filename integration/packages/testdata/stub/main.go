// SPDX-License-Identifier: Apache-2.0

// Command stub is what the tests pack instead of tandem: it is small, and has the command that the packaging runs. Every other call it
// writes into the file "calls" of the root directory. It fails if the file "refuses" there has the command.
package main

import (
	"os"
	"strings"
)

func main() {
	if os.Args[1] == "completion" {
		_, _ = os.Stdout.WriteString("# completes tandem in " + os.Args[2] + "\n")
		return
	}
	root := os.Getenv("DPKG_ROOT")
	calls, err := os.OpenFile(root+"/calls", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = calls.WriteString("tandem " + strings.Join(os.Args[1:], " ") + "\n")
	}
	refuses, _ := os.ReadFile(root + "/refuses")
	if err != nil || string(refuses) == os.Args[1] {
		os.Exit(1)
	}
}
