// SPDX-License-Identifier: Apache-2.0

package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/integration/lab"
)

// The addresses are those of configs/checks.toml.
const (
	firstAddress  = "192.0.2.11"
	secondAddress = "192.0.2.12"
)

const head = "| server | situation | check | verdict | reason | time |\n|---|---|---|---|---|---:|"

const (
	// repeats is how many times in a row a verdict must be the same.
	repeats = 3
	// settling is the longest time that a server may need to start.
	settling = 30 * time.Second
)

// A stage is the network of a scene: a director, and two machines for servers.
type stage struct {
	*lab.Lab
	attempt       *lab.Attempt
	server        string // with its version
	director      *lab.Host
	first, second *lab.Host
	shipped       string // configs/checks.toml, on the director
	own           string // checks as a user writes them, on the director
	running       []*lab.Process
	rows          strings.Builder
}

//go:embed own.toml
var ownChecks string

func (s *stage) build(name string) {
	if version, err := packages.Version(name); err == nil {
		s.server += " " + version
	}
	s.Lab = lab.New(s.attempt)
	s.director = s.Host("director", "192.0.2.2/24")
	s.first, s.second = s.Host("first", firstAddress+"/24"), s.Host("second", secondAddress+"/24")
	s.shipped = s.director.WriteFile("checks.toml", configs.Checks)
	s.own = s.director.WriteFile("own.toml", ownChecks)
	// Some servers do not run as root.
	for dir := s.first.Dir(); dir != "/"; dir = filepath.Dir(dir) {
		s.must(os.Chmod(dir, 0o755))
	}
	s.must(os.Chmod(os.TempDir(), 0o777|os.ModeSticky))
}

func (s *stage) must(err error) {
	if err != nil {
		s.attempt.Fatalf("%v", err)
	}
}

// end ends all servers, and checks that none is left.
func (s *stage) end() {
	for _, p := range s.running {
		p.Stop()
	}
	for _, h := range []*lab.Host{s.director, s.first, s.second} {
		if pids := h.Pids(); len(pids) > 0 {
			s.attempt.Errorf("processes %v are left on %s", pids, h.Name)
		}
	}
}

// start starts a program that runs until it is stopped.
func (s *stage) start(h *lab.Host, name string, args ...string) *lab.Process {
	p := h.Start(name, args...)
	s.running = append(s.running, p)
	return p
}

// unprivileged returns a command line that runs a program as nobody. The words have no spaces.
func unprivileged(words ...string) []string {
	return []string{"busybox", "su", "-s", "/bin/sh", "nobody", "-c", "exec " + strings.Join(words, " ")}
}

// eventually waits until a command succeeds, and returns its output.
func (s *stage) eventually(h *lab.Host, command ...string) (out string) {
	s.Eventually(settling, strings.Join(command, " "), func() (err error) {
		out, err = h.TryRun(command[0], command[1:]...)
		return err
	})
	return out
}

// listening waits until a server accepts connections.
func (s *stage) listening(h *lab.Host, address string) {
	s.Eventually(settling, address+" accepts connections", func() error {
		return h.Do(func() error {
			conn, err := net.Dial("tcp", address)
			if err == nil {
				err = conn.Close()
			}
			return err
		})
	})
}

// A verdict is what tandem probe prints.
type verdict struct {
	Health string `json:"health"`
	Reason string `json:"reason"`
	Checks []struct {
		Reason  string  `json:"reason"`
		Latency float64 `json:"latency_seconds"`
	} `json:"checks"`
}

// ask checks a server once by a service of a file.
func (s *stage) ask(file, service, address string) verdict {
	out, _ := s.director.TryRun(lab.Tandem.Path(), "probe", "--server", service+"/"+address, "--config", file, "--json")
	var v verdict
	_, text, found := strings.Cut(out, "{")
	if err := json.Unmarshal([]byte("{"+text), &v); err != nil || !found || len(v.Checks) != 1 {
		s.attempt.Fatalf("tandem probe --server %s/%s: %v: %s", service, address, err, out)
	}
	v.Reason = v.Checks[0].Reason
	return v
}

// judge checks the first server by a shipped check, and prints a row.
func (s *stage) judge(situation, check, health, reason string) {
	s.judgeAt(s.shipped, situation, check, firstAddress, health, reason)
}

// judgeOwn does the same by a check of own.toml.
func (s *stage) judgeOwn(situation, check, health, reason string) {
	s.judgeAt(s.own, situation, check, firstAddress, health, reason)
}

// judgeAt adds a row. A server that starts may be unhealthy for other reasons at first, but a server that is to be unhealthy must
// never be healthy.
func (s *stage) judgeAt(file, situation, check, address, health, reason string) {
	deadline := time.Now().Add(settling)
	var v verdict
	for right := 0; right < repeats; {
		v = s.ask(file, check, address)
		s.Logf("%s, %s: %s: %s", situation, check, v.Health, v.Reason)
		if v.Health == health && same(v.Reason, reason) {
			right++
			continue
		}
		right = 0
		if v.Health == "healthy" || time.Now().After(deadline) {
			s.attempt.Errorf("%s, %s: %s: %s; want %s: %s", situation, check, v.Health, v.Reason, health, reason)
			v.Reason += fmt.Sprintf(" **want %s: %s**", health, reason)
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	fmt.Fprintf(&s.rows, "| %s | %s | %s | %s | %s | %.1f ms |\n", s.server, situation, check, v.Health, v.Reason, v.Checks[0].Latency*1000)
}

// hang stops the processes of a server for a time without ending them: its machine still accepts connections.
func (s *stage) hang(p *lab.Process, check, reason string) {
	p.Signal(syscall.SIGSTOP)
	s.judge("hangs (SIGSTOP)", check, "unhealthy", reason)
	p.Signal(syscall.SIGCONT)
	s.judge("goes on", check, "healthy", map[bool]string{true: "the user is accepted", false: answered}[check == "radius"])
}

// down ends a server, and then switches its machine off, for which the reason is given.
func (s *stage) down(p *lab.Process, check, off string) {
	p.Stop()
	s.judge("ended", check, "unhealthy", "connection refused")
	s.first.Isolate()
	s.judge("its machine is off", check, "unhealthy", off)
	s.first.Rejoin()
}

// The reasons of results.
const (
	answered    = "answered as expected"
	silent      = "timeout after 1s while waiting for the expected answer"
	hungUp      = "connection closed before the expected answer"
	unreachable = "timeout after 1s while connecting"

	radiusSilent = "timeout after 1s while waiting for the answer " +
		"(a RADIUS server does not answer if it does not know the client, or if the secret is wrong)"
)

// hangsUp matches the reasons of a server that ends a connection, with what it has said before. If it has not read all of the question,
// the end may be a reset, and may come before what it has said.
var hangsUp = regexp.MustCompile(`^(step \d+: )?connection (closed|reset) before (a response|the expected answer)(: ".*")?$`)

// same reports whether a reason is the wanted one, whatever the server said. But if something follows hungUp in the wanted reason, the
// server said that.
func same(got, want string) bool {
	step, says, ends := strings.Cut(want, hungUp)
	m := hangsUp.FindStringSubmatch(got)
	if !ends || m == nil {
		return got == want || strings.HasPrefix(got, want+`: "`)
	}
	lost := m[4] == "" && (m[2] == "reset" || m[3] == "a response")
	return m[1] == step && (lost || strings.Contains(m[4], says))
}

// connections opens connections from a machine to an address, and returns how to close them. Each says a text first, and waits for the
// beginning of the answer.
func (s *stage) connections(n int, from *lab.Host, address, text, answer string) (closeAll func()) {
	var all []net.Conn
	for range n {
		s.Eventually(settling, "a connection to "+address, func() error {
			return from.Do(func() error {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					return err
				}
				got := make([]byte, len(answer))
				_, err = conn.Write([]byte(text))
				if err == nil {
					_, err = io.ReadFull(conn, got)
				}
				if err == nil && string(got) != answer {
					err = fmt.Errorf("answered %q", got)
				}
				if err != nil {
					return errors.Join(err, conn.Close())
				}
				all = append(all, conn)
				return nil
			})
		})
	}
	return func() {
		for _, c := range all {
			_ = c.Close()
		}
	}
}
