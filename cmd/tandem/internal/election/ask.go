// SPDX-License-Identifier: Apache-2.0

package election

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/garp/wire"
	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/address"
)

// When a backup has missed so many advertisements that it takes over an interval later, the election asks by ARP and neighbour
// discovery whether somebody still answers for its VIPs. It waits for the answers beside the loop: the takeover is neither
// delayed nor refused. The answer tells the operator what has failed: the master, or only its advertisements.

const (
	askPause     = time.Second            // between two questions of a router
	askAddresses = 16                     // VIPs that are asked for on an interface
	askAtOnce    = 8                      // routers
	askLeast     = 100 * time.Millisecond // an answer takes longer than the shortest advertisement intervals
)

// A doubt is a question to ask.
type doubt struct {
	id     message.RouterID
	config vrrp.Config
	master netip.Addr
}

// doubtMaster asks who has the addresses of a router whose master is silent, unless it has just asked or all who ask are busy.
func (p *Process) doubtMaster(id message.RouterID, before, s vrrp.Status) {
	r, known := p.known[id]
	if !known || !s.Doubted.After(before.Doubted) || !s.Master.IsValid() || time.Since(p.lastDoubt[id]) < askPause {
		return
	}
	select {
	case p.doubts <- doubt{id, r.Config, s.Master}:
		p.lastDoubt[id] = time.Now()
	default:
	}
}

// askDoubts asks what doubtMaster wants to know, until ctx ends.
func (p *Process) askDoubts(ctx context.Context) error {
	var g errgroup.Group
	for range askAtOnce {
		g.Go(func() error {
			for {
				select {
				case <-ctx.Done():
					return nil
				case d := <-p.doubts:
					p.ask(ctx, d)
				}
			}
		})
	}
	return g.Wait()
}

// ask asks on each interface that gets addresses of a router. On its own interface it also asks for the master's address: so it
// recognises the master.
func (p *Process) ask(ctx context.Context, d doubt) {
	is := message.Asked{Interface: d.id.Interface, Name: d.id.Name, At: time.Now(), Master: d.master}
	var owners []garp.Owner
	var g errgroup.Group
	results := make(chan []garp.Owner, 1+len(d.config.VIPInterfaces))
	for _, at := range address.PlacementsOf(d.config) {
		addrs, iface := addressesOf(at), (addressKeyOf(at)).link()
		if len(addrs) == 0 {
			continue
		}
		addrs = slices.Clone(addrs[:min(len(addrs), askAddresses)])
		if iface == d.config.Interface {
			addrs = append(addrs, d.master)
		}
		g.Go(func() error {
			found, err := wire.Owners(ctx, iface, addrs, min(max(d.config.AdvertInterval, askLeast), time.Second))
			results <- found
			return err
		})
	}
	if err := g.Wait(); err != nil {
		is.Problem = err.Error()
	}
	close(results)
	for found := range results {
		owners = append(owners, found...)
	}
	if ctx.Err() != nil {
		return
	}
	virtual := ""
	if d.config.VirtualMAC {
		virtual = garp.Hardware(d.config.MAC().Hardware()).String()
	}
	is.Answers = answersOf(owners, d.master, virtual)
	p.mu.Lock()
	is.Count, is.Answered = p.asked[d.id].Count+1, p.asked[d.id].Answered
	if len(is.Answers) > 0 {
		is.Answered++
	}
	p.asked[d.id] = is
	p.mu.Unlock()
	p.logAnswers(is)
	nudge(p.tell)
}

// answersOf returns who has the addresses, and whether it is the silent master. owners has who answers for the master's own
// address, too. virtual is the virtual MAC address, if the router has one: only a master has it.
func answersOf(owners []garp.Owner, master netip.Addr, virtual string) (all []message.Answer) {
	own := func(hardware string) bool {
		return hardware == virtual || slices.ContainsFunc(owners, func(o garp.Owner) bool { return o.Address == master && o.Hardware == hardware })
	}
	for _, o := range owners {
		if o.Address != master {
			all = append(all, message.Answer{Address: o.Address, Hardware: o.Hardware, Peer: own(o.Hardware)})
		}
	}
	return all
}

func (p *Process) logAnswers(is message.Asked) {
	log := p.log.With("router", is.Name, "silent-master", is.Master)
	switch {
	case is.Problem != "":
		log.Debug("failed to ask who has the addresses of a silent master", "error", is.Problem)
	case len(is.Answers) == 0:
		log.Info("the master is silent, and nobody answers for its addresses")
	}
	for _, a := range is.Answers {
		log.Warn("the master is silent, but an address of it is still answered for", "address", a.Address, "hardware", a.Hardware,
			"by-the-master", a.Peer)
	}
}
