// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const (
	vip6 = "2001:db8::100"
	once = "[vrrp.announce]\nrepeat = [\"0s\"]\nrefresh = \"0s\"\n"
	six  = "[metrics]\nlisten = \"127.0.0.1:9100\"\n[[vrrp]]\nname = \"six\"\ninterface = \"eth0\"\nvrid = 51\npriority = %d\n" +
		"advert_interval = \"100ms\"\nvips = [\"" + vip6 + "/64\"]\n" + once
)

// someRivals is the metric's line. The other director counts too if a stall has made it master for a moment.
var someRivals = regexp.MustCompile(`(?m)^tandem_rivals_count\{interface="eth0"\} [1-9]`)

// isAdvertised reports whether a frame is an unsolicited neighbour advertisement for vip6: to all nodes.
func isAdvertised(f lab.Frame) bool {
	const advertisement = 136
	target := netip.MustParseAddr(vip6).As16()
	return f.EtherType() == 0x86dd && len(f.Data) >= 78 && f.Data[20] == 58 && f.Data[54] == advertisement &&
		netip.AddrFrom16([16]byte(f.Data[38:54])).String() == "ff02::1" && [16]byte(f.Data[62:78]) == target
}

// TestClaimed: another machine claims a VIP and answers when a client asks. The master reports this within 2 s in its status,
// metrics and log, and announces the address again.
func TestClaimed(t *testing.T) {
	t.Parallel()
	d := lab.NewDuo(t, lab.DuoSettings{})
	for x, priority := range map[*lab.Director]int{d.A: lab.PriorityA, d.B: lab.PriorityB} {
		x.Configure(lab.DuoSettings{Keys: once, Tables: fmt.Sprintf(six, priority)}.Config(x.Name, priority))
	}
	thief := d.Host("thief", "192.0.2.66/24", "2001:db8::66/64")
	d.Client.Run("ip", "addr", "add", "2001:db8::1/64", "dev", "eth0", "nodad")
	d.Launch()
	awaitHas(d.Lab, 10*time.Second, d.A.Host, vip6, true)
	for _, tt := range []struct {
		vip, prefix, how string
		announced        func(lab.Frame) bool
	}{
		{vip, "/32", "ARP reply", lab.Frame.IsAnnouncement},
		{vip6, "/128", "neighbour advertisement", isAdvertised},
	} {
		seen := d.Client.Capture("eth0", tt.announced)
		thief.Run("ip", "addr", "add", tt.vip+tt.prefix, "dev", "eth0", "nodad")
		if tt.vip == vip6 {
			awaitSolicited(d.Lab, thief)
		}
		watch, began := d.WatchStalls(), time.Now()
		ask(t, d.Client, tt.vip)
		d.Eventually(10*time.Second, "the master says so", func() error {
			s, err := d.A.Status()
			if err == nil && !strings.Contains(strings.Join(s.Warnings, "\n"), "another machine claims "+tt.vip+": "+thief.MAC()) {
				err = fmt.Errorf("warnings %q", s.Warnings)
			}
			return err
		})
		took, stall := time.Since(began), watch.Stop()
		d.Logf("%s: said after %s", tt.how, took.Round(time.Millisecond))
		if took > 2*time.Second+stall {
			t.Errorf("the master said so after %s, want 2s at most; the machine itself stalled for %s", took, stall)
		}
		if text, err := d.A.Get("http://127.0.0.1:9100/metrics"); err != nil || !someRivals.MatchString(text) {
			t.Errorf("the metrics do not count it: %v\n%s", err, text)
		}
		d.Eventually(5*time.Second, "the master announces the address anew, and logs it", func() error {
			if len(from(seen.Frames(), d.A.Host, began)) == 0 || !strings.Contains(d.A.Process().Output(), "by=\""+tt.how) {
				return errNotYet
			}
			return nil
		})
		thief.Run("ip", "addr", "del", tt.vip+tt.prefix, "dev", "eth0")
		d.Eventually(20*time.Second, "the warning ends", func() error {
			if s, err := d.A.Status(); err != nil || len(s.Warnings) > 0 {
				return fmt.Errorf("warnings %q, %w", s.Warnings, err)
			}
			return nil
		})
	}
	for _, probe := range []string{"healthz", "readyz"} {
		if text, err := d.A.Get("http://127.0.0.1:9100/" + probe); err != nil || text != "ok\n" {
			t.Errorf("/%s of a master: %v, %q", probe, err, text)
		}
	}
}

// awaitSolicited waits until a host hears questions for vip6. The kernel joins the multicast group of a new address
// (RFC 4291, section 2.7.1: ff02::1:ff00:100) a moment after it has added the address.
func awaitSolicited(l *lab.Lab, h *lab.Host) {
	l.Eventually(5*time.Second, h.Name+" hears questions for "+vip6, func() error {
		return h.Do(func() error {
			groups, err := os.ReadFile("/proc/thread-self/net/igmp6")
			if err == nil && !strings.Contains(string(groups), "ff0200000000000000000001ff000100") {
				err = errNotYet
			}
			return err
		})
	})
}

// ask makes a host forget who has an address, and ask for it.
func ask(t *testing.T, h *lab.Host, addr string) {
	t.Helper()
	h.Run("ip", "neigh", "flush", "dev", "eth0")
	err := h.Do(func() error {
		conn, err := net.Dial("udp", net.JoinHostPort(addr, "7"))
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write([]byte("?"))
		return err
	})
	if err != nil {
		t.Fatalf("ask for %s: %v", addr, err)
	}
}
