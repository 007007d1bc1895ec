// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"io/fs"
	"reflect"
	"slices"
	"testing"

	"github.com/tandem-lvs/tandem/lvs"
)

func parseTopology(t *testing.T, file string) *Config {
	t.Helper()
	text, err := fs.ReadFile(Shipped, file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse(file, text)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("%s: warnings %v", file, c.Warnings)
	}
	return c
}

func TestTopologies(t *testing.T) {
	dirs, err := fs.ReadDir(Shipped, "topologies")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if !dir.IsDir() {
			continue
		}
		t.Run(dir.Name(), func(t *testing.T) {
			at := "topologies/" + dir.Name()
			a, b := parseTopology(t, at+"/director-a.toml"), parseTopology(t, at+"/director-b.toml")
			if a.Name == b.Name || len(a.Routers) != len(b.Routers) {
				t.Fatalf("%q has %d virtual routers, %q %d", a.Name, len(a.Routers), b.Name, len(b.Routers))
			}
			for i := range a.Routers {
				if a.Routers[i].Priority <= b.Routers[i].Priority {
					t.Errorf("priorities of %s: %d and %d", a.Routers[i].Name, a.Routers[i].Priority, b.Routers[i].Priority)
				}
				b.Routers[i].Priority = a.Routers[i].Priority
			}
			b.File, b.SHA256, b.Name = a.File, a.SHA256, a.Name
			if !reflect.DeepEqual(a, b) {
				t.Errorf("the directors differ in more than name and priority:\n%+v\n%+v", a, b)
			}
			if notes := slices.DeleteFunc(a.Notes(), isUnsigned); len(notes) > 0 {
				t.Errorf("notes %q", notes)
			}
			c := parseTopology(t, at+"/realserver.toml")
			for _, svc := range a.Services {
				if svc.Method == lvs.NAT {
					// The servers' gateway is the virtual address of the router that does not have the service's.
					inside := a.Routers[1].VIPs[0]
					if c.RealServer.VIPs[0] != inside.Addr() || c.RealServer.Mode != "nat" || !inside.Contains(svc.Servers[0].Addr) {
						t.Errorf("real servers have %s by %s, the virtual address inside is %s", c.RealServer.VIPs, c.RealServer.Mode, inside)
					}
					continue
				}
				if c.RealServer.VIPs[0] != svc.Virtuals[0].Addr || c.RealServer.Mode != svc.Method.String() {
					t.Errorf("real servers have %s by %s, the service is %s by %s", c.RealServer.VIPs, c.RealServer.Mode, svc.Virtuals[0].Addr, svc.Method)
				}
			}
		})
	}
}
