// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// A modelKernel is a model of IPVS in Linux (net/netfilter/ipvs). It covers what the rule in the package comment of lvs needs.
type modelKernel struct {
	entry     lvs.Entry
	settings  map[string]string
	conns     map[string]lvs.ServerID // by client: the server of its present conversation
	templates map[string]lvs.ServerID // by client
	turn      int
}

// A fate is the result of one packet of a client.
type fate struct {
	server  lvs.ServerID // the server that gets the packet
	refused bool         // no server was chosen
	reset   bool         // the director answers with a reset
	dropped bool         // the director drops the packet
}

func (k *modelKernel) weight(id lvs.ServerID) (weight int, present bool) {
	for _, s := range k.entry.Servers {
		if s.ServerID == id {
			return s.Weight, true
		}
	}
	return 0, false
}

// schedule chooses a server for a client that has no template.
func (k *modelKernel) schedule(client int) (lvs.ServerID, bool) {
	n := len(k.entry.Servers)
	if n == 0 {
		return lvs.ServerID{}, false
	}
	at := 0
	switch k.entry.Scheduler {
	case "sh", "mh": // by the client's address
		at = client
	case "dh": // by the address that the client asked
		at = 1
	default:
		k.turn++
		at = k.turn
	}
	tries := n
	if slices.Contains([]string{"sh", "mh", "dh"}, k.entry.Scheduler) && k.entry.Flags&lvs.Fallback == 0 {
		tries = 1
	}
	for i := range tries {
		if s := k.entry.Servers[(at+i)%n]; s.Weight > 0 {
			return s.ServerID, true
		}
	}
	return lvs.ServerID{}, false
}

// begin schedules a client's first packet, and returns what becomes of it.
func (k *modelKernel) begin(client int) fate {
	name := fmt.Sprint(client)
	if id, ok := k.templates[name]; ok {
		weight, present := k.weight(id)
		if present && (weight > 0 || k.settings["expire_quiescent_template"] != "1") {
			return fate{server: id}
		}
	}
	id, ok := k.schedule(client)
	if !ok {
		return fate{refused: true}
	}
	if k.entry.Flags&lvs.Persistent != 0 {
		k.templates[name] = id
	}
	return fate{server: id}
}

// goOn sends a further packet of a client's conversation.
func (k *modelKernel) goOn(client int) fate {
	id := k.conns[fmt.Sprint(client)]
	_, present := k.weight(id)
	switch {
	case present:
		return fate{server: id}
	case k.settings["expire_nodest_conn"] != "1":
		return fate{dropped: true}
	case k.entry.Protocol == lvs.UDP:
		return k.begin(client)
	}
	return fate{reset: true}
}

// A clientCase is one combination of scheduler, persistence, protocol and loss.
type clientCase struct {
	scheduler, protocol, loss string
	persistent                bool
}

func (c clientCase) String() string {
	return fmt.Sprintf("%s, %s, persistent %t, %s", c.scheduler, c.protocol, c.persistent, c.loss)
}

func (c clientCase) config(t *testing.T, without string) *configs.Config {
	t.Helper()
	text := fmt.Sprintf("name = \"lb1\"\n[[service]]\nname = \"www\"\nvirtual = \"192.0.2.100:80\"\nprotocol = %q\nscheduler = %q\n"+
		"check = { type = \"tcp\" }\nsorry_server = { address = \"192.0.2.20\" }\n", c.protocol, c.scheduler)
	if c.persistent {
		text += "persistence = {}\n"
	}
	if c.loss == "left, with time to drain" {
		text += "drain_timeout = \"1m\"\n"
	}
	for i := range 3 {
		if addr := fmt.Sprintf("192.0.2.%d", 11+i); addr != without {
			text += fmt.Sprintf("[[service.server]]\naddress = %q\n", addr)
		}
	}
	cfg, err := configs.Parse("t.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

const lostAddr = "192.0.2.12"

// play lets clients come before and after a loss, and returns the fates of both.
func (c clientCase) play(t *testing.T, check func(k *modelKernel, lost lvs.ServerID, clients int)) {
	t.Helper()
	p := newPlayer(hclog.NewNullLogger())
	cfg := c.config(t, "")
	p.start(noon, cfg, nil)
	for i := range 3 {
		p.step(noon, is(fmt.Sprintf("www/192.0.2.%d:80", 11+i), up))
	}
	k := &modelKernel{settings: cfg.Sysctls(), conns: make(map[string]lvs.ServerID), templates: make(map[string]lvs.ServerID)}
	k.entry = p.outcome().Table[0]
	const clients = 30
	for i := range clients {
		f := k.begin(i)
		if f.refused {
			t.Fatalf("%s: client %d is refused while all servers live", c, i)
		}
		k.conns[fmt.Sprint(i)] = f.server
	}
	switch c.loss {
	case "failed":
		p.step(noon, is("www/192.0.2.12:80", down))
	case "drained", "disabled":
		p.step(noon, ServerOrder{Action: map[string]api.Action{"drained": api.Drain, "disabled": api.Disable}[c.loss], Server: "www/192.0.2.12"})
	case "all failed":
		for i := range 3 {
			p.step(noon, is(fmt.Sprintf("www/192.0.2.%d:80", 11+i), down))
		}
	default:
		p.reload(noon, c.config(t, lostAddr))
	}
	k.entry = p.outcome().Table[0]
	check(k, lvs.ServerID{Addr: netip.MustParseAddr(lostAddr), Port: 80}, clients)
	if c.loss == "left, with time to drain" {
		p.tick(seconds(60))
		k.entry = p.outcome().Table[0]
		for i := range clients {
			if f := k.goOn(i); f.dropped {
				t.Fatalf("%s: after its time, client %d gets silence", c, i)
			}
		}
	}
}

// TestClientsOfALostServer checks the rule in the package comment of lvs, in every combination.
func TestClientsOfALostServer(t *testing.T) {
	for _, scheduler := range lvs.Schedulers() {
		for _, protocol := range []string{"tcp", "udp", "sctp"} {
			for _, persistent := range []bool{false, true} {
				for _, loss := range []string{"failed", "drained", "disabled", "left", "left, with time to drain", "all failed"} {
					c := clientCase{scheduler, protocol, loss, persistent}
					c.play(t, func(k *modelKernel, lost lvs.ServerID, clients int) { c.hold(t, k, lost, clients) })
				}
			}
		}
	}
}

// hold checks the rule.
func (c clientCase) hold(t *testing.T, k *modelKernel, lost lvs.ServerID, clients int) {
	t.Helper()
	drains := c.loss == "drained" || c.loss == "left, with time to drain"
	dead := func(id lvs.ServerID) bool { return id == lost || c.loss == "all failed" && id.Addr.As4()[3] != 20 }
	for i := range clients {
		was := k.conns[fmt.Sprint(i)]
		f := k.goOn(i)
		switch {
		case !dead(was) || drains:
			if f.server != was {
				t.Fatalf("%s: what client %d has with %s is broken: %+v", c, i, was, f)
			}
		case protocolEnds(c.protocol):
			if !f.reset {
				t.Fatalf("%s: what client %d has with %s does not end with a reset: %+v", c, i, was, f)
			}
		case f.refused || f.dropped || dead(f.server):
			t.Fatalf("%s: the datagrams of client %d are lost: %+v", c, i, f)
		}
	}
	for i := range 2 * clients { // half of them are new
		f := k.begin(i)
		switch {
		case f.refused && drains && c.scheduler == "dh": // the kernel has no way to avoid it
		case f.refused:
			t.Fatalf("%s: client %d is refused", c, i)
		case dead(f.server):
			t.Fatalf("%s: client %d comes to %s, which is lost", c, i, f.server)
		}
	}
}

func protocolEnds(protocol string) bool { return !strings.HasPrefix(protocol, "udp") }
