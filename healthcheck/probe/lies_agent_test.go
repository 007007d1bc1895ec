// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// agentLies returns lines that HAProxy's agent check does not have (HAProxy configuration manual, agent-check), or that take
// the server out of service.
func agentLies() (all []lie) {
	const weight, long = "the agent's weight is not 0% to 1000%", "the agent's line is longer than 1 KiB"
	add := func(rule, says, want string) {
		all = append(all, lie{"agent-check: " + rule, fmt.Sprintf("%.40q, %d bytes", says, len(says)), says, want})
	}
	for _, says := range []string{
		"up\n", "UP\n", "Up\r\n", "ready\n", "up ready\n", "up,ready\n", "\tup\n", "up # all is well\n", "up#\n", "0%\n", "1%\n",
		"100%\n", "256%\n", "1000%\n", "up 50%\n", "50% up\n", "drain\n", "DRAIN\n", "ready 75% maxconn:10\n",
		"maxconn:10 up\n", "up", "up\ndown\n", "up \xff\n", "up maxconn:-1\n",
	} {
		add("a state", says, "")
	}
	for _, word := range []string{"down", "fail", "failed", "stopped", "maint"} {
		upper := strings.ToUpper(word)
		add("a state", word+"\n", "the agent says "+word)
		add("a state", upper+"\r\n", "the agent says "+word)
		for _, more := range []string{" # disk full", " # 50%", " 50%", " up", ",up", " drain", "\tready", " disk full", "#why", " maxconn:3"} {
			add("a state and why", word+more+"\n", `the agent says "`+strings.Join(strings.Fields(word+more), " ")+`"`)
		}
		add("a state and why", word+" #\x1b[31m red \x07\n", `the agent says "`+word+` # [31m red"`)
		add("a state and why", word+" # "+strings.Repeat("x", 200)+"\n", `the agent says "`+(word + " # " + strings.Repeat("x", 200))[:100]+`…"`)
		add("a state behind another", "up "+word+"\n", `the agent says "up `+word+`"`)
	}
	for _, text := range []string{
		"-1", "-0", "+1", "1001", "9999", "65535", "65536", "65636", "99999999999999999999", "1.5", "50.0", "1e2", "0x32",
		"fifty", "", "5_0", "٥٠", "5O", "½", "NaN", "inf", "-", "+", ".", "%", "50%", "100x", "1/2", "=50", "(50)",
		"\"50\"", "'50'", "50;", ":50", "~50", "<50", ">50", "^50", "$50", "&50", "!50", "?", "*", "0b1", "0o7", "1001001",
		"2000", "18446744073709551616", "340282366920938463463374607431768211456", "00000001001",
	} {
		add("a weight", text+"%\n", weight)
		add("a weight", "up "+text+"%\n", weight)
	}
	for _, word := range []string{
		"upp", "u", "p", "upward", "readyy", "read", "dow", "downn", "downtime", "draining", "drained", "maintenance", "mainten",
		"stop", "stopping", "failing", "failure", "error", "ok", "OK", "okay", "yes", "no", "true", "false", "1", "0", "50",
		"100",
		"healthy", "unhealthy", "alive", "dead", "running", "active", "enabled", "disabled", "online", "offline", "hello", "PONG",
		"up!", "up.", "up:", "up;", "\"up\"", "'up'", "(up)", "up\x00", "\x00up", "up=1", "state=up", "status:up",
		"{\"state\":\"up\"}",
		"ùp", "maxconn:100", "maxconn:", "weight:50", "-up", "+up", "up/down", "no-up", "server", "%s", "up-50",
	} {
		clean := strings.Join(strings.Fields(strings.Map(func(r rune) rune {
			if r < ' ' {
				return ' '
			}
			return r
		}, word)), " ")
		add("no state", word+"\n", "the agent's line is not understood: "+strconv.Quote(clean))
	}
	for _, says := range []string{"\n", "\r\n", " \n", "\t\r\n", "\r", ",\n"} {
		want := "the agent's line is not understood"
		if strings.Contains(says, ",") {
			want += `: ","`
		}
		add("no state", says, want)
	}
	for says, speaks := range map[string]string{
		"HTTP/1.1 200 OK\r\n": "HTTP/1.1", "SSH-2.0-x\r\n": "SSH", "220 mx\r\n": "SMTP or FTP", "+OK\r\n": "POP3",
		"-ERR\r\n": "Redis", "+PONG\r\n": "Redis", "* OK x\r\n": "IMAP", "<html>\n": "HTML or XML, without a header",
		"RFB 003.008\n": "VNC",
	} {
		add("no state", says, "the agent's line is not understood: the server speaks "+speaks)
	}
	for _, n := range []int{1024, 1025, 5000} {
		add("a line", strings.Repeat("u", n), long)
	}
	add("a line", "", "connection closed before a response")
	return all
}

func TestLiesOfAgents(t *testing.T) {
	target := probetest.Target(healthcheck.Agent, probetest.Addr, 0, func(*healthcheck.Config) {})
	lies := agentLies()
	enough(t, lies)
	for _, l := range lies {
		got := told(t, target, l.says)
		if err := judged(l, got); err != nil {
			t.Error(err)
		}
		if strings.HasPrefix(l.want, "the agent says") != got.Decisive {
			t.Errorf("%s: decisive: %t", l.name, got.Decisive)
		}
	}
}
