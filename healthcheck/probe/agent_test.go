// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

func TestAgentLines(t *testing.T) {
	says := func(words string, a healthcheck.Advice) healthcheck.Result {
		r := healthcheck.Pass("the agent says " + words)
		r.Advice = a
		return r
	}
	down := func(word string) healthcheck.Result {
		r := probetest.Fail("the agent says " + word)
		r.Decisive = true
		return r
	}
	lostIn := func(line string) healthcheck.Result {
		return probetest.Fail(fmt.Sprintf("the agent's line is not understood: %q", line))
	}
	lost := probetest.Fail("the agent's line is not understood")
	for line, want := range map[string]healthcheck.Result{
		"up":                       says("up", healthcheck.Advice{}),
		"ready\r\n":                says("up", healthcheck.Advice{}),
		"75%\n":                    says("75%", healthcheck.Advice{Given: true, Percent: 75}),
		"0%":                       says("0%", healthcheck.Advice{Given: true}),
		"1000%":                    says("1000%", healthcheck.Advice{Given: true, Percent: 1000}),
		"up 50%\n":                 says("50%", healthcheck.Advice{Given: true, Percent: 50}),
		"UP,50%\tmaxconn:30":       says("50%", healthcheck.Advice{Given: true, Percent: 50}),
		"drain":                    says("drain", healthcheck.Advice{Given: true, Percent: 100, Drain: true}),
		"drain 10%":                says("drain", healthcheck.Advice{Given: true, Percent: 10, Drain: true}),
		"down # disk is full: 99%": down(`"down # disk is full: 99%"`),
		"50% down":                 down(`"50% down"`),
		"DOWN":                     down("down"),
		"fail \x1b[2J disk\n":      down(`"fail [2J disk"`),
		"maint":                    down("maint"),
		"stopped\nup":              down("stopped"),
		"failed":                   down("failed"),
		"fail":                     down("fail"),
		"":                         lost,
		"\n":                       lost,
		"#up":                      lostIn("#up"),
		"hello":                    lostIn("hello"),
		"maxconn:30":               lostIn("maxconn:30"),
		"upward":                   lostIn("upward"),
		"SSH-2.0-x":                probetest.Fail("the agent's line is not understood: the server speaks SSH"),
		"1001%":                    probetest.Fail("the agent's weight is not 0% to 1000%"),
		"-1%":                      probetest.Fail("the agent's weight is not 0% to 1000%"),
		"%":                        probetest.Fail("the agent's weight is not 0% to 1000%"),
		"1e1%":                     probetest.Fail("the agent's weight is not 0% to 1000%"),
	} {
		if got := probetest.Words(parseWords("the agent", line)); got != want {
			t.Errorf("%q: %+v, want %+v", line, got, want)
		}
	}
}

func TestAgents(t *testing.T) {
	for _, tt := range []struct {
		name  string
		serve func(*net.TCPConn)
		want  string
	}{
		{"says a line and hangs up", func(c *net.TCPConn) { _, _ = io.WriteString(c, "75%\n") }, "the agent says 75%"},
		{"forgets the end of the line", func(c *net.TCPConn) { _, _ = io.WriteString(c, "75%"); _ = c.CloseWrite(); probetest.UntilGone(c) }, "the agent says 75%"},
		{"answers what is sent", probetest.Hear("up\n"), "the agent says up"},
		{"says nothing", probetest.UntilGone[*net.TCPConn], "timeout after 300ms while waiting for the agent"},
		{"hangs up", func(*net.TCPConn) {}, "connection closed before a response"},
		{"never stops", func(c *net.TCPConn) {
			_, _ = io.WriteString(c, strings.Repeat("up ", 1000))
			probetest.UntilGone(c)
		}, "the agent's line is longer than 1 KiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			probetest.NoLeftovers(t)
			timeout := probetest.Timeout(tt.want, 300*time.Millisecond)
			target := probetest.Target(healthcheck.Agent, probetest.Serve(t, tt.serve), timeout, func(c *healthcheck.Config) { c.Send = "state\n" })
			if got, _ := probeOnce(target); ended(got.Reason) != tt.want {
				t.Errorf("%+v, want %q", got, tt.want)
			}
		})
	}
}

// FuzzAgent: whatever an agent sends, its advice is within the limits, and only servers in service give advice.
func FuzzAgent(f *testing.F) {
	for _, seed := range []string{"up\n", "75%", "drain 10%", "down # x", "", "%%%", "99999999999999999999%", "up\x00down"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got := probetest.Words(parseWords("the agent", line))
		a := got.Advice
		if a.Percent < 0 || a.Percent > maxPercent || !a.Given && a != (healthcheck.Advice{}) || a.Given && got.Outcome != healthcheck.Passed || got.Reason == "" {
			t.Errorf("%q: %+v", line, got)
		}
	})
}
