// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxAgentLine is how long an agent's line may be, in bytes.
	maxAgentLine = 1024
	// maxPercent is the most that an agent may make of a weight.
	maxPercent = 1000
)

// askAgent reads the line in which a server says how it is.
func askAgent(ctx context.Context, conn net.Conn, t Target) result {
	if res := say(ctx, conn, t); res.outcome != 0 {
		return res
	}
	line := make([]byte, 0, maxAgentLine)
	for {
		n, err := conn.Read(line[len(line):cap(line)])
		line = line[:len(line)+n]
		switch {
		case bytes.ContainsAny(line, "\r\n"), closed(err) && len(line) > 0:
			return parseAgent(string(line))
		case err != nil && errors.Is(err, os.ErrDeadlineExceeded) && len(line) > 0:
			return explain(ctx, err, t.Config.Timeout, "reading the agent's line")
		case err != nil:
			return hungUp(ctx, err, t, hungUpEarly, "waiting for the agent")
		case len(line) == cap(line):
			return fail("the agent's line is longer than 1 KiB")
		}
	}
}

// parseAgent reads an agent's line: words, of which up and ready put the server in service; drain gives it no new
// connections; down, fail, failed, stopped and maint take it out; and 75% gives it that part of its weight. What no word
// speaks of is as if there were no agent. Words from # on are for people; unknown ones, maxconn:100 among them, are
// passed over where a known one stands beside them. (Those are the words of HAProxy's agent check.)
func parseAgent(text string) result {
	line, _, _ := strings.Cut(text, "\n")
	line, _, _ = strings.Cut(line, "#")
	words := strings.FieldsFunc(strings.ToLower(line), func(r rune) bool { return strings.ContainsRune(" \t,\r", r) })
	advice := Advice{Percent: 100}
	known, down := false, ""
	for _, word := range words {
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
				return fail("the agent's weight is not 0% to 1000%")
			}
			known, advice.Given, advice.Percent = true, true, int(n)
		}
	}
	if !advice.Given {
		advice = Advice{}
	}
	switch {
	case !known:
		return fail("the agent's line is not understood")
	case down != "":
		return result{outcome: failed, reason: "the agent says " + down, decisive: true}
	}
	res := pass(agentWords(advice))
	res.advice = advice
	return res
}

// agentWords tells what a server in service advises.
func agentWords(a Advice) string {
	switch {
	case a.Drain:
		return "the agent says drain"
	case a.Given:
		return "the agent says " + strconv.Itoa(a.Percent) + "%"
	}
	return "the agent says up"
}
