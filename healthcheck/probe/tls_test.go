// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// An authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.key = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err == nil {
		a.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, "ca.pem", "CERTIFICATE", der)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) write(t *testing.T, name, typ string, der []byte) string {
	t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// issue writes NAME.pem and NAME.key, a certificate for www.example.org and 127.0.0.1 that expires at until.
func (a *authority) issue(t *testing.T, name string, until time.Time) tls.Certificate {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"www.example.org"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(a.write(t, name+".pem", "CERTIFICATE", der), a.write(t, name+".key", "PRIVATE KEY", keyDER))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// serveTLS returns a web server that answers with the version of HTTP and the requested name.
func serveTLS(t *testing.T, config *tls.Config, h2 bool) netip.AddrPort {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprintf(w, "HTTP/%d for %q", req.ProtoMajor, req.TLS.ServerName)
	}))
	s.TLS, s.EnableHTTP2 = config, h2
	s.Config.ErrorLog = quiet()
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).AddrPort()
}

func httpsTarget(addr netip.AddrPort, change func(*healthcheck.Config)) healthcheck.Target {
	c := healthcheck.DefaultConfig(healthcheck.HTTPS)
	c.Interval, c.Timeout = 10*time.Second, 10*time.Second // the machine may stall
	change(&c)
	return healthcheck.Target{ID: "s", Addr: addr, Config: c}
}

func TestCertificates(t *testing.T) {
	ca, oldUntil := newAuthority(t), time.Now().Add(-time.Minute)
	good, old := ca.issue(t, "good", time.Now().Add(time.Hour)), ca.issue(t, "old", oldUntil)
	stranger := newAuthority(t)
	stranger.issue(t, "stranger", time.Now().Add(time.Hour))
	trust := func(c *healthcheck.Config) { c.TLS.CAFile = ca.file("ca.pem") }
	and := func(more func(*healthcheck.Config)) func(*healthcheck.Config) {
		return func(c *healthcheck.Config) { trust(c); more(c) }
	}
	clients := x509.NewCertPool()
	clients.AddCert(ca.cert)
	asks := &tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	plain := &tls.Config{Certificates: []tls.Certificate{good}}
	for _, tt := range []struct {
		name   string
		server *tls.Config
		change func(*healthcheck.Config)
		want   healthcheck.Result
	}{
		{"trusted, by its address", plain, trust, healthcheck.Pass("status 200")},
		{"trusted, by the Host", plain, and(func(c *healthcheck.Config) { c.Host = "www.example.org:8443" }), healthcheck.Pass("status 200")},
		{"sent as SNI", plain, and(func(c *healthcheck.Config) {
			c.TLS.Name, c.Content.Contains = "www.example.org", `HTTP/1 for "www.example.org"`
		}), healthcheck.Pass("status 200 with the expected body")},
		{"by nobody trusted", plain, func(*healthcheck.Config) {}, probetest.Fail("TLS: the certificate is signed by nobody trusted")},
		{"by another authority", plain, func(c *healthcheck.Config) { c.TLS.CAFile = stranger.file("ca.pem") },
			probetest.Fail("TLS: the certificate is signed by nobody trusted")},
		{"not verified, since it is not wanted", plain, func(c *healthcheck.Config) { c.TLS.Insecure = true }, healthcheck.Pass("status 200")},
		{"for another name", plain, and(func(c *healthcheck.Config) { c.TLS.Name = "mail.example.org" }),
			probetest.Fail("TLS: the certificate is not for mail.example.org")},
		{"expired", &tls.Config{Certificates: []tls.Certificate{old}}, trust, probetest.Fail("TLS: the certificate expired on " + oldUntil.UTC().Format(time.DateOnly))},
		{"too old a protocol", &tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS12},
			and(func(c *healthcheck.Config) { c.TLS.Minimum = tls.VersionTLS13 }), probetest.Fail("TLS: the server refused: protocol version not supported")},
		{"asks for a certificate and gets it", asks,
			and(func(c *healthcheck.Config) { c.TLS.CertFile, c.TLS.KeyFile = ca.file("good.pem"), ca.file("good.key") }), healthcheck.Pass("status 200")},
		{"asks for a certificate and gets none", asks, trust, probetest.Fail("TLS: the server refused: certificate required")},
		{"gets one that it does not trust", asks,
			and(func(c *healthcheck.Config) {
				c.TLS.CertFile, c.TLS.KeyFile = stranger.file("stranger.pem"), stranger.file("stranger.key")
			}), probetest.Fail("TLS: the server refused: unknown certificate authority")},
		{"no file with authorities", plain, func(c *healthcheck.Config) { c.TLS.CAFile = ca.file("none.pem") },
			healthcheck.Result{Outcome: healthcheck.NotRun, Reason: "failed to read a certificate or key: stat " + ca.file("none.pem") + ": no such file or directory"}},
		{"a file without any", plain, func(c *healthcheck.Config) { c.TLS.CAFile = ca.file("good.key") },
			healthcheck.Result{Outcome: healthcheck.NotRun, Reason: ca.file("good.key") + " holds no certificate to trust"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := probeOnce(httpsTarget(serveTLS(t, tt.server, false), tt.change)); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// The next probe uses a certificate that was renewed on disk.
func TestRenewedCertificates(t *testing.T) {
	old, renewed := newAuthority(t), newAuthority(t)
	addr := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{renewed.issue(t, "good", time.Now().Add(time.Hour))}}, false)
	file := filepath.Join(t.TempDir(), "ca.pem")
	install := func(from *authority, at time.Time) {
		text, err := os.ReadFile(from.file("ca.pem"))
		if err == nil {
			err = os.WriteFile(file, text, 0o600)
		}
		if err == nil {
			err = os.Chtimes(file, at, at)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	p := New()
	target := httpsTarget(addr, func(c *healthcheck.Config) { c.TLS.CAFile = file })
	install(old, time.Unix(1_700_000_000, 0))
	for _, want := range []healthcheck.Outcome{healthcheck.Failed, healthcheck.Failed} {
		if got := p.Probe(t.Context(), &target); got.Outcome != want {
			t.Errorf("with the old authority: %+v", got)
		}
	}
	install(renewed, time.Unix(1_700_000_060, 0))
	if got := p.Probe(t.Context(), &target); got != healthcheck.Pass("status 200") {
		t.Errorf("with the renewed one: %+v", got)
	}
}

func TestHTTP2(t *testing.T) {
	ca := newAuthority(t)
	good := ca.issue(t, "good", time.Now().Add(time.Hour))
	secured := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{good}}, true)
	only1 := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{good}}, false)
	two := func(more func(*healthcheck.Config)) func(*healthcheck.Config) {
		return func(c *healthcheck.Config) { c.Version, c.TLS.CAFile = healthcheck.HTTP2, ca.file("ca.pem"); more(c) }
	}
	plain := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprintf(w, "%s %s %s %s", req.Proto, req.Method, req.Host, req.Header.Get("X-Probe"))
	}))
	plain.Config.Protocols = new(http.Protocols)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Start()
	defer plain.Close()
	for _, tt := range []struct {
		name   string
		target healthcheck.Target
		want   healthcheck.Result
	}{
		{"works", httpsTarget(secured, two(func(*healthcheck.Config) {})), healthcheck.Pass("status 200")},
		{"with a body", httpsTarget(secured, two(func(c *healthcheck.Config) { c.Content.Contains = "HTTP/2 for" })), healthcheck.Pass("status 200 with the expected body")},
		{"with another body", httpsTarget(secured, two(func(c *healthcheck.Config) { c.Content.Contains = "no" })),
			probetest.Fail(`status 200, but its body does not contain "no"`)},
		{"with another status", httpsTarget(secured, two(func(c *healthcheck.Config) { c.Status = []healthcheck.StatusRange{{First: 404, Last: 404}} })), probetest.Fail("status 200, want 404")},
		{"is not offered", httpsTarget(only1, two(func(*healthcheck.Config) {})), probetest.Fail("TLS: the server refused: no application protocol")},
		{"without TLS", httpsTarget(plain.Listener.Addr().(*net.TCPAddr).AddrPort(), func(c *healthcheck.Config) {
			c.Type, c.TLS, c.Version, c.Host, c.Headers = healthcheck.HTTP, healthcheck.TLS{}, healthcheck.HTTP2, "www.example.org", []healthcheck.Header{{Name: "X-Probe", Value: "lb1"}}
			c.Content.Contains = "HTTP/2.0 GET www.example.org lb1"
		}), healthcheck.Pass("status 200 with the expected body")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			probetest.NoLeftovers(t)
			if got, _ := probeOnce(tt.target); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// A body that is larger than the server's windows is sent in the parts that the server allows.
func TestLargeRequestByHTTP2(t *testing.T) {
	const size = 3 << 20
	got := make(chan int64, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		n, _ := io.Copy(io.Discard, req.Body)
		got <- n
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	defer s.Close()
	target := probetest.Target(healthcheck.HTTP, s.Listener.Addr().(*net.TCPAddr).AddrPort(), 20*time.Second, func(c *healthcheck.Config) {
		c.Version, c.Method, c.Body = healthcheck.HTTP2, "POST", strings.Repeat("x", size)
	})
	if res, _ := probeOnce(target); res != healthcheck.Pass("status 200") {
		t.Errorf("%+v", res)
	}
	if n := <-got; n != size {
		t.Errorf("the server got %d bytes", n)
	}
}

// Checks of servers that break the rules of TLS, or of HTTP/2 over TLS, fail with a reason.
func TestSecuredServersThatLie(t *testing.T) {
	https := func(c *healthcheck.Config) { c.Type, c.TLS = healthcheck.HTTPS, healthcheck.TLS{On: true} }
	h2 := func(c *healthcheck.Config) { c.Version = healthcheck.HTTP2 }
	for _, tt := range []struct {
		name   string
		change func(*healthcheck.Config)
		answer string
		stays  bool
		want   string
	}{
		{"speaks HTTP without TLS", https, "HTTP/1.1 400 Bad Request\r\n\r\n", false, "TLS: the server speaks HTTP/1.1, not TLS"},
		{"says nothing during the handshake", https, "", true, "timeout after 300ms while waiting for the TLS handshake"},
		{"hangs up during the handshake", https, "", false, "connection reset during the TLS handshake"},
		{"sends a broken handshake", https, "\x16\x03\x03\x00\x04\x02\x00\x00\x00", true, "TLS: the handshake failed"},
		{"sends garbage for HTTP/2", h2, strings.Repeat("garbage", 100), true, "malformed response: not HTTP/2"},
		{"speaks HTTP/1.1 for HTTP/2", h2, "HTTP/1.1 400 Bad Request\r\n\r\n", false, "malformed response: not HTTP/2: the server speaks HTTP/1.1"},
		{"says nothing in HTTP/2", h2, "", true, "timeout after 300ms while waiting for the response"},
		{"hangs up in HTTP/2", h2, "", false, "connection closed before a response"},
		{"garbage for gRPC", func(c *healthcheck.Config) { c.Type = healthcheck.GRPC }, "garbage garbage garbage", false, "malformed response: not HTTP/2"},
		{"silence for gRPC", func(c *healthcheck.Config) { c.Type = healthcheck.GRPC }, "", true, "timeout after 300ms while waiting for the response"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			probetest.NoLeftovers(t)
			target := probetest.HTTPTarget(probetest.Serve(t, func(c *net.TCPConn) {
				probetest.Hear(tt.answer)(c)
				if tt.stays {
					probetest.UntilGone(c)
				}
			}), probetest.Timeout(tt.want, 300*time.Millisecond))
			tt.change(&target.Config)
			got, took := probeOnce(target)
			if got != probetest.Fail(tt.want) {
				t.Errorf("%+v, want %q", got, tt.want)
			}
			if took > 2300*time.Millisecond { // the machine may stall
				t.Errorf("took %s", took)
			}
		})
	}
}
