// SPDX-License-Identifier: Apache-2.0

package message

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

func weight(n int) *int { return &n }

// samplesOfAll are messages with every member.
func samplesOfAll() []Message {
	clock := &Clock{Sent: 5, Echo: 3, Heard: 4}
	return []Message{
		{Kind: KindHello, Hello: &Hello{Protocol: 1, Name: "lb1", Version: "v1", Instance: "x", Proof: []byte{1}, Can: Abilities()}},
		{Kind: KindAsk, Clock: clock, Part: &Part{ID: "x", To: AskPlan, By: "alice", Part: 1, More: true, Body: []byte("{}")}},
		{Kind: KindAnswer, Clock: clock, Part: &Part{ID: "x", Problems: []string{"no"}}},
		{Kind: KindAlive, Clock: clock},
		{Kind: KindFacts, Clock: clock, Facts: &Facts{Name: "lb1", SHA256: "aa", All: []Fact{{"virtual router web", "vrid", "51"}}, Left: 2}},
		{Kind: KindView, Clock: clock, View: &View{
			Routers:     []Router{{Name: "web", Family: 4, State: "master", Priority: 150, Standby: true, Since: time.Unix(7, 0).UTC(), Waits: &Waits{Have: 1, Of: 2}}},
			Counted:     true,
			Servers:     []Server{{Name: "www/192.0.2.11:80", Health: "unhealthy", Reason: "connection refused", Established: 5}},
			ServersLeft: 1, OrdersLeft: 2, Behind: true, Trouble: "no",
			Orders: []Order{{Server: "www/192.0.2.11:80", Drained: true, Disabled: true, Weight: weight(0), Number: 9, By: "lb1", Local: true, Unknown: "no"}},
		}},
	}
}

func decoded(octets []byte, most int) (Message, error) {
	r := bytes.NewReader(octets)
	n, err := ReadLength(r, most)
	if err != nil {
		return Message{}, err
	}
	return ReadBody(r, n)
}

func TestMessages(t *testing.T) {
	for _, m := range samplesOfAll() {
		octets, err := Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		if is, err := decoded(octets, MaxSize); err != nil || !reflect.DeepEqual(is, m) {
			t.Errorf("%s: %v\n%+v\n%+v", m.Kind, err, is, m)
		}
		for cut := range octets {
			if _, err := decoded(octets[:cut], MaxSize); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%s, %d octets of it: %v", m.Kind, cut, err)
			}
		}
	}
}

// TestRefusals: what breaks a limit is refused, with words for the status.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"no JSON", "GET / HTTP/1.1", "a message that is not JSON of the protocol: "},
		{"another type", `{"kind": 5}`, "a message that is not JSON of the protocol: "},
		{"no content", `{"kind": "view"}`, "a message of kind view without its content"},
		{"no name", `{"kind": "hello", "hello": {"protocol": 1}}`, "a hello without protocol or name"},
		{"number", `{"kind": "view", "view": {"orders": [{"server": "s", "number": 9007199254740993}]}}`, "an order with the number 9007199254740993: want at most"},
		{"weight", `{"kind": "view", "view": {"orders": [{"server": "s", "weight": 65536}]}}`, "an order with the weight 65536: want 0 to 65535"},
		{"negative weight", `{"kind": "view", "view": {"orders": [{"server": "s", "weight": -1}]}}`, "an order with the weight -1: want 0 to 65535"},
		{"share of answers", `{"kind": "view", "view": {"servers": [{"unanswered": {"n": 3, "others": 101}}]}}`, "3 connections without an answer, and 101 % with one"},
		{"connections", `{"kind": "view", "view": {"servers": [{"unanswered": {"n": -1}}]}}`, "-1 connections without an answer"},
		{"established", `{"kind": "view", "view": {"servers": [{"established": -1}]}}`, "a real server with -1 connections"},
		{"too many established", `{"kind": "view", "view": {"servers": [{"established": 2147483649}]}}`, "a real server with 2147483649 connections"},
		{"more than all", `{"kind": "view", "view": {"routers": [{"waits": {"have": 3, "of": 2}}]}}`, "a virtual router with 3 of 2 connections"},
		{"fewer than none", `{"kind": "view", "view": {"routers": [{"waits": {"have": -1, "of": 2}}]}}`, "a virtual router with -1 of 2 connections"},
		{"servers", `{"kind": "view", "view": {"servers": [` + strings.Repeat("{},", MaxServers) + `{}]}}`, "20001 real servers: want at most 20000"},
		{"orders", `{"kind": "view", "view": {"orders": [` + strings.Repeat("{},", MaxOrders) + `{}]}}`, "20001 orders: want at most 20000"},
		{"routers", `{"kind": "view", "view": {"routers": [` + strings.Repeat("{},", MaxRouters) + `{}]}}`, "1001 virtual routers: want at most 1000"},
		{"no part", `{"kind": "ask"}`, "a message of kind ask without its content"},
		{"no ID", `{"kind": "ask", "part": {}}`, "a part of a question or an answer with an ID of 0 bytes: want 1 to 64"},
		{"number of a part", `{"kind": "answer", "part": {"id": "x", "n": -1}}`, "part -1 of a question or an answer"},
		{"long part", `{"kind": "ask", "part": {"id": "x", "body": "` + strings.Repeat("AAAA", MaxPart/3+1) + `"}}`, "part 0 of a question or an answer, with 65538 bytes"},
		{"facts", `{"kind": "facts", "facts": {"all": [` + strings.Repeat("{},", MaxFacts) + `{}]}}`, "50001 facts: want at most 50000"},
	} {
		var v *Violation
		if _, err := Decode([]byte(tt.text)); !errors.As(err, &v) || !strings.HasPrefix(v.Problem, tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	for _, head := range [][]byte{{0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 0}, {0, 0x80, 0, 1}, []byte("GET /")} {
		var v *Violation
		if _, err := ReadLength(bytes.NewReader(head), MaxSize); !errors.As(err, &v) {
			t.Errorf("%x: %v", head, err)
		}
	}
}

// TestOtherVersions: what a newer director adds is ignored, and what an older one does not have is empty.
func TestOtherVersions(t *testing.T) {
	newer := `{"kind": "view", "mood": 7, "view": {"new": [1], "orders": [{"server": "s", "drained": true, "reason": "x"}], "routers": [{"name": "web", "colour": 3}]}}`
	m, err := Decode([]byte(newer))
	if err != nil || !m.View.Orders[0].Drained || m.View.Routers[0].Name != "web" {
		t.Errorf("%v, %+v", err, m)
	}
	if m, err := Decode([]byte(`{"kind": "weather", "view": {}, "rain": true}`)); err != nil || m.View != nil || m.Kind != "weather" {
		t.Errorf("an unknown kind: %v, %+v", err, m)
	}
	if m, err := Decode([]byte(`{"kind": "view", "view": {}}`)); err != nil || m.Clock != nil || m.View.Counted || len(m.View.Orders) != 0 {
		t.Errorf("an older director: %v, %+v", err, m)
	}
}

// TestTextsOfOthers: what the other director writes cannot fill or command a terminal.
func TestTextsOfOthers(t *testing.T) {
	text, err := json.Marshal(Message{Kind: KindView, View: &View{Trouble: "a\x1b[2Jb\n" + strings.Repeat("é", MaxText)}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := Decode(text)
	if is := m.View.Trouble; err != nil || len(is) > MaxText || !strings.HasPrefix(is, "a [2Jb é") || !strings.HasSuffix(is, "é…") {
		t.Errorf("%v %d %q", err, len(is), is)
	}
}

// TestTextsOfAnswers: no string of an answer can command a terminal; numbers keep all their digits.
func TestTextsOfAnswers(t *testing.T) {
	is, err := CleanJSON([]byte(`{"a\u001b": ["x\u001b[2Jy", 9007199254740993], "b": {"c": "d\ne"}, "f": null}`))
	if want := `{"a ":["x [2Jy",9007199254740993],"b":{"c":"d e"},"f":null}`; err != nil || string(is) != want {
		t.Errorf("%v, %s", err, is)
	}
	if _, err := CleanJSON([]byte(`{`)); err == nil {
		t.Error("no error")
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range samplesOfAll() {
		octets, err := Encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(octets)
	}
	f.Add([]byte("\x00\x00\x00\x02{}"))
	f.Fuzz(func(t *testing.T, octets []byte) {
		m, err := decoded(octets, MaxSize)
		if err != nil {
			return
		}
		again, err := Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		if is, err := decoded(again, MaxSize); err != nil || !reflect.DeepEqual(is, m) {
			t.Errorf("%v\n%+v\n%+v", err, is, m)
		}
	})
}
