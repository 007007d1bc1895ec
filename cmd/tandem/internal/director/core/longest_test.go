// SPDX-License-Identifier: Apache-2.0

package core

import (
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
)

// With a timeout longer than the interval, a server that does not answer is probed at each timeout. The director waits as long as
// its checks need.
func TestSlowChecksNeedLonger(t *testing.T) {
	slow, quick := healthcheck.DefaultConfig(healthcheck.TCP), healthcheck.DefaultConfig(healthcheck.TCP)
	slow.Interval, slow.Timeout, slow.Rise, slow.Fall = time.Second, 10*time.Second, 2, 3
	quick.Interval, quick.Timeout = time.Second, time.Second
	srv := &server{Server: configs.Server{Checks: []healthcheck.Config{quick, slow}}}
	s := &State{services: []*service{{servers: []*server{srv}}}}
	for name, tt := range map[string]struct{ got, want time.Duration }{
		"to find a failure":      {srv.failsWithin(), 40 * time.Second},
		"to find it works":       {s.detection(), 40 * time.Second},
		"until a health expires": {slow.Expiry(), 90 * time.Second},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %s, want %s", name, tt.got, tt.want)
		}
	}
}
