// SPDX-License-Identifier: Apache-2.0

// Command previous sets up pairs of which one director is of this version and the other one of a former version, and prints what works
// between them: the election, hand-overs, what is told and asked over the channel, and the change from one version to the other.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const limit = 15 * time.Minute

// previous is the daemon of the former version as cargo.
var previous = lab.Cargo{Name: "tandem-previous", Package: lab.Tandem.Package}

func main() {
	flag.StringVar(&previous.Dir, "source", "", "the `DIRECTORY` with the source of the former version")
	flag.StringVar(&previous.Version, "version", "previous", "how the former version calls itself")
	verbose := flag.Bool("v", false, "print what was done, and what the directors wrote")
	flag.Parse()
	if lab.Outside() && (previous.Dir == "" || flag.NArg() > 0) {
		fmt.Fprintln(os.Stderr, "give the source of the former version, or use make previous")
		flag.Usage()
		os.Exit(2)
	}
	if lab.Outside() && os.Geteuid() == 0 {
		lab.Prefer("direct") // no scene needs IPVS
	}
	lab.Enter("github.com/tandem-lvs/tandem/integration/previous", limit, lab.Tandem, previous)

	ok := true
	for _, s := range []struct {
		name string
		play func(*scene)
	}{
		{"the master is of this version", func(s *scene) { s.mixed(false) }},
		{"the backup is of this version", func(s *scene) { s.mixed(true) }},
		{"both change to this version, and back", (*scene).upgrade},
	} {
		attempt := lab.NewAttempt(s.name)
		fmt.Printf("\n%s\n", s.name)
		reason := attempt.Do(func() { s.play(&scene{Attempt: attempt}) })
		if reason != "" {
			ok = false
			fmt.Printf("  FAILED: %s\n", strings.ReplaceAll(strings.TrimSpace(reason), "\n", "\n    "))
		}
		if *verbose || reason != "" {
			fmt.Fprintln(os.Stderr, strings.Join(attempt.Logs(), "\n"))
		}
	}
	if !ok {
		os.Exit(1)
	}
}
