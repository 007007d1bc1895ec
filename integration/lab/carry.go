// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"os"
	"time"
)

// A File is a file of the outside that a program needs inside, at [File.Path].
type File struct {
	Name string // file name inside
	From string // path outside
}

// Path returns where the file is found inside.
func (f File) Path() string { return inside + "/" + f.Name }

// EnterCarrying is [Enter] for a program that needs files of the outside. A virtual machine has this much memory, in MB, if it is more
// than usual. It holds all files in its memory.
func EnterCarrying(files []File, memory int, mainPackage string, limit time.Duration, cargo ...Cargo) {
	enter(trip{
		payload: Cargo{Name: "payload", Package: mainPackage},
		cargo:   cargo,
		args:    os.Args[1:],
		limit:   limit,
		carried: files,
		memory:  memory,
	})
}
