// SPDX-License-Identifier: Apache-2.0

package handoff

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/vrrp"
)

func document() Document {
	r := message.Router{Config: vrrp.Config{
		Name: "web", Interface: "eth0", VRID: 51, Version: 3, Priority: 150, AdvertInterval: time.Second,
		VIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")},
		HMAC: vrrp.HMAC{Mode: vrrp.HMACEnforce, AntiReplay: vrrp.AntiReplayMonotonic, ActiveKey: 1, Keys: []vrrp.Key{{ID: 1}}},
	}, Secrets: [][]byte{[]byte("Geheimnis")}}
	return Document{
		Format: Format, Version: "v1.0.0", Count: 1, File: "/etc/tandem/tandem.toml", SHA256: "51",
		Election: &Election{
			PID: 51, Socket: 7, Board: 8, Order: WithoutSecrets(message.Order{Sequence: 3, Routers: []message.Router{r}}),
			Report: message.Report{Sequence: 3, Routers: []vrrp.Status{{Name: "web", Interface: "eth0", State: vrrp.Master}}},
		},
	}
}

// TestDocument: what is written is read, and has no secret.
func TestDocument(t *testing.T) {
	d := document()
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Read(strings.NewReader(string(text))); err != nil || !reflect.DeepEqual(got, d) {
		t.Errorf("%+v, %v, want %+v", got, err, d)
	}
	if strings.Contains(string(text), "R2VoZWlt") || strings.Contains(string(text), "secrets") {
		t.Errorf("a secret: %s", text)
	}
}

// TestUnreadable: a document that this version does not understand is refused.
func TestUnreadable(t *testing.T) {
	text, err := json.Marshal(document())
	if err != nil {
		t.Fatal(err)
	}
	good := string(text)
	changed := func(from, to string) string {
		if !strings.Contains(good, from) {
			t.Fatalf("%s is not in %s", from, good)
		}
		return strings.Replace(good, from, to, 1)
	}
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "failed to read"},
		{"a half", good[:len(good)/2], "failed to read"},
		{"a later format", changed(`"format":1`, `"format":2`), "has format 2, and this version reads format 1"},
		{"no format", changed(`"format":1,`, ``), "has format 0"},
		{"something new", changed(`"count"`, `"lease":1,"count"`), `unknown field "lease"`},
		{"something new in an order", changed(`"orphan_grace"`, `"lease":1,"orphan_grace"`), `unknown field "lease"`},
		{"another type", changed(`"pid":51`, `"pid":"51"`), "failed to read"},
		{"no configuration", changed(`"/etc/tandem/tandem.toml"`, `""`), "incomplete"},
		{"no process", changed(`"pid":51`, `"pid":0`), "it lacks the election process"},
		{"no socket", changed(`"socket":7`, `"socket":0`), "it lacks the election process"},
	} {
		if _, err := Read(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
