// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestDrainedAfterFailover: a server is drained on the master, while a client asks for 200 new connections a second. It is drained at
// each new master too, after a planned failover and after the master loses its power: no new connection comes to it. Those that it has
// go on until they end. No question is lost, but for those of the power cut, within the bound of the election.
func TestDrainedAfterFailover(t *testing.T) {
	t.Parallel()
	p := lab.NewPair(t, patient)
	for _, web := range p.Webs {
		serveLines(t, web)
	}
	p.A.Configure(withPeer(lined(p.A.Name, lab.PriorityA, draining, 1, 1), "192.0.2.3"))
	p.B.Configure(withPeer(lined(p.B.Name, lab.PriorityB, draining, 1, 1), "192.0.2.2"))
	p.Launch()
	awaitPeer(p, p.A)
	const many = 20
	open := openLines(t, p.Client, many)
	talk := converse(t, open, 250*time.Millisecond)
	p.Eventually(10*time.Second, "director-b knows the connections", func() error {
		if n, err := established(p.B); err != nil || n < many {
			return fmt.Errorf("it knows %d, %v", n, err)
		}
		return nil
	})
	arrived := p.Webs[0].Capture("eth0", newLine(p.Webs[0]))

	ask := askForLines(p)
	if out := tandem(t, p.A, "drain", "lines/192.0.2.11"); !strings.Contains(out, "in force here and on "+p.B.Name) {
		t.Fatalf("the drain is not in force on both: %s", out)
	}
	drained := time.Now()
	talk.phase()
	tandem(t, p.A, "failover")
	p.AwaitMaster(p.B)
	talk.goesOn(t, p.Lab, "after the hand-over", 4)
	planned := ask.Stop()
	p.Logf("drain and planned failover: %s", planned)
	if planned.Lost > 0 {
		t.Errorf("%d of %d questions were lost in a drain and a planned failover", planned.Lost, planned.Sent)
	}

	ask = askForLines(p)
	talk.phase()
	stalls := p.WatchStalls()
	p.B.PowerOff()
	p.AwaitMaster(p.A)
	talk.goesOn(t, p.Lab, "after the power cut", 4)
	stall, cut := stalls.Stop(), ask.Stop()
	p.Logf("power cut: %s; longest stall of the machine %s", cut, stall.Round(time.Millisecond))
	if bound := p.MasterDown(lab.PriorityA) + takeOverTime + stall + cut.Gap; cut.Longest > bound || cut.Open {
		t.Errorf("the outage of the power cut was %s, want at most %s", cut.Longest, bound)
	}
	if most := int(cut.Longest/lineEvery) + 1; cut.Lost > most {
		t.Errorf("%d questions were lost, and the outage explains %d", cut.Lost, most)
	}

	n := 0
	for _, f := range arrived.Frames() {
		if f.When.After(drained) {
			n++
		}
	}
	if n > 0 {
		t.Errorf("%d new connections came to the drained server", n)
	}
	talk.end()
	wantToEnd(t, p, open)
}

// takeOverTime is what a takeover may need beside the time that the election waits. The emulated machine needs up to 140 ms when this
// scene runs alone, and others run beside it.
const takeOverTime = 500 * time.Millisecond

// lineEvery is the time between two questions for a new connection.
const lineEvery = 5 * time.Millisecond

// askForLines asks for new connections from now on, and returns when they are answered.
func askForLines(p *lab.Pair) *lab.Prober {
	ask := p.Client.ProbeTCP(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddrPort(lab.VIP+":"+linesPort), lineEvery)
	p.Eventually(10*time.Second, "questions are answered", func() error {
		if ask.Answered(100) < 90 {
			return errors.New("they are not")
		}
		return nil
	})
	return ask
}

// newLine returns what recognizes a client's question for a new connection at a real server.
func newLine(h *lab.Host) func(lab.Frame) bool {
	mac, vip := h.MAC(), netip.MustParseAddr(lab.VIP).As4()
	return func(f lab.Frame) bool {
		if f.EtherType() != unix.ETH_P_IP || len(f.Data) < 54 || f.Destination().String() != mac {
			return false
		}
		ip := f.Data[14:]
		tcp := ip[int(ip[0]&15)*4:]
		const syn, ack = 2, 16
		return ip[9] == unix.IPPROTO_TCP && bytes.Equal(ip[16:20], vip[:]) && len(tcp) >= 14 &&
			fmt.Sprint(int(tcp[2])<<8|int(tcp[3])) == linesPort && tcp[13]&(syn|ack) == syn
	}
}

// wantToEnd ends the connections of the drained server, which go on until then. The master notices each.
func wantToEnd(t *testing.T, p *lab.Pair, open []*line) {
	t.Helper()
	left := len(open)
	for _, l := range open {
		if l.server != "web1" {
			continue
		}
		if err := l.ask("still there?"); err != nil {
			t.Fatalf("a connection of the drained server was broken: %v", err)
		}
		_ = l.conn.Close()
		left--
	}
	p.Eventually(10*time.Second, "the master knows that they have ended", func() error {
		if n, err := established(p.A); err != nil || n != left {
			return fmt.Errorf("it knows %d connections, want %d; %v", n, left, err)
		}
		return nil
	})
}
