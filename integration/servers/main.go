// SPDX-License-Identifier: Apache-2.0

// Command servers judges real servers of Debian by the checks of configs/checks.toml, while these servers are up, down or lying, and
// prints a table: server, situation, verdict, reason.
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
)

const limit = 15 * time.Minute

// packages are the servers, and clients that prepare them.
var packages = lab.Packages{
	Name: "servers",
	Wanted: []string{
		"mariadb-server-core", "mariadb-client-core", "postgresql-15", "postgresql-client-15", "redis-server", "slapd", "freeradius",
		"memcached",
	},
	Assumed: []string{
		"adduser", "ca-certificates", "coreutils", "debconf", "dpkg", "galera-4", "init-system-helpers", "libc-bin", "libldap-common",
		"libllvm14", "locales", "lsb-base", "lsof", "mariadb-common", "mysql-common", "netbase", "openssl", "passwd", "perl:any",
		"perl-base", "perl-modules-5.36", "postgresql-client-common", "postgresql-common", "procps", "psmisc", "python3", "sensible-utils", "ssl-cert",
		"sysvinit-utils", "tar", "tzdata", "ucf", "usr-is-merged", "usrmerge",
	},
	Without: lab.Texts,
}

// A scene is what happens to servers of one kind.
type scene struct {
	name string // the package of the server
	play func(*stage)
}

var scenes = []scene{
	{"redis-server", redis},
	{"memcached", memcached},
	{"mariadb-server-core", mariadb},
	{"postgresql-15", postgresql},
	{"slapd", openldap},
	{"freeradius", freeradius},
	{strangers, otherProtocols},
}

func main() {
	only := flag.String("only", "", "play the scenes whose names match this `expression`")
	verbose := flag.Bool("v", false, "print each step")
	flag.Parse()
	names, err := regexp.Compile(*only)
	if err == nil && os.Geteuid() != 0 {
		err = fmt.Errorf("this needs root: it makes network namespaces")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	// The servers need no IPVS, and an emulated machine would be slow.
	lab.Prefer("direct")
	lab.EnterWith(packages, "github.com/tandem-lvs/tandem/integration/servers", limit, lab.Tandem)

	if err := nameHosts(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("Each verdict was the same %d times in a row.\n\n%s\n", repeats, head)
	chosen := slices.DeleteFunc(slices.Clone(scenes), func(s scene) bool { return !names.MatchString(s.name) })
	ok := true
	for text := range lab.InOrder(atOnce, chosen, scene.report) {
		fmt.Print(text.rows)
		if *verbose || text.reason != "" {
			fmt.Fprint(os.Stderr, text.logs)
		}
		ok = ok && text.reason == ""
	}
	if !ok {
		os.Exit(1)
	}
}

// atOnce is the number of scenes that are played at the same time. They wait for most of their time.
const atOnce = 3

// A report is what a scene has shown.
type report struct {
	rows, logs string
	reason     string // of its failure
}

// report plays a scene.
func (s scene) report() report {
	attempt := lab.NewAttempt(s.name)
	t := &stage{attempt: attempt, server: s.name}
	reason := attempt.Do(func() {
		t.build(s.name)
		s.play(t)
		t.end()
	})
	if reason != "" {
		fmt.Fprintf(&t.rows, "| %s | failed: %s | | | | |\n", t.server, strings.ReplaceAll(reason, "\n", " "))
	}
	return report{rows: t.rows.String(), logs: strings.Join(attempt.Logs(), "\n") + "\n", reason: reason}
}

// nameHosts names the machines of the scenes. MariaDB looks for the names of its clients, and counts the errors of those that it finds.
func nameHosts() error {
	names := "127.0.0.1 localhost\n192.0.2.2 director\n" + firstAddress + " first\n" + secondAddress + " second\n"
	return os.WriteFile("/etc/hosts", []byte(names), 0o644)
}
