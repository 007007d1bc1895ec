// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"fmt"
	"math"
	"time"
)

// Timeouts are how long the kernel keeps the entry of a connection without packets. They hold for all services of a network
// namespace. Each is in whole seconds; 0 leaves the kernel's value as it is.
type Timeouts struct {
	TCP    time.Duration // of an established TCP connection
	TCPFin time.Duration // of a TCP connection that one side has ended
	UDP    time.Duration // of a UDP client
}

// The limits of a timeout. The kernel counts in ticks, of which there are up to 1000 in a second.
const (
	MinConnectionTimeout = time.Second
	MaxConnectionTimeout = math.MaxInt32 / 1000 * time.Second
)

// The paths of the timeouts in a SettingsPlan, which are their keys in the configuration.
const (
	timeoutTCP    = "lvs/timeouts/tcp"
	timeoutTCPFin = "lvs/timeouts/tcp_fin"
	timeoutUDP    = "lvs/timeouts/udp"
)

// Settings returns the timeouts that are given as settings: their values by path.
func (t Timeouts) Settings() map[string]string {
	all := make(map[string]string)
	for path, d := range map[string]time.Duration{timeoutTCP: t.TCP, timeoutTCPFin: t.TCPFin, timeoutUDP: t.UDP} {
		if d != 0 {
			all[path] = d.String()
		}
	}
	return all
}

// WithSetting returns the timeouts with one of them changed. The error is ErrInvalid.
func (t Timeouts) WithSetting(path, value string) (Timeouts, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 || d > MaxConnectionTimeout || d%time.Second != 0 {
		return t, invalid("%s: %q is not a timeout", SettingName(path), value)
	}
	switch path {
	case timeoutTCP:
		t.TCP = d
	case timeoutTCPFin:
		t.TCPFin = d
	case timeoutUDP:
		t.UDP = d
	default:
		return t, invalid("there is no timeout %s", SettingName(path))
	}
	return t, nil
}

// PlanTimeouts returns the writes that lead from have to want, and back to the former values of those that want does not give. See
// PlanSettings.
func PlanTimeouts(have, want Timeouts, changed map[string]ChangedSetting) SettingsPlan {
	return PlanSettings(have.Settings(), want.Settings(), changed)
}

// After returns the timeouts that the kernel has after the writes of a plan. The error is ErrInvalid.
func (t Timeouts) After(p SettingsPlan) (Timeouts, error) {
	var err error
	for _, c := range append(p.Set, p.Restore...) {
		if t, err = t.WithSetting(c.Path, c.New); err != nil {
			return t, fmt.Errorf("failed to set %s: %w", c.Name(), err)
		}
	}
	return t, nil
}
