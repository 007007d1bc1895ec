// SPDX-License-Identifier: Apache-2.0

// Command demo shows a pair of directors at work, step by step. It runs in the lab of package lab. If a step does not
// happen, it says which and exits with 1.
package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// limit is the maximum time of the demonstration once its files are built.
const limit = 110 * time.Second

func main() {
	if lab.Outside() {
		fmt.Println("Building tandem and the lab that it is shown in …")
	}
	lab.Enter("github.com/tandem-lvs/tandem/integration/demo", limit, lab.Tandem)
	s := newStage()
	s.play(show)
	if s.failed {
		fmt.Fprintf(os.Stderr, "\nThe demo failed: %s\n", s.reason)
		os.Exit(1)
	}
}

const picture = `
                      client
                        │ 192.0.2.1
      ──────┬───────────┴┬───────────┬───────────┬──────
            │ .2         │ .3        │ .11       │ .12
       director-a   director-b      web1        web2

      One of the directors holds 192.0.2.100, which the client asks. It passes each request on to a
      web server, and that answers the client itself.
`

// show shows the pair at work, scene by scene.
func show(s *stage) {
	fmt.Print(picture)
	if lab.Place() == "vm" {
		fmt.Println("      This kernel has no IPVS: all of it runs in a virtual machine, under emulation.")
	}
	p := lab.NewPair(s, lab.PairSettings{Interval: 500 * time.Millisecond, Timeout: 300 * time.Millisecond})
	s.begin(p)

	s.title("Two directors start, advertising themselves every 100 ms")
	p.Launch()
	s.say("director-a is master and has 192.0.2.100; director-b stands by with the same IPVS table")
	s.ask(6, "web1", "web2")

	s.title("The web server of web1 stops")
	stopped := time.Now()
	p.HTTP[0].Stop()
	s.awaitWeight(0)
	s.say("both directors gave it weight 0 after %s", ms(time.Since(stopped)))
	s.ask(4, "web2")
	p.Webs[0].HTTPServer("web1")
	s.awaitWeight(1)
	s.say("it runs again, and has its share again")
	s.ask(4, "web1", "web2")

	s.title("The master loses power")
	probe := s.probe()
	p.A.PowerOff()
	p.AwaitMaster(p.B)
	s.say("director-b is master")
	s.outage(probe)
	s.ask(4, "web1", "web2")

	s.title("The first director comes back")
	probe = s.probe()
	p.A.PowerOn()
	p.AwaitMaster(p.A)
	s.say("director-a is master again")
	s.outage(probe)
	s.ask(4, "web1", "web2")

	s.title("The master is stopped on purpose (SIGTERM)")
	probe = s.probe()
	s.stop(p.A)
	p.AwaitMaster(p.B)
	s.say("director-a left cleanly, director-b is master")
	s.outage(probe)
	s.ask(4, "web1", "web2")

	s.summary()
}

// ms writes a duration for a reader.
func ms(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// servers writes a list of answers for a reader.
func servers(names []string) string { return strings.Join(names, " ") }
