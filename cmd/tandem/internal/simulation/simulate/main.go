// SPDX-License-Identifier: Apache-2.0

// Command simulate runs simulated pairs of directors, one seed after the other, and prints what it finds: make simulate.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/simulation"
)

func main() {
	seconds := flag.Int("seconds", 60, "for how long")
	seed := flag.Uint64("seed", 1, "the first seed")
	seeds := flag.Int("seeds", 0, "how many seeds at most (0: no limit)")
	transcript := flag.Bool("transcript", false, "print the transcript of the first seed, whatever comes of it, and do no more")
	flag.Parse()
	if *transcript {
		simulation.Write(os.Stdout, simulation.NewScenario(*seed), "")
		return
	}
	began := time.Now()
	t := simulation.Search(os.Stdout, *seed, *seeds, time.Duration(*seconds)*time.Second, time.Now)
	took := time.Since(began)
	fmt.Print(t)
	fmt.Printf("%.0f seeds an hour, %.0f simulated seconds a second\n", float64(t.Seeds)/took.Hours(), t.Time.Seconds()/took.Seconds())
	if len(t.Findings) > 0 {
		os.Exit(1)
	}
}
