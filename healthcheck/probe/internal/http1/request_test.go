// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

func TestRequest(t *testing.T) {
	tests := []struct {
		name, addr string
		change     func(*healthcheck.Config)
		want       []string // lines, in order, before the common ones
	}{
		{"default", "192.0.2.1:80", func(*healthcheck.Config) {}, []string{"GET / HTTP/1.1", "Host: 192.0.2.1"}},
		{"another port", "192.0.2.1:8080", func(*healthcheck.Config) {}, []string{"GET / HTTP/1.1", "Host: 192.0.2.1:8080"}},
		{"the check's port", "192.0.2.1:443", func(c *healthcheck.Config) { c.Port = 80 }, []string{"GET / HTTP/1.1", "Host: 192.0.2.1"}},
		{"IPv6", "[2001:db8::1]:80", func(*healthcheck.Config) {}, []string{"GET / HTTP/1.1", "Host: [2001:db8::1]"}},
		{"IPv6 with a port", "[2001:db8::1]:81", func(*healthcheck.Config) {}, []string{"GET / HTTP/1.1", "Host: [2001:db8::1]:81"}},
		{"IPv6 with a zone", "[fe80::1%eth0]:80", func(*healthcheck.Config) {}, []string{"GET / HTTP/1.1", "Host: [fe80::1]"}},
		{"all set", "192.0.2.1:80", func(c *healthcheck.Config) { c.Method, c.Path, c.Host = "HEAD", "/h?x=1", "www.example.com" },
			[]string{"HEAD /h?x=1 HTTP/1.1", "Host: www.example.com"}},
		{"method with content", "192.0.2.1:80", func(c *healthcheck.Config) { c.Method = "POST" },
			[]string{"POST / HTTP/1.1", "Host: 192.0.2.1", "Content-Length: 0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := probetest.HTTPTarget(netip.MustParseAddrPort(tt.addr), time.Second)
			tt.change(&target.Config)
			lines := append(tt.want, "User-Agent: tandem", "Accept: */*", "Connection: close", "", "")
			if got, want := string(Request(&target)), strings.Join(lines, "\r\n"); got != want {
				t.Errorf("request\n%q\nwant\n%q", got, want)
			}
			if _, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(Request(&target))))); err != nil {
				t.Errorf("net/http does not understand it: %v", err)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	tests := []struct {
		status int
		want   []healthcheck.StatusRange
		result healthcheck.Result
	}{
		{200, []healthcheck.StatusRange{{First: 200, Last: 200}}, healthcheck.Pass("status 200")},
		{201, []healthcheck.StatusRange{{First: 200, Last: 200}}, probetest.Fail("status 201, want 200")},
		{200, []healthcheck.StatusRange{{First: 200, Last: 299}}, healthcheck.Pass("status 200")},
		{299, []healthcheck.StatusRange{{First: 200, Last: 299}}, healthcheck.Pass("status 299")},
		{300, []healthcheck.StatusRange{{First: 200, Last: 299}, {First: 304, Last: 304}}, probetest.Fail("status 300, want 200-299, 304")},
		{304, []healthcheck.StatusRange{{First: 200, Last: 299}, {First: 304, Last: 304}}, healthcheck.Pass("status 304")},
		{101, []healthcheck.StatusRange{{First: 200, Last: 599}}, probetest.Fail("status 101, want 200-599")},
	}
	for _, tt := range tests {
		if got := probetest.Words(Judge(tt.status, tt.want)); got != tt.result {
			t.Errorf("status %d, want %v: %+v, want %+v", tt.status, tt.want, got, tt.result)
		}
	}
}
