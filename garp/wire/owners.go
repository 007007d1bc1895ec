// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-lvs/tandem/garp"
)

// Owners asks on an interface who has the addresses. It returns the other machines that claim one within the wait, ordered
// by address. It asks three times, because a frame may be lost.
func Owners(ctx context.Context, iface string, addrs []netip.Addr, wait time.Duration) ([]garp.Owner, error) {
	const questions = 3
	p, err := newProbe(iface)
	if err != nil {
		return nil, err
	}
	var found []garp.Claim
	err = p.observe(ctx, func(ctx context.Context, observed <-chan garp.Observation) error {
		found, err = collect(ctx, p, observed, addrs, wait/questions, questions)
		return err
	})
	if err != nil {
		return nil, err
	}
	var owners []garp.Owner
	for _, c := range found {
		owners = append(owners, garp.Owner{Address: c.Addr, Hardware: c.From.String(), Neighbours: neighboursAt(p.index, c)})
	}
	return owners, nil
}

func collect(ctx context.Context, p *probe, observed <-chan garp.Observation, addrs []netip.Addr,
	pause time.Duration, questions int,
) ([]garp.Claim, error) {
	var found []garp.Claim
	for range questions {
		for _, addr := range addrs {
			if err := p.ask(addr); err != nil && !congested(err) {
				return nil, err
			}
		}
		for timer, waiting := time.After(pause), true; waiting; {
			select {
			case <-ctx.Done():
				return found, nil
			case <-timer:
				waiting = false
			case o := <-observed:
				claim := o.Claim()
				if slices.Contains(addrs, o.Claimed) && !slices.Contains(found, claim) && !p.isOwn(o.From) {
					found = append(found, claim)
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b garp.Claim) int { return a.Addr.Compare(b.Addr) })
	return found, nil
}
