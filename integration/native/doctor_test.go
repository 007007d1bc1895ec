// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A patient is a host that the doctor examines. The doctor has a file of its own, beside the director's.
type patient struct {
	*lab.Lab
	host *lab.Host
	args []string
	// ignored are findings that are not the subject of the test.
	ignored []string
}

// hasNoIPVS are the findings on a kernel without IPVS. This kernel may be one.
var hasNoIPVS = []string{"ipvs-missing", "scheduler-missing"}

// want checks that the doctor finds these faults and no others, within a time in which the network settles.
func (p patient) want(when string, want ...string) (all []lab.Finding) {
	slices.Sort(want)
	p.Eventually(20*time.Second, when, func() error {
		var ids []string
		all, _ = p.host.Doctor(p.args...)
		for _, f := range all {
			if !slices.Contains(p.ignored, f.ID) && !slices.Contains(ids, f.ID) {
				ids = append(ids, f.ID)
			}
		}
		if slices.Sort(ids); !slices.Equal(ids, want) {
			return fmt.Errorf("on %s the doctor found %v, want %v\n%+v", p.host.Name, ids, want, all)
		}
		return nil
	})
	return all
}

// second returns a file for the doctor: the director's own with more in it.
func second(d *lab.Director, name, more string) []string {
	text, err := os.ReadFile(d.File)
	if err != nil {
		text = []byte(err.Error()) // which is no configuration
	}
	return []string{"-c", d.WriteFile(name, string(text)+more)}
}

// webServer makes a real server for direct routing.
func webServer(d lab.Duo) {
	web := d.Host("web1", "192.0.2.11/24")
	web.RealServer(vip)
	web.HTTPServer(web.Name)
}

func pool(name, method, server string) string {
	return fmt.Sprintf("[[service]]\nname = %q\nvirtual = \"192.0.2.100:80\"\nscheduler = \"rr\"\nmethod = %q\n[[service.server]]\naddress = %q\n",
		name, method, server)
}

// idle starts a program of a name that does nothing.
func idle(t *testing.T, h *lab.Host, name string) *lab.Process {
	text := h.WriteFile(name+".sh", "#!/bin/sh\nread forever < "+h.Dir()+"/never\n")
	_ = os.Chmod(text, 0o755)
	file := filepath.Join(h.Dir(), name)
	install(t, text, file)
	return h.Start(file)
}

// TestDoctor causes each finding that needs no IPVS, and then removes its cause. Its scenes run in parallel with each other,
// because the doctor listens for most of the time, but not in parallel with a test that measures outages.
func TestDoctor(t *testing.T) {
	t.Run("before the start", beforeTheStart)
	t.Run("a running pair", aRunningPair)
	t.Run("another pair", anotherPair)
	t.Run("mends a director", mendsADirector)
	t.Run("a real server", aRealServer)
}

// beforeTheStart examines a machine that is not prepared for its configuration. Other programs use its ports and interfaces.
func beforeTheStart(t *testing.T) {
	t.Parallel()
	d := lab.NewDuo(t, lab.DuoSettings{})
	if err := unix.Mkfifo(d.A.Dir()+"/never", 0o600); err != nil {
		t.Fatal(err)
	}
	programs := []string{"keepalived", "NetworkManager", "systemd-networkd", "dhcpcd", "connmand"}
	var running []*lab.Process
	for _, name := range programs {
		running = append(running, idle(t, d.A.Host, name))
	}
	// Of UDP, so that the doctor does not ask the server, which unwraps nothing.
	tunnel := strings.Replace(pool("tun", "tunnel", "198.51.100.12"), "scheduler", "protocol = \"udp\"\nscheduler", 1)
	d.A.Sysctl(map[string]string{"net.ipv4.ip_forward": "1"})
	d.A.Run("ip", "route", "add", "198.51.100.12", "via", "192.0.2.1", "mtu", "1400")
	webServer(d)
	wrong := second(d.A, "wrong.toml", pool("www", "dr", "198.51.100.11")+tunnel+
		"[[vrrp]]\nname = \"inner\"\ninterface = \"eth9\"\nvrid = 52\nvips = [\"10.0.0.1/24\"]\n")
	a := patient{d.Lab, d.A.Host, wrong, hasNoIPVS}
	all := a.want("all is wrong", "not-running", "link-missing", "server-elsewhere", "tunnel-mtu",
		"forwarding-on", "keepalived-runs", "address-manager")
	for _, name := range programs {
		if !slices.ContainsFunc(all, func(f lab.Finding) bool { return strings.Contains(f.What, name[:min(len(name), 15)]) }) {
			t.Errorf("%s is not named in %+v", name, all)
		}
	}
	for _, p := range running {
		p.Stop()
	}
	d.A.Sysctl(map[string]string{"net.ipv4.ip_forward": "0"})
	d.A.Run("ip", "route", "replace", "198.51.100.12", "via", "192.0.2.1")
	d.Launch()
	a.args = second(d.A, "right.toml", pool("www", "dr", "192.0.2.11")+tunnel)
	a.want("all is well")
}

// breakages are faults of a running pair. Each has a pair of its own.
var breakages = []struct {
	name   string
	backup bool // the doctor looks at the backup, not at the master
	fail   func(t *testing.T, d lab.Duo) (mend func())
	want   []string
}{
	{"the firewall of the backup", true, func(t *testing.T, d lab.Duo) func() { return drop(t, d.B.Host, false) },
		[]string{"vrrp-filtered", "sync-filtered"}},
	{"the firewall of the master", false, func(t *testing.T, d lab.Duo) func() { return drop(t, d.A.Host, true) },
		[]string{"vrrp-filtered", "sync-filtered"}},
}

// aRunningPair breaks and repairs one thing after another. The doctor finds each of them, and nothing after the repair.
func aRunningPair(t *testing.T) {
	t.Parallel()
	for _, x := range breakages {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			d := lab.NewDuo(t, lab.DuoSettings{})
			d.Launch()
			on := d.A
			if x.backup {
				on = d.B
			}
			p := patient{d.Lab, on.Host, second(on, "sync.toml", "[lvs]\nsync = { interface = \"eth0\", id = 7 }\n"), nil}
			mend := x.fail(t, d)
			p.want(x.name, x.want...)
			mend()
			p.want(x.name + ", mended")
		})
	}
}

func maxFiles(t *testing.T, d *lab.Director, n uint64) {
	t.Helper()
	// Not even root may do this to another user's process on every machine.
	err := d.As(func() error {
		var limit unix.Rlimit
		err := unix.Prlimit(d.Process().Pid(), unix.RLIMIT_NOFILE, nil, &limit)
		if err == nil {
			limit.Cur = n
			err = unix.Prlimit(d.Process().Pid(), unix.RLIMIT_NOFILE, &limit, nil)
		}
		return err
	})
	if err != nil {
		t.Fatalf("limit of files: %v", err)
	}
}

// anotherPair lets a stranger advertise our virtual router id for an address of its own. So our master gives way to a machine
// that does not have our address.
func anotherPair(t *testing.T) {
	t.Parallel()
	d := lab.NewDuo(t, lab.DuoSettings{})
	d.Launch()
	config := strings.ReplaceAll(lab.DuoSettings{}.Config("stranger", 200), vip, "192.0.2.102")
	stranger := d.Director("stranger", "192.0.2.4/24", config)
	stranger.Launch()
	p := patient{d.Lab, d.A.Host, []string{"-c", d.A.File}, nil}
	p.want("a stranger is master", "duplicate-vrid")
	stranger.Process().Stop()
	p.want("the stranger is gone")
}

// mendsADirector checks that faults that --fix repairs are not found again.
func mendsADirector(t *testing.T) {
	t.Parallel()
	d := lab.NewDuo(t, lab.DuoSettings{})
	d.A.Configure(lab.DuoSettings{Tables: "[[vrrp]]\nname = \"mac\"\ninterface = \"eth0\"\nvrid = 52\nvips = [\"192.0.2.101/24\"]\n" +
		"virtual_mac = true\nadvert_interval = \"100ms\"\n"}.Config(d.A.Name, lab.PriorityA))
	d.Launch()
	webServer(d)
	awaitHas(d.Lab, 10*time.Second, d.A.Host, "192.0.2.101", true)
	p := patient{d.Lab, d.A.Host, second(d.A, "nat.toml", pool("www", "nat", "192.0.2.11")), hasNoIPVS}
	d.A.Sysctl(map[string]string{"net.ipv4.conf.all.send_redirects": "1", "net.ipv4.conf.all.rp_filter": "0"})
	// The interface's name has a dot, which Sysctl takes for a separator.
	filter := "/proc/sys/net/ipv4/conf/vrrp.52/rp_filter"
	if err := d.A.Do(func() error { return os.WriteFile(filter, []byte("1"), 0) }); err != nil {
		t.Fatal(err)
	}
	for _, f := range p.want("all is wrong", "forwarding-off", "sends-redirects", "path-filter") {
		if !f.Fixable && !slices.Contains(hasNoIPVS, f.ID) {
			t.Errorf("--fix does not mend %+v", f)
		}
	}
	_, _ = d.A.TryRun(lab.Tandem.Path(), append([]string{"doctor", "--fix"}, p.args...)...) // the kernel may have no IPVS to mend
	p.want("after --fix")

	// With --persist, a file keeps the sysctls over reboots, and doctor says which.
	d.A.Sysctl(map[string]string{"net.ipv4.conf.all.send_redirects": "1"})
	dir := t.TempDir()
	kept := filepath.Join(dir, "60-tandem-doctor.conf")
	out, _ := d.A.TryRun(lab.Tandem.Path(), append([]string{"doctor", "--fix", "--persist", "--sysctl-dir", dir, "--state-dir", dir}, p.args...)...)
	if want := "; " + kept + " keeps it over reboots\n"; !strings.Contains(out, "fixed sends-redirects: ") || !strings.Contains(out, want) {
		t.Errorf("--fix --persist says %q, want %q", out, want)
	}
	if text, err := os.ReadFile(kept); err != nil || !strings.Contains(string(text), "-net/ipv4/conf/all/send_redirects = 0\n") {
		t.Errorf("--fix --persist keeps %q, %v", text, err)
	}
	p.want("after --fix --persist")
}

// aRealServer examines a real server with three faults. The VIP is on the wrong interface and nothing listens on it, which
// --fix and a server repair. The route back leads through the director. The VIP of another machine is not taken from it.
func aRealServer(t *testing.T) {
	t.Parallel()
	d := lab.NewDuo(t, lab.DuoSettings{})
	d.Launch()
	web := d.Host("web1", "192.0.2.11/24")
	file := web.WriteFile("tandem.toml", "[realserver]\nvips = [\""+vip+"\"]\n"+pool("www", "dr", "192.0.2.11")+
		strings.Replace(pool("echo", "dr", "192.0.2.11"), "scheduler", "protocol = \"udp\"\nscheduler", 1))
	p := patient{d.Lab, web, []string{"-c", file}, nil}
	p.want("nothing is prepared", "not-silent", "vip-missing", "not-listening")

	web.Run("ip", "addr", "add", vip+"/24", "dev", "eth0")
	p.want("the VIP is in the wrong place", "not-silent", "vip-missing", "vip-misplaced", "not-listening")
	web.HTTPServer(web.Name)
	for _, f := range p.want("one service is served", "not-silent", "vip-missing", "vip-misplaced", "not-listening") {
		if f.ID == "not-listening" && !strings.Contains(f.What, "192.0.2.100:80/udp") {
			t.Errorf("the web server listens, and the doctor says %+v", f)
		}
	}
	web.EchoServer("0.0.0.0:80")
	if found, code := web.Doctor("-c", file, "--fix"); len(found) > 0 || code != 0 {
		t.Errorf("after --fix: %+v, exit code %d, want nothing and 0", found, code)
	}
	p.want("all is well")
	out, err := web.TryRun(lab.Tandem.Path(), "realserver", "check", "-c", file, "--state-dir", web.Dir()+"/realserver")
	if want := "ok: this machine is prepared as a real server (mode dr) for " + vip + "\n"; err != nil || out != want {
		t.Errorf("realserver check: %q, %v, want %q", out, err, want)
	}

	// Without a file, the doctor knows what was applied, and the command that it prints works as it is.
	recorded := patient{d.Lab, web, []string{"-c", web.Dir() + "/none.toml"}, nil}
	web.Run("ip", "addr", "del", vip+"/32", "dev", "lo")
	web.Sysctl(map[string]string{"net.ipv4.conf.all.arp_announce": "0"})
	mend := recorded.want("somebody has changed it, and there is no file", "vip-missing", "not-silent")[0].Mend
	words := strings.Fields(mend)
	if out, err := web.TryRun(lab.Tandem.Path(), words[1:]...); err != nil || words[0] != "tandem" {
		t.Errorf("%s: %v\n%s", mend, err, out)
	}
	recorded.want("after " + mend)

	web.Run("ip", "route", "add", "default", "via", "192.0.2.2")
	web.Run("ip", "neigh", "replace", "192.0.2.2", "lladdr", d.A.MAC(), "dev", "eth0", "nud", "reachable")
	p.want("answers go by the director", "default-route")
	web.Run("ip", "route", "replace", "default", "via", "192.0.2.1")
	p.want("answers go by a router")

	found, err := web.TryRun("/usr/bin/busybox", "env", "SSH_CONNECTION=192.0.2.1 5000 192.0.2.11 22", lab.Tandem.Path(), "doctor", "--vip", "192.0.2.1",
		"--state-dir", web.Dir()+"/other")
	if err == nil || !strings.Contains(found, "refused: 192.0.2.1 is the address that you come from") {
		t.Errorf("the operator's own address for a VIP: %q, %v, want a refusal", found, err)
	}
}
