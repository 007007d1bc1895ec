// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

const channelTable = "[peer]\naddress = \"10.0.0.2:8474\"\nkey = \"hex:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"\n"

var channelAddress = netip.MustParseAddrPort("10.0.0.2:8474")

// channelUp is the state of a channel that works.
func channelUp() *control.Peer {
	up := control.PeerHalf{Up: true, Since: asked.Add(-time.Hour)}
	p := &control.Peer{Address: "10.0.0.2:8474", Name: "lb2", Version: "v2", To: up, From: up, Clock: &control.Clock{AheadSeconds: 0.9, ErrorSeconds: 0.001}}
	for _, a := range message.Abilities() {
		p.Can = append(p.Can, string(a))
	}
	return p
}

// TestChannel: each fault of the channel is one finding, with what to do.
func TestChannel(t *testing.T) {
	const warning = "the channel to lb2 does not work"
	lost := func(to, from control.PeerHalf) func(*control.Peer) {
		return func(p *control.Peer) { p.To, p.From, p.Warnings = to, from, []string{warning} }
	}
	half := func(f message.Fault) control.PeerHalf {
		return control.PeerHalf{Problem: "it does not", Fault: string(f)}
	}
	up, quiet := control.PeerHalf{Up: true}, control.PeerHalf{Problem: "it has not connected to this director yet"}
	drift := func(texts ...string) func(*control.Peer) {
		return func(p *control.Peer) {
			for _, text := range texts {
				p.Drift = append(p.Drift, control.PeerDrift{Wrong: true, Text: text})
			}
			p.Warnings = []string{warning}
		}
	}
	ends := func(in time.Duration, problem string) []Certificate {
		return []Certificate{{Key: "tls_cert", File: "/c.pem", Ends: asked.Add(in), Problem: problem}, {Key: "tls_ca", File: "/a.pem", Ends: asked.AddDate(9, 0, 0)}}
	}
	for _, tt := range []struct {
		name         string
		change       func(*control.Peer)
		certificates []Certificate
		want, says   string
	}{
		{"all is well", func(*control.Peer) {}, ends(31*24*time.Hour, ""), "", ""},
		{"nobody listens there", lost(half(message.FaultNobody), quiet), nil, "channel-lost", "this director has no connection to lb2: it does not; " + channelEffect + "; fix: systemctl start tandem"},
		{"a firewall", lost(half(message.FaultSilent), quiet), nil, "channel-lost", "let TCP port 8474 through"},
		{"it cannot come", lost(up, quiet), nil, "channel-lost", "this director does not hear lb2: it has not connected to this director yet; " + channelEffect + "; fix: look at [peer], at the log of lb2, and for a firewall that drops TCP port 8474 here"},
		{"no port", lost(quiet, half(message.FaultPort)), nil, "channel-lost", "stop what listens on :8474"},
		{"itself", lost(half(message.FaultItself), quiet), nil, "channel-lost", "the other director's own address"},
		{"the same name", lost(half(message.FaultName), quiet), nil, "channel-lost", "different names"},
		{"another key", lost(half(message.FaultKey), half(message.FaultRefused)), nil, "channel-key", "run `tandem reload` on both"},
		{"a certificate that does not fit", lost(half(message.FaultCertificate), quiet), nil, "channel-certificate", "give each director a tls_cert that is for its tls_name"},
		{"a certificate ends", func(*control.Peer) {}, ends(5*24*time.Hour+time.Hour, ""), "channel-certificate", "tls_cert /c.pem ends on 2026-01-07, in 5 days"},
		{"a certificate has ended", func(*control.Peer) {}, ends(-time.Hour, ""), "channel-certificate", "tls_cert /c.pem ended on 2026-01-02"},
		{"a certificate that cannot be read", func(*control.Peer) {}, ends(0, "permission denied"), "channel-certificate", "cannot be used: permission denied"},
		{"another version", func(p *control.Peer) { p.Version = "v3" }, nil, "channel-version", "note channel-version: lb2 runs tandem v3, and this director v2; what only one of them knows is not compared"},
		{"an older version", func(p *control.Peer) { p.Version, p.Can = "v1", []string{"status", "history"} }, nil, "channel-version",
			"lb2 cannot answer: plan, apply, confirm, rollback; tandem apply --pair"},
		{"another time", func(p *control.Peer) { p.Clock.AheadSeconds, p.Warnings = -1.2, []string{warning} }, nil, "channel-clock", "the clock of lb2 is 1.2 s behind that of this machine"},
		{"a time that is not measured well", func(p *control.Peer) { p.Clock.AheadSeconds, p.Clock.ErrorSeconds = 5, 4.5 }, nil, "", ""},
		{"services that differ", drift("service www: server 192.0.2.12:80 is configured on lb2, and not here"), nil, "services-differ",
			"warning services-differ: service www: server 192.0.2.12:80 is configured on lb2, and not here; after a failover, other servers"},
		{"many services that differ", drift("service a: x", "service b: x", "service c: x", "service d: x", "service e: x"), nil, "services-differ",
			"service a: x; service b: x; service c: x; 2 more: see tandem status --pair"},
		{"virtual routers that differ", drift("virtual router web: lb2 has advert_interval 1s, here 100ms"), nil, "configurations-differ",
			"virtual router web: lb2 has advert_interval 1s, here 100ms"},
		{"what may differ", func(p *control.Peer) {
			p.Drift = []control.PeerDrift{{Text: "service www: lb2 has scheduler rr, here wrr"}}
		}, nil, "", ""},
		{"never connected", func(p *control.Peer) {
			*p = control.Peer{Address: p.Address, To: half(message.FaultNobody), From: quiet}
		}, nil, "channel-lost", "no connection to 10.0.0.2:8474"},
	} {
		s := master()
		s.snapshot.Certificates, s.snapshot.Status.Version = tt.certificates, "v2"
		s.snapshot.Status.Peer = channelUp()
		tt.change(s.snapshot.Status.Peer)
		s.snapshot.Status.Warnings = s.snapshot.Status.Peer.Warnings
		text := pairText(s.method, s.extra)
		with := parsed(t, text+channelTable)
		var want []string
		if tt.want != "" {
			want = []string{tt.want}
		}
		got := Director(with, s.snapshot)
		if !slices.Equal(ids(got), want) || want != nil && (!strings.Contains(got[0].String(), tt.says) || got[0].Severity == diagnosis.Error) {
			t.Errorf("%s: %v, want %s: %s", tt.name, got, tt.want, tt.says)
		}
		without := parsed(t, text)
		s.snapshot.Certificates = nil
		want = nil
		if len(s.snapshot.Status.Warnings) > 0 {
			want = []string{"director-warns"} // the file does not have the channel any more
		}
		if got := Director(without, s.snapshot); !slices.Equal(ids(got), want) {
			t.Errorf("%s, without [peer] in the file: %v", tt.name, got)
		}
	}
}

// TestDriftOnce: what the wire shows is not said again, as a difference of the configurations, and the other way round.
func TestDriftOnce(t *testing.T) {
	s := master()
	s.backup()
	s.snapshot.Adverts = nil
	s.advert("eth0", "192.0.2.3", 51, func(p *vrrp.Packet) { p.Version = vrrp.Version2 })
	s.snapshot.Status.Version, s.snapshot.Status.Peer = "v2", channelUp()
	s.synced(7, "192.0.2.100:80", "192.0.2.12:80", lvs.DR)
	const server = "service www: server 192.0.2.12:80 is configured on lb2, and not here"
	s.snapshot.Status.Peer.Drift = []control.PeerDrift{{Wrong: true, Text: "virtual router web: lb2 has version 2, here 3"}, {Wrong: true, Text: server}}
	c := parsed(t, pairText(s.method, "")+s.extra+channelTable)
	got := Director(c, s.snapshot)
	if !slices.Equal(ids(got), []string{"peer-differs", "services-differ"}) || got[1].What != server {
		t.Errorf("got %v", got)
	}
	s.snapshot.Status.Peer.Drift[0].Text = "virtual router webmail: lb2 has version 2, here 3"
	if got := Director(c, s.snapshot); !slices.Equal(ids(got), []string{"peer-differs", "services-differ", "configurations-differ"}) {
		t.Errorf("another router: %v", got)
	}
}

// TestReadCertificates: the end of the own certificate, and the last end of the authority's; what cannot be read is told.
func TestReadCertificates(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, blocks ...*pem.Block) string {
		var text []byte
		for _, b := range blocks {
			text = append(text, pem.EncodeToMemory(b)...)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	octets, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	until := func(at time.Time) *pem.Block {
		made, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: at}, &x509.Certificate{}, &private.PublicKey, private)
		if err != nil {
			t.Fatal(err)
		}
		return &pem.Block{Type: "CERTIFICATE", Bytes: made}
	}
	soon, late := asked.Add(time.Hour), asked.AddDate(1, 0, 0)
	p := configs.Peer{Address: channelAddress, TLS: configs.PeerTLS{
		CertFile: write("c", until(soon)), KeyFile: write("k", &pem.Block{Type: "PRIVATE KEY", Bytes: octets}), CAFile: write("a", until(late), until(soon)),
	}}
	var s Snapshot
	s.readCertificates(p)
	if all := s.Certificates; len(all) != 2 || !all[0].Ends.Equal(soon) || !all[1].Ends.Equal(late) || all[0].Problem+all[1].Problem != "" {
		t.Errorf("%+v", all)
	}
	p.TLS.CertFile, p.TLS.CAFile = filepath.Join(dir, "none"), write("empty")
	s.readCertificates(p)
	if all := s.Certificates; !strings.Contains(all[0].Problem, "no such file") || all[1].Problem != "it has no certificate in PEM" {
		t.Errorf("%+v", all)
	}
	s = Snapshot{}
	if s.readCertificates(configs.Peer{Address: channelAddress}); s.Certificates != nil {
		t.Errorf("a key alone: %+v", s.Certificates)
	}
}
