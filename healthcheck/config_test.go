// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestTypeNames(t *testing.T) {
	for typ, want := range map[Type]string{
		TCP: "tcp", HTTP: "http", Exec: "exec", HTTPS: "https", GRPC: "grpc", DNS: "dns", SMTP: "smtp", UDP: "udp", Ping: "ping", Agent: "agent",
	} {
		if got := typ.String(); got != want {
			t.Errorf("String: %q, want %q", got, want)
		}
		if got, err := typ.MarshalText(); err != nil || string(got) != want {
			t.Errorf("MarshalText: %q, %v", got, err)
		}
	}
	if _, err := Type(0).MarshalText(); err == nil {
		t.Error("MarshalText of no type: want an error")
	}
	if got := Type(99).String(); got != "Type(99)" {
		t.Errorf("String of no type: %q", got)
	}
}

func TestHealthNames(t *testing.T) {
	for h, want := range map[Health]string{Unknown: "unknown", Healthy: "healthy", Unhealthy: "unhealthy"} {
		text, err := json.Marshal(h)
		if err != nil || string(text) != `"`+want+`"` {
			t.Errorf("marshal %s: %s, %v", want, text, err)
		}
	}
	if _, err := Health(0).MarshalText(); err == nil {
		t.Error("MarshalText of no health: want an error")
	}
	if got := Health(0).String(); got != "Health(0)" {
		t.Errorf("String of no health: %q", got)
	}
}

func TestStatusRange(t *testing.T) {
	for s, want := range map[string]StatusRange{"200-299": {200, 299}, "304": {304, 304}, "599": {599, 599}} {
		got, err := ParseStatusRange(s)
		if err != nil || got != want {
			t.Errorf("ParseStatusRange(%q): %v, %v; want %v", s, got, err, want)
		}
		if got.String() != s {
			t.Errorf("String: %q, want %q", got, s)
		}
	}
	for _, bad := range []string{"", "-", "2xx", "200-", "-299", "299-200", "100", "199-200", "500-600", "0200", "+20", "200-299-300", " 200"} {
		if got, err := ParseStatusRange(bad); err == nil {
			t.Errorf("ParseStatusRange(%q): %v, want an error", bad, got)
		}
	}
}

func TestDefaultConfigIsValid(t *testing.T) {
	for _, typ := range []Type{TCP, HTTP, HTTPS, GRPC, DNS, SMTP, UDP, Ping, Agent} {
		if err := DefaultConfig(typ).Validate(); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   string // empty: valid
	}{
		{"no type", func(c *Config) { c.Type = 0 }, "check type Type(0): does not exist"},
		{"no interval", func(c *Config) { c.Interval = 0 }, "interval 0s: must be above 0"},
		{"no timeout", func(c *Config) { c.Timeout = 0 }, "timeout 0s: must be above 0"},
		{"timeout as long as the interval", func(c *Config) { c.Timeout = c.Interval }, ""},
		{"timeout beyond the interval", func(c *Config) { c.Timeout = 3 * time.Second }, ""},
		{"no rise", func(c *Config) { c.Rise = 0 }, "rise 0: must be at least 1"},
		{"no fall", func(c *Config) { c.Fall = 0 }, "fall 0: must be at least 1"},
		{"method that is none", func(c *Config) { c.Method = "GET /" }, `method "GET /"`},
		{"no method", func(c *Config) { c.Method = "" }, `method ""`},
		{"method without a path", func(c *Config) { c.Method = "CONNECT" }, `method "CONNECT"`},
		{"method of one's own", func(c *Config) { c.Method = "PURGE" }, ""},
		{"path with a query", func(c *Config) { c.Path = "/h?a=b&c=%20" }, ""},
		{"path without a slash", func(c *Config) { c.Path = "health" }, `path "health"`},
		{"path that ends its line", func(c *Config) { c.Path = "/\r\nX: y" }, `path "/\r\nX: y"`},
		{"path with a letter beyond ASCII", func(c *Config) { c.Path = "/ü" }, `path "/ü"`},
		{"host with a port", func(c *Config) { c.Host = "www.example.com:8080" }, ""},
		{"host that is an IPv6 address", func(c *Config) { c.Host = "[2001:db8::1]" }, ""},
		{"host that ends its line", func(c *Config) { c.Host = "a\r\nX: y" }, `host "a\r\nX: y"`},
		{"host with a path", func(c *Config) { c.Host = "a/b" }, `host "a/b"`},
		{"no status", func(c *Config) { c.Status = nil }, "status: at least one is needed"},
		{"interim status", func(c *Config) { c.Status = []StatusRange{{100, 200}} }, "status 100-200: not a range"},
		{"headers", func(c *Config) { c.Headers = []Header{{"X-Probe", "a b"}, {"Accept", ""}} }, ""},
		{"header that ends its line", func(c *Config) { c.Headers = []Header{{"X", "a\r\nY: b"}} }, `header X: "a\r\nY: b"`},
		{"header without a name", func(c *Config) { c.Headers = []Header{{"", "a"}} }, `header "": not a valid name`},
		{"header that follows from the rest", func(c *Config) { c.Headers = []Header{{"host", "a"}} }, "header host: the check itself sends this header"},
		{"sum in capitals", func(c *Config) { c.Content.SHA256 = strings.Repeat("AB", 32) }, "SHA-256"},
		{"sum that is too short", func(c *Config) { c.Content.SHA256 = "ab" }, "SHA-256"},
		{"expression that is none", func(c *Config) { c.Content.Matches = "(" }, `regular expression "("`},
		{"body of a HEAD", func(c *Config) { c.Method, c.Content.Contains = "HEAD", "x" }, "HEAD: its response has no body"},
		{"TLS without https", func(c *Config) { c.TLS.On = true }, "TLS: must be on with https"},
		{"key without a certificate", func(c *Config) { c.Type, c.TLS = HTTPS, TLS{On: true, KeyFile: "/k"} }, "a certificate needs its key"},
		{"TLS of the future", func(c *Config) { c.Type, c.TLS = HTTPS, TLS{On: true, Minimum: 0x305} }, "TLS version 0x305: does not exist"},
		{"no such version", func(c *Config) { c.Version = 9 }, "HTTP version HTTPVersion(9): does not exist"},
		{"record that is none", func(c *Config) { c.Type, c.Query = DNS, Query{Name: "a", Type: "X"} }, `query type "X"`},
		{"name that is none", func(c *Config) { c.Type, c.Query = DNS, Query{Name: "a..b", Type: "A"} }, `query name "a..b"`},
		{"greeting of two lines", func(c *Config) { c.Type, c.Hello = SMTP, "a\r\nRSET" }, "hello"},
		{"too much jitter", func(c *Config) { c.Jitter = 51 }, "jitter 51%"},
		{"one change is no flapping", func(c *Config) { c.Flap.Changes = 1 }, "flap changes 1"},
		{"flapping without a window", func(c *Config) { c.Flap.Window = 0 }, "flap window"},
		{"steps", talks(Step{Send: "a"}, Step{Expect: "b", Forbid: "c"}, Step{Send: "d", Matches: "e"}), ""},
		{"step that does nothing", talks(Step{Send: "a"}, Step{}), "step 2: does nothing"},
		{"step with a text and an expression", talks(Step{Expect: "b", Matches: "c"}), "step 1: must not have both"},
		{"step with an expression that is none", talks(Step{Matches: "("}), `step 1: regular expression "("`},
		{"answer without an end", talks(Step{Forbid: "c"}), "step 1: forbids a text, but expects nothing"},
		{"answer without an end, in one step", func(c *Config) { c.Type, c.Forbid = TCP, "c" }, "step 1: forbids a text, but expects nothing"},
		{"steps beside a text", func(c *Config) { talks(Step{Send: "a"})(c); c.Send = "b" }, "steps: replace send"},
		{"PROXY protocol of the future", func(c *Config) { c.Proxy = 3 }, "PROXY protocol version 3: does not exist"},
		{"PROXY protocol over UDP", func(c *Config) { c.Type, c.Proxy = UDP, 2 }, "udp checks cannot use the PROXY protocol"},
		{"header with a bad name", func(c *Config) { c.Fields = []FieldRule{{Name: "a b"}} }, `header "a b": not a valid name`},
		{"header with an expression that is none", func(c *Config) { c.Fields = []FieldRule{{"A", "("}} }, `header A: regular expression "("`},
		{"program with arguments", runs("nobody", "/bin/check", "-a", "1"), ""},
		{"no program", runs("nobody"), "command []: must begin with the absolute path"},
		{"program that would be looked for", runs("nobody", "check"), `command ["check"]: must begin with the absolute path`},
		{"argument that the kernel would cut", runs("nobody", "/bin/check", "a\x00b"), "must not hold NUL"},
		{"program as no user", runs("", "/bin/check"), "user: must be given"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := DefaultConfig(HTTP)
			tt.change(&c)
			err := c.Validate()
			if tt.want == "" && err != nil {
				t.Errorf("%v, want it valid", err)
			}
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// talks changes a check into a TCP check with steps.
func talks(steps ...Step) func(*Config) {
	return func(c *Config) { *c = DefaultConfig(TCP); c.Steps = steps }
}

// Only a check that does nothing but connect may go through the VIP by a single SYN, and be carried by an engine.
func TestOnlyConnects(t *testing.T) {
	plain := DefaultConfig(TCP)
	if !plain.OnlyConnects() {
		t.Error("a tcp check without more does not only connect")
	}
	for name, change := range map[string]func(*Config){
		"send": func(c *Config) { c.Send = "a" }, "expect": func(c *Config) { c.Expect = "a" }, "steps": talks(Step{Send: "a"}),
		"TLS": func(c *Config) { c.TLS.On = true }, "PROXY protocol": func(c *Config) { c.Proxy = 2 }, "http": func(c *Config) { c.Type = HTTP },
	} {
		c := DefaultConfig(TCP)
		if change(&c); c.OnlyConnects() {
			t.Errorf("%s: only connects", name)
		}
	}
}

// runs changes a check into an Exec check.
func runs(user string, command ...string) func(*Config) {
	return func(c *Config) { c.Type, c.User, c.Command = Exec, user, command }
}

// A program can check a target without an address.
func TestOnlyProgramsCanDoWithoutAnAddress(t *testing.T) {
	target := Target{Config: DefaultConfig(TCP)}
	if err := target.Validate(); err == nil || !strings.Contains(err.Error(), "no address") {
		t.Errorf("tcp: %v, want an error", err)
	}
	runs("nobody", "/bin/check")(&target.Config)
	if err := target.Validate(); err != nil {
		t.Errorf("exec: %v", err)
	}
}

func TestValidateTellsAll(t *testing.T) {
	err := Config{Type: HTTP, Timeout: time.Second}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"interval", "rise", "fall", "method", "path", "status"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
}

func TestEndpoint(t *testing.T) {
	target := Target{Addr: netip.MustParseAddrPort("192.0.2.1:80"), Config: DefaultConfig(TCP)}
	if got := target.Endpoint().String(); got != "192.0.2.1:80" {
		t.Errorf("the server's own port: %s", got)
	}
	target.Config.Port = 8080
	if got := target.Endpoint().String(); got != "192.0.2.1:8080" {
		t.Errorf("the check's port: %s", got)
	}
}

// TestSameProbe changes every field of a Config: two probes are the same only if all fields except Address and Port are
// equal.
func TestSameProbe(t *testing.T) {
	a := DefaultConfig(HTTP)
	for i := range reflect.TypeFor[Config]().NumField() {
		b := DefaultConfig(HTTP)
		field := reflect.ValueOf(&b).Elem().Field(i)
		name := reflect.TypeFor[Config]().Field(i).Name
		if !change(field) {
			t.Errorf("%s: the test cannot change it", name)
		}
		if got, want := a.SameProbe(&b), name == "Address" || name == "Port"; got != want {
			t.Errorf("with another %s: %t, want %t", name, got, want)
		}
	}
}

// change changes a value, and says whether it can.
func change(v reflect.Value) bool {
	if v.Type() == reflect.TypeFor[netip.Addr]() {
		v.Set(reflect.ValueOf(netip.MustParseAddr("192.0.2.9")))
		return true
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(v.Uint() + 1)
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Slice:
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
	case reflect.Struct:
		return change(v.Field(0))
	default:
		return false
	}
	return true
}
