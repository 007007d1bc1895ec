// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// hookScript writes what it is told, and then does what its number says. Its children hold its lock too: a hook of the same virtual
// router that starts while one of them lives writes "overlap".
const hookScript = `#!/bin/sh
cd "$1" || exit 9
say() { echo "$1 $TANDEM_HOOK $TANDEM_NAME $TANDEM_EVENT $TANDEM_ATTEMPT $does $TANDEM_TIME $up" >> hooks.log; }
read up rest < /proc/uptime
n=${#TANDEM_HOOK}
[ ! -e "n-$TANDEM_HOOK-$TANDEM_NAME" ] || read n < "n-$TANDEM_HOOK-$TANDEM_NAME"
n=$((n + 1))
echo $n > "n-$TANDEM_HOOK-$TANDEM_NAME"
case $((n % 10)) in
1) does=hangs;;
2) does=fails;;
3) does=forks;;
4) does=prints;;
5) does=forks-and-hangs;;
6) does=prints-and-hangs;;
7) does=forks-and-fails;;
*) does=nothing;;
esac
case "$TANDEM_HOOK $5" in
notify\ |notify\ *[!0-9]*) does=wrong-arguments;;
notify*) [ "$3/$4" = "$TANDEM_NAME/$(echo "$TANDEM_EVENT" | busybox tr a-z A-Z)" ] || does=wrong-arguments;;
esac
exec 9> "lock-$TANDEM_NAME"
flock -n 9 || say overlap
say begin
case $does in
hangs) exec busybox sleep 100;;
fails) exit 7;;
forks) busybox sleep 100 & busybox setsid busybox sleep 100 & ;;
prints) busybox yes | busybox head -c 100000;;
forks-and-hangs) busybox setsid sh -c 'trap "" TERM HUP; busybox sleep 100; :' & busybox sleep 100;;
prints-and-hangs) busybox yes;;
forks-and-fails) busybox sleep 100 & exit 3;;
esac
exit 0
`

// outcome is how the history explains the end of a run, by what the run does; "": it succeeds.
var outcome = map[string]string{
	"hangs": tooLong, "forks-and-hangs": tooLong, "prints-and-hangs": tooLong, "fails": "exit code 7", "forks-and-fails": "exit code 3",
	"wrong-arguments": "it is told other arguments than variables",
}

// allStates is the number of the states, stop among them.
const allStates = 4

// soakHooks are the hooks of the soak, with the events that they hear.
var soakHooks = []struct {
	name    string
	routers []string
	on      []string
}{
	{"notify", []string{"web"}, []string{"master", "backup", "fault", "stop"}},
	{"all", []string{"web", "db"}, []string{"master", "backup", "fault", "stop"}},
	{"masters", []string{"web", "db"}, []string{"master"}},
	{"backups", []string{"web", "db"}, []string{"backup"}},
}

const (
	soakAdvert  = 20 * time.Millisecond
	hookTimeout = 400 * time.Millisecond
	otherVIP    = "192.0.2.101" // of the virtual router db
)

// soakConfig is the configuration of a director of the soak. web and db have their masters on different directors.
func soakConfig(d *lab.Director, web, db int) string {
	hook := func(table, name string, more string) string {
		i := 0
		for soakHooks[i].name != name {
			i++
		}
		return fmt.Sprintf("[[%s]]\nname = %q\non = [\"%s\"]\ncommand = [%q, %q]\ntimeout = %q\nretries = 1\nretry_pause = \"10ms\"\n%s\n",
			table, name, strings.Join(soakHooks[i].on, `", "`), filepath.Join(d.Dir(), "hook"), d.Dir(), hookTimeout, more)
	}
	router := func(name, vip string, vrid, priority int, more string) string {
		return fmt.Sprintf("[[vrrp]]\nname = %q\ninterface = \"eth0\"\nvrid = %d\npriority = %d\nadvert_interval = %q\nvips = [\"%s/24\"]\n%s\n",
			name, vrid, priority, soakAdvert, vip, more)
	}
	return fmt.Sprintf("name = %q\n", d.Name) +
		router("web", lab.VIP, 51, web, fmt.Sprintf("track = [{ file = %q, weight = -1 }]", stepBack(d))) +
		hook("vrrp.hook", "notify", `style = "keepalived"`) +
		router("db", otherVIP, 52, db, "") +
		hook("hook", "all", "") + hook("hook", "masters", "") + hook("hook", "backups", "")
}

// stepBack is the file whose number lowers the priority of web.
func stepBack(d *lab.Director) string { return filepath.Join(d.Dir(), "step-back") }

// newSoakDirector makes a director with its hooks. It does not start tandem.
func newSoakDirector(l *lab.Lab, t lab.T, name, addr string, web, db int) *lab.Director {
	d := l.Director(name, addr, "")
	d.Configure(soakConfig(d, web, db))
	if err := os.Chmod(d.WriteFile("hook", hookScript), 0o755); err != nil {
		t.Fatalf("%v", err)
	}
	return d
}
