// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/via"
	"github.com/tandem-lvs/tandem/lvs"
)

const (
	serverWait   = time.Second // for each answer of a real server
	serverTries  = 2           // for each answer
	serversAsked = 200         // at most
	askedAtOnce  = 50

	// Of the packets by which the sizes that pass are found. The server has answered such packets, but small ones, before.
	sizeWait, sizeTries = 300 * time.Millisecond, 3
)

// askServers asks the real servers of TCP services whether they accept connections.
func (s *Snapshot) askServers(ctx context.Context, c *configs.Config) error {
	for _, svc := range c.Services {
		v := svc.Virtuals[0]
		for _, srv := range svc.Servers {
			local := s.holds(srv.Addr) || srv.Addr.IsLoopback()
			if v.Protocol != lvs.TCP || !v.Addr.IsValid() || v.Port == 0 || local || len(s.Servers) == serversAsked {
				continue
			}
			in := srv.In(v)
			s.Servers = append(s.Servers, ServerAnswers{Service: svc.Name, Server: netip.AddrPortFrom(in.Addr, in.Port),
				VIP: netip.AddrPortFrom(v.Addr, v.Port)})
		}
	}
	prober := via.New()
	defer prober.Close()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(askedAtOnce)
	i := 0
	for _, svc := range c.Services {
		for _, srv := range svc.Servers {
			if i == len(s.Servers) || s.Servers[i].Service != svc.Name || s.Servers[i].Server.Addr() != srv.Addr {
				continue
			}
			is, method := &s.Servers[i], srv.Method
			i++
			g.Go(func() error {
				is.Own = dial(ctx, is.Server)
				switch {
				case method == lvs.DR && is.Server.Port() == is.VIP.Port() && is.Own != Unreachable:
					is.Through = askVia(ctx, prober, is.Server, is.VIP.Addr(), netip.Addr{})
				case method == lvs.Tunnel && is.Own == Accepts:
					is.Through = askTunnel(ctx, prober, is.Server, is.VIP.Addr(), via.TunnelSize{})
					if is.Through == Silent {
						is.Wrapped = askTunnel(ctx, prober, is.Server, is.Server.Addr(), via.TunnelSize{})
					}
					if is.Through == Accepts {
						is.Large = s.askLarge(ctx, prober, *is)
					}
				case method == lvs.NAT && is.Own == Accepts && s.holds(is.VIP.Addr()) && !s.sharesNetwork(is.Server.Addr(), is.VIP.Addr()):
					is.Back = askVia(ctx, prober, is.Server, is.Server.Addr(), is.VIP.Addr())
				}
				return nil
			})
		}
	}
	return g.Wait()
}

// persist asks until there is an answer, at most a number of times, and waits this long for each: one lost packet, or a busy
// machine, is no fault of a server.
func persist(ctx context.Context, tries int, wait time.Duration, ask func(context.Context) Answer) (a Answer) {
	for range tries {
		one, cancel := context.WithTimeout(ctx, wait)
		a = ask(one)
		if cancel(); a != Silent {
			break
		}
	}
	return a
}

// sharesNetwork reports whether two addresses are in one network of this machine.
func (s *Snapshot) sharesNetwork(a, b netip.Addr) bool {
	for _, l := range s.Links {
		for _, p := range l.Addrs {
			if !p.IsSingleIP() && p.Contains(a) && p.Contains(b) {
				return true
			}
		}
	}
	return false
}

// dial asks a server at its own address.
func dial(ctx context.Context, to netip.AddrPort) Answer {
	return persist(ctx, serverTries, serverWait, func(ctx context.Context) Answer { return dialOnce(ctx, to) })
}

func dialOnce(ctx context.Context, to netip.AddrPort) Answer {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", to.String())
	switch {
	case err == nil:
		_ = conn.Close()
		return Accepts
	case errors.Is(err, unix.ECONNREFUSED):
		return Refuses
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH), unresolved(to.Addr()):
		return Unreachable
	}
	return Silent
}

// unresolved reports whether the kernel has asked in vain for the hardware address of the server, or of the router that leads there.
func unresolved(server netip.Addr) bool {
	return via.Unresolved(&healthcheck.Target{Addr: netip.AddrPortFrom(server, 1)})
}

// askVia sends a server a connection to an address that it should have, by Ethernet as a director does, and from an address of this
// machine; none: its own address in the server's network.
func askVia(ctx context.Context, prober *via.Prober, server netip.AddrPort, to, from netip.Addr) Answer {
	t := healthcheck.Target{ID: "doctor", Addr: server, Config: healthcheck.DefaultConfig(healthcheck.TCP)}
	t.Config.Via, t.Config.Source, t.Config.Timeout = to, from, serverWait
	return persist(ctx, serverTries, serverWait, func(ctx context.Context) Answer { return answerOf(prober.Probe(ctx, &t)) })
}

func answerOf(res healthcheck.Result) Answer {
	switch {
	case res.Outcome == healthcheck.Passed:
		return Accepts
	case res.Outcome == healthcheck.Failed && res.Cause.Kind == healthcheck.Refused:
		return Refuses
	case res.Outcome == healthcheck.Failed && res.Cause.Kind != healthcheck.Unreachable && res.Cause.Kind != healthcheck.Unexpected:
		return Silent
	}
	return NotAsked
}

// askTunnel sends a server a connection in a tunnel.
func askTunnel(ctx context.Context, prober *via.Prober, server netip.AddrPort, to netip.Addr, size via.TunnelSize) Answer {
	wait, tries := serverWait, serverTries
	if size.Bytes != 0 {
		wait, tries = sizeWait, sizeTries
	}
	t := healthcheck.Target{ID: "doctor", Addr: server, Config: healthcheck.DefaultConfig(healthcheck.TCP)}
	t.Config.Via, t.Config.Timeout = to, wait
	return persist(ctx, tries, wait, func(ctx context.Context) Answer {
		res := prober.ProbeTunnel(ctx, &t, size)
		switch res.Reason {
		case via.NoTunnel:
			return NoTunnel
		case via.TooLarge:
			return TooLarge
		}
		return answerOf(res)
	})
}

// askLarge finds out which sizes of packets in a tunnel arrive at a server that small ones reach.
func (s *Snapshot) askLarge(ctx context.Context, prober *via.Prober, is ServerAnswers) TunnelFit {
	need := tunnelNeed(is.Server.Addr())
	split := s.splits(is.Server.Addr())
	mtu := func() int {
		r, err := findRoute(is.Server.Addr())
		if err != nil || r.MTU == 0 {
			return need
		}
		return r.MTU
	}
	ask := func(size int) Answer {
		return askTunnel(ctx, prober, is.Server, is.VIP.Addr(), via.TunnelSize{Bytes: size, Split: split})
	}
	return fitTunnel(need, split, mtu, ask)
}
