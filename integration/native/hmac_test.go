// SPDX-License-Identifier: Apache-2.0

package native

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// floodedAdvert is the interval of a pair that is flooded. A flood on a busy machine may stop a director for three shorter ones.
const floodedAdvert = 250 * time.Millisecond

// A keyring is one step of a pair on its way to signatures, or to another key.
type keyring struct {
	mode   string
	active int
	keys   []int
}

// settings are those of a director whose key files are in its own directory, with further keys of its table hmac, each followed by
// a comma.
func (k keyring) settings(x *lab.Director, more string) lab.DuoSettings {
	var files []string
	for _, id := range k.keys {
		files = append(files, fmt.Sprintf("{ id = %d, file = %q }", id, filepath.Join(x.Dir(), keyName(id))))
	}
	return lab.DuoSettings{Advert: floodedAdvert, Keys: fmt.Sprintf("hmac = { %s mode = %q, active_key = %d, key = [%s] }", more, k.mode, k.active, strings.Join(files, ", "))}
}

func keyName(id int) string { return fmt.Sprintf("vrrp-%d.key", id) }

// secret is the octets of a key.
func secret(id int) []byte { return bytes.Repeat([]byte{byte(id)}, 32) }

// write writes a director's files for this step.
func (k keyring) write(t *testing.T, x *lab.Director, priority int, more, tables string) {
	t.Helper()
	for _, id := range k.keys {
		file := x.WriteFile(keyName(id), fmt.Sprintf("hex:%x\n", secret(id)))
		if err := os.Chmod(file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := k.settings(x, more)
	s.Tables = tables
	x.Configure(s.Config(x.Name, priority))
}

// apply puts the step in force on one director, and waits until its election says so.
func (k keyring) apply(t *testing.T, d lab.Duo, x *lab.Director, priority int) {
	t.Helper()
	k.write(t, x, priority, "", "")
	reload(d.Lab, x)
	want := &lab.HMACStatus{Mode: k.mode, Keys: k.keys, ActiveKey: k.active}
	if k.mode == "receive-only" {
		want.ActiveKey = 0
	}
	d.Eventually(5*time.Second, x.Name+" signs as it should", func() error {
		s, err := x.Status()
		if err == nil && !reflect.DeepEqual(s.VRRP[0].HMAC, want) {
			err = fmt.Errorf("%+v", s.VRRP[0].HMAC)
		}
		return err
	})
}

// TestSignedPair: a running pair gets a key, and then another one, by reloads alone: no router changes its state, and the client
// sees nothing. Then a third machine repeats all that it has heard, and forges: nothing changes. When the master is cut off, its
// repeated advertisements do not keep the backup from taking over.
func TestSignedPair(t *testing.T) {
	d := lab.NewDuo(t, lab.DuoSettings{Advert: floodedAdvert})
	stranger := d.Host("stranger", "192.0.2.66/24")
	d.Launch()
	before := states(t, d)
	heard := d.Client.Capture("eth0", func(f lab.Frame) bool { return f.IsVRRP() && f.Source().String() != stranger.MAC() })
	probe := d.Steady()
	for _, k := range []keyring{
		{"receive-only", 1, []int{1}}, {"permissive", 1, []int{1}}, {"enforce", 1, []int{1}},
		{"enforce", 1, []int{1, 2}}, {"enforce", 2, []int{1, 2}}, {"enforce", 2, []int{2}},
	} {
		k.apply(t, d, d.B, lab.PriorityB)
		k.apply(t, d, d.A, lab.PriorityA)
		awaitAdverts(t, d, 2)
	}
	if after := states(t, d); !slices.Equal(after, before) {
		t.Errorf("states were %v and are %v", before, after)
	}
	s, err := d.B.Status()
	if err != nil || len(s.VRRP[0].Counters.AdvertsDropped) > 0 || len(s.Warnings) > 0 {
		t.Errorf("director-b: dropped %v, warnings %q, %v", s.VRRP[0].Counters.AdvertsDropped, s.Warnings, err)
	}
	// A flood overflows the queues of the kernel, from which the prober's own packets are lost then.
	wantUnnoticed(t, d, "two keys", probe)

	attack(t, d, stranger, d.A, heard, "192.0.2.3")
	attack(t, d, stranger, d.B, heard, "192.0.2.2")
	if after := states(t, d); !slices.Equal(after, before) {
		t.Errorf("under attack: states were %v and are %v", before, after)
	}

	last := heard.Frames()
	d.A.Isolate()
	cut, accepted := time.Now(), received(t, d.B)
	for d.B.State() != "master" && time.Since(cut) < 5*time.Second {
		stranger.Flood(1000, 50*time.Millisecond, redirected(last[len(last)-10:], stranger.MAC(), d.B.MAC()))
	}
	took := time.Since(cut)
	d.Logf("director-b was master %s after the cut, while the advertisements of director-a were repeated", took.Round(time.Millisecond))
	d.B.AwaitState(time.Second, "master")
	if now := received(t, d.B); now != accepted {
		t.Errorf("director-b has accepted %d repeated advertisements", now-accepted)
	}
}

// received is how many advertisements a director has accepted.
func received(t *testing.T, x *lab.Director) int {
	t.Helper()
	s, err := x.Status()
	if err != nil {
		t.Fatal(err)
	}
	return s.VRRP[0].Counters.AdvertsReceived
}

// awaitAdverts waits until director-b has accepted some more advertisements.
func awaitAdverts(t *testing.T, d lab.Duo, n int) {
	t.Helper()
	before := received(t, d.B)
	d.Eventually(5*time.Second, "advertisements are accepted", func() error {
		if now := received(t, d.B); now < before+n {
			return fmt.Errorf("%d, after %d", now, before)
		}
		return nil
	})
}

// redirected returns frames as a stranger repeats them: from its own hardware address, to one machine.
func redirected(frames []lab.Frame, from, to string) (all [][]byte) {
	for _, f := range frames {
		head := lab.Advert{From: from, To: to, Source: "192.0.2.66"}.Frame()
		all = append(all, slices.Concat(head[:14], f.Data[14:]))
	}
	return all
}

// attack floods one director with what the stranger has heard, and with packets of another router that it makes up.
func attack(t *testing.T, d lab.Duo, stranger *lab.Host, target *lab.Director, heard *lab.Capture, peer string) {
	t.Helper()
	frames := redirected(heard.Frames(), stranger.MAC(), target.MAC())
	trailer := binary.BigEndian.AppendUint32([]byte{1, 2, 0, 0}, uint32(time.Now().Unix()+2)) // within the window
	trailer = append(trailer, bytes.Repeat([]byte{0x5a}, 20)...)
	for i := range len(frames) {
		a := lab.Advert{To: target.MAC(), From: stranger.MAC(), Source: peer, TTL: 255, Version: 3, VRID: 51, Centiseconds: 25, VIPs: []string{vip}}
		a.Priority = []byte{254, 0}[i%2]
		if i%4 < 2 {
			a.Trailer = trailer
		}
		frames = append(frames, a.Frame())
	}
	dropped := func() map[string]int {
		s, err := target.Status()
		if err != nil {
			t.Fatal(err)
		}
		return s.VRRP[0].Counters.AdvertsDropped
	}
	was, before, used := dropped(), target.ReceivedIP(), cpu(t, target)
	sent := stranger.Flood(flood, 1500*time.Millisecond, frames)
	used = cpu(t, target) - used
	arrived, is := target.ReceivedIP()-before, dropped()
	d.Logf("at %s: %d packets in 1.5 s, %d arrived, %s of the election's processor time each; dropped %v",
		target.Name, sent, arrived, (used / time.Duration(max(1, arrived))).Round(10*time.Nanosecond), is)
	reasons := []string{"unsigned", "wrong_hmac"}
	if target == d.B { // director-a was the master: the stranger has heard nobody else
		reasons = append(reasons, "replayed", "unknown_key")
	}
	for _, reason := range reasons {
		if is[reason] <= was[reason] {
			t.Errorf("%s has refused nothing as %s", target.Name, reason)
		}
	}
	if d.B.Has(vip) || !d.A.Has(vip) {
		t.Error("the VIP moved")
	}
}

// cpu is the processor time that a director's election has used.
func cpu(t *testing.T, x *lab.Director) time.Duration {
	t.Helper()
	pid, err := x.ElectionPid()
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// proc(5): utime and stime are the fields 14 and 15, in ticks of 10 ms.
	var user, system int64
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}
