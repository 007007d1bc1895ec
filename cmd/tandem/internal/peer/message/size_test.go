// SPDX-License-Identifier: Apache-2.0

package message

import (
	"strings"
	"testing"
)

// What is too much for one message is left out, and counted. Otherwise the channel would fail as often as it is made.
func TestTooMuchForOneMessage(t *testing.T) {
	long := strings.Repeat("<", MaxText) // JSON writes six bytes for each
	facts, view := &Facts{Name: "lb1"}, &View{Behind: true}
	for range MaxFacts {
		facts.All = append(facts.All, Fact{long, "key", "value"})
	}
	for range MaxServers {
		view.Servers = append(view.Servers, Server{Name: "www/192.0.2.1:80", Health: "unhealthy", Reason: long})
		view.Orders = append(view.Orders, Order{Server: "www/192.0.2.1:80", Drained: true, Number: 1, Unknown: long})
	}
	for _, m := range []Message{{Kind: KindFacts, Facts: facts}, {Kind: KindView, View: view}} {
		octets, err := Encode(m)
		if err != nil {
			t.Errorf("%s: %v", m.Kind, err)
			continue
		}
		is, err := decoded(octets, MaxSize)
		if err != nil || len(octets) < MaxSize/2 {
			t.Errorf("%s: %d bytes, %v", m.Kind, len(octets), err)
		}
		if f := is.Facts; f != nil && (len(f.All)+f.Left != MaxFacts || len(facts.All) != MaxFacts || facts.Left != 0) {
			t.Errorf("%d facts, and %d left out", len(f.All), f.Left)
		}
		if v := is.View; v != nil && (len(v.Servers)+v.ServersLeft != MaxServers || len(v.Orders)+v.OrdersLeft != MaxServers || !v.Behind ||
			len(view.Servers) != MaxServers) {
			t.Errorf("%d servers and %d left out, %d orders and %d left out", len(v.Servers), v.ServersLeft, len(v.Orders), v.OrdersLeft)
		}
	}
}
