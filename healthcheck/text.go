// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	typeNames = []string{
		TCP: "tcp", HTTP: "http", Exec: "exec", HTTPS: "https", GRPC: "grpc", DNS: "dns", SMTP: "smtp", UDP: "udp",
		Ping: "ping", Agent: "agent",
	}
	versionNames = []string{HTTP10: "1.0", HTTP11: "1.1", HTTP2: "2"}
	healthNames  = []string{Unknown: "unknown", Healthy: "healthy", Unhealthy: "unhealthy"}
)

// String is the type's name in configuration.
func (t Type) String() string { return name(typeNames, "type", uint8(t)) }

// ParseType finds a type by its name in configuration.
func ParseType(s string) (Type, error) {
	i, err := parse(typeNames, "check type", s)
	return Type(i), err
}

// MarshalText gives the type's name; a value that is no type is an error.
func (t Type) MarshalText() ([]byte, error) { return marshal(typeNames, "check type", uint8(t)) }

// String is the version's name in configuration.
func (v HTTPVersion) String() string { return name(versionNames, "version", uint8(v)) }

// String is the health in one word.
func (h Health) String() string { return name(healthNames, "health", uint8(h)) }

// MarshalText gives the health in one word; a value that is no health is an error.
func (h Health) MarshalText() ([]byte, error) { return marshal(healthNames, "health", uint8(h)) }

// UnmarshalText reads what MarshalText wrote.
func (h *Health) UnmarshalText(text []byte) error {
	i, err := parse(healthNames, "health", string(text))
	if err == nil {
		*h = Health(i)
	}
	return err
}

// The next three functions serve the enums with names. Names begin at index 1.

func name(names []string, kind string, i uint8) string {
	if i == 0 || int(i) >= len(names) {
		return fmt.Sprintf("%s(%d)", kind, i)
	}
	return names[i]
}

func parse(names []string, kind, s string) (uint8, error) {
	if i := slices.Index(names, s); i > 0 && s != "" {
		return uint8(i), nil
	}
	return 0, fmt.Errorf("no %s %q: choose from %s", kind, s, strings.Join(names[1:], ", "))
}

func marshal(names []string, kind string, i uint8) ([]byte, error) {
	if i == 0 || int(i) >= len(names) {
		return nil, fmt.Errorf("%d is no %s", i, kind)
	}
	return []byte(names[i]), nil
}

// short is a duration without zero units: 5m, not 5m0s.
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

// String is the range as configuration has it: "200-299", or "304" for a single code.
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
