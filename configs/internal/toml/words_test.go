// SPDX-License-Identifier: Apache-2.0

package toml

import (
	"testing"
	"time"
)

func TestNearest(t *testing.T) {
	candidates := []string{"name", "interface", "vrid", "priority", "advert_interval", "preempt", "vips"}
	for word, want := range map[string]string{
		"prioritty":      "priority",
		"piority":        "priority",
		"priroity":       "priority",
		"Priority":       "priority",
		"vip":            "vips",
		"interfaces":     "interface",
		"advert":         "advert_interval",
		"advertinterval": "advert_interval",
		"nopreempt":      "preempt",
		"id":             "",
		"x":              "",
		"authentication": "",
		"":               "",
	} {
		if got := nearest(word, candidates); got != want {
			t.Errorf("nearest to %q is %q, want %q", word, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"weight", "weight", 0},
		{"wieght", "weight", 1},
		{"weigt", "weight", 1},
		{"weeight", "weight", 1},
		{"waight", "weight", 1},
		{"kitten", "sitting", 3},
	} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("from %q to %q are %d steps, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0":            0,
		"0s":           0,
		"1s":           time.Second,
		"1.5s":         1500 * time.Millisecond,
		".5s":          500 * time.Millisecond,
		"1.s":          time.Second,
		"1m30s":        90 * time.Second,
		"50us":         50 * time.Microsecond,
		"50µs":         50 * time.Microsecond,
		"-1.5h":        -90 * time.Minute,
		"0.1m":         6 * time.Second,
		"40.95s":       40950 * time.Millisecond,
		"1.000000000s": time.Second,
	} {
		if got, no := parseDuration(text); no != nil || got != want {
			t.Errorf("%q is %v (%v), want %v", text, got, no, want)
		}
	}
	for text, problem := range map[string]string{
		"":                   `"" is not a duration`,
		"1":                  `"1" is not a duration`,
		"s":                  `"s" is not a duration`,
		"1 s":                `"1 s" is not a duration`,
		"1d":                 `"1d" is not a duration`,
		"9999999h":           `"9999999h" is not a duration`,
		"0.5ns":              `"0.5ns" is finer than a nanosecond`,
		"1.0000000001s":      `"1.0000000001s" is finer than a nanosecond`,
		"-0.00000000000001h": `"-0.00000000000001h" is finer than a nanosecond`,
		"0.33333333333333m":  `"0.33333333333333m" is finer than a nanosecond`,
		"1s0.1ns":            `"1s0.1ns" is finer than a nanosecond`,
	} {
		if d, no := parseDuration(text); no == nil || no.Problem != problem {
			t.Errorf("%q gives %v (%+v), want: %s", text, d, no, problem)
		}
	}
}

func TestShowDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                        "0s",
		time.Minute:              "1m",
		time.Hour:                "1h",
		24 * time.Hour:           "24h",
		90 * time.Second:         "1m30s",
		10 * time.Minute:         "10m",
		time.Hour + time.Second:  "1h0m1s",
		20 * time.Second:         "20s",
		40950 * time.Millisecond: "40.95s",
	} {
		if got := ShowDuration(d); got != want {
			t.Errorf("%v is written %s, want %s", d, got, want)
		}
	}
}
