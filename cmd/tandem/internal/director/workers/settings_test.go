// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

// TestSettingsThatServicesNeed: the worker sets the settings that services need. Values in the file take precedence. The
// settings stay after the last service was removed. A failure is logged once, and so is its end.
func TestSettingsThatServicesNeed(t *testing.T) {
	config := func(text string) *configs.Config {
		c, err := configs.Parse("t.toml", []byte("name = \"lb1\"\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const service = "[[service]]\nvirtual = \"192.0.2.100:80\"\nserver = [{ address = \"192.0.2.11\" }]\n"
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex // of the following variables
		var got map[string]string
		var told []string
		var refusal error
		var timeouts lvs.Timeouts
		w := &Settings{
			Sysctls: func(want map[string]string) error {
				mu.Lock()
				defer mu.Unlock()
				got = want
				return refusal
			},
			Timeouts: func(_ context.Context, want lvs.Timeouts) error {
				mu.Lock()
				defer mu.Unlock()
				timeouts = want
				return refusal
			},
			Interfaces: func(*configs.Config) (bool, error) { return true, nil },
			Log:        hclog.NewNullLogger(), In: NewMailbox[*configs.Config](), Prepared: make(chan struct{}),
			Post: func(ev core.Event) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, fmt.Sprintf("%+v", ev))
			},
		}
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		for _, c := range []struct{ text, want string }{
			{"", "map[]"},
			{service, "map[expire_nodest_conn:1]"},
			{service + "persistence = {}\n", "map[expire_nodest_conn:1 expire_quiescent_template:1]"},
			{"", "map[expire_nodest_conn:1 expire_quiescent_template:1]"},
			{"[lvs.sysctl]\nexpire_nodest_conn = 0\nsloppy_tcp = 1", "map[expire_nodest_conn:0 expire_quiescent_template:1 sloppy_tcp:1]"},
		} {
			planned := fmt.Sprint(w.Want(config(c.text)))
			w.In.Put(config(c.text))
			synctest.Wait()
			if planned != c.want {
				t.Errorf("%q: planned %s, want %s", c.text, planned, c.want)
			}
			mu.Lock()
			if got := fmt.Sprint(got); got != c.want {
				t.Errorf("%q: %s, want %s", c.text, got, c.want)
			}
			mu.Unlock()
		}
		w.In.Put(config("[lvs.timeouts]\ntcp = \"1h\""))
		synctest.Wait()
		mu.Lock()
		if timeouts != (lvs.Timeouts{TCP: time.Hour}) {
			t.Errorf("timeouts %+v", timeouts)
		}
		mu.Unlock()
		refuse := func(err error) {
			mu.Lock()
			defer mu.Unlock()
			refusal = err
		}
		refuse(errors.New("read-only file system"))
		time.Sleep(3*settingsInterval + time.Second)
		synctest.Wait()
		refuse(nil)
		time.Sleep(settingsInterval)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := fmt.Sprint(told); got != "[{Problem:read-only file system Timeouts:read-only file system} {Problem: Timeouts:}]" {
			t.Errorf("told %s", got)
		}
	})
}
