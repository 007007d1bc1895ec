// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A span is the durations from least to most that are a whole multiple of step; and those in also, such as 0 for never.
type span struct {
	least, most, step time.Duration
	also              []time.Duration
}

// String returns the span in words.
func (s span) String() string {
	words := showDuration(s.least) + " to " + showDuration(s.most)
	for _, d := range s.also {
		words = showDuration(d) + " or " + words
	}
	switch s.step {
	case time.Nanosecond:
		return words
	case time.Second:
		return words + " in whole seconds"
	}
	return words + " in whole steps of " + showDuration(s.step)
}

// refuse says why d, which is written as text, is not in the span; nil if it is.
func (s span) refuse(text string, d time.Duration) *refusal {
	switch below := d.Truncate(s.step); {
	case slices.Contains(s.also, d):
		return nil
	case d < s.least || d > s.most:
		return refuse("", "%q is out of range: want %s", text, s)
	case d != below:
		return refuse("the nearest are "+showDuration(below)+" and "+showDuration(below+s.step),
			"%q is not a multiple of %s", text, showDuration(s.step))
	}
	return nil
}

// duration is a time from least to most, a whole multiple of step; or one of those named also.
func duration(least, most, step time.Duration, also ...time.Duration) kind[time.Duration] {
	s := span{least, most, step, also}
	return limited(s.String(), s.refuse)
}

// limited is a time that refuse, which also sees how it is written, has nothing against.
func limited(values string, refuse func(text string, d time.Duration) *refusal) kind[time.Duration] {
	k := text("duration", values, func(s string) (time.Duration, *refusal) {
		d, no := parseDuration(s)
		if no == nil {
			no = refuse(s, d)
		}
		return d, no
	}, showDuration)
	fromText := k.read
	k.read = func(at place) time.Duration {
		switch v := at.value.(type) {
		case string:
			return fromText(at)
		case int64:
			at.wrongType("duration", fmt.Sprintf("give it in quotes and with its unit, such as \"%ds\"", v))
		default:
			at.wrongType("duration", `give it in quotes and with its unit, such as "1.5s"`)
		}
		return 0
	}
	return k
}

// longestDuration bounds the work of exact arithmetic; nobody needs as many digits.
const longestDuration = 64

// parseDuration reads what time.ParseDuration reads, but refuses what that would round.
func parseDuration(s string) (time.Duration, *refusal) {
	d, err := time.ParseDuration(s)
	if err != nil || len(s) > longestDuration {
		hint := `a duration is a number with its unit (ns, us, ms, s, m or h), such as "1.5s"`
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			hint = fmt.Sprintf("its unit is missing: %q or %q?", s+"s", s+"ms")
		}
		return 0, refuse(hint, "%q is not a duration", abbreviate(s))
	}
	if exact := new(big.Rat).SetInt64(int64(d)); exact.Cmp(nanoseconds(s)) != 0 {
		return 0, refuse("", "%q is finer than a nanosecond", abbreviate(s))
	}
	return d, nil
}

// nanoseconds returns the exact value of a text that time.ParseDuration has read.
func nanoseconds(s string) *big.Rat {
	rest := strings.TrimLeft(s, "+-")
	sum := new(big.Rat)
	for rest != "" && rest != "0" {
		unit := strings.TrimLeft(rest, "0123456789.")
		number := rest[:len(rest)-len(unit)]
		rest = strings.TrimLeftFunc(unit, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
		one, _ := time.ParseDuration("1" + unit[:len(unit)-len(rest)])
		part, _ := new(big.Rat).SetString(number)
		sum.Add(sum, part.Mul(part, new(big.Rat).SetInt64(int64(one))))
	}
	if strings.HasPrefix(s, "-") {
		sum.Neg(sum)
	}
	return sum
}

// showDuration writes a duration as people do: 1m, not 1m0s.
func showDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
