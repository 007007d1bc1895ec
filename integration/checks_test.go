// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const server = "192.0.2.11"

// TestRefusalToWeightZero: the weight of a server that begins to refuse connections becomes 0 in the kernel within 1.3 s. The
// interval is 1 s, two failures are needed, and the second check comes after 100 ms. keepalived checks the same server.
func TestRefusalToWeightZero(t *testing.T) {
	const rounds, most = 5, 1300 * time.Millisecond
	l := lab.New(t)
	d := l.Director("director", "192.0.2.2/24", fmt.Sprintf(`
[[service]]
virtual = "%s:80"
server = [{ address = %q }]
check = { type = "tcp", interval = "1s", timeout = "1s", fast_interval = "100ms", rise = 1, fall = 2 }
`, lab.VIP, server))
	peer := l.Host("peer", "192.0.2.3/24")
	conf := peer.WriteFile("keepalived.conf", fmt.Sprintf(`
virtual_server %s 80 {
    delay_loop 1
    lb_algo wlc
    lb_kind DR
    protocol TCP
    real_server %s 80 {
        weight 1
        inhibit_on_failure
        TCP_CHECK {
            connect_timeout 1
            retry 1
            delay_before_retry 0.1
        }
    }
}
`, lab.VIP, server))
	web := l.Host("web", server+"/24")
	d.Run("ipvsadm", "-Ln") // loads the module whose table is read
	d.Launch()
	pid := peer.Dir() + "/keepalived.pid"
	peer.Start("keepalived", "--check", "--dont-fork", "--log-console", "-f", conf, "-p", pid, "-c", pid+".check")

	took := map[string][]time.Duration{}
	var worst time.Duration // of tandem, without the stalls of the machine
	for round := range rounds {
		http := web.HTTPServer("web")
		both := map[string]*lab.Host{"tandem": d.Host, "keepalived": peer}
		await := func(weight int) {
			for name, h := range both {
				l.Eventually(20*time.Second, fmt.Sprintf("%s: weight %d", name, weight), func() error {
					if w, ok := h.Weights()["tcp "+server]; !ok || w != weight {
						return fmt.Errorf("%v", h.Weights())
					}
					return nil
				})
			}
		}
		await(1)
		time.Sleep(time.Duration(round) * time.Second / rounds) // each round begins at another moment between two checks
		http.Stop()
		watch, refused := l.WatchStalls(), time.Now()
		for len(took["tandem"]) <= round || len(took["keepalived"]) <= round {
			for name, h := range both {
				if len(took[name]) <= round && h.Weights()["tcp "+server] == 0 {
					took[name] = append(took[name], time.Since(refused))
					if name == "tandem" {
						worst = max(worst, took[name][round]-watch.Stop())
					}
				}
			}
			if time.Since(refused) > 20*time.Second {
				t.Fatalf("round %d: %v", round, took)
			}
			// A look takes the processor from the checks, and no weight that is 0 in the first second is near the limit.
			pause := time.Millisecond
			if time.Since(refused) < time.Second {
				pause = 40 * time.Millisecond
			}
			time.Sleep(pause)
		}
	}
	for name, all := range took {
		slices.Sort(all)
		l.Logf("%s: from refusal to weight 0: %s", name, all)
	}
	if worst > most {
		t.Errorf("%s at the worst, without the stalls of the machine; want under %s", worst, most)
	}
}

// nginx answers over TLS, by HTTP/1.1 and 2, and without TLS.
const nginx = `
daemon off;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events {}
http {
    access_log off;
    client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
    uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
    server {
        listen 80;
        listen 443 ssl http2;
        ssl_certificate %[1]s/web.pem;
        ssl_certificate_key %[1]s/web.key;
        location / { return 200 "%[2]s\n"; }
    }
}
`

// TestChecksOfNginx: the checks over HTTP find a real web server healthy, unhealthy if its answer is wrong, and unhealthy if
// it is down.
func TestChecksOfNginx(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	web := l.Host("web", server+"/24")
	cert, key := certificate(t)
	web.WriteFile("web.pem", cert)
	web.WriteFile("web.key", key)
	text := ""
	for i, check := range []string{
		`type = "http", port = 80, contains = "in service"`,
		`type = "http", port = 80, matches = "^in s.rvice"`,
		`type = "http", version = "2", port = 443`, // without TLS on a port with TLS: it never passes
		`type = "https", port = 443, tls_ca = "CA", host = "www.example.org", contains = "in service"`,
		`type = "https", port = 443, tls_ca = "CA", host = "www.example.org", version = "2", contains = "in service"`,
		`type = "https", port = 443, tls_ca = "CA", tls_name = "mail.example.org"`, // nor does this one
	} {
		text += fmt.Sprintf("[[service]]\nname = \"s%d\"\nvirtual = \"%s:%d\"\nserver = [{ address = %q }]\ncheck = { interval = \"2s\", timeout = \"2s\", fall = 1, rise = 1, %s }\n",
			i, lab.VIP, 8000+i, server, check)
	}
	d := l.Director("director", "192.0.2.2/24", "")
	ca := d.WriteFile("ca.pem", cert)
	d.Configure(strings.ReplaceAll(text, `"CA"`, fmt.Sprintf("%q", ca)))
	run := func(body string) *lab.Process {
		conf := web.WriteFile("nginx.conf", fmt.Sprintf(nginx, web.Dir(), body))
		return web.Start("nginx", "-c", conf, "-e", web.Dir()+"/error.log")
	}
	await := func(want ...string) {
		l.Eventually(20*time.Second, "the checks have spoken", func() error {
			s, err := d.Status()
			if err != nil {
				return err
			}
			if len(s.Services) != len(want) {
				return errors.New("not all services are there")
			}
			for i, svc := range s.Services {
				if got := svc.Servers[0].Health + ": " + svc.Servers[0].Reason; got != want[i] {
					return fmt.Errorf("service %d is %s, want %s", i, got, want[i])
				}
			}
			return nil
		})
	}
	const never = "unhealthy: TLS: the certificate is not for mail.example.org"
	process := run("in service")
	d.Launch()
	const good = "healthy: status 200 with the expected body"
	await(good, good, "unhealthy: malformed response: not HTTP/2: the server speaks HTTP/1.1", good, good, never)
	process.Stop()
	refused := "unhealthy: connection refused"
	await(refused, refused, refused, refused, refused, refused)
	run("out of order")
	lies := `unhealthy: status 200, but its body does not contain "in service"`
	await(lies, `unhealthy: status 200, but its body does not match "^in s.rvice"`, "unhealthy: malformed response: not HTTP/2: the server speaks HTTP/1.1", lies, lies, never)
}

// certificate makes a self-signed certificate for www.example.org.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "www.example.org"}, DNSNames: []string{"www.example.org"},
		IPAddresses: []net.IP{net.ParseIP(server)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}
