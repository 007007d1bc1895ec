// SPDX-License-Identifier: Apache-2.0

package toml

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Span is a set of durations: the multiples of Step from Least to Most, and those in Also, such as 0 for never.
type Span struct {
	Least, Most, Step time.Duration
	Also              []time.Duration
}

// String returns the span in words.
func (s Span) String() string {
	words := ShowDuration(s.Least) + " to " + ShowDuration(s.Most)
	for _, d := range s.Also {
		words = ShowDuration(d) + " or " + words
	}
	switch s.Step {
	case time.Nanosecond:
		return words
	case time.Second:
		return words + " in whole seconds"
	}
	return words + " in whole steps of " + ShowDuration(s.Step)
}

// Check says why d, written as text, is not in the span. It returns nil if d is in the span.
func (s Span) Check(text string, d time.Duration) *Refusal {
	switch below := d.Truncate(s.Step); {
	case slices.Contains(s.Also, d):
		return nil
	case d < s.Least || d > s.Most:
		return Refuse("", "%q is out of range: want %s", text, s)
	case d != below:
		return Refuse("the nearest are "+ShowDuration(below)+" and "+ShowDuration(below+s.Step),
			"%q is not a multiple of %s", text, ShowDuration(s.Step))
	}
	return nil
}

// Duration returns the schema type of a time from least to most that is a multiple of step, or one of those in also.
func Duration(least, most, step time.Duration, also ...time.Duration) SchemaType[time.Duration] {
	s := Span{least, most, step, also}
	return DurationIn(s.String(), s.Check)
}

// DurationIn returns the schema type of a time that check does not refuse. The function check also sees how the time is
// written.
func DurationIn(values string, check func(text string, d time.Duration) *Refusal) SchemaType[time.Duration] {
	k := Text(values, func(s string) (time.Duration, *Refusal) {
		d, no := parseDuration(s)
		if no == nil {
			no = check(s, d)
		}
		return d, no
	}, ShowDuration)
	k.Name = "duration"
	fromText := k.Read
	k.Read = func(at Node) time.Duration {
		switch v := at.Value.(type) {
		case string:
			return fromText(at)
		case int64:
			at.WrongType("duration", fmt.Sprintf("write it in quotes and with its unit, such as \"%ds\"", v))
		default:
			at.WrongType("duration", `write it in quotes and with its unit, such as "1.5s"`)
		}
		return 0
	}
	return k
}

// longestDuration limits the work of exact arithmetic. No duration needs that many digits.
const longestDuration = 64

// parseDuration reads the same as time.ParseDuration, but refuses values that time.ParseDuration would round.
func parseDuration(s string) (time.Duration, *Refusal) {
	d, err := time.ParseDuration(s)
	if err != nil || len(s) > longestDuration {
		hint := `a duration is a number with its unit (ns, us, ms, s, m or h), such as "1.5s"`
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			hint = fmt.Sprintf("its unit is missing: %q or %q?", s+"s", s+"ms")
		}
		return 0, Refuse(hint, "%q is not a duration", Abbreviate(s))
	}
	if exact := new(big.Rat).SetInt64(int64(d)); exact.Cmp(nanoseconds(s)) != 0 {
		return 0, Refuse("", "%q is finer than a nanosecond", Abbreviate(s))
	}
	return d, nil
}

// nanoseconds returns the exact value of a text that time.ParseDuration has accepted.
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

// ShowDuration writes a duration as people do: 1m, not 1m0s.
func ShowDuration(d time.Duration) string {
	s := strings.ReplaceAll(d.String(), "µ", "u")
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
