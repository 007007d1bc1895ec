// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestParseSockets(t *testing.T) {
	const text = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 640200C0:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   2: 0B0200C0:0016 010200C0:C000 01 00000000:00000000 00:00000000 00000000     0        0 1 1
   3: B80D0120000000000000000000010000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000
   4: zz:0050 00000000:0000 0A
`
	want := []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:80"), netip.MustParseAddrPort("192.0.2.100:443"), netip.MustParseAddrPort("[2001:db8::100]:80")}
	if got := parseSockets(text, "0A"); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestParseStart(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 4096 1 18446744073709551615": 123450 * time.Millisecond,
		"7 (tandem) S 1 7": 0,
		"":                 0,
	} {
		if got := parseStart(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestParseFileLimit(t *testing.T) {
	for text, want := range map[string]uint64{
		"Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 524288               files\n": 1024,
		"Max open files            unlimited            unlimited            files\n":                                                                            0,
		"": 0,
	} {
		if got := parseFileLimit(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
