// SPDX-License-Identifier: Apache-2.0

// Command imported runs configurations of keepalived in the lab: first with Debian's keepalived, then on the same machine with tandem
// and the file that tandem import makes of it. Both must end with the same IPVS table, addresses, routes and rules, and send the same
// advertisements. It prints a table, and each difference. Differences on purpose are in a list, with the reason of each.
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

const limit = 20 * time.Minute

// atOnce is the number of configurations that run at the same time. They wait for most of their time.
const atOnce = 3

func main() {
	only := flag.String("only", "", "run the configurations whose names match this `expression`")
	verbose := flag.Bool("v", false, "print what was recorded, and what the programs wrote")
	list := flag.Bool("list", false, "print the names of the configurations, and do nothing")
	flag.Parse()
	names, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	chosen := slices.DeleteFunc(slices.Clone(configurations), func(c configuration) bool { return !names.MatchString(c.name) })
	switch {
	case *list:
		for _, c := range chosen {
			fmt.Println(c.name)
		}
		return
	case len(chosen) == 0:
		fmt.Fprintln(os.Stderr, "imported: no configuration has such a name; -list prints all")
		os.Exit(2)
	}
	lab.Enter("github.com/tandem-lvs/tandem/integration/imported", limit, lab.Tandem)

	fmt.Printf("Each configuration ran with keepalived, and then with tandem, which imported it.\n\n%s\n", head)
	ok := true
	var remarks strings.Builder
	used := map[*exception]bool{}
	for r := range lab.InOrder(atOnce, chosen, func(c configuration) result { return c.run(*verbose) }) {
		fmt.Println(r.row())
		remarks.WriteString(r.remarks(*verbose))
		if *verbose || r.failed() {
			fmt.Fprintln(os.Stderr, strings.Join(r.logs, "\n"))
		}
		for _, c := range r.compared {
			for _, e := range c.excepted {
				used[e] = true
			}
		}
		ok = ok && !r.failed()
	}
	fmt.Printf("\n%s\n%s", legend(used), remarks.String())
	if !ok {
		os.Exit(1)
	}
}
