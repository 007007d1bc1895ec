// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/porttest"
	"github.com/tandem-lvs/tandem/configs"
)

// TestWebPageFollowsTheConfiguration: the page is where the configuration has it, under the names that it has, and nowhere without it.
// If the address is taken, the status says so.
func TestWebPageFollowsTheConfiguration(t *testing.T) {
	d := New(Options{Config: &configs.Config{Name: "lb1.example.com"}, Log: hclog.NewNullLogger()})
	d.end() // there is no loop: the page says that the director is leaving
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{}, 3)
	for _, run := range []func(context.Context) error{d.web.run, d.site.Run, d.events.Run} {
		go func() {
			_ = run(ctx)
			ended <- struct{}{}
		}()
	}
	defer func() {
		cancel()
		for range 3 {
			<-ended
		}
	}()
	taken, err := net.Listen("tcp", porttest.Reserve(t).String())
	if err != nil {
		t.Fatal(err)
	}
	cfg := &configs.Config{Name: "lb1.example.com", Web: configs.Web{Listen: taken.Addr().String(), Hosts: []string{"pair.example.com"}}}
	d.carryOut(core.Effects{Config: cfg})
	await(t, "the warning", func() bool {
		return strings.HasPrefix(d.web.problem(), "the web page is not served: listen tcp ")
	})
	// Nothing listens there any more. The server tries again, or is told anew.
	_ = taken.Close()
	d.carryOut(core.Effects{Config: &configs.Config{}})
	await(t, "no warning without an address", func() bool { return d.web.problem() == "" })
	d.carryOut(core.Effects{Config: cfg})
	ask := func(host string) (int, string, error) {
		r, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/", taken.Addr()), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
		answer, err := client.Do(r)
		if err != nil {
			return 0, "", err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		return answer.StatusCode, string(text), err
	}
	await(t, "the page", func() bool {
		code, text, err := ask("lb1.example.com")
		return err == nil && code == http.StatusOK && strings.Contains(text, "this director is starting or leaving")
	})
	if code, _, err := ask("pair.example.com"); code != http.StatusOK {
		t.Errorf("a name of the configuration: status %d, %v", code, err)
	}
	if code, _, err := ask("evil.example"); code != http.StatusMisdirectedRequest {
		t.Errorf("a name of somebody else: status %d, %v", code, err)
	}
	d.carryOut(core.Effects{Config: &configs.Config{}})
	await(t, "the end of the page", func() bool {
		_, _, err := ask("lb1.example.com")
		return err != nil
	})
}

// await waits until something is so.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	if !within(time.Minute, is) {
		t.Fatalf("%s: not in a minute", what)
	}
}

// within waits until something is so, and reports whether that was within the limit.
func within(limit time.Duration, is func() bool) bool {
	for end := time.Now().Add(limit); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}
