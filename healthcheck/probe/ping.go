// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"net"

	probing "github.com/prometheus-community/pro-bing"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// ping sends one ICMP echo request and waits for the reply.
func ping(ctx context.Context, t *healthcheck.Target) healthcheck.Result {
	to := t.Endpoint().Addr()
	p := probing.New("")
	p.SetIPAddr(&net.IPAddr{IP: to.AsSlice(), Zone: to.Zone()})
	p.SetPrivileged(true) // the unprivileged kind depends on a sysctl
	p.SetLogger(probing.NoopLogger{})
	p.Count, p.Timeout, p.RecordRtts = 1, t.Config.Timeout, false
	if t.Config.Source.IsValid() {
		p.Source = t.Config.Source.String()
	}
	if t.Config.Mark != 0 {
		p.SetMark(uint(t.Config.Mark))
	}
	err := p.RunWithContext(ctx)
	switch {
	case p.Statistics().PacketsRecv > 0:
		return healthcheck.Pass("echo reply")
	case err == nil, errors.Is(err, context.DeadlineExceeded):
		if errors.Is(ctx.Err(), context.Canceled) {
			return healthcheck.Result{Outcome: healthcheck.Abandoned}
		}
		return healthcheck.FailSilently(healthcheck.TimedOut, socket.TimedOut(t.Config.Timeout, "waiting for the echo reply"))
	}
	return socket.ExplainSilence(ctx, err, t.Config.Timeout, "pinging")
}
