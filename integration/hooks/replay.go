// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// The headings of a record. What belongs to a heading follows it, up to an empty line.
const (
	startsHeading  = "the starts of "
	historyHeading = "the history of "
	wroteHeading   = "what the hooks wrote of "
)

// writeRecords writes what a soak was judged by, so that it can be judged again.
func writeRecords(all []record) string {
	var b strings.Builder
	for _, r := range all {
		fmt.Fprintf(&b, "%s%s:\n", startsHeading, r.name)
		for _, at := range r.starts {
			fmt.Fprintln(&b, at)
		}
		fmt.Fprintf(&b, "\n%s%s:\n%s", historyHeading, r.name, strings.Join(r.history, ""))
		fmt.Fprintf(&b, "\n%s%s:\n%s\n", wroteHeading, r.name, r.wrote)
	}
	return b.String()
}

// parseRecords is the inverse of writeRecords. Other text may be around the records.
func parseRecords(text string) (all []record, err error) {
	at := func(name string) *record {
		for i := range all {
			if all[i].name == name {
				return &all[i]
			}
		}
		all = append(all, record{name: name})
		return &all[len(all)-1]
	}
	heading, name := "", ""
	for line := range strings.Lines(text) {
		words := strings.TrimSuffix(line, "\n")
		began := false
		for _, h := range []string{startsHeading, historyHeading, wroteHeading} {
			if rest, ok := strings.CutPrefix(words, h); ok && strings.HasSuffix(rest, ":") {
				heading, name, began = h, strings.TrimSuffix(rest, ":"), true
			}
		}
		switch {
		case began:
		case words == "":
			heading = ""
		case heading == startsHeading:
			start, err := time.ParseDuration(words)
			if err != nil {
				return nil, fmt.Errorf("%s%s: %w", startsHeading, name, err)
			}
			r := at(name)
			r.starts = append(r.starts, start)
		case heading == historyHeading:
			r := at(name)
			r.history = append(r.history, line)
		case heading == wroteHeading:
			at(name).wrote += line
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no record of a soak in it: a soak that fails, or runs with -v, writes one")
	}
	return all, nil
}

// judgeAgain judges a soak by its output, prints the result, and reports whether all is as promised.
func judgeAgain(path string) bool {
	text, err := os.ReadFile(path)
	var records []record
	if err == nil {
		records, err = parseRecords(string(text))
	}
	if err != nil {
		fmt.Printf("FAIL: %s: %s\n", path, err)
		return false
	}
	found := judge(records)
	found.print(os.Stdout)
	for _, p := range found.problems {
		fmt.Println("FAIL:", p)
	}
	return len(found.problems) == 0
}
