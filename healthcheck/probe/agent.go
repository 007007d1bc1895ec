// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/words"
)

const (
	// maxAgentLine is the maximum length of an agent's line in bytes.
	maxAgentLine = 1024
	// maxPercent is the highest part of its weight that an agent may ask for.
	maxPercent = 1000
)

// askAgent reads the line in which a server reports its state.
func askAgent(ctx context.Context, conn net.Conn, t *healthcheck.Target) healthcheck.Result {
	res, unsent := say(ctx, conn, t, t.Config.Send)
	if res.Outcome != 0 {
		return res
	}
	line := make([]byte, 0, maxAgentLine)
	for {
		n, err := conn.Read(line[len(line):cap(line)])
		line = line[:len(line)+n]
		switch {
		case bytes.ContainsAny(line, "\r\n"), socket.Closed(err) && len(line) > 0:
			return parseWords("the agent", string(line))
		case err != nil && errors.Is(err, os.ErrDeadlineExceeded) && len(line) > 0:
			return socket.Explain(ctx, err, t.Config.Timeout, "reading the agent's line")
		case err != nil:
			return socket.HungUp(ctx, socket.First(unsent, err), t, socket.BeforeResponse, "waiting for the agent")
		case len(line) == cap(line):
			return healthcheck.Fail(healthcheck.Malformed, "the agent's line is longer than 1 KiB")
		}
	}
}

// parseWords reads what an agent or a file says, in the words of HAProxy's agent check:
//
//   - up and ready put the server into service,
//   - drain gives it no new connections,
//   - down, fail, failed, stopped and maint take it out of service,
//   - 75% gives it that part of its weight.
//
// A property that the line does not mention stays as without an agent. The text after # is a comment. Unknown words, such as
// maxconn:100, are ignored if the line has a known one. The reason of a server out of service holds the whole line.
func parseWords(who, text string) healthcheck.Result {
	text, _, _ = strings.Cut(text, "\n")
	line, _, _ := strings.Cut(text, "#")
	all := strings.FieldsFunc(strings.ToLower(line), func(r rune) bool { return strings.ContainsRune(" \t,\r", r) })
	advice := healthcheck.Advice{Percent: 100}
	known, down := false, ""
	for _, word := range all {
		switch {
		case word == "up" || word == "ready":
			known = true
		case word == "drain":
			known, advice.Given, advice.Drain = true, true, true
		case slices.Contains([]string{"down", "fail", "failed", "stopped", "maint"}, word):
			known, down = true, word
		case strings.HasSuffix(word, "%"):
			n, err := strconv.ParseUint(strings.TrimSuffix(word, "%"), 10, 16)
			if err != nil || n > maxPercent {
				return healthcheck.Fail(healthcheck.Malformed, who+"'s weight is not 0% to 1000%")
			}
			known, advice.Given, advice.Percent = true, true, int(n)
		}
	}
	if !advice.Given {
		advice = healthcheck.Advice{}
	}
	switch {
	case !known:
		reason := who + "'s line is not understood"
		if p := words.Instead([]byte(text)); p != "" {
			reason += p
		} else if own := words.Line([]byte(text)); own != "" {
			reason += ": " + strconv.Quote(own)
		}
		return healthcheck.Fail(healthcheck.Malformed, reason)
	case down != "":
		res := healthcheck.Fail(healthcheck.SaysDown, who+" says "+down)
		if own := words.Line([]byte(text)); !strings.EqualFold(own, down) {
			res.Reason = who + " says " + strconv.Quote(own)
		}
		res.Decisive = true
		return res
	}
	res := healthcheck.Pass(who + " says " + adviceWords(advice))
	res.Advice = advice
	return res
}

// adviceWords returns the words of a server in service.
func adviceWords(a healthcheck.Advice) string {
	switch {
	case a.Drain:
		return "drain"
	case a.Given:
		return strconv.Itoa(a.Percent) + "%"
	}
	return "up"
}
