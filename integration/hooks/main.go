// SPDX-License-Identifier: Apache-2.0

// Command hooks shows what tandem promises to those who run a program behind the VIP, on a real pair, and fails if a promise is
// broken:
//
//   - HAProxy is killed on the master. The VIP moves within the bound of what tracks HAProxy. keepalived does the same beside it.
//   - Transitions are forced while hooks hang, fail, fork and print, and while directors are killed and stopped. Each hook is told
//     each state once, in order, or a newer state instead. The present state is told last. No process is left.
//
// A soak that fails prints what it was judged by. With -replay, that output is judged again.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/lab/report"
)

const limit = 30 * time.Minute

// fewest is the smallest number of transitions among which the restarts have their places.
const fewest = 20

// packages are those that the lab does not have.
var packages = lab.Packages{
	Name:    "hooks",
	Wanted:  []string{"haproxy", "psmisc", "util-linux"},
	Assumed: []string{"adduser", "debconf", "dpkg", "init-system-helpers", "lsb-base", "sysvinit-utils", "usr-is-merged", "usrmerge"},
	Without: lab.Texts,
}

func main() {
	only := flag.String("only", "", "do only what matches this `expression`: \"proxy: SUBJECT, WHAT IT TRACKS\" or \"soak\"")
	tries := flag.Int("tries", 8, "kill HAProxy this many times for each row")
	transitions := flag.Int("transitions", 500, "force this many transitions")
	seed := flag.Uint64("seed", 1, "`SEED` of what is drawn at random")
	replay := flag.String("replay", "", "only judge the soak again whose output is in this `FILE`")
	verbose := flag.Bool("v", false, "print what happened, with the output of the programs")
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err == nil && *transitions < fewest {
		err = fmt.Errorf("-transitions must be at least %d", fewest)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if *replay != "" {
		if !judgeAgain(*replay) {
			os.Exit(1)
		}
		return
	}
	// An emulated machine would distort the times, and IPVS is not needed.
	lab.Prefer("direct")
	lab.EnterWith(packages, "github.com/tandem-lvs/tandem/integration/hooks", limit, lab.Tandem)

	fmt.Println(report.ThisMachine())
	ok := killProxies(match, *tries, *seed, *verbose)
	if match.MatchString("soak") {
		ok = soakHooksOfPair(*transitions, *seed, *verbose) && ok
	}
	if !ok {
		os.Exit(1)
	}
}

// soakHooksOfPair runs the soak, prints its result, and reports whether all is as promised.
func soakHooksOfPair(transitions int, seed uint64, verbose bool) bool {
	fmt.Printf("\nsoak, seed %d\n\n", seed)
	attempt := lab.NewAttempt("soak")
	reason := attempt.Do(func() {
		s := newSoak(attempt, seed)
		began := time.Now()
		s.run(transitions)
		s.print(os.Stdout, time.Since(began))
		records := s.records()
		found := judge(records)
		found.print(os.Stdout)
		problems := slices.Concat(s.problems, found.problems)
		for _, p := range problems[:min(len(problems), 20)] {
			fmt.Println("FAIL:", p)
		}
		if len(problems) > 0 {
			attempt.Errorf("%d problems", len(problems))
		}
		if verbose || attempt.Failed() {
			attempt.Logf("%s", s.Written(time.Time{}))
			attempt.Logf("%s", writeRecords(records))
		}
	})
	return conclude(attempt, reason, verbose)
}

// conclude prints the end of an attempt.
func conclude(attempt *lab.Attempt, reason string, verbose bool) bool {
	if verbose || reason != "" {
		fmt.Fprintln(os.Stderr, strings.Join(attempt.Logs(), "\n"))
	}
	if reason != "" {
		fmt.Println("FAIL:", reason)
	}
	return reason == ""
}
