// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"slices"
	"strconv"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/words"
)

// The two questions and their answers need four attributes and a digest of the standard library. The public libraries bring
// dictionaries and servers, and do not tell a wrong secret from a foreign datagram, which is what the reason of a check must say.

// The codes of packets (RFC 2865, section 4; RFC 5997, section 3).
const (
	radiusAccessRequest  = 1
	radiusAccessAccept   = 2
	radiusAccessReject   = 3
	radiusAccountingResp = 5
	radiusChallenge      = 11
	radiusStatusServer   = 12
)

// The attributes (RFC 2865, section 5; RFC 2869, section 5.14).
const (
	radiusUserName      = 1
	radiusUserPassword  = 2
	radiusReplyMessage  = 18
	radiusNASIdentifier = 32
	radiusAuthenticator = 80 // Message-Authenticator
)

const (
	radiusHeader  = 20   // octets of a packet's header
	radiusLongest = 4096 // octets of a packet
	radiusASecret = "answered, but signed with another secret"
	radiusWaiting = "waiting for the answer (a RADIUS server does not answer if it does not know the client, or if the secret is wrong)"
)

// authenticate asks a RADIUS server. Datagrams that do not belong to the question are dropped, as RFC 2865, section 3, demands.
func authenticate(ctx context.Context, conn net.Conn, t *healthcheck.Target) healthcheck.Result {
	var random [17]byte
	if _, err := rand.Read(random[:]); err != nil {
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: "no random numbers: " + err.Error()}
	}
	asked := radiusQuestion(&t.Config.Radius, random[0], [16]byte(random[1:]))
	if _, err := conn.Write(asked); err != nil {
		return socket.ExplainSilence(ctx, err, t.Config.Timeout, radiusWaiting)
	}
	buf := make([]byte, radiusLongest+1)
	var heard healthcheck.Result // about the datagrams that do not count
	for {
		n, err := conn.Read(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && heard.Outcome != 0 && ctx.Err() != context.Canceled:
			return heard
		case err != nil:
			return socket.ExplainSilence(ctx, err, t.Config.Timeout, radiusWaiting)
		}
		res, ours := judgeRadius(&t.Config.Radius, asked, buf[:n])
		if ours {
			return res
		}
		heard = res
	}
}

// radiusQuestion returns the packet that is sent.
func radiusQuestion(c *healthcheck.Radius, id byte, authenticator [16]byte) []byte {
	p := append([]byte{radiusStatusServer, id, 0, 0}, authenticator[:]...)
	// The Message-Authenticator is first: behind attributes that others can choose, MD5 does not protect it (CVE-2024-3596).
	p = radiusAdd(p, radiusAuthenticator, make([]byte, 16))
	if c.User != "" {
		p[0] = radiusAccessRequest
		p = radiusAdd(p, radiusUserName, []byte(c.User))
		p = radiusAdd(p, radiusUserPassword, hidePassword(c.Secret, c.Password, authenticator))
	}
	p = radiusAdd(p, radiusNASIdentifier, []byte("tandem"))
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[radiusHeader+2:], radiusSign(c.Secret, p))
	return p
}

func radiusAdd(p []byte, attribute byte, value []byte) []byte {
	return append(append(p, attribute, byte(len(value)+2)), value...)
}

// radiusSign returns the Message-Authenticator of a packet whose own is zero.
func radiusSign(secret string, p []byte) []byte {
	mac := hmac.New(md5.New, []byte(secret))
	mac.Write(p)
	return mac.Sum(nil)
}

// hidePassword hides a password (RFC 2865, section 5.2).
func hidePassword(secret, password string, authenticator [16]byte) []byte {
	hidden := make([]byte, max(1, (len(password)+15)/16)*16)
	copy(hidden, password)
	key := authenticator[:]
	for block := range slices.Chunk(hidden, 16) {
		sum := md5.Sum(append([]byte(secret), key...))
		for i := range block {
			block[i] ^= sum[i]
		}
		key = block
	}
	return hidden
}

// judgeRadius judges a datagram. ours says that it answers the question.
func judgeRadius(c *healthcheck.Radius, asked, got []byte) (res healthcheck.Result, ours bool) {
	if len(got) < radiusHeader {
		return healthcheck.Fail(healthcheck.Malformed, "malformed answer: shorter than a RADIUS packet"+words.Instead(got)), false
	}
	length := int(binary.BigEndian.Uint16(got[2:]))
	if length < radiusHeader || length > len(got) || length > radiusLongest {
		return healthcheck.Fail(healthcheck.Malformed, "malformed answer: wrong length"), false
	}
	got = got[:length] // RFC 2865, section 3: octets beyond the length are padding
	if got[1] != asked[1] {
		return healthcheck.Fail(healthcheck.Malformed, "answered, but another question"), false
	}
	attributes, ok := radiusAttributes(got[radiusHeader:])
	if !ok {
		return healthcheck.Fail(healthcheck.Malformed, "malformed answer: attributes of wrong lengths"), false
	}
	if !radiusGenuine(c.Secret, asked, got, attributes) {
		return healthcheck.Fail(healthcheck.Unexpected, radiusASecret), false
	}
	return radiusVerdict(c, got, attributes), true
}

// A radiusValue is an attribute: its type, and where in the packet its value is.
type radiusValue struct {
	attribute  byte
	begin, end int
}

func radiusAttributes(b []byte) (all []radiusValue, ok bool) {
	for at := 0; at < len(b); {
		if len(b)-at < 2 || b[at+1] < 2 || int(b[at+1]) > len(b)-at {
			return nil, false
		}
		end := at + int(b[at+1])
		all = append(all, radiusValue{b[at], radiusHeader + at + 2, radiusHeader + end})
		at = end
	}
	return all, true
}

// radiusGenuine reports whether an answer is signed with the secret (RFC 2865, section 3; RFC 2869, section 5.14).
func radiusGenuine(secret string, asked, got []byte, attributes []radiusValue) bool {
	signed := slices.Concat(got[:4], asked[4:radiusHeader], got[radiusHeader:])
	sum := md5.Sum(append(slices.Clone(signed), secret...))
	if !hmac.Equal(sum[:], got[4:radiusHeader]) {
		return false
	}
	for _, a := range attributes {
		if a.attribute != radiusAuthenticator {
			continue
		}
		if a.end-a.begin != 16 {
			return false
		}
		clear(signed[a.begin:a.end])
		if !hmac.Equal(radiusSign(secret, signed), got[a.begin:a.end]) {
			return false
		}
	}
	return true
}

// radiusVerdict judges a genuine answer.
func radiusVerdict(c *healthcheck.Radius, got []byte, attributes []radiusValue) healthcheck.Result {
	code := int(got[0])
	said := ""
	for _, a := range attributes {
		if line := words.Line(bytes.TrimSpace(got[a.begin:a.end])); a.attribute == radiusReplyMessage && line != "" && said == "" {
			said = ": " + line
		}
	}
	switch {
	case code == radiusAccessAccept && c.User != "":
		return healthcheck.Pass("the user is accepted")
	case code == radiusAccessReject && c.User != "":
		return healthcheck.FailCode(healthcheck.Unexpected, code, "the user is rejected"+said)
	case code == radiusChallenge && c.User != "":
		return healthcheck.FailCode(healthcheck.Unexpected, code, "the user is challenged, not accepted"+said)
	case c.User == "" && (code == radiusAccessAccept || code == radiusAccountingResp):
		return healthcheck.Pass("the server is up")
	}
	return healthcheck.FailCode(healthcheck.Unexpected, code, "the answer has code "+strconv.Itoa(code)+said)
}
