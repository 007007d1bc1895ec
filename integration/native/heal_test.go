// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// silent are settings with which each address is announced only once.
const silent = "[vrrp.announce]\nrepeat = [\"0s\"]\nrefresh = \"0s\"\n"

// TestPartitionHeals: the network is split, both directors are master, and the client is in director-b's half. When the
// halves are joined again, director-b gives way, and the client reaches director-a within one advertisement interval and 100
// ms.
func TestPartitionHeals(t *testing.T) {
	t.Parallel()
	const (
		other  = "192.0.2.101"
		second = "\n[[vrrp]]\nname = \"other\"\ninterface = \"eth0\"\nvrid = 52\npriority = %d\nadvert_interval = \"%s\"\n" +
			"vips = [\"" + other + "/24\"]\nsync_group = \"all\"\n" + silent
		group = "sync_group = \"all\"\n" + silent
	)
	for _, tt := range []struct {
		name   string
		advert time.Duration
		runs   []int // the tenths of an interval by which the halves are joined later; nil: all
		vip    string
		group  bool
		deaf   bool // director-a receives no advertisement
		keys   string
	}{
		// The longest first, in three parts that run at the same time.
		{name: "a second", advert: time.Second, runs: []int{0, 3, 6, 9}, vip: vip, keys: silent},
		{name: "a second, a third later", advert: time.Second, runs: []int{1, 4, 7}, vip: vip, keys: silent},
		{name: "a second, two thirds later", advert: time.Second, runs: []int{2, 5, 8}, vip: vip, keys: silent},
		{name: "defaults", advert: 100 * time.Millisecond, vip: vip},
		{name: "announced once", advert: 100 * time.Millisecond, vip: vip, keys: silent},
		{name: "sync group", advert: 100 * time.Millisecond, vip: other, keys: group, group: true},
		{name: "winner deaf", advert: 100 * time.Millisecond, vip: vip, keys: silent, deaf: true},
		{name: "sync group, winner deaf", advert: 100 * time.Millisecond, vip: other, keys: group, group: true, deaf: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := lab.DuoSettings{Advert: tt.advert, Keys: tt.keys}
			d := lab.NewDuo(t, s)
			for x, priority := range map[*lab.Director]int{d.A: lab.PriorityA, d.B: lab.PriorityB} {
				if tt.group {
					s.Tables = fmt.Sprintf(second, priority, tt.advert)
				}
				x.Configure(s.Config(x.Name, priority))
			}
			for _, x := range []*lab.Director{d.A, d.B} {
				// A former master that forwards packets would send the packets that it still gets to the new one.
				x.Sysctl(map[string]string{"net.ipv4.ip_forward": "0"})
			}
			if tt.deaf {
				drop(t, d.A.Host, false)
			}
			d.Launch()
			if tt.runs == nil {
				tt.runs = []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
			}
			var worst time.Duration
			for _, run := range tt.runs {
				worst = max(worst, heal(t, d, tt.vip, tt.advert, run))
			}
			d.Logf("%s: %d partitions healed, the client was without service for %s at most", tt.name, len(tt.runs), worst)
		})
	}
}

// split cuts director-a off from the others, and returns a prober of the VIP that director-b serves then.
func split(d lab.Duo, vip string) *lab.Prober {
	d.A.Isolate()
	d.B.AwaitState(10*time.Second, "master")
	awaitHas(d.Lab, 5*time.Second, d.B.Host, vip, true)
	d.Client.Run("ip", "neigh", "flush", "dev", "eth0")
	probe := d.Client.Probe(vip + ":7")
	d.Answers(probe)
	return probe
}

// heal splits the network, joins it again, and returns for how long the client was not served.
func heal(t *testing.T, d lab.Duo, vip string, advert time.Duration, run int) time.Duration {
	t.Helper()
	probe := split(d, vip)
	// The times between the two masters' advertisements differ from run to run.
	pause := 200*time.Millisecond + advert*time.Duration(run)/10
	d.Throughout(pause, "director-b serves", func() error {
		if !d.B.Has(vip) {
			return errNotYet
		}
		return nil
	})
	watch := watchDelays(d, d.B)
	d.A.Rejoin()
	healed := time.Now()
	d.B.AwaitState(10*time.Second, "backup")
	awaitHas(d.Lab, time.Second, d.B.Host, vip, false)
	// The last 300 ms are all after director-b removed the VIP. Otherwise its clients would be served.
	served, lost := false, time.Now()
	for !served && time.Since(lost) < 2*time.Second {
		time.Sleep(10 * time.Millisecond)
		served = time.Since(lost) > 300*time.Millisecond && probe.Answered(100) >= 50
	}
	out := probe.Stop()
	stalled, locked := watch.stop()
	d.Logf("run %d, %s after the halves were joined: %s; director-b has announced the winner %d times so far", run,
		time.Since(healed).Round(time.Millisecond), out, strings.Count(d.B.Process().Output(), "announcing it for the new master"))
	if limit := advert + 100*time.Millisecond; !served || out.Longest > limit+stalled+locked {
		t.Errorf("run %d: %s, want at most %s; served again: %t; the machine stalled for %s, and its kernel made changes wait for %s",
			run, out, limit, served, stalled, locked)
	}
	for _, x := range []struct {
		*lab.Director
		want string
	}{{d.A, "master"}, {d.B, "backup"}} {
		x.AwaitState(5*time.Second, x.want)
	}
	return out.Longest
}

// TestPartitionHealsAfterARestart: the network is split, and the client is in director-b's half. There director-b is restarted, so
// that it gives up the address to nobody. When the halves are joined again, director-a has been master all the time, and has heard
// nobody. Director-b announces the address for it: else the client would ask director-b until its neighbour entry ends, for half a
// minute.
func TestPartitionHealsAfterARestart(t *testing.T) {
	t.Parallel()
	const advert = 250 * time.Millisecond
	d := lab.NewDuo(t, lab.DuoSettings{Advert: advert, Keys: silent})
	for _, x := range []*lab.Director{d.A, d.B} {
		x.Sysctl(map[string]string{"net.ipv4.ip_forward": "0"})
	}
	d.Launch()
	probe := split(d, vip)
	probe.Stop()
	d.B.Process().Stop()
	awaitHas(d.Lab, 5*time.Second, d.B.Host, vip, false)
	d.A.Rejoin()
	probe = d.Client.Probe(vip + ":7")
	began := time.Now()
	d.B.Launch()
	d.B.AwaitState(10*time.Second, "backup")
	d.Answers(probe)
	d.Logf("served %s after director-b was started again: %s", time.Since(began).Round(time.Millisecond), probe.Stop())
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the client was not served for %s", took)
	}
}
