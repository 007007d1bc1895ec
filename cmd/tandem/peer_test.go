// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/configs/load"
)

// TestPeerInit: the key is for its owner only, a configuration accepts it, the command says what to do, and it overwrites nothing.
func TestPeerInit(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "peer.key")
	out, _, err := execute(t, "peer", "init", "--key", key)
	if err != nil || !strings.Contains(out, "scp -p "+key+" OTHER:"+key) || !strings.Contains(out, "key = { file = \""+key+"\" }") {
		t.Fatalf("%v, %s", err, out)
	}
	if !strings.Contains(out, "\n     chown tandem "+key+"\n") { // the director is not root
		t.Errorf("it does not say who must own the key: %s", out)
	}
	info, err := os.Stat(key)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("%v, %v", err, info)
	}
	made, err := os.ReadFile(key)
	if err != nil || strings.Contains(out, strings.TrimSpace(string(made))) {
		t.Fatalf("%v; the key is printed: %s", err, out)
	}
	file := filepath.Join(dir, "tandem.toml")
	text := "name = \"lb1\"\n[peer]\naddress = \"10.0.0.2:8474\"\nkey = { file = \"" + key + "\" }\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := load.As("").File(file); err != nil || c.Peer.Key.Len() != 32 {
		t.Errorf("%v, %+v", err, c)
	}
	_, _, err = execute(t, "peer", "init", "--key", key)
	if again, _ := os.ReadFile(key); err == nil || !strings.Contains(err.Error(), "exists: copy it to the other director") || !bytes.Equal(again, made) {
		t.Errorf("%v; the file was %s and is %s", err, made, again)
	}
	if _, _, err := execute(t, "peer", "init", "--key", filepath.Join(dir, "none", "k")); err == nil || !strings.Contains(err.Error(), "there is no directory") {
		t.Error(err)
	}
}

// TestPeerInitCertificates: each director's part of the output is a configuration that is accepted, the files are for their owner
// only, and nothing is overwritten or left half done.
func TestPeerInitCertificates(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "peer")
	args := []string{"peer", "init", "--certificates", "lb1=10.0.0.1,2001:db8::1", "lb2=10.0.0.2", "--dir", dir}
	out, _, err := execute(t, args...)
	if err != nil || !strings.Contains(out, "scp -p "+dir+"/ca.pem "+dir+"/lb2.pem "+dir+"/lb2.key lb2:"+dir+"/\n") {
		t.Fatalf("%v, %s", err, out)
	}
	for _, command := range []string{"mkdir -p -m 700 " + dir, "chown -R tandem " + dir} {
		if !strings.Contains(out, "\n     "+command+"\n") {
			t.Errorf("it does not say %s: %s", command, out)
		}
	}
	for _, name := range []string{"ca.pem", "ca.key", "lb1.pem", "lb1.key", "lb2.pem", "lb2.key"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", name, err, info)
		}
	}
	parts := strings.Split(out, "     [peer] # on ")
	for i, other := range []string{"10.0.0.2", "10.0.0.1"} {
		table, _, _ := strings.Cut(parts[i+1], "\n3. ")
		name, keys, _ := strings.Cut(table, "\n")
		c, err := load.As("").File(writeConfig(t, "name = \""+name+"\"\n[peer]\n"+keys+"\n"))
		if err != nil || c.Peer.Address.Addr().String() != other || c.Peer.TLS.Name != other || c.Peer.TLS.KeyFile != filepath.Join(dir, name+".key") {
			t.Errorf("%s: %v, %+v", name, err, c)
		}
	}
	before, _ := os.ReadFile(filepath.Join(dir, "lb2.key"))
	for _, there := range []string{"lb2.key", "ca.pem"} { // the other files must not come back
		for _, name := range []string{"ca.pem", "ca.key", "lb1.pem", "lb1.key", "lb2.pem"} {
			if name != there {
				_ = os.Remove(filepath.Join(dir, name))
			}
		}
		_, _, err = execute(t, args...)
		left, _ := os.ReadDir(dir)
		if want := dir + "/ca.pem exists"; there == "ca.pem" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %s", err, want)
		}
		if after, _ := os.ReadFile(filepath.Join(dir, "lb2.key")); err == nil || !bytes.Equal(before, after) || len(left) > 2 {
			t.Errorf("%s exists: %v, left %v", there, err, left)
		}
		if err := os.WriteFile(filepath.Join(dir, "ca.pem"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for want, args := range map[string][]string{
		"the two directors are missing":            {"--certificates", "lb1=10.0.0.1"},
		`"../x" is not a name for a certificate`:   {"--certificates", "../x=10.0.0.1", "lb2=10.0.0.2"},
		`"CA" is not a name`:                       {"--certificates", "CA=10.0.0.1", "lb2=10.0.0.2"},
		`"" is not an IP address`:                  {"--certificates", "lb1", "lb2=10.0.0.2"},
		"10.0.0.1 is given twice, for lb1 and lb2": {"--certificates", "lb1=10.0.0.1", "lb2=10.0.0.1"},
		"both directors have the name lb1":         {"--certificates", "lb1=10.0.0.1", "lb1=10.0.0.2"},
		"there is no directory /none: make it":     {"--certificates", "lb1=10.0.0.1", "lb2=10.0.0.2", "--dir", "/none/peer"},
		`"lb1" has a meaning only with --certific`: {"lb1"},
		"--dir has a meaning only with --certific": {"--dir", dir},
		"--key has no meaning with --certificates": {"--certificates", "--key", "/x"},
	} {
		if _, _, err := execute(t, append([]string{"peer", "init"}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", args, err, want)
		}
	}
}

// A paired director answers as one with a peer.
type paired struct {
	control.Director
	commands []control.ServerCommand
	reply    *control.PeerReply
}

func (p *paired) CommandServer(_ string, c control.ServerCommand) (control.ServerState, error) {
	p.commands = append(p.commands, c)
	s := control.ServerState{Name: c.Server + ":80"}
	if !c.Local {
		s.Peer = p.reply
	}
	return s, nil
}

func (p *paired) Server(name string) (control.ServerState, error) {
	return control.ServerState{Name: name}, nil
}

// TestWhereAnOrderIsInForce: each command about a server says on which directors it is in force.
func TestWhereAnOrderIsInForce(t *testing.T) {
	d := &paired{reply: &control.PeerReply{Name: "lb2", InForce: true}}
	t.Setenv("TANDEM_SOCKET", serveControl(t, d))
	commands := [][]string{
		{"drain", "www/192.0.2.11"}, {"drain", "www/192.0.2.11", "--wait"}, {"undrain", "www/192.0.2.11"}, {"disable", "www/192.0.2.11"},
		{"enable", "www/192.0.2.11"}, {"weight", "www/192.0.2.11", "5"}, {"weight", "www/192.0.2.11", "--reset"},
	}
	const lost = "the channel is lost since 12:00:00Z: it fell silent; the order is sent when it is back"
	for _, args := range commands {
		d.reply = &control.PeerReply{Name: "lb2", InForce: true}
		if out, _, err := execute(t, args...); err != nil || !strings.Contains(out, "\nin force here and on lb2\n") && !strings.HasPrefix(out, "in force here and on lb2\n") {
			t.Errorf("%v: %v, %q", args, err, out)
		}
		d.reply = &control.PeerReply{Name: "lb2", Problem: lost}
		if out, _, err := execute(t, args...); err != nil || !strings.Contains(out, "in force here; lb2 did not get it: "+lost+"\n") {
			t.Errorf("%v: %v, %q", args, err, out)
		}
		if out, _, err := execute(t, append(args, "--local")...); err != nil || strings.Contains(out, "in force") || !d.commands[len(d.commands)-1].Local {
			t.Errorf("%v --local: %v, %q", args, err, out)
		}
		if out, _, err := execute(t, append(args, "--json")...); err != nil || !strings.Contains(out, lost) {
			t.Errorf("%v --json: %v, %q", args, err, out)
		}
	}
}

func pairStatus(now time.Time) control.Status {
	return control.Status{
		Name: "lb1", Version: "v1.1.0", Warnings: []string{"the clock of lb2 is ahead"},
		VRRP: []control.Router{
			{Name: "web", Family: 4, State: "master", EffectivePriority: 150}, {Name: "mail", Family: 4, State: "fault", EffectivePriority: 1},
		},
		Peer: &control.Peer{
			Address: "10.0.0.2:8474", Name: "lb2", Version: "v1.0.0", HeardAt: now.Add(-time.Second),
			To: control.PeerHalf{Up: true, Since: now.Add(-time.Hour)}, From: control.PeerHalf{Up: true, Since: now.Add(-time.Minute)},
			Clock: &control.Clock{AheadSeconds: -3.25, ErrorSeconds: 0.0004}, Refused: 2, Refusal: "10.0.0.9: it has another key",
			Routers:    []control.PeerRouter{{Name: "web", Family: 4, State: "backup", Priority: 100, Standby: true}, {Name: "dns", Family: 6, State: "master", Priority: 100}},
			Drift:      []control.PeerDrift{{Wrong: true, Text: "virtual router web: lb2 has advert_interval 1s, here 100ms"}, {Text: "service www: lb2 has scheduler \"rr\", here \"wrr\""}},
			Servers:    []control.PeerServer{{Name: "www/192.0.2.11:80", Here: "healthy", There: "unhealthy: connection refused"}},
			Orders:     []control.PeerOrder{{Name: "www/192.0.2.12:80", Here: "drained by command", There: "as configured", Why: "--local on lb1", Meant: true}},
			Unanswered: []api.Unanswered{{Server: "www/192.0.2.13:80", Connections: 37, OthersPercent: 99, Checked: true}},
		},
	}
}

const pairTable = `lb1 · tandem v1.1.0
lb2 · tandem v1.0.0 · connected for 1m0s
clock of lb2: 3250.0ms behind ours, give or take 0.4ms
the versions differ: what only one of them knows is not compared
2 connections to the port of the channel were refused, the latest from 10.0.0.9: it has another key
what a failover would cost is not known: the other director cannot be asked: it is older
last drill: none is known (those of the other director are not known): see tandem drill --help
warning: the clock of lb2 is ahead

ROUTER  lb1     PRIORITY  lb2               PRIORITY
web     MASTER  150       BACKUP (standby)  100
mail    FAULT   1         -                 -
dns     -       -         MASTER            100

wrong: virtual router web: lb2 has advert_interval 1s, here 100ms
differs: service www: lb2 has scheduler "rr", here "wrr"
SEEN DIFFERENTLY   lb1      lb2
www/192.0.2.11:80  healthy  unhealthy: connection refused
ORDERED DIFFERENTLY  lb1                 lb2            WHY
www/192.0.2.12:80    drained by command  as configured  --local on lb1
ANSWERS NO CLIENTS OF lb2  UNANSWERED  OTHERS ANSWER  CHECK OF lb2
www/192.0.2.13:80          37          99 %           passes
`

// TestStatusOfThePair: both directors are shown side by side, with what differs; a channel that is lost, with since when and why.
func TestStatusOfThePair(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	s := pairStatus(now)
	var b bytes.Buffer
	f := drill.Foresee(s, control.Status{}, "it is older")
	if writePair(&b, s, f, now); b.String() != pairTable {
		t.Errorf("got\n%s\nwant\n%s", b.String(), pairTable)
	}
	b.Reset()
	if writePeerLine(&b, s.Peer, now); b.String() != "\npeer lb2 at 10.0.0.2:8474  connected for 1m0s; 4 differences: see tandem status --pair; there, www/192.0.2.13:80 does not answer clients\n" {
		t.Error(b.String())
	}
	b.Reset()
	*s.Peer = control.Peer{
		Address: "10.0.0.2:8474", To: control.PeerHalf{Since: now.Add(-time.Minute), Problem: "nobody listens there"}, From: control.PeerHalf{Since: now.Add(-time.Hour)},
	}
	writePair(&b, s, f, now)
	for _, want := range []string{"10.0.0.2:8474 · tandem - · lost for 1m0s: nobody listens there\n", "10.0.0.2:8474 has not told anything yet\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s\nhas no %s", b.String(), want)
		}
	}
	d := &statusOnly{}
	t.Setenv("TANDEM_SOCKET", serveControl(t, d))
	if _, _, err := execute(t, "status", "--pair"); err == nil || !strings.Contains(err.Error(), "has no channel to another one: see tandem peer init --help") {
		t.Error(err)
	}
	d.is = pairStatus(now)
	if out, _, err := execute(t, "status", "--pair"); err != nil || !strings.Contains(out, "SEEN DIFFERENTLY") {
		t.Errorf("%v, %s", err, out)
	}
}

// statusOnly is a director that has nothing but its status.
type statusOnly struct {
	control.Director
	is control.Status
}

func (s *statusOnly) Status() control.Status { return s.is }

func (s *statusOnly) AskPeer(context.Context, string, message.Ability, any) ([]byte, error) {
	return nil, errors.New("it is older")
}
