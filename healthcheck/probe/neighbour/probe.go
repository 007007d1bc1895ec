// SPDX-License-Identifier: Apache-2.0

// Package neighbour asks on an interface who has an address: by ARP for IPv4, and by neighbour discovery for IPv6. Each machine that is
// on the link answers, also one that drops ICMP echo requests.
package neighbour

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// questions is how often one probe asks, because a frame may be lost.
const questions = 3

// A link asks about one address, and hears the answers.
type link interface {
	ask() error
	// hear waits for an answer, and returns the hardware address in it. It ends when expire is called.
	hear() (net.HardwareAddr, error)
	// expire sets the time at which ask and hear end with os.ErrDeadlineExceeded.
	expire(time.Time) error
	Close() error
}

// Probe checks a valid target of type Neighbour once. ctx carries the probe's deadline. It passes if a machine has the address on the
// link of the interface that the target is bound to.
func Probe(ctx context.Context, t *healthcheck.Target) healthcheck.Result {
	l, down, err := open(t.Config.Device, t.Endpoint().Addr())
	switch {
	case down != "":
		return healthcheck.FailSilently(healthcheck.Unreachable, down)
	case err != nil:
		return socket.ExplainSilence(ctx, err, t.Config.Timeout, "asking")
	}
	defer func() { _ = l.Close() }()
	return ask(ctx, l, t)
}

// open opens the link. down says why nobody can be asked there.
func open(device string, addr netip.Addr) (l link, down string, err error) {
	ifi, err := net.InterfaceByName(device)
	switch {
	case err != nil:
		return nil, fmt.Sprintf("this machine does not have the interface %s", device), nil
	case ifi.Flags&net.FlagUp == 0:
		return nil, device + " is down", nil
	case len(ifi.HardwareAddr) != 6:
		return nil, device + " has no Ethernet address", nil
	case addr.Is6():
		return openND(ifi, addr)
	}
	own, err := sourceOn(ifi, addr)
	if err != nil {
		return nil, "", err
	}
	arp, err := openARP(ifi, own, addr)
	return arp, "", err
}

// sourceOn returns the address of an interface in the network of another one. Without one it returns 0.0.0.0: then the question is an ARP
// probe (RFC 5227), which is answered as well.
func sourceOn(ifi *net.Interface, addr netip.Addr) (netip.Addr, error) {
	all, err := ifi.Addrs()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("failed to read the addresses of %s: %w", ifi.Name, err)
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Contains(addr) && p.Addr() != addr {
			return p.Addr(), nil
		}
	}
	return netip.IPv4Unspecified(), nil
}

// ask asks up to three times within the deadline of ctx.
func ask(ctx context.Context, l link, t *healthcheck.Target) healthcheck.Result {
	const doing = "waiting for the neighbour's answer"
	began := time.Now()
	end, ok := ctx.Deadline()
	if !ok {
		end = began.Add(t.Config.Timeout)
	}
	for i := range questions {
		if err := l.expire(began.Add(end.Sub(began) * time.Duration(i+1) / questions)); err != nil {
			return socket.Explain(ctx, err, t.Config.Timeout, doing)
		}
		stop := context.AfterFunc(ctx, func() { _ = l.expire(time.Unix(1, 0)) })
		err := l.ask()
		var at net.HardwareAddr
		if err == nil {
			at, err = l.hear()
		}
		stop()
		switch {
		case err == nil:
			return healthcheck.Pass("answers from " + at.String())
		case ctx.Err() != nil, !errors.Is(err, os.ErrDeadlineExceeded):
			return socket.ExplainSilence(ctx, err, t.Config.Timeout, doing)
		}
	}
	return healthcheck.FailSilently(healthcheck.TimedOut, socket.TimedOut(t.Config.Timeout, doing))
}
