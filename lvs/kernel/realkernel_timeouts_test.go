// SPDX-License-Identifier: Apache-2.0

//go:build ipvs

package kernel

import (
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/lvs"
)

// TestRealKernelTimeouts: the kernel has the timeouts that are given, the others stay, and all are put back.
func TestRealKernelTimeouts(t *testing.T) {
	inNamespace(t, func(k *IPVS) {
		usual, err := k.Timeouts(t.Context())
		if err != nil || usual.TCP != 15*time.Minute || usual.TCPFin != 2*time.Minute || usual.UDP != 5*time.Minute {
			t.Errorf("at first: %+v, %v", usual, err)
		}
		keeper, err := OpenTimeouts(k, new(fakeStore[map[string]lvs.ChangedSetting]), hclog.NewNullLogger())
		if err != nil {
			t.Errorf("open: %v", err)
			return
		}
		for _, want := range []lvs.Timeouts{
			{TCP: time.Hour}, {TCPFin: time.Second, UDP: time.Second}, {TCP: lvs.MaxConnectionTimeout}, {},
		} {
			if err := keeper.Apply(t.Context(), want); err != nil {
				t.Errorf("%+v: %v", want, err)
			}
			is, err := k.Timeouts(t.Context())
			expected := usual
			for path, value := range want.Settings() {
				expected, _ = expected.WithSetting(path, value)
			}
			if err != nil || is != expected {
				t.Errorf("%+v: %+v, %v", want, is, err)
			}
		}
	})
}
