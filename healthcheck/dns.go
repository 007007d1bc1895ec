// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/miekg/dns"
)

// resolve asks a name server and judges the answer.
func resolve(ctx context.Context, conn net.Conn, t Target) result {
	q := t.Config.Query
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(q.Name), dns.StringToType[q.Type])
	m.SetEdns0(dns.DefaultMsgSize, false)
	c := &dns.Conn{Conn: conn, UDPSize: dns.DefaultMsgSize}
	if err := c.WriteMsg(m); err != nil {
		return hungUp(ctx, err, t, hungUpEarly, "sending the query")
	}
	for {
		raw, err := c.ReadMsgHeader(nil)
		if err != nil {
			if isShort(err) {
				return fail("malformed answer")
			}
			res := hungUp(ctx, err, t, hungUpEarly, "waiting for the answer")
			res.silent = !q.TCP && res.outcome == failed && silence(err)
			return res
		}
		answer := new(dns.Msg)
		if answer.Unpack(raw) != nil {
			return fail("malformed answer")
		}
		if answer.Id != m.Id && !q.TCP {
			continue // somebody else's, or late
		}
		return judgeAnswer(m, answer, q)
	}
}

// expected is the data of the record that is expected, as data has it; empty: any will do. It may be written in every way
// that zone files know (RFC 1035, section 5.1), names relative to the root.
func (q Query) expected() (string, error) {
	if q.Answer == "" {
		return "", nil
	}
	record, err := dns.NewRR(". 0 IN " + q.Type + " " + q.Answer)
	if err == nil && record == nil {
		err = errors.New("no data")
	}
	if err != nil {
		return "", err
	}
	return data(record), nil
}

func data(record dns.RR) string { return strings.TrimPrefix(record.String(), record.Header().String()) }

// isShort tells the library's own error of a message that has no room for a header.
func isShort(err error) bool {
	var own *dns.Error
	return errors.As(err, &own)
}

func judgeAnswer(asked, answer *dns.Msg, q Query) result {
	want := asked.Question[0]
	switch {
	case answer.Id != asked.Id || !answer.Response || len(answer.Question) != 1 ||
		!strings.EqualFold(answer.Question[0].Name, want.Name) || answer.Question[0].Qtype != want.Qtype:
		return fail("the answer is to another question")
	case answer.Rcode != dns.RcodeSuccess:
		code, ok := dns.RcodeToString[answer.Rcode]
		if !ok {
			code = "RCODE" + fmt.Sprint(answer.Rcode)
		}
		return fail(code + ", want NOERROR")
	}
	expected, err := q.expected()
	if err != nil {
		return fail("no such answer: " + q.Answer)
	}
	for _, record := range answer.Answer {
		if record.Header().Rrtype == want.Qtype && (expected == "" || strings.EqualFold(data(record), expected)) {
			return pass("NOERROR with the expected record")
		}
	}
	switch {
	case answer.Truncated:
		return fail("the answer is truncated: ask over TCP")
	case q.Answer != "":
		return fail(fmt.Sprintf("no %s record %q in the answer", q.Type, q.Answer))
	}
	return fail(fmt.Sprintf("no %s record in the answer", q.Type))
}
