// SPDX-License-Identifier: Apache-2.0

// Command simulate runs simulated pairs of directors, one seed after the other, and prints what it finds: make simulate.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/simulation"
)

func main() {
	seconds := flag.Int("seconds", 60, "for how long (0: no limit)")
	seed := flag.Uint64("seed", 1, "the first seed")
	seeds := flag.Int("seeds", 0, "how many seeds at most (0: no limit)")
	workers := flag.Int("workers", runtime.GOMAXPROCS(0), "how many seeds at a time")
	transcript := flag.Bool("transcript", false, "print the transcript of the first seed, whatever comes of it, and do no more")
	flag.Parse()
	if *transcript {
		simulation.Write(os.Stdout, simulation.NewScenario(*seed), "")
		return
	}
	debug.SetGCPercent(800) // a run keeps little
	began := time.Now()
	t := simulation.Search{
		First: *seed, Count: *seeds, Limit: time.Duration(*seconds) * time.Second, Workers: *workers, Out: os.Stdout, Clock: time.Now,
	}.Run()
	took := time.Since(began)
	fmt.Print(t)
	fmt.Printf("%.0f seeds an hour, %.0f simulated seconds a second\n", float64(t.Seeds)/took.Hours(), t.Time.Seconds()/took.Seconds())
	if len(t.Findings) > 0 {
		os.Exit(1)
	}
}
