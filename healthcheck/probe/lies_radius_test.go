// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// A radiusLie is an answer to a question, and whether it belongs to that question.
type radiusLie struct {
	lie
	login bool // the question is a login, and not one for the status
	ours  bool
}

// radiusLies are lies of RFC 2865, RFC 2869 and RFC 5997.
type radiusLies struct {
	all           []radiusLie
	status, login []byte // the questions
}

const (
	radiusBadLength     = "malformed answer: wrong length"
	radiusBadAttributes = "malformed answer: attributes of wrong lengths"
	radiusTooShort      = "malformed answer: shorter than a RADIUS packet"
)

// foreign adds an answer that does not belong to the question.
func (r *radiusLies) foreign(rule, name string, packet []byte, want string) {
	r.all = append(r.all, radiusLie{lie: lie{rule, name, string(packet), want}})
}

// genuine adds an answer that the server has signed. If want is empty, it is no lie.
func (r *radiusLies) genuine(login bool, rule, name string, packet []byte, want string) {
	r.all = append(r.all, radiusLie{lie{rule, name, string(packet), want}, login, true})
}

// up is the right answer about the status.
func (r *radiusLies) up(attributes ...[]byte) []byte {
	return radiusAnswer(r.status, radiusAccessAccept, radiusSecret, attributes...)
}

// codes: each code but the right ones, signed with the right secret.
func (r *radiusLies) codes() {
	for code := range 256 {
		name, other := fmt.Sprintf("code %d", code), fmt.Sprintf("the answer has code %d", code)
		want := map[int]string{radiusAccessAccept: "", radiusAccountingResp: ""}
		says, right := want[code]
		if !right {
			says = other
		}
		r.genuine(false, "RFC 5997, 3", name, radiusAnswer(r.status, byte(code), radiusSecret), says)
		want = map[int]string{
			radiusAccessAccept: "", radiusAccessReject: "the user is rejected", radiusChallenge: "the user is challenged, not accepted",
		}
		if says, right = want[code]; !right {
			says = other
		}
		r.genuine(true, "RFC 2865, 4", name, radiusAnswer(r.login, byte(code), radiusSecret), says)
	}
}

// signatures: answers to other questions, with other secrets, and altered on the way.
func (r *radiusLies) signatures() {
	mac := append([]byte{radiusAuthenticator, 18}, make([]byte, 16)...)
	for bit := range 8 {
		q := slices.Clone(r.status)
		q[1] ^= 1 << bit
		r.foreign("RFC 2865, 3, Identifier", fmt.Sprintf("bit %d", bit), radiusAnswer(q, 2, radiusSecret), "answered, but another question")
	}
	for bit := range 128 {
		q, a, m := slices.Clone(r.status), r.up(), slices.Clone(mac)
		q[4+bit/8] ^= 1 << (bit % 8)
		r.foreign("RFC 2865, 3, Request Authenticator", fmt.Sprintf("bit %d", bit), radiusAnswer(q, 2, radiusSecret), radiusASecret)
		a[4+bit/8] ^= 1 << (bit % 8)
		r.foreign("RFC 2865, 3, Response Authenticator", fmt.Sprintf("bit %d", bit), a, radiusASecret)
		// A wrong Message-Authenticator under a right Response Authenticator.
		right := r.up(mac)
		copy(m[2:], right[radiusHeader+2:])
		m[2+bit/8] ^= 1 << (bit % 8)
		r.foreign("RFC 2869, 5.14", fmt.Sprintf("bit %d", bit), radiusAnswer(r.status, 2, radiusSecret, m), radiusASecret)
	}
	for _, secret := range []string{
		"", "x", "testing12", "testing1234", "Testing123", "TESTING123", " testing123", "testing123 ", "testing123\x00", "testing123\n",
		"\x00testing123", "321gnitset", "testing123testing123", "téstíng123",
	} {
		r.foreign("RFC 2865, 3", fmt.Sprintf("the secret is %q", secret), radiusAnswer(r.status, 2, secret), radiusASecret)
		r.foreign("RFC 2869, 5.14", fmt.Sprintf("the secret is %q", secret), radiusAnswer(r.status, 2, secret, mac), radiusASecret)
	}
	for n := range 33 {
		if n == 16 {
			continue
		}
		short := append([]byte{radiusAuthenticator, byte(2 + n)}, bytes.Repeat([]byte{1}, n)...)
		r.foreign("RFC 2869, 5.14", fmt.Sprintf("%d octets", n), radiusAnswer(r.status, 2, radiusSecret, short), radiusASecret)
	}
	r.foreign("RFC 2865, 3", "an echo", r.status, radiusASecret)
	echo := slices.Clone(r.status)
	echo[0] = radiusAccessAccept
	r.foreign("RFC 2865, 3", "an echo with the right code", echo, radiusASecret)
}

// lengths: packets and attributes that are shorter or longer than they say.
func (r *radiusLies) lengths() {
	message := append([]byte{radiusReplyMessage, 12}, "all is wel"...)
	right := r.up(message)
	for n := range right {
		want := radiusBadLength
		if n < radiusHeader {
			want = radiusTooShort
		}
		r.foreign("RFC 2865, 3", fmt.Sprintf("cut to %d octets", n), right[:n], want)
	}
	for _, n := range []int{0, 1, 2, 4, 18, 19, len(right) + 1, len(right) + 2, 255, 256, 4095, 4096, 4097, 65535} {
		a := slices.Clone(right)
		binary.BigEndian.PutUint16(a[2:], uint16(n))
		r.foreign("RFC 2865, 3, Length", fmt.Sprintf("%d of %d", n, len(right)), a, radiusBadLength)
	}
	for n := range 256 {
		a := []byte{radiusReplyMessage, byte(n), 'u', 'p'}
		if n == len(a) || n == 2 { // behind 2, "up" is an attribute that is too long
			continue
		}
		r.foreign("RFC 2865, 5, Length", fmt.Sprintf("%d of 4", n), r.up(a), radiusBadAttributes)
	}
	long := append(r.up(), make([]byte, radiusLongest)...)
	binary.BigEndian.PutUint16(long[2:], uint16(len(long)))
	r.foreign("RFC 2865, 3, Length", "more than 4096", long, radiusBadLength)
}

// texts: what a server says beside its verdict, and what other servers say.
func (r *radiusLies) texts() {
	reply := func(text string) []byte { return append([]byte{radiusReplyMessage, byte(2 + len(text))}, text...) }
	for _, c := range controls() {
		packet := radiusAnswer(r.login, radiusAccessReject, radiusSecret, reply("disk"+string(rune(c))+" full"))
		r.genuine(true, "RFC 2865, 5.18", fmt.Sprintf("control character %#x", c), packet, "the user is rejected: disk full")
	}
	for says, want := range map[string]string{
		"SSH-2.0-x\r\n": radiusTooShort + ": the server speaks SSH", "\x00": radiusTooShort, "": radiusTooShort,
		"HTTP/1.1 400 Bad Request\r\n\r\n": radiusBadLength, "220 mx.example.org ESMTP at your service\r\n": radiusBadLength,
	} {
		r.foreign("another protocol", fmt.Sprintf("%q", says), []byte(says), want)
	}
	// No lies: padding, attributes that nobody knows, and a server that signs in both ways.
	mac := append([]byte{radiusAuthenticator, 18}, make([]byte, 16)...)
	r.genuine(false, "RFC 2865, 3", "padding", append(r.up(), "padding"...), "")
	r.genuine(false, "RFC 2865, 5", "an unknown attribute", r.up([]byte{255, 3, 1}), "")
	r.genuine(false, "RFC 2865, 5", "an attribute without a value", r.up([]byte{radiusReplyMessage, 2}), "")
	r.genuine(false, "RFC 2869, 5.14", "signed, first", r.up(mac, reply("up")), "")
	r.genuine(false, "RFC 2869, 5.14", "signed, last", r.up(reply("up"), mac), "")
	r.genuine(true, "RFC 2869, 5.14", "signed", radiusAnswer(r.login, radiusAccessAccept, radiusSecret, mac), "")
}

func TestLiesOfRADIUS(t *testing.T) {
	status, login := healthcheck.Radius{Secret: radiusSecret}, healthcheck.Radius{Secret: radiusSecret, User: "tandem", Password: "x"}
	authenticator := radiusAuthenticatorOf("lies")
	r := radiusLies{status: radiusQuestion(&status, 7, authenticator), login: radiusQuestion(&login, 7, authenticator)}
	r.codes()
	r.signatures()
	r.lengths()
	r.texts()
	lies := make([]lie, len(r.all))
	for i, l := range r.all {
		lies[i] = l.lie
		c, asked := &status, r.status
		if l.login {
			c, asked = &login, r.login
		}
		got, ours := judgeRadius(c, asked, []byte(l.says))
		if err := judged(l.lie, got); err != nil {
			t.Error(err)
		}
		if ours != l.ours {
			t.Errorf("%s, %s: it answers the question: %t, want %t", l.rule, l.name, ours, l.ours)
		}
	}
	enough(t, lies)
}
