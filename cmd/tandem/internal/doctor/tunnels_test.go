// SPDX-License-Identifier: Apache-2.0

package doctor

import "testing"

// TestFitTunnel: ways on which packets above a size are lost, with and without a router that says so.
func TestFitTunnel(t *testing.T) {
	const need = 1520
	for _, tt := range []struct {
		name   string
		known  int  // MTU of the route
		path   int  // larger packets do not pass
		says   bool // and a router says so
		split  bool
		answer Answer // to packets that arrive
		want   TunnelFit
	}{
		{"jumbo frames", 9000, 9000, false, false, Accepts, TunnelFit{need, need, false}},
		{"Ethernet", 1500, 1500, false, false, Accepts, TunnelFit{1500, 1500, false}},
		{"a narrow way, which is known", 1400, 1400, false, false, Accepts, TunnelFit{1400, 1400, false}},
		{"a narrow way, and a router says so", 1500, 1400, true, false, Accepts, TunnelFit{1400, 1400, false}},
		{"a narrow way, and nobody says so", 1500, 1400, false, false, Accepts, TunnelFit{1500, 1400, false}},
		{"a way that is less than a usual size", 1500, 1399, false, false, Accepts, TunnelFit{1500, 1380, false}},
		{"just too narrow", 1500, 1499, false, false, Accepts, TunnelFit{1500, 1492, false}},
		{"only the smallest pass", 1500, 576, false, false, Accepts, TunnelFit{1500, 576, false}},
		{"a SYN with data never passes", 1500, 0, false, false, Accepts, TunnelFit{}},
		{"fragments pass", 1500, need, false, true, Accepts, TunnelFit{need, need, true}},
		{"no fragments pass", 1500, 1500, false, true, Accepts, TunnelFit{need, 1500, true}},
		{"the server refuses now", 1500, 1500, false, false, Refuses, TunnelFit{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			known, asked := tt.known, 0
			got := fitTunnel(need, tt.split, func() int { return known }, func(size int) Answer {
				asked++
				switch {
				case size <= tt.path:
					return tt.answer
				case tt.says:
					known = tt.path
					return TooLarge
				}
				return Silent
			})
			if got != tt.want || asked > 8 {
				t.Errorf("%+v after %d questions, want %+v after 8 at most", got, asked, tt.want)
			}
		})
	}
	asked := 0
	if got := fitTunnel(need, false, func() int { return 1500 }, func(int) Answer { asked++; return TooLarge }); got != (TunnelFit{}) || asked > 4 {
		t.Errorf("a way that never becomes known: %+v after %d questions", got, asked)
	}
}
