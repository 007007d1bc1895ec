// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober/remote"
)

const (
	// lookTime is how long a prober may take to say how it is doing.
	lookTime = 5 * time.Second
	// defaultFirstAnswer is how long a prober may take to begin, and to get its first answer.
	defaultFirstAnswer = 10 * time.Second
	// knownTime is how long the drill waits for the connections that the probers keep open: until they have had an answer, and the other
	// director has them. The kernel copies a connection some seconds after its first data.
	knownTime = 10 * time.Second
)

// probers says which of the probers cannot be used.
func (d *Drill) probers(ctx context.Context) (all []drill.Prober) {
	for _, address := range d.Probes {
		p := drill.Prober{Address: address}
		driver, err := remote.NewDriver(address, d.ProbeKey)
		if err == nil {
			looking, cancel := context.WithTimeout(ctx, lookTime)
			var is remote.State
			if is, err = driver.Look(looking); err == nil && is.Running {
				err = errors.New("another probe is under way there")
			}
			cancel()
		}
		if err != nil {
			p.Problem = err.Error()
		}
		all = append(all, p)
	}
	return all
}

// An audience is the clients that watch a drill from the machines of the probers.
type audience struct {
	cancel context.CancelFunc
	all    sync.WaitGroup
	seen   []drill.Seen    // of each prober
	talked []chan struct{} // of each prober: closed when all connections that it keeps open have had an answer
	flows  atomic.Bool     // a prober keeps connections open
}

// watch has the probers ask for a time. It returns when each has had an answer, or says why one has not.
func (d *Drill) watch(ctx context.Context, span time.Duration) (a *audience, refused []string) {
	// An interrupt ends the fault. What clients see until all is as before still counts.
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a = &audience{cancel: cancel, seen: make([]drill.Seen, len(d.Probes)), talked: make([]chan struct{}, len(d.Probes))}
	answered := make([]chan struct{}, len(d.Probes))
	ended := make([]chan struct{}, len(d.Probes))
	for i, address := range d.Probes {
		answered[i], ended[i], a.talked[i] = make(chan struct{}), make(chan struct{}), make(chan struct{})
		a.seen[i].Address = address
		a.all.Go(func() {
			defer close(ended[i])
			first := sync.OnceFunc(func() { close(answered[i]) })
			talked := sync.OnceFunc(func() { close(a.talked[i]) })
			driver, err := remote.NewDriver(address, d.ProbeKey)
			var r prober.Report
			if err == nil {
				r, err = driver.Run(watching, span, func(v prober.Live) {
					if v.Flows > 0 {
						a.flows.Store(true)
					}
					if v.Answered > 0 && v.Silent == 0 {
						first()
					}
					if v.Talked == v.Flows {
						talked()
					}
				})
			}
			if err != nil {
				a.seen[i].Problem = err.Error()
				return
			}
			a.seen[i].Report = &r
		})
	}
	limit := time.NewTimer(cmp.Or(d.FirstAnswer, defaultFirstAnswer))
	defer limit.Stop()
	for i, address := range d.Probes {
		select {
		case <-answered[i]:
			continue
		case <-ended[i]:
			refused = append(refused, fmt.Sprintf("the prober at %s has ended: %s", address, a.seen[i].Problem))
		case <-limit.C:
			limit.Reset(0) // for the others
			select {
			case <-answered[i]:
				continue
			default:
			}
			refused = append(refused, fmt.Sprintf("the clients at %s get no answer from the service: find out why first", address))
		case <-ctx.Done():
			refused = append(refused, "interrupted")
		}
	}
	return a, refused
}

// awaitConnections waits until the other director has the connections that the probers keep open. They have begun after the
// pre-checks, and a pair that is well would lose them. What is not known after knownTime is: the report then says what broke.
func (d *Drill) awaitConnections(ctx context.Context, s *drill.Situation, a *audience) {
	if !a.flows.Load() || !s.Order.Kind.Moves() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, knownTime)
	defer cancel()
	d.Tell("waiting until %s has the connections of the clients", s.There.Name)
	for _, talked := range a.talked {
		select {
		case <-talked:
		case <-ctx.Done():
		}
	}
	for {
		here, there, lacking, err := statuses(ctx, d.client)
		if err == nil && lacking == "" && s.Unknown(here, there) <= s.Order.Lose || rest(ctx, settlePause) != nil {
			return
		}
	}
}

// stop ends the probes, and returns what the clients saw.
func (a *audience) stop() []drill.Seen {
	a.cancel()
	a.all.Wait()
	return a.seen
}
