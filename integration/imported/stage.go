// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// A stage is the network of one configuration: a director on three networks, and real servers on two of them. The first and the
// second server answer, the third refuses, and nobody has the addresses of the fourth.
type stage struct {
	*lab.Lab
	attempt  *lab.Attempt
	of       configuration
	director *lab.Director
	captures map[string]*lab.Capture // of the director, by interface
}

// The other networks of the director.
const (
	insideSwitch = "inside"
	thirdSwitch  = "third"
)

func (s *stage) build() {
	s.Lab = lab.New(s.attempt)
	s.director = s.Director("director", "192.0.2.2/24", "")
	s.director.Run("ip", "address", "add", "2001:db8::2/64", "dev", "eth0", "nodad")
	s.director.Join(insideSwitch, "10.0.0.2/24", "10.0.0.22/24")
	s.director.Join(thirdSwitch, "198.51.100.2/24")
	s.director.Run("ipvsadm", "-Ln") // loads IPVS
	s.peers()
	for n := 1; n <= 3; n++ {
		s.server(n)
	}
	sorry := s.Host("sorry", "192.0.2.20/24", "2001:db8::20/64")
	sorry.HTTPServer(sorry.Name)
	s.Eventually(10*time.Second, "the director's addresses are tested", func() error {
		if out := s.director.Run("ip", "-o", "-6", "address", "show", "tentative"); out != "" {
			return errors.New(out)
		}
		return nil
	})
	s.captures = map[string]*lab.Capture{}
	for _, ifi := range []string{"eth0", "eth1", "eth2"} {
		s.captures[ifi] = s.director.Capture(ifi, func(f lab.Frame) bool { return isAdvert(f.Data) })
	}
}

// peers makes the machines to which unicast advertisements go. They listen without answering: otherwise their kernels would say that
// nobody listens.
func (s *stage) peers() {
	for n, name := range map[int]string{3: "peer", 4: "other-peer"} {
		h := s.Host(name, fmt.Sprintf("192.0.2.%d/24", n), fmt.Sprintf("2001:db8::%d/64", n))
		for network, address := range map[string]string{"ip4:112": "0.0.0.0", "ip6:112": "::"} {
			var conn net.PacketConn
			s.must(h.Do(func() (err error) {
				conn, err = net.ListenPacket(network, address)
				return err
			}))
			s.attempt.Cleanup(func() { _ = conn.Close() })
		}
	}
}

// server makes a real server. The first two answer.
func (s *stage) server(n int) {
	h := s.Host(fmt.Sprintf("web%d", n), fmt.Sprintf("192.0.2.1%d/24", n), fmt.Sprintf("2001:db8::1%d/64", n))
	h.Join(insideSwitch, fmt.Sprintf("10.0.0.1%d/24", n))
	if n > 2 {
		return
	}
	h.HTTPServer(h.Name)
	h.Start("busybox", "httpd", "-f", "-p", "8080", "-h", h.Dir()+"/www")
	h.Start("dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--user=root", "--no-resolv", "--no-hosts", "--pid-file",
		"--address=/www.example.org/192.0.2.80")
	h.EchoServer("0.0.0.0:5000")
	s.mailServer(h)
}

// mailServer greets, and answers EHLO, HELO and QUIT.
func (s *stage) mailServer(h *lab.Host) {
	var listener net.Listener
	s.must(h.Do(func() (err error) {
		listener, err = net.Listen("tcp", ":25")
		return err
	}))
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				fmt.Fprintf(conn, "220 %s ESMTP\r\n", h.Name)
				for in := bufio.NewScanner(conn); in.Scan(); {
					if strings.HasPrefix(strings.ToUpper(in.Text()), "QUIT") {
						fmt.Fprint(conn, "221 bye\r\n")
						return
					}
					fmt.Fprintf(conn, "250 %s\r\n", h.Name)
				}
			})
		}
	})
	s.attempt.Cleanup(func() {
		_ = listener.Close()
		open.Wait()
	})
}

func (s *stage) must(err error) {
	if err != nil {
		s.attempt.Fatalf("%v", err)
	}
}

// checkMail is the program of the MISC_CHECKs: it exits with the code that it is given.
const checkMail = "#!/bin/sh\nexit \"$1\"\n"

func installPrograms() error {
	const file = "/usr/local/bin/check-mail"
	return errors.Join(os.MkdirAll("/usr/local/bin", 0o755), os.WriteFile(file, []byte(checkMail), 0o755), os.Chmod(file, 0o755))
}
