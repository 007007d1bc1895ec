// SPDX-License-Identifier: Apache-2.0

//go:build ipvs

package kernel

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// TestRealKernelShowsTheModel: ipvsadm shows the settings as they were meant.
func TestRealKernelShowsTheModel(t *testing.T) {
	inNamespace(t, func(k *IPVS) {
		mustApply(t, k, specials(), nil)
		rules, thresholds := ipvsadm(t, "-Sn"), ipvsadm(t, "-Ln --thresholds")
		t.Log("\n" + rules + thresholds)
		for _, want := range []string{
			"-A -t 192.0.2.103:0 -s wlc -p 300 -M 255.255.255.0",
			"-A -t [2001:db8::103]:80 -s wlc -p 1 -M 64",
			"-A -f 8 -s rr -p 2678400 -M 128.0.0.0",
			"-A -u 192.0.2.103:5060 -s rr -p 60 --pe sip",
			"-A -u 192.0.2.103:53 -s rr -o",
			"-A -t 192.0.2.103:81 -s sh -b sh-fallback,sh-port",
			"-A -t 192.0.2.103:82 -s mh -b mh-port",
			"-a -t 192.0.2.103:90 -r 192.0.2.12:90 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum",
			"-a -t 192.0.2.103:90 -r 192.0.2.13:90 -i -w 1 --tun-type gre --tun-csum",
			"-a -t 192.0.2.103:90 -r [2001:db8::11]:90 -i -w 1",
			"-a -t [2001:db8::103]:90 -r 192.0.2.12:90 -i -w 1 --tun-type gue --tun-port 1",
		} {
			if !strings.Contains(rules, want) {
				t.Errorf("ipvsadm -Sn does not show %s", want)
			}
		}
		for line := range strings.Lines(thresholds) {
			fields := strings.Fields(line)
			if slices.Contains(fields, "192.0.2.11:90") && !slices.Equal(fields[2:4], []string{"100", "50"}) {
				t.Errorf("thresholds: %s", line)
			}
		}
		// Each can be changed in place into each other's kind, and back.
		plain := specials()
		for i := range plain {
			plain[i].Service = lvs.Service{ServiceID: plain[i].ServiceID, Scheduler: "lc"}
			if plain[i].Port == 0 && plain[i].FWMark == 0 {
				plain[i].Persist(time.Second, 0)
			}
			for j, s := range plain[i].Servers {
				plain[i].Servers[j] = lvs.Server{ServerID: s.ServerID, Method: s.Method, Weight: 7}
			}
		}
		mustApply(t, k, plain, nil)
		mustApply(t, k, specials(), nil)
	})
}

// TestRealKernelBatchErrors: an error belongs to the change that caused it, and the other changes are made.
func TestRealKernelBatchErrors(t *testing.T) {
	inNamespace(t, func(k *IPVS) {
		want := bigTable(2500, 1)
		for _, i := range []int{0, 999, 1000, 1700, 2499} {
			want[i].Scheduler = "nosuch"
		}
		changes := lvs.Diff(nil, want, nil)
		done, err := k.Apply(t.Context(), changes)
		// For each missing service its server fails too. The error names only the service.
		if done != 5000-10 || !errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
			t.Errorf("%d of %d done: %v", done, len(changes), err)
		}
		for _, s := range []string{"10.1.0.0:80", "10.1.3.231:80", "10.1.3.232:80", "10.1.6.164:80", "10.1.9.195:80"} {
			if err == nil || !strings.Contains(err.Error(), "add tcp "+s+" (nosuch): the kernel has no scheduler nosuch") {
				t.Errorf("no error for %s", s)
			}
		}
		have, err := k.Read(t.Context())
		if err != nil || len(have) != 2495 {
			t.Errorf("%d services: %v", len(have), err)
		}
		// An object that exists is set, in a batch too.
		for i := range want {
			want[i].Scheduler, want[i].Servers[0].Weight = "wrr", 9
		}
		if done, err := k.Apply(t.Context(), lvs.Diff(nil, want, nil)); done != 5000 || err != nil {
			t.Errorf("%d done: %v", done, err)
		}
		mustApply(t, k, want, nil)
	})
}

func TestRealKernelAvailableSchedulers(t *testing.T) {
	available, err := AvailableSchedulers()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the kernel has %v", available)
	inNamespace(t, func(k *IPVS) {
		for _, scheduler := range lvs.Schedulers() {
			_, err := k.Apply(t.Context(), lvs.Diff(nil, []lvs.Entry{entry(www, scheduler)}, nil))
			if got := err == nil; got != slices.Contains(available, scheduler) {
				t.Errorf("%s: available %v, and the kernel says %v", scheduler, !got, err)
			}
			if err != nil && !strings.Contains(err.Error(), "modprobe ip_vs_"+scheduler+", or choose one of rr, wrr, ") {
				t.Errorf("%s: %v", scheduler, err)
			}
		}
	})
}

// TestRealKernelCounts: the kernel's counters count connections, packets and bytes through a service and its server.
func TestRealKernelCounts(t *testing.T) {
	inNamespace(t, func(k *IPVS) {
		mustApply(t, k, []lvs.Entry{entry(www, "rr", server("192.0.2.11:8080", lvs.NAT, 1)), entry(dns, "rr")}, nil)
		l, err := net.Listen("tcp4", "192.0.2.11:8080")
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, Timeout: 5 * time.Second}
		for range 3 {
			c, err := dialer.Dial("tcp4", "192.0.2.100:80")
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			there, err := l.Accept()
			if err == nil {
				_, err = io.WriteString(there, "hello")
			}
			if err == nil {
				_, err = io.ReadFull(c, make([]byte, 5))
			}
			if err != nil {
				t.Error(err)
				return
			}
			defer there.Close()
		}
		status, err := k.Status(t.Context())
		for deadline := time.Now().Add(10 * time.Second); err == nil && status[1].Stats.Connections < 3; {
			if time.Now().After(deadline) {
				break
			}
			time.Sleep(100 * time.Millisecond) // the kernel sums up every 2 s
			status, err = k.Status(t.Context())
		}
		if err != nil || len(status) != 2 || len(status[1].Servers) != 1 {
			t.Errorf("%+v, %v", status, err)
			return
		}
		service, server := status[1], status[1].Servers[0]
		for _, s := range []lvs.Stats{service.Stats, server.Stats} {
			if s.Connections != 3 || s.InPackets < 6 || s.OutPackets < 6 || s.InBytes < 3*(60+52) || s.OutBytes < 3*(60+57) {
				t.Errorf("counted %+v", s)
			}
		}
		if server.Active != 3 || server.Inactive != 0 || server.Persistent != 0 || status[0].Stats != (lvs.Stats{}) {
			t.Errorf("%+v", status)
		}
	})
}

func TestRealKernelSysctls(t *testing.T) {
	inNamespace(t, func(k *IPVS) {
		keeper, err := OpenSysctls(new(fakeStore[FormerSysctls]), hclog.NewNullLogger())
		if err != nil {
			t.Error(err)
			return
		}
		before, err := keeper.Read()
		if err != nil || len(before) != len(lvs.Sysctls()) {
			t.Errorf("%d settings, want %d: %v", len(before), len(lvs.Sysctls()), err)
		}
		names, err := os.ReadDir("/proc/sys/net/ipv4/vs")
		if err != nil {
			t.Error(err)
		}
		for _, n := range names {
			if _, known := before[n.Name()]; !known && !strings.HasPrefix(n.Name(), "lblc") { // of schedulers
				t.Errorf("%s is not known", n.Name())
			}
		}
		want := map[string]string{"expire_nodest_conn": "1", "sync_threshold": "2 40", "pmtu_disc": "1", "sync_ports": "2"}
		for name, value := range before {
			if err := lvs.CheckSysctl(name, value); err != nil {
				t.Errorf("the kernel's own value: %v", err)
			}
		}
		changes, err := keeper.Apply(want)
		if err != nil || len(changes) != 3 {
			t.Errorf("%v, %v", changes, err)
		}
		if changes, err := keeper.Apply(want); err != nil || len(changes) != 0 {
			t.Errorf("again: %v, %v", changes, err)
		}
		for _, s := range lvs.Sysctls() {
			if s.Recommended == "" {
				continue
			}
			if _, err := keeper.Apply(map[string]string{s.Name: s.Recommended}); err != nil {
				t.Errorf("the recommendation: %v", err)
			}
		}
		if err := keeper.Restore(); err != nil {
			t.Error(err)
		}
		after, err := keeper.Read()
		for name := range before {
			if after[name] != before[name] {
				t.Errorf("%s was %s and is %s: %v", name, before[name], after[name], err)
			}
		}
	})
}
