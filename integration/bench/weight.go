// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/moby/ipvs"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// weightChanges is the number of weights that are changed, one after another.
const weightChanges = 5

// measureWeights measures how soon one changed weight is in the kernel. It measures from the start of the command, tandem
// weight beside ipvsadm -e of the same table, and from the moment when a server refuses connections. Tandem is stopped while
// ipvsadm works, so that it does not repair ipvsadm's change.
func measureWeights(b *bench) {
	for _, n := range []int{1000, 10_000} {
		what := fmt.Sprintf("%d services × %d servers", n, poolSize)
		for _, s := range b.subjects(tandem) {
			b.measure(what, s.name, func(t *lab.Attempt) { changeWeights(b, t, s, what, n) })
		}
	}
}

func changeWeights(b *bench, t *lab.Attempt, s subject, what string, n int) {
	p := &pair{Lab: lab.New(t), attempt: t}
	p.a = p.Director("director", "192.0.2.2/24", "")
	all := services{count: n, servers: poolSize, check: fastCheck}
	p.a.Run("ip", "route", "add", "local", all.server(0, 0)+"/28", "dev", "lo") // the servers of the first service
	web, _ := countConnections(t, p.a.Host)
	s.serve(p.a, all)
	p.awaitTable(15*time.Minute, n*poolSize)
	p.pause(10 * time.Second)
	weights, err := newWeightReader(p.a.Host)
	if err != nil {
		t.Fatalf("read the IPVS table: %v", err)
	}
	defer weights.handle.Close()

	m := &weightMeasure{bench: b, pair: p, weights: weights, all: all, what: what}
	m.await("the checked server is healthy", 0, 1)
	refused := time.Now()
	_ = web.Close()
	m.await("the server that refuses gets no new connections", 0, 0)
	b.report(what+": no new connections for a server that refuses", s.name, time.Since(refused).Seconds(), "s", "of it up to 0.1 s until the next check")

	m.change(s.name, "tandem weight", 1, func(i, weight int) *exec.Cmd {
		return exec.Command(p.a.Program(), "weight", "--socket", p.a.Socket, all.name(i)+"/"+all.server(i, 0), strconv.Itoa(weight))
	})
	if s.name != tandem.name {
		return
	}
	p.signal(p.a, syscall.SIGSTOP)
	defer p.signal(p.a, syscall.SIGKILL)
	m.change("ipvsadm", "ipvsadm -e", 2, func(i, weight int) *exec.Cmd {
		return exec.Command("ipvsadm", "-e", "-t", all.address(i)+":80", "-r", all.server(i, 0)+":80", "-g", "-w", strconv.Itoa(weight))
	})
}

// A weightMeasure measures how long single changes of weights take.
type weightMeasure struct {
	bench   *bench
	pair    *pair
	weights weightReader
	all     services
	what    string
}

// await waits until the first server of a service has a weight in the kernel.
func (m *weightMeasure) await(what string, i, weight int) {
	for end := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		got, err := m.weights.read(m.all.address(i), m.all.server(i, 0))
		if err == nil && got == weight {
			return
		}
		if time.Now().After(end) {
			m.pair.attempt.Fatalf("not within a minute: %s: weight %d, %v", what, got, err)
		}
	}
}

// change changes the weights of some servers by commands, one after the other, and reports the median of the times.
func (m *weightMeasure) change(subject string, note string, first int, command func(i, weight int) *exec.Cmd) {
	var took []time.Duration
	errs := 0
	for k := range weightChanges {
		i := (first + k*m.all.count/weightChanges) % m.all.count
		cmd, began := command(i, 2+k), time.Now()
		if err := m.pair.a.Do(cmd.Start); err != nil {
			m.pair.attempt.Fatalf("%s: %v", note, err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		m.await(note+" is in the kernel", i, 2+k)
		took = append(took, time.Since(began))
		if err := <-ended; err != nil {
			m.bench.progress("%s: %v", note, err)
			errs++
		}
		m.pair.pause(2 * time.Second)
	}
	slices.Sort(took)
	if errs > 0 {
		note = fmt.Sprintf("%s, which ended with an error %d times", note, errs)
	}
	m.bench.report(m.what+": one changed weight", subject, took[len(took)/2].Seconds(), "s",
		fmt.Sprintf("%s; median of %d, from %.3f to %.3f s", note, len(took), took[0].Seconds(), took[len(took)-1].Seconds()))
}

// fastCheck is a check that fails at the first refusal.
const fastCheck = `check = { type = "tcp", interval = "100ms", timeout = "100ms", rise = 1, fall = 1 }` + "\n"

// A weightReader reads single weights of a host's IPVS table, without reading the whole of it.
type weightReader struct{ handle *ipvs.Handle }

func newWeightReader(h *lab.Host) (w weightReader, err error) {
	err = h.Do(func() error {
		w.handle, err = ipvs.New("")
		return err
	})
	return w, err
}

// read returns the weight of a server; 0 if the service does not have it, because such a server gets no new connections either.
func (w weightReader) read(service, server string) (int, error) {
	servers, err := w.handle.GetDestinations(&ipvs.Service{
		Address: net.ParseIP(service).To4(), Port: 80, Protocol: syscall.IPPROTO_TCP, AddressFamily: syscall.AF_INET,
	})
	for _, s := range servers {
		if s.Address.String() == server {
			return s.Weight, err
		}
	}
	return 0, err
}
