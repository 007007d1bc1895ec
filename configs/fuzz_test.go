// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
)

// seeds adds the shipped files, and unusual texts.
func seeds(f *testing.F) {
	for _, file := range []string{"reference.toml", "minimal.toml", "director-a.toml", "dual-stack.toml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, s := range []string{
		"", "\"a\\nb\" = 1\n\"a\\nb\" = 2", "x = \"\\u0001\"\nname = \"\\n\"", "[[vrrp]]\n[[vrrp]]", "vrrp = [{interface = 'eth0', vrid = 1, vips = ['192.0.2.1']}]", "service.virtual = 1",
		"a = \"\"\"\n\"\"\"\"\n'b'.\"c\\u0041\" = {d = [{}, {e = ''}]}", "[service.check]\ntimeout = '1.s'\n", "x = 1e9\ny = inf\nz = 07:32:00",
		"[[service]]\nvirtual = '[::1%eth0]:80'\nserver = [[]]", "\ufeff[[service]]\r\nvirtual = {fwmark = 0}", "a.b.c = 1\n[a.d]\n",
		"[[service]]\n[service.check]\ninterval = '.5s'\ntimeout = '-0.0000000001h'\nstatus = ['2-3']", "[[vrrp]]\nvips = ['1.2.3.4/33', '::/0', 5, []]",
		dualStack, "[[vrrp]]\ninterface = 'a'\nvrid = 1\nvips = ['fe80::1', '1.2.3.4']\nversion = 2\nauth_pass = '\\u0000'\nvirtual_mac = true",
		"[[vrrp]]\ntrack = [{}, {script = []}, {script = ['', 1]}, {service = ''}, {file = 1, interface = ''}]\n[[vrrp.route]]\nto = 'default'",
		"[[vrrp]]\ninterface = 'a'\nvrid = 1\nvips = ['fe80::1%x']\nunicast_peers = ['::1%x', '0.0.0.0']\nrule = [{from = '::/0', to = '::ffff:1.2.3.4/97'}]",
	} {
		f.Add([]byte(s))
	}
}

func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("t.toml", text)
		if err != nil {
			var ms Mistakes
			if c != nil || !errors.As(err, &ms) || len(ms) == 0 {
				t.Fatalf("got %v and %v: want mistakes alone", c, err)
			}
			sane(t, ms, text)
			return
		}
		sane(t, c.Warnings, text)
		consistent(t, c)
	})
}

// FuzzAssemble: whatever a file and an included file say, there is a consistent configuration, or mistakes of one line each.
func FuzzAssemble(f *testing.F) {
	for _, s := range []string{
		"include = ['*']\n[director.lb1]\nvrrp.web.priority = 3\n[[vrrp]]\nname = 'web'\ninterface = '${A}'\nvrid = 1\nvips = ['192.0.2.1']",
		"include = ['./x.toml', '[', '../x.toml', '\\']\nvrrp = [{name = 'web'}]\n[director.lb2]\nname = 3\n[[hook]]\n",
		"[director.\"a\\nb\"]\n[director.lb3.check.a]\n[check.a]\n", "director = [{lb1 = 3}]\nname = '${lb1}'", "vrrp = [3]\n[director.lb1.vrrp.web]",
		"name = '${'\n[director.x]\nservice.\"a\\u0001b\".server.'${a}' = {}", "[[service]]\nname='a'\nvirtual='1.2.3.4:1'\n[director.lb1.service.a.virtual]\nfwmark=1",
	} {
		f.Add(s, s)
		f.Add(s, "[[vrrp]]\nname = 'web'\n[check.b]\n[log]\n")
	}
	f.Fuzz(func(t *testing.T, text, included string) {
		files := folder{"t.toml": text, "x.toml": included}
		echo := func(name string) (string, bool) { return name, name != "NO" }
		c, err := ParseIn(Surroundings{Name: "lb1", Files: files, Variable: echo}, "t.toml", []byte(text))
		var ms Mistakes
		switch {
		case err == nil:
			ms = c.Warnings
			consistent(t, c)
		case c != nil || !errors.As(err, &ms) || len(ms) == 0:
			t.Fatalf("got %v and %v: want mistakes alone", c, err)
		}
		for _, m := range ms {
			if last := 1 + strings.Count(files[m.File], "\n"); m.Line < 1 || m.Line > last || m.Problem == "" {
				t.Errorf("%+v: the file has %d lines", m, last)
			}
			if strings.ContainsFunc(m.Error(), unicode.IsControl) {
				t.Errorf("%q has control characters", m.Error())
			}
		}
	})
}

// consistent checks what the other packages rely on.
func consistent(t *testing.T, c *Config) {
	names := make(map[string]bool)
	for _, r := range c.Routers {
		if names[r.Name] || len(r.VIPs) > maxVIPs {
			t.Errorf("%s: not unique, or with %d VIPs", r.Name, len(r.VIPs))
		}
		if why := r.Problem(); why != "" && !r.HMAC.On() { // its keys are not read yet
			t.Errorf("package vrrp refuses what was accepted: %s", why)
		}
		names[r.Name] = true
		family := lvs.IPv4
		if r.Family() == 6 {
			family = lvs.IPv6
		}
		for vip, link := range r.VIPInterfaces {
			if r.VirtualMAC || link == r.Interface || validInterface(link) != nil || r.InterfaceOf(vip) != link {
				t.Errorf("%s has %s on %q", r.Name, vip, link)
			}
		}
		for _, vip := range r.VIPs {
			if lvs.FamilyOf(vip.Addr()) != family {
				t.Errorf("%s has VIPs of both families", r.Name)
			}
		}
		for _, a := range append(r.UnicastPeers, r.Source) {
			if a.IsValid() && lvs.FamilyOf(a) != family {
				t.Errorf("%s has the peer or source %s", r.Name, a)
			}
		}
		if r.VirtualMAC != (r.VirtualMACInterface != "") || r.VirtualMAC && validInterface(r.VirtualMACInterface) != nil {
			t.Errorf("%s: %q for the virtual MAC address", r.Name, r.VirtualMACInterface)
		}
	}
	for _, track := range c.Tracks {
		if !names[track.Router] || slices.Contains([]TrackKind{TrackScript, TrackCheck, TrackProcess, TrackUnit, TrackWitness, TrackPeer}, track.Kind) != track.Probed() {
			t.Errorf("track %+v", track)
		}
		if track.Check != nil && track.Check.Validate() != nil {
			t.Errorf("package healthcheck refuses what was accepted: %v", track.Check.Validate())
		}
	}
	if err := c.LVS.Sync.Validate(); err != nil {
		t.Errorf("package lvs refuses what was accepted: %v", err)
	}
	for name, value := range c.LVS.Sysctl {
		if err := lvs.CheckSysctl(name, value); err != nil {
			t.Errorf("package lvs refuses what was accepted: %v", err)
		}
	}
	for _, s := range c.Services {
		if len(s.Virtuals) == 0 || len(s.Virtuals) > maxVirtuals {
			t.Errorf("%s has %d virtuals", s.Name, len(s.Virtuals))
		}
		for _, v := range s.Virtuals {
			entry := lvs.Entry{Service: v}
			different := make(map[lvs.ServerID]bool)
			for _, server := range s.Servers {
				entry.Servers = append(entry.Servers, server.In(v))
				different[server.In(v).ServerID] = true
			}
			if s.Sorry != nil {
				entry.Servers = append(entry.Servers, s.Sorry.In(v))
				different[s.Sorry.In(v).ServerID] = true
			}
			if err := entry.Validate(); err != nil {
				t.Errorf("package lvs refuses what was accepted: %v", err)
			}
			if len(different) != len(entry.Servers) {
				t.Errorf("%s has a server twice: %v", s.Name, entry)
			}
		}
		for _, server := range s.Servers {
			for _, check := range server.Checks {
				if err := check.Validate(); err != nil {
					t.Errorf("package healthcheck refuses what was accepted: %v", err)
				}
			}
		}
	}
}

// sane checks that the mistakes have lines of the text, in their order, and that each report is one line with a problem.
func sane(t *testing.T, ms Mistakes, text []byte) {
	last := 1
	for _, m := range ms {
		if m.Line < last || m.Line > 1+strings.Count(string(text), "\n") || m.Problem == "" || m.File != "t.toml" {
			t.Errorf("%+v after line %d", m, last)
		}
		if strings.ContainsFunc(m.Error(), unicode.IsControl) {
			t.Errorf("%q has control characters", m.Error())
		}
		last = m.Line
	}
}

func BenchmarkParse(b *testing.B) {
	for _, tt := range []struct {
		name     string
		services int
		from, to string
	}{
		{"right", 1000, "", ""},
		{"right", 10_000, "", ""},
		{"a mistake a service", 1000, "scheduler = \"wrr\"", "schedule = \"wrr\""},
		{"a mistake a service", 10_000, "scheduler = \"wrr\"", "schedule = \"wrr\""},
	} {
		b.Run(fmt.Sprintf("%s/%d", tt.name, tt.services), func(b *testing.B) {
			text := large(tt.services)
			if tt.from != "" {
				text = strings.ReplaceAll(text, tt.from, tt.to)
			}
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				_, _ = Parse("t.toml", []byte(text))
			}
		})
	}
}

func BenchmarkLocate(b *testing.B) {
	text := large(1000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		toml.Locate(text)
	}
}

// large returns a file of n services with ten servers each.
func large(n int) string {
	var b strings.Builder
	b.WriteString("[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvips = [\"198.51.100.1/24\"]\n")
	for i := range n {
		fmt.Fprintf(&b, "\n[[service]]\nname = \"s%d\"\nvirtual = \"10.%d.%d.1:80\"\nscheduler = \"wrr\"\n", i, i/256, i%256)
		fmt.Fprintf(&b, "  [service.check]\n  type = \"http\"\n  path = \"/health\"\n")
		for j := range 10 {
			fmt.Fprintf(&b, "  [[service.server]]\n  address = \"10.%d.%d.%d\"\n  weight = %d\n", i/256, i%256, 11+j, 1+j)
		}
	}
	return b.String()
}
