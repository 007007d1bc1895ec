// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// A lie is an answer of a server that breaks a rule of its protocol, and the reason with which the check must fail. If the
// reason is empty, the answer breaks no rule, and the check must pass.
type lie struct {
	rule string // the section of the specification
	name string
	says string
	want string
}

// minimumOfLies is the minimum number of lies for each family of protocols.
const minimumOfLies = 200

// enough fails the test if there are too few lies, or two of them are the same.
func enough(t *testing.T, lies []lie) {
	t.Helper()
	count, seen := 0, make(map[string]bool)
	for _, l := range lies {
		if l.want != "" {
			count++
		}
		if key := l.rule + l.name; seen[key] {
			t.Errorf("%s, %s: twice", l.rule, l.name)
		} else {
			seen[key] = true
		}
	}
	if count < minimumOfLies {
		t.Errorf("%d lies, want %d", count, minimumOfLies)
	}
	t.Logf("%d lies, %d truths", count, len(lies)-count)
}

// judged returns an error if the result of a lie is not the expected one.
func judged(l lie, got healthcheck.Result) error {
	if l.want == "" && got.Outcome != healthcheck.Passed || l.want != "" && (got.Outcome != healthcheck.Failed || got.Reason != l.want) {
		return fmt.Errorf("%s, %s: %s, %q; want %q", l.rule, l.name, got.Outcome, got.Reason, l.want)
	}
	return nil
}

// answering reads what the check sends for as long as the connection stands, says something, and hangs up unless it stays.
func answering(says string, stays bool) func(net.Conn) {
	return func(c net.Conn) {
		gone := make(chan struct{})
		go func() { defer close(gone); probetest.UntilGone(c) }()
		_, _ = io.WriteString(c, says)
		if stays {
			<-gone
		}
	}
}

// told returns what a check makes of a server in memory that says something and hangs up.
func told(t *testing.T, target healthcheck.Target, says string) healthcheck.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return pipe(answering(says, false)).Probe(ctx, &target)
}

// controls returns the control characters but those that end a line, and the tab.
func controls() (all []byte) {
	for c := byte(0); c < ' '; c++ {
		if c != '\t' && c != '\r' && c != '\n' {
			all = append(all, c)
		}
	}
	return append(all, 0x7f)
}
