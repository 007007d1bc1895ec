// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

func TestApplySilencesAndRemoveLeavesTheMachineAsItWas(t *testing.T) {
	for _, tt := range []struct {
		method Method
		dropIn bool
	}{{Sysctl, false}, {Sysctl, true}, {ARPFilter, false}} {
		t.Run(tt.method.String(), func(t *testing.T) {
			p := newPair(t)
			p.in(p.server, func() error { // what a careless hand has left
				return errors.Join(addAddr("eth0", vip4+"/24"),
					os.WriteFile(filepath.Join(procSys, sysctl("eth0", "arp_announce")), []byte("1\n"), 0))
			})
			settings, addresses := p.settings(), p.addresses()
			if !p.answersFor(vip4) {
				t.Fatal("the server does not answer for the VIP before: nothing could be shown")
			}
			c := Config{VIPs: vips(vip4, vip6), Mode: DirectRouting, Method: tt.method}
			if tt.dropIn {
				c.DropIn = filepath.Join(t.TempDir(), "sysctl.d", "60-tandem.conf")
			}
			if len(p.apply(c)) == 0 {
				t.Error("nothing was done")
			}
			if p.answersFor(vip4) {
				t.Error("the server answers for the VIP")
			}
			if got := p.senderOfRequests(vip4); got != "192.0.2.11" {
				t.Errorf("the server asks as %s, want 192.0.2.11", got)
			}
			if got := p.addresses(); !slices.Contains(got, vip4+"/32 lo") || slices.Contains(got, vip4+"/24 eth0") {
				t.Errorf("addresses %v", got)
			}
			if again := p.apply(c); len(again) > 0 {
				t.Errorf("the second time it did %v", again)
			}
			if tt.dropIn {
				if _, err := os.Stat(c.DropIn); err != nil {
					t.Error(err)
				}
			}
			if got := p.settings(); tt.method == ARPFilter && !equal(got, settings) {
				t.Errorf("the filter changed settings: %v, were %v", got, settings)
			}
			p.remove()
			if got := p.settings(); !equal(got, settings) {
				t.Errorf("settings %v, were %v", got, settings)
			}
			if got := p.addresses(); !slices.Equal(got, addresses) {
				t.Errorf("addresses %v, were %v", got, addresses)
			}
			if !p.answersFor(vip4) {
				t.Error("after the removal the server is silent still")
			}
			if again := p.remove(); len(again) > 0 {
				t.Errorf("the second removal did %v", again)
			}
			if saved := p.record.saved; !reflect.ValueOf(saved).IsZero() {
				t.Errorf("the record is left: %+v", saved)
			}
			if _, err := os.Stat(c.DropIn); c.DropIn != "" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the sysctl file is left: %v", err)
			}
		})
	}
}

func equal(a, b map[string]string) bool {
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return len(a) == len(b)
}

func TestCheckChangesNothing(t *testing.T) {
	p := newPair(t)
	settings, addresses := p.settings(), p.addresses()
	p.in(p.server, func() error {
		steps, err := p.machine.Check(Config{VIPs: vips(vip4), Mode: DirectRouting, Method: Sysctl})
		if len(steps) != 5 {
			t.Errorf("steps %v, want four settings and the VIP", commands(steps))
		}
		return err
	})
	if !equal(p.settings(), settings) || !slices.Equal(p.addresses(), addresses) {
		t.Error("the machine was changed")
	}
	if left, err := os.ReadDir(p.dir); err != nil || len(left) > 0 {
		t.Errorf("files %v, %v", left, err)
	}
}

func TestTheSilenceComesFirst(t *testing.T) {
	p := newPair(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c := Config{VIPs: vips(vip4), Mode: DirectRouting, Method: Sysctl}
		for range 100 {
			p.server.Do(func() {
				_, applied := p.machine.Apply(c)
				_, removed := p.machine.Remove()
				if err := errors.Join(applied, removed); err != nil {
					t.Error(err)
				}
			})
		}
	}()
	asked, answered := 0, 0
	for running := true; running; asked++ {
		select {
		case <-ended:
			running = false
		default:
		}
		if p.answersFor(vip4) {
			answered++
		}
	}
	if t.Logf("asked %d times", asked); answered > 0 {
		t.Errorf("the server answered for the VIP %d times", answered)
	}
}

func TestADamagedRecordStopsEverything(t *testing.T) {
	p := newPair(t)
	p.record.err = errors.New("damaged")
	p.in(p.server, func() error {
		if _, err := p.machine.Apply(Config{VIPs: vips(vip4), Mode: DirectRouting, Method: Sysctl}); !errors.Is(err, p.record.err) {
			t.Errorf("error %v, want %v", err, p.record.err)
		}
		return nil
	})
	if slices.Contains(p.addresses(), vip4+"/32 lo") {
		t.Error("the VIP was added though nobody would know what to take off")
	}
}

func TestRunMendsWhatSomebodyChanges(t *testing.T) {
	p := newPair(t)
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		p.server.Do(func() {
			if err := p.machine.Run(ctx, Config{VIPs: vips(vip4), Mode: DirectRouting, Method: Sysctl}, func() { close(ready) }); err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}()
	<-ready
	ignore := filepath.Join(procSys, sysctl("all", "arp_ignore"))
	p.in(p.server, func() error {
		dev, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.AddrDel(dev, &netlink.Addr{IPNet: network(whole(vips(vip4)[0]))})
		}
		return errors.Join(err, os.WriteFile(ignore, []byte("0"), 0))
	})
	changed := time.Now()
	for deadline := changed.Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		text := ""
		p.in(p.server, func() error {
			b, err := os.ReadFile(ignore)
			text = string(b)
			return err
		})
		if text == "1\n" && slices.Contains(p.addresses(), vip4+"/32 lo") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not mended: arp_ignore %q, addresses %v", text, p.addresses())
		}
	}
	t.Logf("mended after %v", time.Since(changed))
	remove := func() (err error) {
		p.in(p.server, func() error {
			_, err = p.machine.Remove()
			return nil
		})
		return err
	}
	if err := remove(); !errors.Is(err, ErrKept) || !slices.Contains(p.addresses(), vip4+"/32 lo") {
		t.Errorf("remove, which would be repaired: %v, addresses %v", err, p.addresses())
	}
	cancel()
	<-ended
	if !slices.Contains(p.addresses(), vip4+"/32 lo") {
		t.Error("the VIP went with the process")
	}
	if err := remove(); err != nil || slices.Contains(p.addresses(), vip4+"/32 lo") {
		t.Errorf("remove after the end: %v, addresses %v", err, p.addresses())
	}
}
