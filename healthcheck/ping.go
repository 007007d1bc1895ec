// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"context"
	"errors"
	"net"

	probing "github.com/prometheus-community/pro-bing"
)

// ping sends one ICMP echo request and waits for the reply.
func ping(ctx context.Context, t Target) result {
	to := t.endpoint().Addr()
	p := probing.New("")
	p.SetIPAddr(&net.IPAddr{IP: to.AsSlice(), Zone: to.Zone()})
	p.SetPrivileged(true) // the other kind depends on a sysctl
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
		return pass("echo reply")
	case err == nil, errors.Is(err, context.DeadlineExceeded):
		if errors.Is(ctx.Err(), context.Canceled) {
			return result{outcome: abandoned}
		}
		res := fail(timedOut(t.Config.Timeout, "waiting for the echo reply"))
		res.silent = true
		return res
	}
	res := explain(ctx, err, t.Config.Timeout, "pinging")
	res.silent = res.outcome == failed && silence(err)
	return res
}
