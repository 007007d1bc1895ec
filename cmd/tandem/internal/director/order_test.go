// SPDX-License-Identifier: Apache-2.0

package director

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

func TestFindServer(t *testing.T) {
	svc := www(true, lvs.WeightZero)
	twin := svc.Servers[1]
	twin.Port = 8080
	six := svc.Servers[0]
	six.Addr = netip.MustParseAddr("2001:db8::1")
	svc.Servers = append(svc.Servers, twin, six)
	services := []configs.Service{svc, {Name: "mail"}}
	for name, want := range map[string]string{
		"www/192.0.2.11":         "www/192.0.2.11:80",
		"www/192.0.2.11:80":      "www/192.0.2.11:80",
		"www/192.0.2.12:8080":    "www/192.0.2.12:8080",
		"www/2001:db8::1":        "www/[2001:db8::1]:80",
		"www/[2001:db8::1]":      "www/[2001:db8::1]:80",
		"www/[2001:db8::1]:80":   "www/[2001:db8::1]:80",
		"www":                    `"www" is not SERVICE/SERVER`,
		"web/192.0.2.11":         `there is no service "web": this director has www, mail`,
		"www/192.0.2.13":         `service www has no server "192.0.2.13": it has 192.0.2.11:80, 192.0.2.12:80, 192.0.2.12:8080, [2001:db8::1]:80`,
		"www/192.0.2.12":         `service www has several servers "192.0.2.12": name one of 192.0.2.12:80, 192.0.2.12:8080`,
		"mail/192.0.2.11":        `service mail has no server "192.0.2.11": it has none`,
		"www/192.0.2.11:80/more": `service www has no server "192.0.2.11:80/more"`,
	} {
		got := ""
		svc, srv, err := findServer(services, name)
		if got = targetID(svc, srv); err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// stateful is a director that does nothing but remember.
func stateful(t *testing.T, dir string, services ...configs.Service) (*Director, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	d := New(Options{Config: &configs.Config{Services: services}, Log: hclog.New(&hclog.LoggerOptions{Output: &log})})
	if err := d.openState(dir); err != nil {
		t.Fatal(err)
	}
	return d, &log
}

func TestOrdersSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	const first, second = "www/192.0.2.11:80", "www/192.0.2.12:80"
	d, _ := stateful(t, dir, www(true, lvs.WeightZero))
	for _, c := range []control.ServerCommand{
		{Server: first, Action: control.Drain},
		{Server: first, Action: control.SetWeight, Weight: 7},
		{Server: second, Action: control.Disable},
		{Server: second, Action: control.Enable},
	} {
		if err := d.remember(c.Server, c); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []control.ServerCommand{
		{Action: control.SetWeight, Weight: 65536}, {Action: control.SetWeight, Weight: -1}, {Action: "stop"},
	} {
		if err := d.remember(first, c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	d, _ = stateful(t, dir, www(true, lvs.WeightZero))
	if len(d.orders.Value) != 1 {
		t.Errorf("got %+v, want the first server's alone", d.orders.Value)
	}
	if note, want := d.orders.Value[first].note(3), "drained by command; weight 7 by command instead of 3"; note != want {
		t.Errorf("got %q, want %q", note, want)
	}
	// Without the server there is nothing to remember.
	lone := www(true, lvs.WeightZero)
	lone.Servers = lone.Servers[1:]
	d, log := stateful(t, dir, lone)
	if len(d.orders.Value) != 0 || !strings.Contains(log.String(), first) {
		t.Errorf("got %+v, log %s", d.orders.Value, log)
	}
}

func TestDamagedOrdersAreSetAside(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "orders.json"), "{\"version\": 1, \"value\": {\"www")
	write(t, filepath.Join(dir, "sysctls.json"), "x")
	d, log := stateful(t, dir, www(true, lvs.WeightZero))
	if len(d.orders.Value) != 0 || strings.Count(log.String(), "damaged") < 2 {
		t.Errorf("got %+v, log %s", d.orders.Value, log)
	}
	if kept, _ := filepath.Glob(filepath.Join(dir, "orders.json.damaged-*")); len(kept) != 1 {
		t.Errorf("set aside as %v", kept)
	}
	if _, err := os.Stat(filepath.Join(dir, "orders.json")); err == nil {
		t.Error("the damaged file is still there")
	}
}
