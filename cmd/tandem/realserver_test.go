// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs/realserver"
)

func TestRealServerFlags(t *testing.T) {
	dir := t.TempDir()
	with, without := filepath.Join(dir, "with.toml"), filepath.Join(dir, "without.toml")
	for file, text := range map[string]string{with: `realserver.vips = ["192.0.2.100"]`, without: `name = "x"`} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	vip := []netip.Addr{netip.MustParseAddr("192.0.2.100")}
	usual := realserver.Config{VIPs: vip, Mode: realserver.DirectRouting, Method: realserver.Sysctl}
	for _, tt := range []struct {
		name string
		args []string
		want realserver.Config
		err  string
	}{
		{"from the file", []string{"-c", with}, usual, ""},
		{"the file has none", []string{"-c", without}, realserver.Config{}, "has no [realserver]"},
		{"no file", []string{"-c", dir + "/none"}, realserver.Config{}, "no such file"},
		{"flags alone", []string{"--vip", "192.0.2.100"}, usual, ""},
		{"all flags", []string{"--vip", "192.0.2.100", "--mode", "tunnel", "--method", "arpfilter", "--interface", "eth1", "--persist"},
			realserver.Config{VIPs: vip, Mode: realserver.Tunnel, Method: realserver.ARPFilter, Interfaces: []string{"eth1"}, DropIn: configs.DefaultDropIn}, ""},
		{"no address", []string{"--vip", "www"}, realserver.Config{}, "--vip"},
		{"unknown mode", []string{"--vip", "192.0.2.100", "--mode", "route"}, realserver.Config{}, `--mode: unknown value "route"`},
		{"NAT", []string{"--vip", "192.0.2.100", "--mode", "nat"}, realserver.Config{VIPs: vip, Mode: realserver.NAT, Method: realserver.Sysctl}, ""},
		{"the file, and the sysctls last", []string{"-c", with, "--persist", "--sysctl-dir", "/x"},
			realserver.Config{VIPs: vip, Mode: realserver.DirectRouting, Method: realserver.Sysctl, DropIn: "/x/60-tandem-realserver.conf"}, ""},
		{"unknown method", []string{"--vip", "192.0.2.100", "--method", "x"}, realserver.Config{}, `--method: unknown value "x"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var f realServerFlags
			cmd := &cobra.Command{}
			f.register(cmd)
			if err := cmd.ParseFlags(tt.args); err != nil {
				t.Fatal(err)
			}
			got, err := f.load()
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

// TestWithoutAFileTheRecordSaysIt: check and doctor know what was applied, and the command that they name applies it again.
func TestWithoutAFileTheRecordSaysIt(t *testing.T) {
	dir := t.TempDir()
	file, unnamed := filepath.Join(dir, "tandem.toml"), filepath.Join(dir, "none.toml")
	if err := os.WriteFile(file, []byte(`realserver.vips = ["192.0.2.100"]`), 0o644); err != nil {
		t.Fatal(err)
	}
	vips := []netip.Addr{netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("2001:db8::100")}
	parse := func(args ...string) *realServerFlags {
		t.Helper()
		var f realServerFlags
		cmd := &cobra.Command{}
		f.register(cmd)
		if err := cmd.ParseFlags(args); err != nil {
			t.Fatal(err)
		}
		return &f
	}
	if _, err := parse("-c", unnamed, "--state-dir", dir).loadOrRecorded(); err == nil || !strings.Contains(err.Error(), "there is no record of an earlier apply on this machine") {
		t.Errorf("neither a file nor a record: %v", err)
	}
	for _, c := range []realserver.Config{
		{VIPs: vips, Mode: realserver.DirectRouting, Method: realserver.Sysctl},
		{VIPs: vips[:1], Mode: realserver.Tunnel, Method: realserver.ARPFilter, Interfaces: []string{"eth0", "eth1"}},
		{VIPs: vips[:1], Mode: realserver.NAT, Method: realserver.Sysctl},
		{VIPs: vips[:1], Mode: realserver.DirectRouting, Method: realserver.Sysctl, DropIn: "/x/60-tandem-realserver.conf"},
	} {
		args := []string{"-c", unnamed, "--state-dir", dir, "--sysctl-dir", "/x"}
		if err := realServerRecord(dir).Store(realserver.Saved{Record: realserver.Record{Config: c}}); err != nil {
			t.Fatal(err)
		}
		f := parse(args...)
		got, err := f.loadOrRecorded()
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%+v, %v, want %+v", got, err, c)
		}
		words := strings.Fields(f.command(c))
		if again, err := parse(words[3:]...).load(); err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%s applies %+v, %v, want %+v", strings.Join(words, " "), again, err, c)
		}
	}
	f := parse("-c", file, "--state-dir", dir)
	c, err := f.loadOrRecorded()
	if err != nil || len(c.VIPs) != 1 || c.Mode != realserver.DirectRouting {
		t.Errorf("the file wins: %+v, %v", c, err)
	}
	if got, want := f.command(c), "tandem realserver apply -c "+file+" --state-dir "+dir; got != want {
		t.Errorf("command %q, want %q", got, want)
	}
}

// TestRealServerCheckSaysThatAllIsWell: without output, it is not known for which addresses and mode the machine is prepared.
func TestRealServerCheckSaysThatAllIsWell(t *testing.T) {
	vips := []netip.Addr{netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("2001:db8::100")}
	c := realserver.Config{VIPs: vips, Mode: realserver.Tunnel, Method: realserver.Sysctl}
	broken := errors.New("no rights")
	silence := []realserver.Step{{Action: realserver.SetSysctl, Name: "net/ipv4/conf/all/arp_ignore", Value: "1\n"}}
	for _, tt := range []struct {
		name    string
		steps   []realserver.Step
		unclear string
		err     error
		out     string
		want    string // in the error; empty: none
	}{
		{"all is well", nil, "", nil, "ok: this machine is prepared as a real server (mode tunnel) for 192.0.2.100, 2001:db8::100\n", ""},
		{"a step is missing", []realserver.Step{{Action: realserver.LinkUp, Name: "tunl0"}}, "", nil, "ip link set tunl0 up\n",
			"`tandem realserver apply --vip 192.0.2.100 --vip 2001:db8::100 --mode tunnel` runs the commands above"},
		{"it is not known", nil, "", broken, "", "no rights"},
		{"others have rules, and the kernel is old", silence, "this kernel cannot ask itself", nil, "sysctl -w net.ipv4.conf.all.arp_ignore=1\n",
			"runs the commands above; other programs have rules about ARP, and it is not known whether they hide the VIPs, because this kernel cannot ask itself"},
	} {
		var out bytes.Buffer
		cmd := &cobra.Command{}
		f := realServerFlags{stateDir: defaultStateDir, vips: []string{"192.0.2.100", "2001:db8::100"}}
		cmd.SetOut(&out)
		err := f.checkText(cmd, c, func(realserver.Config) ([]realserver.Step, error) { return tt.steps, tt.err }, func() string { return tt.unclear })
		if out.String() != tt.out || (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: output %q, want %q; error %v, want %q", tt.name, out.String(), tt.out, err, tt.want)
		}
	}
}

// TestRealServerCheckForPrograms: what is not known has a member of its own, which is not there otherwise.
func TestRealServerCheckForPrograms(t *testing.T) {
	step := []realserver.Step{{Action: realserver.LinkUp, Name: "tunl0"}}
	for _, tt := range []struct {
		steps   []realserver.Step
		unclear string
		want    string
	}{
		{nil, "", `{"commands":[],"prepared":true}`},
		{step, "", `{"commands":["ip link set tunl0 up"],"prepared":false}`},
		{step, "an old kernel", `{"commands":["ip link set tunl0 up"],"prepared":false,"unclear":"an old kernel"}`},
	} {
		if got, err := json.Marshal(checked(tt.steps, tt.unclear)); err != nil || string(got) != tt.want {
			t.Errorf("%s, %v, want %s", got, err, tt.want)
		}
	}
}

func TestParseSession(t *testing.T) {
	for text, want := range map[string]realserver.Operator{
		"198.51.100.7 51234 192.0.2.11 22":  {Remote: netip.MustParseAddr("198.51.100.7"), Local: netip.MustParseAddr("192.0.2.11")},
		"2001:db8::7 51234 2001:db8::11 22": {Remote: netip.MustParseAddr("2001:db8::7"), Local: netip.MustParseAddr("2001:db8::11")},
		"":                                  {},
		"198.51.100.7 51234":                {},
		"a 1 192.0.2.11 22":                 {},
		"198.51.100.7 1 b 22":               {},
	} {
		if got := parseSession(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}
