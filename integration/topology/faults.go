// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// PowerOff ends the machine as a power cut does: no program can send a last packet, and all cables are dead.
func (m *Machine) PowerOff() {
	m.t.Helper()
	for _, sw := range m.switches {
		m.CutAt(sw)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		pids := m.Pids()
		if len(pids) == 0 {
			return
		}
		if time.Now().After(end) {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pids[0]))
			m.t.Fatalf("%s: processes %v cannot be killed\n%s", m.Name, pids, text)
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// PowerOn boots a director: its kernel has forgotten everything, and what lasts over a boot is there again.
func (m *Machine) PowerOn(vips ...string) {
	m.t.Helper()
	m.Must("ipvsadm -C; sysctl -w net.ipv4.ip_forward=0")
	for _, vip := range vips {
		for i := range m.switches {
			m.Must(fmt.Sprintf("ip address flush dev eth%d to %s", i, vip))
		}
	}
	for _, sw := range m.switches {
		m.PlugAt(sw)
	}
	m.Must("systemctl isolate default.target")
}

// KillTandem ends the director and the election at once. systemd starts them again.
func (m *Machine) KillTandem() {
	m.t.Helper()
	killed := 0
	for _, pid := range m.Pids() {
		command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if args := strings.Split(string(command), "\x00"); err == nil && strings.HasSuffix(args[0], "/tandem") {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			killed++
		}
	}
	if killed != 2 {
		m.t.Fatalf("%s: %d processes of tandem killed, want the director and the election", m.Name, killed)
	}
}

// A Fault is what happens to the machine of the master.
type Fault struct {
	Name   string
	Break  func(*Machine)
	Mend   func(*Machine)
	Silent bool // the machine sees the fault only by who does not answer it, and the other director not at all
}

// Faults are what happens to a director of the network.
func (n *Network) Faults() []Fault {
	all := []Fault{
		{Name: "power lost", Break: (*Machine).PowerOff, Mend: func(m *Machine) { m.PowerOn(n.vips...) }},
		{Name: "tandem killed", Break: (*Machine).KillTandem, Mend: func(*Machine) {}},
	}
	for i, sw := range n.A.switches {
		name := "cable"
		if len(n.A.switches) > 1 {
			name = []string{"outer cable", "inner cable"}[i]
		}
		all = append(all,
			Fault{Name: name + " cut", Break: func(m *Machine) { m.CutAt(sw) }, Mend: func(m *Machine) { m.PlugAt(sw) }},
			Fault{Name: name + " silent", Break: func(m *Machine) { m.IsolateAt(sw) }, Mend: func(m *Machine) { m.RejoinAt(sw) },
				Silent: len(n.A.switches) > 1})
	}
	return all
}
