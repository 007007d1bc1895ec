// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// A nameLie is what a name server answers: bytes made of the right answer to the query.
type nameLie struct {
	lie
	change func(answer []byte) []byte
}

const (
	otherQuestion = "the answer is to another question"
	otherOwner    = "the A record in the answer is of another name or class"
	brokenAnswer  = "malformed answer"
	rightAnswer   = "www.example.org. 60 IN A 192.0.2.1"
)

// edited packs the right answer after a change, as a library does.
func edited(change func(*dns.Msg)) func([]byte) []byte {
	return func(b []byte) []byte {
		m := new(dns.Msg)
		if err := m.Unpack(b); err != nil {
			panic(err)
		}
		change(m)
		out, err := m.Pack()
		if err != nil {
			panic(err)
		}
		return out
	}
}

// records replaces the records of the answer.
func records(texts ...string) func([]byte) []byte {
	return edited(func(m *dns.Msg) {
		m.Answer = nil
		for _, text := range texts {
			record, err := dns.NewRR(text)
			if err != nil {
				panic(err)
			}
			m.Answer = append(m.Answer, record)
		}
	})
}

// question is the offset of the question, which follows the header (RFC 1035, section 4.1.1).
const question = 12

// nameLies are lies of RFC 1035, over TCP. The answer to www.example.org A is 12 + 17 + 4 + 12 + 4 bytes long.
func nameLies() (all []nameLie) {
	add := func(rule, name, want string, change func([]byte) []byte) {
		all = append(all, nameLie{lie{rule, name, "", want}, change})
	}
	same := func(b []byte) []byte { return b }
	add("RFC 1035, 4", "the answer", "", same)
	add("RFC 1035, 4.1.1", "authoritative", "", func(b []byte) []byte { b[2] |= 4; return b })
	add("RFC 1035, 4.1.1", "recursion available", "", func(b []byte) []byte { b[3] |= 0x80; return b })
	add("RFC 1035, 2.3.3", "in capitals", "", func(b []byte) []byte { copy(b[question:], "\x03WWW\x07EXAMPLE\x03ORG"); return b })
	add("RFC 1034, 3.6.2", "by an alias", "", records("www.example.org. 60 IN CNAME web.example.org.", "web.example.org. 60 IN A 192.0.2.1"))
	add("RFC 1034, 3.6.2", "by two aliases, the last one first", "", records("b.example.org. 60 IN A 192.0.2.1", "a.example.org. 60 IN CNAME B.example.org.", "WWW.example.org. 60 IN CNAME a.example.org."))
	add("RFC 1035, 4.1.3", "with others", "", records("x.example.org. 60 IN A 192.0.2.9", rightAnswer))
	// Section 4.1.1: the header.
	for bit := range 16 {
		add("RFC 1035, 4.1.1", fmt.Sprintf("ID with bit %d turned", bit), otherQuestion, func(b []byte) []byte { b[bit/8] ^= 1 << (bit % 8); return b })
	}
	add("RFC 1035, 4.1.1", "QR 0", "the answer is a query", func(b []byte) []byte { b[2] &^= 0x80; return b })
	for opcode := 1; opcode < 16; opcode++ {
		name, ok := dns.OpcodeToString[opcode]
		if !ok {
			name = fmt.Sprintf("OPCODE%d", opcode)
		}
		add("RFC 1035, 4.1.1", "OPCODE "+name, "the answer has another opcode: "+name, func(b []byte) []byte { b[2] |= byte(opcode) << 3; return b })
	}
	for code := 1; code < 16; code++ {
		name, ok := dns.RcodeToString[code]
		if !ok {
			name = fmt.Sprintf("RCODE%d", code)
		}
		add("RFC 1035, 4.1.1", "RCODE "+name, name+", want NOERROR", func(b []byte) []byte { b[3] |= byte(code); return b })
	}
	add("RFC 1035, 4.1.1", "TC without an answer", "the answer is truncated: ask over TCP", edited(func(m *dns.Msg) { m.Truncated, m.Answer = true, nil }))
	add("RFC 1035, 4.1.1", "QDCOUNT 0", otherQuestion, edited(func(m *dns.Msg) { m.Question = nil }))
	add("RFC 1035, 4.1.1", "QDCOUNT 2", otherQuestion, edited(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }))
	add("RFC 1035, 4.1.1", "ANCOUNT 0", "no A record in the answer", edited(func(m *dns.Msg) { m.Answer = nil }))
	// Section 4.1.2: the question is the one that was asked.
	for _, name := range []string{
		".", "org.", "example.org.", "ww.example.org.", "wwww.example.org.", "www.example.org.example.org.", "www.example.com.",
		"www.exampl.org.", "mail.example.org.", "www-example.org.", "wwwexample.org.", "www.example.or.",
		"xn--www.example.org.", "www.examp1e.org.", "1.2.0.192.in-addr.arpa.", "localhost.", "ns.example.org.", "a.www.example.org.",
	} {
		add("RFC 1035, 4.1.2", "QNAME "+name, otherQuestion, edited(func(m *dns.Msg) { m.Question[0].Name = name }))
		// Section 4.1.3: the record is of the name that was asked for.
		add("RFC 1035, 4.1.3", "the record of "+name, otherOwner, records(name+" 60 IN A 192.0.2.1"))
	}
	for _, typ := range []uint16{0, 2, 5, 6, 12, 15, 16, 28, 33, 41, 43, 46, 47, 48, 64, 65, 250, 251, 252, 253, 255, 256, 257, 65535} {
		add("RFC 1035, 3.2.3", fmt.Sprintf("QTYPE %d", typ), otherQuestion, edited(func(m *dns.Msg) { m.Question[0].Qtype = typ }))
	}
	for _, class := range []uint16{0, 2, 3, 4, 5, 254, 255, 256, 257, 65535} {
		add("RFC 1035, 3.2.5", fmt.Sprintf("QCLASS %d", class), otherQuestion, edited(func(m *dns.Msg) { m.Question[0].Qclass = class }))
		add("RFC 1035, 3.2.4", fmt.Sprintf("the record of CLASS %d", class), otherOwner, edited(func(m *dns.Msg) { m.Answer[0].Header().Class = class }))
	}
	for _, record := range []string{
		"60 IN AAAA 2001:db8::1", "60 IN CNAME web.example.org.", "60 IN TXT \"192.0.2.1\"", "60 IN MX 10 mx.example.org.",
		"60 IN NS ns.example.org.", "60 IN SOA a. b. 1 2 3 4 5", "60 IN PTR x.", "60 IN SRV 1 1 1 x.",
		"60 IN CAA 0 issue \"x\"", "60 IN HINFO a b",
	} {
		add("RFC 1035, 3.2.2", "instead the record "+record, "no A record in the answer", records("www.example.org. "+record))
	}
	for name, texts := range map[string][]string{
		"an alias to another name": {"www.example.org. 60 IN CNAME a.example.org.", "b.example.org. 60 IN A 192.0.2.1"},
		"an alias of another name": {"x.example.org. 60 IN CNAME a.example.org.", "a.example.org. 60 IN A 192.0.2.1"},
		"aliases in a circle":      {"www.example.org. 60 IN CNAME a.example.org.", "a.example.org. 60 IN CNAME www.example.org.", "b.example.org. 60 IN A 192.0.2.1"},
		"an alias of class CH":     {"www.example.org. 60 CH CNAME a.example.org.", "a.example.org. 60 IN A 192.0.2.1"},
	} {
		add("RFC 1034, 3.6.2", name, otherOwner, records(texts...))
	}
	// Sections 4.1 and 4.1.4: what cannot be read.
	whole := question + 17 + 4 + 12 + 4
	for n := range whole - 4 {
		switch {
		case n < question:
			add("RFC 1035, 4.1", fmt.Sprintf("the first %d bytes", n), brokenAnswer, func(b []byte) []byte { return b[:n] })
		case n == question+17, n == question+19: // the question lacks its type, or its class
			add("RFC 1035, 4.1", fmt.Sprintf("the first %d bytes", n), otherQuestion, func(b []byte) []byte { return b[:n] })
		case n > question && n != question+21: // a message may end where a part of it does
			add("RFC 1035, 4.1", fmt.Sprintf("the first %d bytes", n), brokenAnswer, func(b []byte) []byte { return b[:n] })
		}
	}
	for _, at := range []int{question, question + 21} { // the names of the question and of the record
		for first, rest := range map[byte][]byte{0x40: {1}, 0x80: {1}, 0xbf: {255}, 0xff: {0xff}, 0xc0: {byte(at)}, 0xc3: {0xff}} {
			add("RFC 1035, 4.1.4", fmt.Sprintf("a name of %#x %#x at %d", first, rest[0], at), brokenAnswer, func(b []byte) []byte { b[at], b[at+1] = first, rest[0]; return b })
		}
	}
	for _, n := range []uint16{0, 1, 2, 3, 5, 6, 16, 255, 256, 65535} {
		add("RFC 1035, 3.2.1", fmt.Sprintf("RDLENGTH %d", n), map[bool]string{true: brokenAnswer, false: ""}[n != 4], func(b []byte) []byte {
			binary.BigEndian.PutUint16(b[len(b)-6:], n)
			return b
		})
	}
	return all
}

func TestLiesOfNameServers(t *testing.T) {
	target := probetest.Target(healthcheck.DNS, probetest.Addr, 0, func(c *healthcheck.Config) {
		c.Query = healthcheck.Query{Name: "www.example.org", Type: "A", TCP: true}
	})
	tests := nameLies()
	lies := make([]lie, len(tests))
	for i, tt := range tests {
		lies[i] = tt.lie
	}
	enough(t, lies)
	for _, tt := range tests {
		got := pipe(func(c net.Conn) {
			asked := make([]byte, 512)
			n, err := io.ReadAtLeast(c, asked, 2)
			for err == nil && n < 2+int(binary.BigEndian.Uint16(asked)) {
				var more int
				more, err = c.Read(asked[n:])
				n += more
			}
			q := new(dns.Msg)
			if err != nil || q.Unpack(asked[2:n]) != nil {
				return
			}
			answer := new(dns.Msg)
			answer.SetReply(q)
			record, _ := dns.NewRR(rightAnswer)
			answer.Answer = []dns.RR{record}
			answer.Compress = strings.Contains(tt.name, "name of")
			packed, _ := answer.Pack()
			packed = tt.change(packed)
			_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...))
		}).Probe(t.Context(), &target)
		if err := judged(tt.lie, got); err != nil {
			t.Error(err)
		}
	}
}
