// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/lab/report"
)

// A bench is the inner run.
type bench struct {
	options options
	machine report.Machine
	section section
}

// progress tells the reader what the run is measuring.
func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", b.section.name, fmt.Sprintf(format, args...))
}

// report adds one measurement to the result. The note helps to read it.
func (b *bench) report(what, subject string, value float64, unit, note string) {
	b.judge(what, subject, value, unit, note, nil)
}

// judge is report for a measurement that has a goal; nil: it has none.
func (b *bench) judge(what, subject string, value float64, unit, note string, goal *report.Goal) {
	r := row{
		Section: b.section.name, Place: b.machine.Place, Case: what, Subject: subject, Value: &value, Unit: unit, Note: note, Goal: goal,
	}
	b.progress("%s, %s: %s (%s)", what, subject, r, note)
	report.Emit(message{Row: &r})
}

// measure runs f, which makes its own lab. If f fails, the result has the reason instead of a number.
func (b *bench) measure(what, subject string, f func(*lab.Attempt)) {
	if only := b.options.only; only != nil && !only.MatchString(what+", "+subject) {
		return
	}
	a := lab.NewAttempt(what)
	reason := a.Do(func() { f(a) })
	if reason == "" {
		return
	}
	b.progress("%s, %s: not measured: %s", what, subject, reason)
	for _, text := range a.Logs() {
		fmt.Fprintln(os.Stderr, text)
	}
	report.Emit(message{Row: &row{
		Section: b.section.name, Place: b.machine.Place, Case: what, Subject: subject, Note: reason,
	}})
}
