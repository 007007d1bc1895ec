// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"

	"github.com/tandem-lvs/tandem/garp"
)

// A Listener hears what other machines say about addresses on one interface. It sends nothing.
type Listener struct{ p *probe }

// Listen opens a Listener. It hears from now on. Call Run.
func Listen(iface string) (*Listener, error) {
	p, err := newProbe(iface)
	if err != nil {
		return nil, err
	}
	return &Listener{p}, nil
}

// Run passes to f what is heard, until ctx ends, which is success. It closes the Listener.
func (l *Listener) Run(ctx context.Context, f func(garp.Observation)) error {
	return l.p.observe(ctx, func(ctx context.Context, observed <-chan garp.Observation) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case o := <-observed:
				f(o)
			}
		}
	})
}
