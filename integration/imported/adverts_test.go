// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// frame reads octets in hexadecimal, with spaces between the headers.
func frame(t *testing.T, text string) lab.Frame {
	t.Helper()
	data, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return lab.Frame{Data: data}
}

// TestRead reads an advertisement of each kind.
func TestRead(t *testing.T) {
	const own = "02:00:00:00:00:02"
	for _, tt := range []struct{ name, octets, stream, text string }{
		{
			"version 2 with a password",
			"01005e000012 020000000002 0800 45c0002800010000ff700000 c0000202 e0000012 21339601 0101 0000 c0000264 6c6f6e6765722d74",
			"VRID 51 on eth0 to 224.0.0.18",
			"TTL 255, TOS 0xc0, from 192.0.2.2 (its own MAC) to 01:00:5e:00:00:12: version 2, type 1, priority 150, interval 1s, " +
				"addresses 192.0.2.100, authentication 1, then \"longer-t\"",
		},
		{
			"version 3 over IPv6 from a virtual MAC address",
			"333300000012 00005e000233 86dd 6c000000 0018 70 ff fe800000000000000000000000000002 ff020000000000000000000000000012 " +
				"31336401 0032 0000 fe800000000000000000000000000100",
			"VRID 51 on eth0 to ff02::12",
			"hop limit 255, traffic class 0xc0, from fe80::2 (00:00:5e:00:02:33) to 33:33:00:00:00:12: version 3, type 1, priority 100, " +
				"interval 500ms, addresses fe80::100, then \"\"",
		},
	} {
		f := frame(t, tt.octets)
		if !isAdvert(f.Data) {
			t.Errorf("%s: it was not recognized", tt.name)
			continue
		}
		if p := read("eth0", own, f); p.stream.String() != tt.stream || p.text != tt.text {
			t.Errorf("%s: got\n%s: %s\nwant\n%s: %s", tt.name, p.stream, p.text, tt.stream, tt.text)
		}
		for n := range len(f.Data) {
			if isAdvert(f.Data[:n]) {
				t.Errorf("%s: its first %d octets are an advertisement", tt.name, n)
			}
		}
	}
}

// TestPace: the interval is measured, and compared with what the advertisements say.
func TestPace(t *testing.T) {
	every := func(d time.Duration) (all []time.Time) {
		for n := range 5 {
			all = append(all, time.Unix(1, 0).Add(time.Duration(n)*d))
		}
		return all
	}
	for got, want := range map[string]string{
		pace(every(1100*time.Millisecond), time.Second): "sent at this interval",
		pace(every(2*time.Second), time.Second):         "sent every 2s, which is not its interval",
		pace(every(time.Second)[:1], time.Second):       "1 seen",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
