// SPDX-License-Identifier: Apache-2.0

package native

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// allDisturbances makes the scenes of the channel complete. Without it, there are only some that are soon over.
var allDisturbances = flag.Bool("channel", false, "disturb the channel between the directors in all ways, which takes a minute")

const (
	// mendedWithin is how long a channel may take to work again. A director tries again after 5 s at the latest, and waits 5 s for
	// an answer.
	mendedWithin = 12 * time.Second
	// answersWithin is how long a command of an operator may take meanwhile: it waits 3 s for the other director.
	answersWithin = 4 * time.Second
	// disturbed is how long a disturbance lasts at least.
	disturbed = 2 * time.Second
)

// A channelScene is a pair with a channel that is disturbed, and a client that asks the virtual address all the time.
type channelScene struct {
	t *testing.T
	lab.Duo
	relay *relay // nil: the directors are connected to each other
}

// A disturbance is something that happens to the channel.
type disturbance struct {
	name    string
	long    bool   // it is only in make channel
	noticed string // what a director writes or shows then; empty: the channel goes on
	busy    bool   // an operator may be told to try again in a moment
	begin   func(c *channelScene) (mend func())
	after   func(c *channelScene) error // what must be so in the end; may be nil
}

// meddling is what a relay does to the channel.
func meddling(m func() meddler) func(*channelScene) func() {
	return func(c *channelScene) func() { return c.relay.disturb(m()) }
}

func always(m meddler) func(*channelScene) func() { return meddling(func() meddler { return m }) }

// What is between the directors.
const (
	direct         = iota + 1 // nothing
	throughKeyless            // a relay that has no key
	throughKeyed              // a relay that has the key, so it can lie
)

func newChannelScene(t *testing.T, through int) *channelScene {
	t.Helper()
	c := &channelScene{t: t, Duo: lab.NewDuo(t, cardPair)}
	if through != direct {
		c.relay = newRelay(t, c.Lab, through == throughKeyed)
	}
	c.A.Configure(c.config(c.A))
	c.B.Configure(c.config(c.B))
	c.Launch()
	c.awaitWorks("at first")
	return c
}

// config returns a director's configuration.
func (c *channelScene) config(d *lab.Director) string {
	priority, other := lab.PriorityA, "192.0.2.3"
	if d == c.B {
		priority, other = lab.PriorityB, "192.0.2.2"
	}
	if c.relay != nil {
		other = relayAddress
	}
	return cardPair.Config(d.Name, priority) + fmt.Sprintf("[peer]\naddress = %q\nkey = \"hex:%s\"\n", other+channelPort, channelKey)
}

func (c *channelScene) both() [2]*lab.Director { return [2]*lab.Director{c.A, c.B} }

func (c *channelScene) other(d *lab.Director) *lab.Director {
	if d == c.A {
		return c.B
	}
	return c.A
}

// elected returns the roles of both directors, and since when they have them.
func (c *channelScene) elected() string {
	c.t.Helper()
	var b strings.Builder
	for _, d := range c.both() {
		s, err := d.Status()
		if err != nil || len(s.VRRP) != 1 {
			c.t.Fatalf("status of %s: %v", d.Name, err)
		}
		r := s.VRRP[0]
		fmt.Fprintf(&b, "%s is %s since %s at priority %d, became master %d times\n", d.Name, r.State, r.Since.UTC(), r.EffectivePriority, r.Counters.BecameMaster)
	}
	return b.String()
}

// works asks each director for the history of both: the question and its answer use both directions.
func (c *channelScene) works() error {
	for _, d := range c.both() {
		s, err := d.Status()
		if err != nil {
			return err
		}
		if !s.Peer.Connected() {
			return fmt.Errorf("%s: to the other one: %+v, from it: %+v", d.Name, s.Peer.To, s.Peer.From)
		}
		out, err := d.TryRun(d.Program(), "history", "--pair", "--since", "1h", "--socket", d.Socket)
		if err != nil {
			return err
		}
		if theirs := c.other(d).Name + " "; !strings.Contains(out, theirs) {
			return fmt.Errorf("%s shows no events of %s:\n%s", d.Name, theirs, out)
		}
	}
	return nil
}

// awaitWorks waits until the channel works, and returns how long that took.
func (c *channelScene) awaitWorks(when string) time.Duration {
	c.t.Helper()
	began := time.Now()
	c.Eventually(mendedWithin, "the channel works "+when, c.works)
	return time.Since(began).Round(time.Millisecond)
}

// play disturbs the channel. Neither the election nor a client notices it, operators get their answers, and in the end the channel
// works again.
func (c *channelScene) play(d disturbance) {
	c.t.Helper()
	if d.long && !*allDisturbances {
		return
	}
	before, probe, began := c.elected(), c.Steady(), time.Now()
	mend := d.begin(c)
	took := c.meanwhile(d, began)
	mend()
	back := c.awaitWorks("after: " + d.name)
	out := probe.Stop()
	if out.Lost > 0 {
		c.t.Errorf("%s: the client got no answer to %d of %d questions: %s", d.name, out.Lost, out.Sent, out)
	}
	if after := c.elected(); after != before {
		c.t.Errorf("%s: the election has changed. Before:\n%safter:\n%s", d.name, before, after)
	}
	if d.after != nil {
		if err := d.after(c); err != nil {
			c.t.Errorf("%s: %v", d.name, err)
		}
	}
	c.Logf("%s: %s; works %s after its end; %d of %d questions unanswered; 0 transitions; memory of the directors at most %d and %d MB", d.name, took, back,
		out.Lost, out.Sent, c.memory(c.A), c.memory(c.B))
}

// meanwhile waits for the end of a disturbance, and returns what was measured.
func (c *channelScene) meanwhile(d disturbance, began time.Time) string {
	c.t.Helper()
	took := "goes on"
	if d.noticed != "" {
		c.Eventually(20*time.Second, fmt.Sprintf("%s: a director says %q", d.name, d.noticed), func() error { return c.says(d.noticed, began) })
		took = fmt.Sprintf("noticed after %s", time.Since(began).Round(time.Millisecond))
	}
	slowest := time.Duration(0)
	for first := true; first || time.Since(began) < disturbed; first = false {
		for _, x := range c.both() {
			asked := time.Now()
			out, err := x.TryRun(x.Program(), "status", "--pair", "--socket", x.Socket)
			if slowest = max(slowest, time.Since(asked)); err != nil || !strings.Contains(out, "\n"+c.other(x).Name+" · tandem ") {
				c.t.Errorf("%s: tandem status --pair on %s: %v\n%s", d.name, x.Name, err, out)
			}
		}
		if d.noticed == "" {
			err := c.works()
			for again := time.Now(); d.busy && err != nil && strings.Contains(err.Error(), "try again in a moment") && time.Since(again) < mendedWithin; {
				err = c.works()
			}
			if err != nil {
				c.t.Errorf("%s: meanwhile, %v", d.name, err)
			}
		}
	}
	if slowest > answersWithin {
		c.t.Errorf("%s: tandem status --pair took %s, want at most %s", d.name, slowest, answersWithin)
	}
	return took + fmt.Sprintf(", tandem status --pair took at most %s", slowest.Round(time.Millisecond))
}

// says looks for words in what the directors have written since then, and in what their status says about the channel.
func (c *channelScene) says(what string, since time.Time) error {
	if strings.Contains(c.Written(since), what) {
		return nil
	}
	for _, d := range c.both() {
		if s, err := d.Status(); err == nil && s.Peer != nil && (strings.Contains(s.Peer.To.Problem, what) || strings.Contains(s.Peer.From.Problem, what)) {
			return nil
		}
	}
	return errNotYet
}

// memory returns the most memory that a director has had, in MB.
func (c *channelScene) memory(d *lab.Director) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Process().Pid()))
	_, kilobytes, found := strings.Cut(string(text), "VmHWM:")
	if err != nil || !found {
		c.t.Errorf("the memory of %s is not known: %v", d.Name, err)
		return 0
	}
	n, err := strconv.Atoi(strings.Fields(kilobytes)[0])
	if err != nil {
		c.t.Error(err)
	}
	return n >> 10
}

// dropsChannel makes the firewall of a host drop what arrives of the channel: of the connection that the other director has made, and
// with all also of that to the other director.
func dropsChannel(h *lab.Host, all bool) (undo func()) {
	return h.FirewallTable(nftables.Table{Name: "channel", Family: nftables.TableFamilyIPv4}, func(c *nftables.Conn, table *nftables.Table) {
		chain := c.AddChain(&nftables.Chain{Name: "input", Table: table, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter})
		port := func(offset uint32) {
			c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
				&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{6}},
				&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{8474 >> 8, 8474 & 0xff}},
				&expr.Verdict{Kind: expr.VerdictDrop},
			}})
		}
		if port(2); all {
			port(0)
		}
	})
}

// cutBy is a disturbance by a firewall.
func cutBy(on func(*channelScene) *lab.Host, all bool) func(*channelScene) func() {
	return func(c *channelScene) func() { return dropsChannel(on(c), all) }
}

func atA(c *channelScene) *lab.Host { return c.A.Host }
func atB(c *channelScene) *lab.Host { return c.B.Host }

const lostChannel = "lost the channel to the other director: the election goes on"

// TestChannelCut: a firewall drops the channel, or one of its two connections.
func TestChannelCut(t *testing.T) {
	t.Parallel()
	c := newChannelScene(t, direct)
	for _, d := range []disturbance{
		{name: "a firewall drops the channel", noticed: lostChannel, begin: cutBy(atB, true)},
		{name: "a firewall drops what the backup tells", long: true, noticed: lostChannel, begin: cutBy(atA, false)},
		{name: "a firewall drops what the master tells", long: true, noticed: lostChannel, begin: cutBy(atB, false)},
	} {
		c.play(d)
	}
}

// TestChannelSlow: all that the directors say comes late, in small pieces, or not at all, over connections that stay open.
func TestChannelSlow(t *testing.T) {
	t.Parallel()
	c := newChannelScene(t, throughKeyless)
	for _, d := range []disturbance{
		{name: "all comes 300 ms late", begin: always(delaying(300 * time.Millisecond))},
		{name: "all comes in pieces of 64 bytes, 6,400 bytes a second", long: true, begin: always(trickling(64, 10*time.Millisecond))},
		{name: "all comes in pieces of 4 bytes, 40 bytes a second", long: true, noticed: lostChannel, begin: always(trickling(4, 100*time.Millisecond))},
		{name: "nothing comes, and the connections stay open", long: true, noticed: lostChannel, begin: always(holding)},
	} {
		c.play(d)
	}
}

// TestChannelForged: a relay without the key changes, repeats and ends what it cannot read, and strangers come to the port.
func TestChannelForged(t *testing.T) {
	t.Parallel()
	c := newChannelScene(t, throughKeyless)
	for _, d := range []disturbance{
		{name: "a bit of each packet is flipped", noticed: lostChannel, begin: meddling(func() meddler { return flipping(false) })},
		{name: "each packet comes twice", long: true, noticed: lostChannel, begin: always(twice)},
		{name: "connections end within a packet", long: true, noticed: lostChannel, begin: always(halving)},
		{name: "octets without meaning follow each packet", long: true, noticed: lostChannel, begin: always(adding(noise(64 << 10)))},
		{name: "a whole connection is said again, and octets without meaning", long: true, begin: func(c *channelScene) func() { return c.relay.flood() }, after: refusedThem},
	} {
		c.play(d)
	}
}

// TestChannelLies: a relay that has the key says what it likes in the names of both directors.
func TestChannelLies(t *testing.T) {
	t.Parallel()
	c := newChannelScene(t, throughKeyed)
	q := &questioner{answers: make(map[string]bool)}
	for _, d := range []disturbance{
		{name: "connections end within a message", noticed: lostChannel, begin: always(halving)},
		{name: "old messages of both are said again", long: true, begin: meddling(replaying)},
		{name: "the other one says that it is master too", long: true, begin: always(adding(otherRoles()))},
		{name: "a bit of each message is flipped", long: true, noticed: lostChannel, begin: meddling(func() meddler { return flipping(true) })},
		{name: "messages without meaning", long: true, noticed: "not JSON of the protocol", begin: always(adding(frame(noise(1 << 10))))},
		{name: "a message of 2 GiB begins", long: true, noticed: "a message of 2147483648 bytes: want 2 to 8388608", begin: always(adding(tooLong()))},
		{name: "the largest messages that are valid", long: true, begin: meddling(func() meddler { return adding(largest(), largest()) })},
		{name: "2,000 messages at a time", long: true, begin: meddling(func() meddler { return adding(many(2000, otherRoles())...) })},
		{name: "who has to listen speaks", long: true, noticed: "it speaks where it should listen", begin: func(c *channelScene) func() {
			defer c.relay.cut() // it speaks at the beginning
			return c.relay.disturb(talkingBack)
		}},
		{name: "questions in the name of the other one", long: true, busy: true, begin: always(q.meddle), after: func(*channelScene) error {
			c.Logf("%d questions asked, %d refused", q.asked.Load(), q.answered.Load())
			return q.refused("it takes no configuration from the other director", "does not know the question", "does not wait for confirmation")
		}},
	} {
		c.play(d)
	}
}

// many returns a message many times.
func many(n int, message []byte) (all [][]byte) {
	for range n {
		all = append(all, message)
	}
	return all
}

// refusedThem checks that both directors have refused connections, and say so.
func refusedThem(c *channelScene) error {
	for _, d := range c.both() {
		s, err := d.Status()
		if err != nil {
			return err
		}
		if s.Peer.Refused == 0 || s.Peer.Refusal == "" {
			return errors.New(d.Name + " has refused nobody")
		}
		c.Logf("%s has refused %d connections, the latest: %s", d.Name, s.Peer.Refused, s.Peer.Refusal)
	}
	return nil
}
