// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// TestPermissionsAreTriedAgain: a group that is made after the director has started is used without a reload.
func TestPermissionsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		missing, allowed := errors.New("no group"), ""
		w := &Permissions[string]{Log: hclog.NewNullLogger(), In: NewMailbox[string](), Allow: func(p string) error {
			mu.Lock()
			defer mu.Unlock()
			allowed = p
			return missing
		}}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		w.In.Put("ops")
		synctest.Wait()
		if allowed != "ops" || w.Problem() != "no group" {
			t.Errorf("allowed %q, problem %q", allowed, w.Problem())
		}
		mu.Lock()
		missing, allowed = nil, ""
		mu.Unlock()
		time.Sleep(permissionsPause) // of the bubble
		synctest.Wait()
		if allowed != "ops" || w.Problem() != "" {
			t.Errorf("after the pause: allowed %q, problem %q", allowed, w.Problem())
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
