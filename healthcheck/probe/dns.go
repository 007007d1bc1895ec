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

// resolve asks a name server and judges the answer.
func resolve(ctx context.Context, conn net.Conn, t *healthcheck.Target) healthcheck.Result {
	q := t.Config.Query
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(q.Name), dns.StringToType[q.Type])
	m.SetEdns0(dns.DefaultMsgSize, false)
	c := &dns.Conn{Conn: conn, UDPSize: dns.DefaultMsgSize}
	if err := c.WriteMsg(m); err != nil {
		return socket.HungUp(ctx, err, t, socket.HungUpEarly, "sending the query")
	}
	for {
		raw, err := c.ReadMsgHeader(nil)
		if err != nil {
			if isShort(err) {
				return healthcheck.Fail(healthcheck.Malformed, "malformed answer")
			}
			res := socket.HungUp(ctx, err, t, socket.HungUpEarly, "waiting for the answer")
			res.Silent = !q.TCP && res.Outcome == healthcheck.Failed && socket.Silence(err)
			return res
		}
		answer := new(dns.Msg)
		if answer.Unpack(raw) != nil {
			return healthcheck.Fail(healthcheck.Malformed, "malformed answer")
		}
		if answer.Id != m.Id && !q.TCP {
			continue // the answer to another query, or a late one
		}
		return judgeAnswer(m, answer, q)
	}
}

// data is the data of a record in the form of zone files.
func data(record dns.RR) string { return strings.TrimPrefix(record.String(), record.Header().String()) }

// isShort says whether an error is the library's own: the message is too short for a header.
func isShort(err error) bool {
	var own *dns.Error
	return errors.As(err, &own)
}

func judgeAnswer(asked, answer *dns.Msg, q healthcheck.Query) healthcheck.Result {
	want := asked.Question[0]
	switch {
	case answer.Id != asked.Id || !answer.Response || len(answer.Question) != 1 ||
		!strings.EqualFold(answer.Question[0].Name, want.Name) || answer.Question[0].Qtype != want.Qtype:
		return healthcheck.Fail(healthcheck.Unexpected, "the answer is to another question")
	case answer.Rcode != dns.RcodeSuccess:
		code, ok := dns.RcodeToString[answer.Rcode]
		if !ok {
			code = "RCODE" + fmt.Sprint(answer.Rcode)
		}
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
	for _, record := range answer.Answer {
		if record.Header().Rrtype == want.Qtype && (expected == nil || strings.EqualFold(data(record), canonical)) {
			return healthcheck.Pass("NOERROR with the expected record")
		}
	}
	switch {
	case answer.Truncated:
		return healthcheck.Fail(healthcheck.Unexpected, "the answer is truncated: ask over TCP")
	case q.Answer != "":
		return healthcheck.Fail(healthcheck.Unexpected, fmt.Sprintf("no %s record %q in the answer", q.Type, q.Answer))
	}
	return healthcheck.Fail(healthcheck.Unexpected, fmt.Sprintf("no %s record in the answer", q.Type))
}
