// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// seconds reads a number of seconds with at most six decimals, which is keepalived's resolution.
func seconds(s string) (time.Duration, bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	if len(fraction) > 6 {
		fraction = fraction[:6]
	}
	if whole+fraction == "" || len(whole) > 9 || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(whole+(fraction + "000000")[:6], 10, 64)
	return time.Duration(n) * time.Microsecond, err == nil
}

// boolean reads one of keepalived's words for true and false. No word is true.
func boolean(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "", "on", "true", "yes":
		return true, true
	case "off", "false", "no":
		return false, true
	}
	return false, false
}

// integer reads a number in a range, in decimal notation or after 0x.
func integer(s string, least, most int64) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	if strings.HasPrefix(s, "0x") {
		n, err = strconv.ParseInt(s[2:], 16, 64)
	}
	return n, err == nil && n >= least && n <= most
}

// What prefixOf returns in place of a length.
const (
	noLength  = -1
	badLength = -2 // keepalived takes the length of one address
)

// prefixOf reads an address with or without a prefix length. keepalived does not understand masks.
func prefixOf(s string) (a netip.Addr, bits int, ok bool) {
	host, length, has := strings.Cut(s, "/")
	a, err := netip.ParseAddr(host)
	if err != nil {
		return a, 0, false
	}
	if !has {
		return a, noLength, true
	}
	if n, err := strconv.Atoi(length); err == nil && n >= 0 && n <= a.BitLen() {
		return a, n, true
	}
	return a, badLength, true
}

// maskLength returns the length of an IPv4 mask: 255.255.255.0 is 24.
func maskLength(s string) (bits int, ok bool) {
	mask, err := netip.ParseAddr(s)
	if err != nil || !mask.Is4() {
		return 0, false
	}
	ones := true
	for _, b := range mask.As4() {
		for i := 7; i >= 0; i-- {
			switch set := b>>i&1 == 1; {
			case set && !ones:
				return 0, false
			case set:
				bits++
			default:
				ones = false
			}
		}
	}
	return bits, true
}

// commandLine splits a command as keepalived does: at white space outside of single quotes.
func commandLine(s string) (all []string) {
	var b strings.Builder
	in, quote := false, false
	for _, c := range s {
		switch {
		case c == '\'':
			quote, in = !quote, true
		case !quote && (c == ' ' || c == '\t' || c == '\n'):
			if in {
				all = append(all, b.String())
			}
			b.Reset()
			in = false
		default:
			b.WriteRune(c)
			in = true
		}
	}
	if in {
		all = append(all, b.String())
	}
	return all
}
