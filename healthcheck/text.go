// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MarshalText returns the type's name, and an error for a value that is not a type.
func (t Type) MarshalText() ([]byte, error) {
	if t < TCP || t > Neighbour {
		return nil, fmt.Errorf("%s is not a check type", t)
	}
	return []byte(t.String()), nil
}

// MarshalText returns the health in one word, and an error for a value that is not a health.
func (h Health) MarshalText() ([]byte, error) {
	if h < Unknown || h > Unhealthy {
		return nil, fmt.Errorf("%s is not a health", h)
	}
	return []byte(h.String()), nil
}

// short returns a duration without zero units: 5m, not 5m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// String returns the range as configuration has it: "200-299", or "304" for a single code.
func (s StatusRange) String() string {
	if s.First == s.Last {
		return strconv.Itoa(s.First)
	}
	return fmt.Sprintf("%d-%d", s.First, s.Last)
}

// ParseStatusRange reads "200-299" or "304". Codes are 200 to 599: lower ones are interim responses, which a check skips,
// and higher ones do not exist (RFC 9110, section 15).
func ParseStatusRange(s string) (StatusRange, error) {
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	a, errFirst := statusCode(first)
	b, errLast := statusCode(last)
	r := StatusRange{First: a, Last: b}
	if errFirst != nil || errLast != nil || r.validate() != nil {
		return StatusRange{}, fmt.Errorf("status %q: write a code (304) or a range (200-299) between 200 and 599", s)
	}
	return r, nil
}

func statusCode(s string) (int, error) {
	if len(s) != 3 || strings.Trim(s, "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.Atoi(s)
}
