// SPDX-License-Identifier: Apache-2.0

package main

import (
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
		{"unknown mode", []string{"--vip", "192.0.2.100", "--mode", "nat"}, realserver.Config{}, `--mode: unknown value "nat"`},
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
