// SPDX-License-Identifier: Apache-2.0

// Command deployments runs pairs as people build them, with the real programs behind the address: HAProxy, nginx, MariaDB and bind9.
// For each there is a keepalived.conf for two machines. The first one runs tandem with the file that tandem import has made of its
// keepalived.conf. The second one runs Debian's keepalived. The master hands over, loses its power and loses its program, and comes
// back. The command prints who serves after each step, and the longest time for which a client had no answer, as a table.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/lab/report"
)

const limit = 20 * time.Minute

// packages are those that the lab does not have, for the deployments without IPVS, and for those with it. The emulated machine has little
// memory.
var packages = map[bool]lab.Packages{
	false: {
		Name:    "deployments",
		Wanted:  []string{"haproxy", "psmisc", "util-linux", "curl", "msmtp-mta"},
		Assumed: append([]string{"ca-certificates", "procps", "ucf"}, assumed...),
		Without: lab.Texts,
	},
	true: {
		Name:   "deployments-ipvs",
		Wanted: []string{"psmisc", "util-linux", "mariadb-server-core", "mariadb-client-core", "bind9"},
		Assumed: append([]string{
			"bind9-utils", "dns-root-data", "galera-4", "libc-bin", "lsof", "mariadb-common", "mysql-common", "netbase", "passwd",
			"perl:any", "perl-base", "procps", "tzdata", "ucf",
		}, assumed...),
		Without: append([]string{"/usr/lib/mysql/plugin"}, lab.Texts...),
	},
}

var assumed = []string{"adduser", "debconf", "dpkg", "init-system-helpers", "iproute2", "lsb-base", "sysvinit-utils", "usr-is-merged", "usrmerge"}

// atOnce is the number of scenes that are played at the same time. They wait for most of their time.
const atOnce = 3

func main() {
	only := flag.String("only", "", "run the deployments whose names match this `expression`")
	verbose := flag.Bool("v", false, "print each step, with the output of the programs")
	ipvs := flag.String("ipvs", "both", "run the deployments with IPVS (`yes`), those without (no), or both")
	flag.Parse()
	names, err := regexp.Compile(*only)
	if err == nil && os.Geteuid() != 0 {
		err = errors.New("this needs root: it makes network namespaces")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	chosen := slices.DeleteFunc(deployments(), func(d deployment) bool {
		return !names.MatchString(d.name) || *ipvs == map[bool]string{true: "no", false: "yes"}[d.ipvs]
	})
	if *ipvs == "both" && lab.Outside() {
		os.Exit(runEach(chosen))
	}
	with := *ipvs == "yes"
	if !with {
		// An emulated machine would distort the times, and IPVS is not needed.
		lab.Prefer("direct")
	}
	lab.EnterWith(packages[with], "github.com/tandem-lvs/tandem/integration/deployments", limit, lab.Tandem)
	os.Exit(play(chosen, with, *verbose))
}

// runEach runs this program once for the deployments without IPVS, and once for those with it, which need another kernel.
func runEach(chosen []deployment) (code int) {
	fmt.Println(report.ThisMachine())
	fmt.Print(head)
	for _, of := range []string{"no", "yes"} {
		if !slices.ContainsFunc(chosen, func(d deployment) bool { return d.ipvs == (of == "yes") }) {
			continue
		}
		cmd := exec.Command("/proc/self/exe", append([]string{"-ipvs", of}, os.Args[1:]...)...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			code = 1
		}
	}
	return code
}

const head = `
The client asks again and again. After each step: which of the two directors serves, and the longest time without an answer. a runs
tandem with the imported file, b Debian's keepalived with its own. Two letters are for two addresses. P is the configured priority.

| configuration | import: refused, by hand | who serves, and the client's outage | longest | scripts and mails | |
|---|---|---|---:|---|---|
`

// A result is what a scene has shown.
type result struct {
	row, logs, reason string
}

func play(chosen []deployment, with, verbose bool) (code int) {
	n := atOnce
	if with {
		n = 1
	}
	for r := range lab.InOrder(n, chosen, func(d deployment) result { return d.report(verbose) }) {
		fmt.Println(r.row)
		if verbose || r.reason != "" {
			fmt.Fprintln(os.Stderr, r.logs)
		}
		if r.reason != "" {
			code = 1
		}
	}
	return code
}

// report plays a deployment.
func (d deployment) report(verbose bool) (r result) {
	attempt := lab.NewAttempt(d.name)
	s := &scene{deployment: d, t: attempt}
	r.reason = attempt.Do(func() {
		s.play()
		if verbose {
			attempt.Logf("%s", s.Written(time.Time{}))
		}
	})
	r.row, r.logs = s.row(r.reason), strings.Join(attempt.Logs(), "\n")
	return r
}

// row is the deployment's line of the table.
func (s *scene) row(reason string) string {
	var most time.Duration
	steps := make([]string, len(s.steps))
	for i, t := range s.steps {
		steps[i] = t.name + ": " + t.served
		if t.bound > 0 {
			steps[i] += " " + milliseconds(t.outage.length)
		}
		most = max(most, t.outage.length)
	}
	if reason != "" {
		reason = "**failed: " + strings.ReplaceAll(reason, "\n", " ") + "**"
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |", s.name, s.imported.summary(), strings.Join(steps, ", "), milliseconds(most),
		strings.Join(s.told, "; "), reason)
}
