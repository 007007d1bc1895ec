// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"strings"
	"testing"
)

// TestLooksFor: what a track of its own replaces, and what it does not.
func TestLooksFor(t *testing.T) {
	for command, want := range map[string]string{
		"killall -0 haproxy":             "process haproxy",
		"/usr/bin/killall -q -0 haproxy": "process haproxy",
		"killall haproxy":                "", // it would end them
		"killall -9 haproxy":             "",
		"killall -0 a b":                 "",
		"killall -0 /usr/sbin/haproxy":   "",
		"pidof -x haproxy":               "process haproxy",
		"pgrep -x haproxy":               "process haproxy",
		"pgrep haproxy":                  "", // any part of the name
		"pgrep -x ha.*":                  "",
		"systemctl is-active bird":       "unit bird.service",
		"systemctl -q is-active a.timer": "unit a.timer",
		"systemctl restart bird":         "",
		"systemctl is-active a b":        "",
		"nc -z 192.0.2.1 80":             "check 192.0.2.1:80",
		"nc -z localhost 80":             "check 127.0.0.1:80",
		"nc -z ::1 80":                   "check [::1]:80",
		"nc 192.0.2.1 80":                "",
		"nc -z 192.0.2.1 http":           "",
		"</dev/tcp/127.0.0.1/80":         "check 127.0.0.1:80",
		"</dev/tcp/127.0.0.1/0":          "",
		"":                               "",
	} {
		key, value := LooksFor(strings.Fields(command))
		if got := strings.TrimSpace(key + " " + value); got != want {
			t.Errorf("%q: %q, want %q", command, got, want)
		}
	}
}

func TestNeedsShell(t *testing.T) {
	for command, want := range map[string]bool{
		"a | b": true, "a && b": true, "a 2>/dev/null": true, "a >x": true, "a &>x": true, "a < x": true, "a $(b)": true, "a `b`": true,
		"a; b": true, "a b": false, "a a|b": false, "a --x=1>2": false, "a $HOME": false, "": false,
	} {
		if got := NeedsShell(strings.Fields(command)); got != want {
			t.Errorf("%q: %v", command, got)
		}
	}
}
