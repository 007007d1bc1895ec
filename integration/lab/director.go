// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Director is a host that runs tandem.
type Director struct {
	*Host
	File   string // the configuration
	Socket string
	// OtherUsers says that its programs run as other users, although its first configuration has none: see RegisterHardened.
	OtherUsers bool

	program Cargo
	proc    *Process
}

// Director makes a host with a configuration for tandem, and does not start tandem yet. It adds the tables [control] and
// [state], so that each director has its own socket and directory. The program must be part of the cargo.
func (l *Lab) Director(name, addr, config string) *Director {
	l.t.Helper()
	h := l.Host(name, addr)
	d := &Director{Host: h, Socket: filepath.Join(h.dir, "control.sock"), program: Tandem}
	d.Configure(config)
	return d
}

// Configure writes the configuration file.
func (d *Director) Configure(config string) {
	d.lab.t.Helper()
	d.File = d.WriteFile("tandem.toml", config+fmt.Sprintf("\n[control]\nsocket = %q\n[state]\ndir = %q\n",
		d.Socket, filepath.Join(d.dir, "state")))
}

// Use makes the director run another build of tandem.
func (d *Director) Use(program Cargo) { d.program = program }

// Program returns the path of the director's tandem.
func (d *Director) Program() string { return d.program.Path() }

// Launch starts tandem.
func (d *Director) Launch() *Process {
	d.lab.t.Helper()
	d.lab.Logf("%s starts tandem", d.Name)
	d.proc = d.launch(d.Program(), "run", "-c", d.File)
	return d.proc
}

// Process returns the director process that was started last.
func (d *Director) Process() *Process { return d.proc }

// ElectionPid returns the election process, the director's child.
func (d *Director) ElectionPid() (int, error) {
	for _, pid := range d.Pids() {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		// "pid (name) state ppid": the name may hold spaces and brackets.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || len(fields) < 2 || fields[1] != strconv.Itoa(d.proc.Pid()) {
			continue
		}
		if args := strings.Split(string(command), "\x00"); len(args) > 1 && args[1] == "election" {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("%s has no election process", d.Name)
}

// KillElection ends the election process by SIGKILL.
func (d *Director) KillElection() {
	d.lab.t.Helper()
	pid, err := d.ElectionPid()
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		d.lab.t.Fatalf("kill the election process: %v", err)
	}
	d.lab.Logf("%s: election process killed", d.Name)
}

// KillDirector ends the director process alone by SIGKILL.
func (d *Director) KillDirector() {
	d.lab.t.Helper()
	d.proc.Signal(syscall.SIGKILL)
	d.lab.Logf("%s: director process killed", d.Name)
}

// PowerOff ends the machine as a power cut does: no process can send a last packet, the kernel forgets everything, and the
// cable is dead.
func (d *Director) PowerOff() {
	d.lab.t.Helper()
	d.Cut()
	d.killAll()
	if _, err := d.TryRun("ip", "addr", "flush", "dev", "eth0", "to", VIP); err != nil {
		d.lab.t.Fatalf("power off %s: %v", d.Name, err)
	}
	d.Run("ipvsadm", "-C")
	d.lab.Logf("%s has no power", d.Name)
}

// PowerOn ends what PowerOff began, and starts tandem.
func (d *Director) PowerOn() {
	d.lab.t.Helper()
	d.Plug()
	d.Launch()
}

// A Status holds the members of tandem's status that the lab reads, by their documented names.
type Status struct {
	Name    string
	Version string
	Config  struct {
		File     string
		SHA256   string
		LoadedAt time.Time             `json:"loaded_at"`
		Waits    *struct{ Former int } // for confirmation
	}
	VRRP []struct {
		Name, Interface, State, Master, Reason string
		VRID, Version, Priority                int
		EffectivePriority                      int `json:"effective_priority"`
		Since                                  time.Time
		VIPs                                   []string
		Paths                                  []struct{ Name, State string }
		Asked                                  *struct {
			Answers []struct {
				Address, Hardware string
				Peer              bool
			}
		}
		HMAC     *HMACStatus
		Counters struct {
			AdvertsReceived int            `json:"adverts_received"`
			AdvertsDropped  map[string]int `json:"adverts_dropped"`
			BecameMaster    int            `json:"became_master"`
		}
	}
	Services []struct {
		Name, Virtual, Protocol, Scheduler, Method string
		Servers                                    []ServerStatus
	}
	Hooks []struct {
		Name             string
		Running, Waiting int
	}
	Peer     *PeerStatus // nil: there is no channel
	Warnings []string
}

// A PeerStatus is what a Status says about the other director.
type PeerStatus struct {
	Name, Version, Refusal string
	To, From               struct {
		Up      bool
		Problem string
	}
	Refused int
	Drift   []struct{ Text string }
	Orders  []struct{ Name, Here, There, Why string }
}

// Connected reports whether the channel works in both directions.
func (p *PeerStatus) Connected() bool { return p != nil && p.To.Up && p.From.Up }

// An HMACStatus is how a virtual router in a Status signs.
type HMACStatus struct {
	Mode      string
	Keys      []int
	ActiveKey int `json:"active_key"`
}

// A ServerStatus is a real server in a Status.
type ServerStatus struct {
	Address, Health, Reason string
	Port, Weight            int
	EffectiveWeight         int `json:"effective_weight"`
	Active, Inactive        int
	Since                   time.Time
	Checks                  []struct {
		LastAt time.Time `json:"last_at"`
	}
	Unanswered *struct {
		Server        string
		Connections   int
		OthersPercent int `json:"others_percent"`
	}
}

// Server finds a real server by its address in the first service.
func (s Status) Server(addr string) (ServerStatus, error) {
	if len(s.Services) == 0 {
		return ServerStatus{}, errors.New("status has no service")
	}
	for _, server := range s.Services[0].Servers {
		if server.Address == addr {
			return server, nil
		}
	}
	return ServerStatus{}, fmt.Errorf("status has no server %s", addr)
}

// Status asks tandem over its socket.
func (d *Director) Status() (Status, error) {
	var s Status
	client := http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", d.Socket)
			},
		},
	}
	resp, err := client.Get("http://tandem/v1/status")
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return s, fmt.Errorf("status of %s: %s", d.Name, resp.Status)
	}
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// State returns the state of the first virtual router, "" while tandem does not answer.
func (d *Director) State() string {
	s, err := d.Status()
	if err != nil || len(s.VRRP) == 0 {
		return ""
	}
	return s.VRRP[0].State
}

// AwaitState polls until the first virtual router is in a state.
func (d *Director) AwaitState(limit time.Duration, state string) {
	d.lab.t.Helper()
	d.lab.Eventually(limit, d.Name+" is "+state, func() error {
		if got := d.State(); got != state {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
}

// AwaitOutput polls until a process has written a text.
func (p *Process) AwaitOutput(limit time.Duration, text string) {
	p.host.lab.t.Helper()
	p.host.lab.Eventually(limit, fmt.Sprintf("%s on %s writes %q", p.name, p.host.Name, text), func() error {
		if !strings.Contains(p.Output(), text) {
			return errors.New("it has not")
		}
		return nil
	})
}
