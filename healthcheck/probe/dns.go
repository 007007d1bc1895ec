// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/miekg/dns"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
)

// malformedAnswer is the reason of an answer that cannot be read.
const malformedAnswer = "malformed answer"

// resolve asks a name server and judges the answer.
func resolve(ctx context.Context, conn net.Conn, t *healthcheck.Target) healthcheck.Result {
	q := t.Config.Query
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(q.Name), dns.StringToType[q.Type])
	m.SetEdns0(dns.DefaultMsgSize, false)
	c := &dns.Conn{Conn: conn, UDPSize: dns.DefaultMsgSize}
	if err := c.WriteMsg(m); err != nil {
		return socket.HungUp(ctx, err, t, socket.BeforeResponse, "sending the query")
	}
	for {
		raw, err := c.ReadMsgHeader(nil)
		if err != nil {
			if isShort(err) {
				return healthcheck.Fail(healthcheck.Malformed, malformedAnswer)
			}
			res := socket.HungUp(ctx, err, t, socket.BeforeResponse, "waiting for the answer")
			res.Silent = !q.TCP && res.Outcome == healthcheck.Failed && socket.Silence(err)
			return res
		}
		answer := new(dns.Msg)
		if answer.Unpack(raw) != nil {
			return healthcheck.Fail(healthcheck.Malformed, malformedAnswer)
		}
		if answer.Id != m.Id && !q.TCP {
			continue // the answer to another query, or a late one
		}
		return judgeAnswer(m, answer, q)
	}
}

// data returns the data of a record in the form of zone files.
func data(record dns.RR) string { return strings.TrimPrefix(record.String(), record.Header().String()) }

// isShort reports whether an error is the library's own: the message is too short for a header.
func isShort(err error) bool {
	var own *dns.Error
	return errors.As(err, &own)
}

// judgeAnswer judges the answer to a question (RFC 1035, section 4.1; RFC 5452, section 9.1).
func judgeAnswer(asked, answer *dns.Msg, q healthcheck.Query) healthcheck.Result {
	want := asked.Question[0]
	switch {
	case !answer.Response:
		return healthcheck.Fail(healthcheck.Malformed, "the answer is a query")
	case answer.Opcode != asked.Opcode:
		opcode := named(dns.OpcodeToString, answer.Opcode, "OPCODE")
		return healthcheck.Fail(healthcheck.Malformed, "the answer has another opcode: "+opcode)
	case answer.Id != asked.Id || len(answer.Question) != 1 || !sameQuestion(answer.Question[0], want):
		return healthcheck.Fail(healthcheck.Unexpected, "the answer is to another question")
	case answer.Rcode != dns.RcodeSuccess:
		code := named(dns.RcodeToString, answer.Rcode, "RCODE")
		return healthcheck.FailCode(healthcheck.Unexpected, answer.Rcode, code+", want NOERROR")
	}
	expected, err := q.Expected()
	if err != nil {
		return healthcheck.Fail(healthcheck.Unexpected, "no such answer: "+q.Answer)
	}
	canonical := ""
	if expected != nil {
		canonical = data(expected)
	}
	names, strangers := owners(answer.Answer, want), 0
	for _, record := range answer.Answer {
		h := record.Header()
		switch {
		case h.Rrtype != want.Qtype || expected != nil && !strings.EqualFold(data(record), canonical):
		case h.Rdlength == 0 && h.Rrtype != dns.TypeNULL && h.Rrtype != dns.TypeAPL: // the library lets a record be empty, as in updates
			return healthcheck.Fail(healthcheck.Malformed, malformedAnswer)
		case h.Class != want.Qclass || !names[strings.ToLower(h.Name)]:
			strangers++
		default:
			return healthcheck.Pass("NOERROR with the expected record")
		}
	}
	switch {
	case answer.Truncated:
		return healthcheck.Fail(healthcheck.Unexpected, "the answer is truncated: ask over TCP")
	case strangers > 0:
		return healthcheck.Fail(healthcheck.Unexpected, fmt.Sprintf("the %s record in the answer is of another name or class", q.Type))
	case q.Answer != "":
		return healthcheck.Fail(healthcheck.Unexpected, fmt.Sprintf("no %s record %q in the answer", q.Type, q.Answer))
	}
	return healthcheck.Fail(healthcheck.Unexpected, fmt.Sprintf("no %s record in the answer", q.Type))
}

func sameQuestion(a, b dns.Question) bool {
	return strings.EqualFold(a.Name, b.Name) && a.Qtype == b.Qtype && a.Qclass == b.Qclass
}

// owners returns the names whose records answer a question, in lower case: the name itself, and those to which its aliases
// lead, in whatever order they come (RFC 1034, section 3.6.2).
func owners(records []dns.RR, want dns.Question) map[string]bool {
	names := map[string]bool{strings.ToLower(want.Name): true}
	if want.Qtype == dns.TypeCNAME {
		return names
	}
	for found := true; found; {
		found = false
		for _, record := range records {
			alias, ok := record.(*dns.CNAME)
			if !ok || alias.Hdr.Class != want.Qclass || !names[strings.ToLower(alias.Hdr.Name)] || names[strings.ToLower(alias.Target)] {
				continue
			}
			names[strings.ToLower(alias.Target)], found = true, true
		}
	}
	return names
}

// named returns the name of a number, or the number behind a prefix.
func named(names map[int]string, n int, prefix string) string {
	if name, ok := names[n]; ok {
		return name
	}
	return prefix + fmt.Sprint(n)
}
