// SPDX-License-Identifier: Apache-2.0

// Command simulate runs simulated pairs of directors, one seed after the other, and prints its findings: make simulate.
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
	only := flag.String("only", "", "make every fault one of these `kinds`, separated by commas: their combinations are met more often")
	flag.Parse()
	all := simulation.Search{
		First: *seed, Count: *seeds, Limit: time.Duration(*seconds) * time.Second, Out: os.Stdout, Clock: time.Now,
	}
	if *only != "" {
		var err error
		if all.Only, err = simulation.ParseKinds(*only); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	if *transcript {
		simulation.Write(os.Stdout, all.Scenario(*seed), "")
		return
	}
	debug.SetGCPercent(800) // a run keeps little
	*workers = max(*workers, 1)
	began := time.Now()
	t := search(*workers, all)
	took := time.Since(began)
	fmt.Print(t)
	fmt.Printf("%.0f seeds an hour, %.0f simulated seconds a second\n", float64(t.Seeds)/took.Hours(), t.Time.Seconds()/took.Seconds())
	if len(t.Findings) > 0 {
		os.Exit(1)
	}
}

// search distributes the seeds among workers.
func search(workers int, all simulation.Search) *simulation.Tally {
	tallies := make(chan *simulation.Tally)
	begun := 0
	for i := range workers {
		mine := all
		mine.First, mine.Stride = all.First+uint64(i), uint64(workers)
		if all.Count > 0 {
			if mine.Count = (all.Count - i + workers - 1) / workers; mine.Count <= 0 {
				break // there are fewer seeds than workers
			}
		}
		begun++
		go func() { tallies <- mine.Run() }()
	}
	sum := simulation.NewTally()
	for range begun {
		sum.Add(<-tallies)
	}
	return sum
}
