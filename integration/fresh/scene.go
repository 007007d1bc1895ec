// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
	"golang.org/x/sys/unix"
)

type scene struct {
	*lab.Attempt
	lab.Pair
	machines []*machine
}

func (s *scene) play() {
	l := lab.New(s.Attempt)
	if err := unix.Mount("cgroup2", groups, "cgroup2", unix.MS_NOSUID, ""); err != nil {
		s.Fatalf("%v", err)
	}
	_ = os.WriteFile(groups+"/cgroup.subtree_control", []byte("+cpu +memory +pids"), 0)
	for _, n := range []struct{ name, addr string }{{"lb1", "192.0.2.2/24"}, {"lb2", "192.0.2.3/24"}} {
		m := &machine{Host: l.Host(n.name, n.addr), scene: s}
		s.machines = append(s.machines, m)
		t := time.Now()
		if err := m.start(); err != nil {
			s.Fatalf("%v", err)
		}
		fmt.Println("unpacked", time.Since(t))
	}
	for _, m := range s.machines {
		fmt.Println(m.Name, m.awaitRunning(2*time.Minute))
		fmt.Println(m.must("ps -ef; systemctl list-units --failed; mount; free -m; df"))
	}
}
