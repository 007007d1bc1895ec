// SPDX-License-Identifier: Apache-2.0

// Command fresh has the whole life of tandem's Debian package on fresh machines: two directors and a real server. Each has a root directory
// made by debootstrap, and systemd as process 1. There the former package is installed, a pair is set up from a shipped example, it fails
// over, is upgraded to this package, removed and purged. A client asks all the time.
//
// It prints a table, and fails if the client notices a planned step, or if something is left on a machine that was not there before.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const (
	limit  = 15 * time.Minute
	memory = 3072 // MB. It holds the files of two machines.
)

// What comes from the outside.
var (
	root   = lab.File{Name: "root.tar"}
	former = lab.File{Name: "former.deb"}
	latest = lab.File{Name: "latest.deb"}
)

// packages are what a Debian machine with systemd has, beyond the smallest variant of debootstrap.
var packages = []string{"systemd-sysv", "iproute2", "kmod", "procps"}

func main() {
	if len(os.Args) == 5 && os.Args[1] == bootFlag {
		fmt.Fprintln(os.Stderr, boot(os.Args[2], os.Args[3], os.Args[4]))
		os.Exit(1)
	}
	flag.StringVar(&former.From, "former", "", "the former Debian package, a `FILE`")
	flag.StringVar(&latest.From, "latest", "", "this Debian package, a `FILE`")
	ask := flag.Duration("ask", 5*time.Millisecond, "how often the client asks")
	verbose := flag.Bool("v", false, "print each command with its output")
	flag.Parse()
	if lab.Outside() {
		if former.From == "" || latest.From == "" || flag.NArg() > 0 {
			fmt.Fprintln(os.Stderr, "give both packages, or use make fresh")
			flag.Usage()
			os.Exit(2)
		}
		var err error
		if root.From, err = lab.DebianRoot(context.Background(), packages...); err != nil {
			fmt.Fprintln(os.Stderr, "failed to make a fresh Debian root:", err)
			os.Exit(1)
		}
	}
	// systemd would share the control groups of this machine.
	lab.Prefer("vm")
	lab.EnterCarrying([]lab.File{root, former, latest}, memory, "github.com/tandem-lvs/tandem/integration/fresh", limit)

	attempt := lab.NewAttempt("fresh")
	s := &scene{Attempt: attempt, ask: *ask}
	reason := attempt.Do(s.play)
	s.conclude()
	if *verbose || reason != "" {
		fmt.Fprintln(os.Stderr, strings.Join(attempt.Logs(), "\n"))
	}
	if reason != "" {
		fmt.Println("FAIL:", reason)
		os.Exit(1)
	}
}

// conclude prints what was compared before the installation and after the purge.
func (s *scene) conclude() {
	fmt.Println()
	for _, text := range s.compared {
		fmt.Println("compared on", text)
	}
	for _, text := range s.excused {
		fmt.Println("exception:", text)
	}
}
