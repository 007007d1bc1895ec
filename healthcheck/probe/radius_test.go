// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// With -radius=127.0.0.1:1812, the questions of testdata/freeradius.txt are asked again, and the answers of that server recorded. It
// must know the client with the secret testing123, and the user tandem with the password below.
var radiusServer = flag.String("radius", "", "record the answers of a RADIUS server: ADDRESS:PORT of its authentication")

const (
	radiusSecret   = "testing123"
	radiusPassword = "a password of more than 16 octets"
)

// radiusChecks are what was asked of FreeRADIUS, and the results.
var radiusChecks = []struct {
	name string
	port uint16 // after that of authentication
	healthcheck.Radius
	want string
}{
	{"status", 0, healthcheck.Radius{Secret: radiusSecret}, "Passed: the server is up"},
	{"status-of-accounting", 1, healthcheck.Radius{Secret: radiusSecret}, "Passed: the server is up"},
	{"user", 0, healthcheck.Radius{Secret: radiusSecret, User: "tandem", Password: radiusPassword}, "Passed: the user is accepted"},
	{"wrong-password", 0, healthcheck.Radius{Secret: radiusSecret, User: "tandem", Password: "wrong"}, "Failed: the user is rejected"},
	{"unknown-user", 0, healthcheck.Radius{Secret: radiusSecret, User: "nobody", Password: "x"}, "Failed: the user is rejected"},
}

// radiusAuthenticatorOf returns the authenticator of a recorded question. Each has its own.
func radiusAuthenticatorOf(name string) (a [16]byte) {
	sum := md5.Sum([]byte(name))
	return sum
}

// The check says to FreeRADIUS 3.2.1 what it said when its answers were recorded, and the answers have the same results. Any other
// secret, question or octet has not.
func TestFreeRADIUS(t *testing.T) {
	if *radiusServer != "" {
		recordRADIUS(t, netip.MustParseAddrPort(*radiusServer))
	}
	recorded := make(map[string][2][]byte)
	file, err := os.Open("testdata/freeradius.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var name, asked, answer string
		if _, err := fmt.Sscan(lines.Text(), &name, &asked, &answer); err != nil {
			t.Fatal(err)
		}
		q, _ := hex.DecodeString(asked)
		a, _ := hex.DecodeString(answer)
		recorded[name] = [2][]byte{q, a}
	}
	for _, c := range radiusChecks {
		asked, answer := recorded[c.name][0], recorded[c.name][1]
		if now := radiusQuestion(&c.Radius, 7, radiusAuthenticatorOf(c.name)); !slices.Equal(now, asked) {
			t.Errorf("%s: asks %x, and asked %x", c.name, now, asked)
			continue
		}
		res, ours := judgeRadius(&c.Radius, asked, answer)
		if got := fmt.Sprintf("%s: %s", res.Outcome, res.Reason); got != c.want || !ours {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		for i := range answer {
			for _, flip := range []byte{1, 0x80} {
				altered := slices.Clone(answer)
				altered[i] ^= flip
				if _, ours := judgeRadius(&c.Radius, asked, altered); ours {
					t.Errorf("%s: octet %d altered: believed", c.name, i)
				}
			}
			if _, ours := judgeRadius(&c.Radius, asked, answer[:i]); ours {
				t.Errorf("%s: cut to %d octets: believed", c.name, i)
			}
		}
		other := c.Radius
		other.Secret = "other"
		if res, ours := judgeRadius(&other, asked, answer); ours || res.Reason != radiusASecret {
			t.Errorf("%s: with another secret: %q", c.name, res.Reason)
		}
	}
}

func recordRADIUS(t *testing.T, addr netip.AddrPort) {
	var out strings.Builder
	for _, c := range radiusChecks {
		conn, err := net.Dial("udp", netip.AddrPortFrom(addr.Addr(), addr.Port()+c.port).String())
		if err != nil {
			t.Fatal(err)
		}
		asked := radiusQuestion(&c.Radius, 7, radiusAuthenticatorOf(c.name))
		_, _ = conn.Write(asked)
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		buf := make([]byte, radiusLongest)
		n, err := conn.Read(buf)
		if _ = conn.Close(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		fmt.Fprintf(&out, "%s %x %x\n", c.name, asked, buf[:n])
	}
	if err := os.WriteFile("testdata/freeradius.txt", []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// radiusAnswer returns an answer that is signed as RFC 2865 and RFC 2869 have it.
func radiusAnswer(asked []byte, code byte, secret string, attributes ...[]byte) []byte {
	p := append([]byte{code, asked[1], 0, 0}, asked[4:radiusHeader]...)
	for _, a := range attributes {
		p = append(p, a...)
	}
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	if i := slices.IndexFunc(attributes, func(a []byte) bool { return len(a) == 18 && a[0] == radiusAuthenticator && a[2] == 0 }); i >= 0 {
		at := radiusHeader
		for _, a := range attributes[:i] {
			at += len(a)
		}
		mac := hmac.New(md5.New, []byte(secret))
		mac.Write(p)
		copy(p[at+2:], mac.Sum(nil))
	}
	sum := md5.Sum(append(slices.Clone(p), secret...))
	copy(p[4:], sum[:])
	return p
}

// A radiusPeer is a server that is up, down or lying.
type radiusPeer struct {
	name string
	healthcheck.Radius
	answer func(asked []byte) []byte
	want   string // empty: passes
}

// target is the check of the server.
func (s *radiusPeer) target(addr netip.AddrPort, timeout time.Duration) healthcheck.Target {
	return probetest.Target(healthcheck.RADIUS, addr, timeout, func(c *healthcheck.Config) {
		c.Radius = s.Radius
		c.Radius.Secret = radiusSecret
	})
}

// Answers that count, and none, on a real socket.
func TestRADIUS(t *testing.T) {
	signed := append([]byte{radiusAuthenticator, 18}, make([]byte, 16)...)
	message := append([]byte{radiusReplyMessage, 12}, []byte("disk\x1b full")...)
	user := healthcheck.Radius{Secret: radiusSecret, User: "tandem", Password: "x"}
	silent := "timeout after 100ms while " + radiusWaiting
	for _, c := range []radiusPeer{
		{"up", healthcheck.Radius{}, func(q []byte) []byte { return radiusAnswer(q, 2, radiusSecret) }, ""},
		{"up, signed twice", healthcheck.Radius{}, func(q []byte) []byte { return radiusAnswer(q, 2, radiusSecret, message, signed) }, ""},
		{"accounting", healthcheck.Radius{}, func(q []byte) []byte { return radiusAnswer(q, 5, radiusSecret) }, ""},
		{"padding", healthcheck.Radius{}, func(q []byte) []byte { return append(radiusAnswer(q, 2, radiusSecret), "padding"...) }, ""},
		{"accepted", user, func(q []byte) []byte { return radiusAnswer(q, 2, radiusSecret, signed) }, ""},
		{"down", healthcheck.Radius{}, func([]byte) []byte { return nil }, silent},
		{"rejected", user, func(q []byte) []byte { return radiusAnswer(q, 3, radiusSecret, message) }, "the user is rejected: disk full"},
		{"challenged", user, func(q []byte) []byte { return radiusAnswer(q, 11, radiusSecret) }, "the user is challenged, not accepted"},
		{"a status is no login", user, func(q []byte) []byte { return radiusAnswer(q, 5, radiusSecret) }, "the answer has code 5"},
		{"rejected status", healthcheck.Radius{}, func(q []byte) []byte { return radiusAnswer(q, 3, radiusSecret) }, "the answer has code 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			res := probed(t, c.target(serveUDP(t, c.answer), probetest.Timeout(c.want, 100*time.Millisecond)))
			if c.want == "" && res.Outcome != healthcheck.Passed || c.want != "" && (res.Outcome != healthcheck.Failed || res.Reason != c.want) {
				t.Errorf("%s: %q, want %q", res.Outcome, res.Reason, c.want)
			}
			if res.Silent != (c.want == silent) {
				t.Errorf("silent: %v", res.Silent)
			}
		})
	}
}

// An answer that does not count does not end the check, whose timeout passes in simulated time. It is the reason of the failure then.
func TestRADIUSAnswersThatDoNotCount(t *testing.T) {
	forged := append([]byte{radiusAuthenticator, 18}, []byte("0123456789abcdef")...)
	for _, c := range []radiusPeer{
		{"an echo", healthcheck.Radius{}, func(q []byte) []byte { return q }, radiusASecret},
		{"another secret", healthcheck.Radius{}, func(q []byte) []byte { return radiusAnswer(q, 2, "other") }, radiusASecret},
		{"no secret", healthcheck.Radius{}, func(q []byte) []byte { return radiusAnswer(q, 2, "") }, radiusASecret},
		{"forged Message-Authenticator", healthcheck.Radius{}, func(q []byte) []byte { return radiusAnswer(q, 2, radiusSecret, forged) }, radiusASecret},
		{"short Message-Authenticator", healthcheck.Radius{},
			func(q []byte) []byte { return radiusAnswer(q, 2, radiusSecret, []byte{radiusAuthenticator, 4, 0, 0}) }, radiusASecret},
		{"an answer to another question", healthcheck.Radius{}, func(q []byte) []byte {
			q = slices.Clone(q)
			q[1]++
			return radiusAnswer(q, 2, radiusSecret)
		}, "answered, but another question"},
		{"an answer to an older question", healthcheck.Radius{}, func(q []byte) []byte {
			q = slices.Clone(q)
			q[4]++
			return radiusAnswer(q, 2, radiusSecret)
		}, radiusASecret},
		{"an attribute of length 0", healthcheck.Radius{},
			func(q []byte) []byte { return radiusAnswer(q, 2, radiusSecret, []byte{1, 0}) }, "malformed answer: attributes of wrong lengths"},
		{"an attribute beyond the end", healthcheck.Radius{},
			func(q []byte) []byte { return radiusAnswer(q, 2, radiusSecret, []byte{1, 9, 0}) }, "malformed answer: attributes of wrong lengths"},
		{"half an attribute", healthcheck.Radius{},
			func(q []byte) []byte { return radiusAnswer(q, 2, radiusSecret, []byte{1}) }, "malformed answer: attributes of wrong lengths"},
		{"a length beyond the end", healthcheck.Radius{}, func(q []byte) []byte {
			a := radiusAnswer(q, 2, radiusSecret)
			a[3]++
			return a
		}, "malformed answer: wrong length"},
		{"a length below the header", healthcheck.Radius{}, func(q []byte) []byte {
			a := radiusAnswer(q, 2, radiusSecret)
			a[3] = 19
			return a
		}, "malformed answer: wrong length"},
		{"too short", healthcheck.Radius{}, func(q []byte) []byte { return []byte{2, q[1]} }, "malformed answer: shorter than a RADIUS packet"},
		{"another protocol", healthcheck.Radius{}, func([]byte) []byte { return []byte("SSH-2.0-x\r\n") },
			"malformed answer: shorter than a RADIUS packet: the server speaks SSH"},
	} {
		synctest.Test(t, func(t *testing.T) {
			target := c.target(probetest.Addr, time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), target.Config.Timeout)
			defer cancel()
			began := time.Now()
			res := pipe(func(conn net.Conn) {
				asked := make([]byte, radiusLongest)
				n, _ := conn.Read(asked)
				_, _ = conn.Write(c.answer(asked[:n]))
				probetest.UntilGone(conn)
			}).Probe(ctx, &target)
			if res.Outcome != healthcheck.Failed || res.Reason != c.want || res.Silent {
				t.Errorf("%s: %+v, want %q", c.name, res, c.want)
			}
			if took := time.Since(began); took != target.Config.Timeout {
				t.Errorf("%s: took %s", c.name, took)
			}
		})
	}
}

// A genuine answer counts, whatever came before it.
func TestRADIUSAfterForeignDatagrams(t *testing.T) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, radiusLongest)
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		for _, p := range [][]byte{[]byte("x"), radiusAnswer(buf[:n], 2, "other"), radiusAnswer(buf[:n], 2, radiusSecret)} {
			_, _ = conn.WriteToUDPAddrPort(p, from)
		}
	}()
	defer func() { _ = conn.Close(); <-done }()
	target := probetest.Target(healthcheck.RADIUS, conn.LocalAddr().(*net.UDPAddr).AddrPort(), 30*time.Second, func(c *healthcheck.Config) {
		c.Radius.Secret = radiusSecret
	})
	if res := probed(t, target); res.Outcome != healthcheck.Passed {
		t.Errorf("%s: %s", res.Outcome, res.Reason)
	}
}
