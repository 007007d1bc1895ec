// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestAccount computes outages from texts: one character for each probe, every millisecond, "." if it was answered and "x" if
// not.
func TestAccount(t *testing.T) {
	const ms = time.Millisecond
	type outage struct { // with Began counted from the first probe
		sent, lost          int
		longest, began, gap time.Duration
		open                bool
	}
	for _, tt := range []struct {
		probes string
		want   outage
	}{
		{"", outage{}},
		{"....", outage{sent: 4, gap: ms}},
		{".x..", outage{sent: 4, lost: 1, longest: ms, began: ms, gap: ms}},
		{"..xxx.x.", outage{sent: 8, lost: 4, longest: 3 * ms, began: 2 * ms, gap: ms}},
		{".x.xx.", outage{sent: 6, lost: 3, longest: 2 * ms, began: 3 * ms, gap: ms}},
		{"xx..", outage{sent: 4, lost: 2, longest: 2 * ms, gap: ms}},
		{"..xxx", outage{sent: 5, lost: 3, longest: 2 * ms, began: 2 * ms, gap: ms, open: true}},
		{"....x", outage{sent: 5, lost: 1, began: 4 * ms, gap: ms, open: true}},
		{"x", outage{sent: 1, lost: 1, open: true}},
		// The prober itself paused for 4 ms.
		{".x    ..", outage{sent: 4, lost: 1, longest: 5 * ms, began: ms, gap: 5 * ms}},
	} {
		start := time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)
		var sent, answered []time.Time
		for i, c := range tt.probes {
			when, answer := start.Add(time.Duration(i)*ms), time.Time{}
			switch c {
			case ' ':
				continue
			case '.':
				answer = when.Add(ms / 4)
			}
			sent, answered = append(sent, when), append(answered, answer)
		}
		o := account(sent, answered)
		got := outage{sent: o.Sent, lost: o.Lost, longest: o.Longest, gap: o.Gap, open: o.Open}
		if !o.Began.IsZero() {
			got.began = o.Began.Sub(start)
		}
		if got != tt.want {
			t.Errorf("%q: %+v, want %+v", tt.probes, got, tt.want)
		}
	}
}

// TestDisturbed: a question without an answer near a long pause of the prober is told apart.
func TestDisturbed(t *testing.T) {
	start := time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		lost []int // questions, asked every 5 ms
		long time.Duration
		want int
	}{
		{[]int{3}, 0, 0},
		{[]int{100}, longPause - 10*time.Millisecond, 0},
		{[]int{100, 101, 119, 120}, longPause, 3}, // the pause is before question 100
		{[]int{79, 80, 99}, longPause, 2},
	} {
		sent, answered := make([]time.Time, 200), make([]time.Time, 200)
		for i := range sent {
			sent[i] = start.Add(time.Duration(i) * 5 * time.Millisecond)
			if i >= 100 {
				sent[i] = sent[i].Add(tt.long)
			}
			answered[i] = sent[i].Add(time.Millisecond)
		}
		for _, i := range tt.lost {
			answered[i] = time.Time{}
		}
		if o := account(sent, answered); o.Disturbed != tt.want || o.Lost != len(tt.lost) {
			t.Errorf("%v after a pause of %s: %d of %d disturbed, want %d", tt.lost, tt.long, o.Disturbed, o.Lost, tt.want)
		}
	}
}

// TestLongestOverlap computes overlaps from texts: one digit for each question, every 10 ms, with the number of answers.
func TestLongestOverlap(t *testing.T) {
	const each = 10 * time.Millisecond
	for _, tt := range []struct {
		answers          string
		overlap, silence time.Duration
	}{
		{"", 0, 0},
		{"1111", 0, 0},
		{"1211", each, 0},
		{"122122211", 3 * each, 0},
		{"11001", 0, 2 * each},
		{"1122", each, 0}, // as far as was asked
		{"10201", each, each},
	} {
		var answers []ARPAnswer
		start := time.Now()
		for i, c := range tt.answers {
			answers = append(answers, ARPAnswer{Asked: start.Add(time.Duration(i) * each), MACs: make([]string, c-'0')})
		}
		if got := LongestOverlap(answers); got != tt.overlap {
			t.Errorf("%q: overlap %s, want %s", tt.answers, got, tt.overlap)
		}
		if got := LongestSilence(answers); got != tt.silence {
			t.Errorf("%q: silence %s, want %s", tt.answers, got, tt.silence)
		}
		if got := LongestPause(answers); len(answers) > 1 && got != each {
			t.Errorf("%q: pause %s, want %s", tt.answers, got, each)
		}
	}
}

const procIPVS = `IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  C0000264:0050 wrr  
  -> C000020C:0050      Route   0      0          0         
  -> C000020B:0050      Route   65535  0          3         
UDP  C0000264:0007 rr  
  -> C000020B:0007      Masq    1      0          0         
`

func TestParseWeights(t *testing.T) {
	got, err := parseWeights(procIPVS)
	want := map[string]int{"tcp 192.0.2.12": 0, "tcp 192.0.2.11": 65535, "udp 192.0.2.11": 1}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}

func FuzzParseWeights(f *testing.F) {
	f.Add(procIPVS)
	f.Add("  -> zz:0050 Route 1 0 0\n")
	f.Fuzz(func(t *testing.T, text string) {
		if weights, err := parseWeights(text); err == nil && weights == nil {
			t.Error("neither weights nor an error")
		}
	})
}

// message makes a netlink message.
func message(kind, flags uint16, body ...byte) []byte {
	m := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	m = binary.NativeEndian.AppendUint16(m, kind)
	m = binary.NativeEndian.AppendUint16(m, flags)
	m = append(append(m, make([]byte, 8)...), body...)
	for len(m)%4 != 0 {
		m = append(m, 0)
	}
	return m
}

func TestChanges(t *testing.T) {
	const ipvs, request = 37, unix.NLM_F_REQUEST
	for _, tt := range []struct {
		name     string
		data     []byte
		protocol uint16
		want     string
	}{
		{"new service", message(ipvs, request, 1, 1, 0, 0), unix.NETLINK_GENERIC, "[IPVS command 1]"},
		{"get services", message(ipvs, request|unix.NLM_F_DUMP, 4, 1, 0, 0), unix.NETLINK_GENERIC, "[]"},
		{"get servers", message(ipvs, request|unix.NLM_F_DUMP, 8, 1, 0, 0), unix.NETLINK_GENERIC, "[]"},
		{"flush", message(ipvs, request, 17, 1, 0, 0), unix.NETLINK_GENERIC, "[IPVS command 17]"},
		{"the kernel's answer", message(ipvs, unix.NLM_F_MULTI, 1, 1, 0, 0), unix.NETLINK_GENERIC, "[]"},
		{"another family", message(ipvs+1, request, 1, 1, 0, 0), unix.NETLINK_GENERIC, "[]"},
		{"add address", message(unix.RTM_NEWADDR, request, 2), unix.NETLINK_ROUTE, "[route netlink message 20]"},
		{"delete route", message(unix.RTM_DELROUTE, request, 2), unix.NETLINK_ROUTE, "[route netlink message 25]"},
		{"list links", message(unix.RTM_GETLINK, request|unix.NLM_F_DUMP, 0), unix.NETLINK_ROUTE, "[]"},
		{"address event", message(unix.RTM_NEWADDR, 0, 2), unix.NETLINK_ROUTE, "[]"},
		{"two in one", append(message(ipvs, request, 5), message(ipvs, request, 6, 1, 0)...), unix.NETLINK_GENERIC,
			"[IPVS command 5 IPVS command 6]"},
		{"acknowledgement", message(unix.NLMSG_ERROR, request, 0, 0, 0, 0), unix.NETLINK_GENERIC, "[]"},
		{"cut short", message(ipvs, request, 1, 1, 0, 0)[:18], unix.NETLINK_GENERIC, "[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := fmt.Sprint(changes(tt.data, tt.protocol, ipvs)); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func FuzzChanges(f *testing.F) {
	f.Add(message(37, 1, 5), uint16(16))
	f.Add(message(20, 1, 2), uint16(0))
	f.Fuzz(func(t *testing.T, data []byte, protocol uint16) {
		if n := len(changes(data, protocol, 37)); n > len(data)/unix.SizeofNlMsghdr {
			t.Errorf("%d changes in %d bytes", n, len(data))
		}
	})
}

// TestLongestGap: a gap counts if the span has a part of it. The times are in milliseconds.
func TestLongestGap(t *testing.T) {
	start := time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	for _, tt := range []struct {
		frames       []int
		began, ended int
		want         int
	}{
		{nil, 0, 100, 0},
		{[]int{50}, 0, 100, 0},
		{[]int{0, 10, 30, 40}, 0, 40, 20},
		{[]int{0, 90, 100, 120, 130, 230}, 95, 125, 20}, // the long ones are before and after
		{[]int{0, 90, 100, 120, 130, 230}, 80, 125, 90}, // the span begins in one
		{[]int{0, 90, 100, 120, 130, 230}, 95, 140, 100},
		{[]int{0, 90, 100, 120, 130, 230}, 150, 160, 100}, // the span is within one
		{[]int{0, 90, 100}, 90, 100, 10},
	} {
		var frames []Frame
		for _, ms := range tt.frames {
			frames = append(frames, Frame{When: at(ms)})
		}
		if got, want := LongestGap(frames, at(tt.began), at(tt.ended)), at(tt.want).Sub(start); got != want {
			t.Errorf("%v from %d to %d: %s, want %s", tt.frames, tt.began, tt.ended, got, want)
		}
	}
}
