// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/healthcheck"
)

// starvedVar makes the test binary a director that checks the servers at this port.
const starvedVar = "TANDEM_TEST_STARVED"

const starvedTargets = 100

// starvedChild checks many servers, each with its own address, until its standard input ends. It prints each verdict.
func starvedChild(port string) {
	n, _ := strconv.ParseUint(port, 10, 16)
	r := New(Options{Notify: func(v healthcheck.Verdict) { fmt.Println(v.Health, v.ID, v.Reason) }})
	var targets []healthcheck.Target
	for i := range starvedTargets {
		c := healthcheck.DefaultConfig(healthcheck.HTTP)
		c.Interval, c.Timeout, c.Fall = 400*time.Millisecond, 300*time.Millisecond, 1
		if i%2 == 0 {
			c.Content.Contains = "fine"
		}
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(i + 1)}), uint16(n))
		targets = append(targets, healthcheck.Target{ID: addr.String(), Addr: addr, Config: c})
	}
	r.Set(targets)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		cancel()
	}()
	if err := r.Run(ctx); err != nil {
		fmt.Println("unhealthy", err)
	}
}

// A director that is stopped again and again does not remove healthy servers. It is stopped for longer than the timeout of
// its checks, and so often that it hardly runs, as under a limit of its control group.
func TestStoppedDirectorKeepsItsServers(t *testing.T) {
	for name, c := range map[string]struct {
		stopped, runs time.Duration
		times         int
	}{
		"long":  {600 * time.Millisecond, 30 * time.Millisecond, 5},
		"often": {90 * time.Millisecond, 5 * time.Millisecond, 40},
	} {
		t.Run(name, func(t *testing.T) { stopDirector(t, c.stopped, c.runs, c.times) })
	}
}

func stopDirector(t *testing.T, stopped, runs time.Duration, times int) {
	addr, server := startServer(t)
	// Before all others on the machine: the director's time is what is scarce here, and a late server would be found late rightly.
	if err := syscall.Setpriority(syscall.PRIO_PGRP, server.Pid, -10); err != nil {
		t.Logf("the server may be late: %v", err)
	}
	director := exec.Command("/proc/self/exe")
	director.Env = append(os.Environ(), starvedVar+"="+strconv.Itoa(int(addr.Port())))
	in, err := director.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := director.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := director.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = director.Process.Kill() }()
	healthy, lost := 0, 0
	begun := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for s := bufio.NewScanner(out); s.Scan(); {
			switch {
			case strings.HasPrefix(s.Text(), "healthy"):
				if healthy++; healthy == starvedTargets {
					close(begun)
				}
			case strings.HasPrefix(s.Text(), "unknown"): // allowed: the server keeps its weight
			default:
				lost++
				t.Log(s.Text())
			}
		}
	}()
	select {
	case <-begun:
	case <-time.After(30 * time.Second):
		t.Fatal("the servers are not healthy after 30 s")
	}
	for range times {
		_ = director.Process.Signal(syscall.SIGSTOP)
		<-time.After(stopped)
		_ = director.Process.Signal(syscall.SIGCONT)
		<-time.After(runs)
	}
	_ = in.Close()
	<-ended
	_ = director.Wait()
	if lost > 0 {
		t.Errorf("%d verdicts against healthy servers", lost)
	}
}
