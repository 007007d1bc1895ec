// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// TestServersPoweredOff: all real servers are powered off. The sorry server answers when the checks have noticed this, and
// the servers answer again when they are back.
func TestServersPoweredOff(t *testing.T) {
	t.Parallel()
	s := patient
	s.Webs = 3
	p := lab.NewPair(t, s)
	sorry := p.Host("sorry", "192.0.2.20/24")
	sorry.RealServer(vip)
	sorry.HTTPServer("sorry")
	with := func(config string) string {
		return strings.Replace(config, "method = \"dr\"\n", "method = \"dr\"\nsorry_server = { address = \"192.0.2.20\" }\n", 1)
	}
	p.A.Configure(with(s.Config("director-a", lab.PriorityA)))
	p.B.Configure(with(s.Config("director-b", lab.PriorityB)))
	p.Launch()

	for _, web := range p.Webs {
		web.Cut()
	}
	watch, off := p.WatchStalls(), time.Now()
	// Each request begins beside those that still wait for a server without power.
	load := p.Client.Load(vipURL, 100*time.Millisecond)
	var answered time.Time
	p.Eventually(30*time.Second, "the sorry server answers", func() error {
		for _, r := range load.Requests() {
			if r.Err == nil && strings.HasPrefix(r.Body, "sorry") {
				answered = r.End
				return nil
			}
		}
		return errors.New("it has not")
	})
	took, stall, bound := answered.Sub(off), watch.Stop(), p.ChecksFail()+time.Second
	load.Stop()
	p.Logf("the sorry server answered %s after the power went, the bound is %s", took.Round(time.Millisecond), bound)
	if took > bound+stall {
		t.Errorf("the sorry server answered after %s, want at most %s; the machine itself stalled for %s", took, bound, stall)
	}
	p.Throughout(p.ChecksFail(), "the sorry server answers", func() error { return answeredBy(p, "sorry") })
	wantWarning(t, p.A, "neighbours do")

	for _, web := range p.Webs {
		web.Plug()
	}
	p.Eventually(20*time.Second, "a web server answers", func() error { return answeredBy(p, "web") })
	p.AwaitMaster(p.A)
}

func answeredBy(p *lab.Pair, name string) error {
	body, err := p.Client.Get(vipURL)
	if err == nil && !strings.HasPrefix(body, name) {
		err = fmt.Errorf("%q answers", body)
	}
	return err
}

func wantWarning(t *testing.T, d *lab.Director, words string) {
	t.Helper()
	is, err := d.Status()
	if err != nil || !slices.ContainsFunc(is.Warnings, func(w string) bool { return strings.Contains(w, words) }) {
		t.Errorf("%s warns %q, %v; want one with %q", d.Name, is.Warnings, err, words)
	}
}

// TestRefusedService: the kernel of the preferred director lacks the scheduler of a service. This director leaves the VIP
// with its healthy peer, and says why. When the kernel accepts the service, it takes the VIP.
func TestRefusedService(t *testing.T) {
	t.Parallel()
	s := patient
	p := lab.NewPair(t, s)
	good := s.Config("director-a", lab.PriorityA)
	p.A.Configure(strings.Replace(good, `scheduler = "wrr"`, `scheduler = "twos"`, 1))
	p.B.Launch()
	p.B.AwaitState(10*time.Second, "master")
	p.AwaitWeights(20*time.Second, p.B, 1)
	load := p.Client.Load(vipURL, 50*time.Millisecond)
	awaitServed(p.Lab, load, time.Now())
	p.A.Launch()
	p.A.AwaitState(10*time.Second, "backup")
	p.Throughout(5*time.Second, "director-b is master", func() error {
		if p.A.Has(vip) || !p.B.Has(vip) {
			return fmt.Errorf("VIP on director-a: %t, on director-b: %t", p.A.Has(vip), p.B.Has(vip))
		}
		return nil
	})
	wantServed(t, p, load.Stop())
	wantWarning(t, p.A, "twos")
	p.Logf("%s", p.A.Table())

	p.A.Configure(good)
	p.A.Run(p.A.Program(), "reload", "--socket", p.A.Socket)
	p.AwaitMaster(p.A)
	if _, err := p.Client.Get(vipURL); err != nil {
		t.Error(err)
	}
}
