// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// EchoServer answers UDP datagrams to an address of the host ("192.0.2.100:7"), or to all ("0.0.0.0:7"), until the test
// ends. The answer comes from the address that was asked.
func (h *Host) EchoServer(address string) {
	h.lab.t.Helper()
	fd, err := h.udpSocket(func(fd int, to *unix.SockaddrInet4) error {
		return errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1), unix.Bind(fd, to))
	}, address)
	if err != nil {
		h.lab.t.Fatalf("echo server on %s: %v", h.Name, err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		buf, oob := make([]byte, 2048), make([]byte, unix.CmsgSpace(unix.SizeofInet4Pktinfo))
		for {
			select {
			case <-stop:
				return
			default:
			}
			n, oobn, _, from, err := unix.Recvmsg(fd, buf, oob, 0)
			if err != nil || oobn != len(oob) {
				continue
			}
			// The control message names the address and the interface of the question (struct in_pktinfo). The answer has
			// it too, but without the interface, which routing chooses.
			clear(oob[unix.CmsgLen(0) : unix.CmsgLen(0)+4])
			_ = unix.Sendmsg(fd, buf[:n], oob, from, 0)
		}
	}()
	h.lab.t.Cleanup(func() {
		close(stop)
		<-done
		_ = unix.Close(fd)
	})
}

// udpSocket opens a blocking socket on the host. Its reads return after 50 ms at the latest. On an emulated machine, system
// calls on a plain file descriptor cost a third of what the runtime's poller costs.
func (h *Host) udpSocket(use func(int, *unix.SockaddrInet4) error, address string) (int, error) {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return 0, err
	}
	fd := -1
	err = h.Do(func() error {
		var err error
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20),
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}),
			use(fd, &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}),
		)
	})
	if err != nil && fd >= 0 {
		err = errors.Join(err, unix.Close(fd))
	}
	return fd, err
}

// A Prober asks a service again and again: a UDP echo service every millisecond, or at another interval, or any TCP service.
type Prober struct {
	fd    int
	every time.Duration
	ask   func(n uint64) []byte                   // the n-th question
	which func(answer []byte) (n uint64, ok bool) // of the questions this answers
	stop  chan struct{}
	group sync.WaitGroup

	mu       sync.Mutex
	sent     []time.Time
	answered []time.Time // zero while there is no answer
}

// An Outage is what a Prober saw.
type Outage struct {
	Sent    int           // questions
	Lost    int           // of them without an answer
	Longest time.Duration // from the first question of a series without answers to the next question with one
	Began   time.Time     // the start of that series
	Gap     time.Duration // the longest pause between two questions, which is the error of Longest
	Open    bool          // the last question has no answer: Longest may go on
	// Disturbed is how many of Lost were asked near a long pause of the prober. The machine stood still, and may have lost a packet.
	Disturbed int
}

// A pause of the prober of longPause or more shows that the machine stood still, and nearPause is how long before and after it packets
// may have been lost.
const longPause, nearPause = 50 * time.Millisecond, 100 * time.Millisecond

func (o Outage) String() string {
	return fmt.Sprintf("%.1f ms outage (%d of %d probes unanswered, longest pause of the prober %.1f ms)",
		float64(o.Longest.Microseconds())/1000, o.Lost, o.Sent, float64(o.Gap.Microseconds())/1000)
}

// Stalled is how many questions the longest pause of the prober has cost. A program is not to blame for a silence that is no
// longer than this pause.
func (o Outage) Stalled() int { return max(0, int(o.Gap/probeEvery)-1) }

// probeEvery is the usual time between two questions.
const probeEvery = time.Millisecond

// Probe asks from the host until Stop, or the test's end. Questions that the network refuses count as lost.
func (h *Host) Probe(address string) *Prober {
	h.lab.t.Helper()
	return h.ProbeEvery(address, probeEvery)
}

// ProbeEvery is Probe at another interval, for a slow machine.
func (h *Host) ProbeEvery(address string, every time.Duration) *Prober {
	h.lab.t.Helper()
	fd, err := h.udpSocket(func(fd int, to *unix.SockaddrInet4) error { return unix.Connect(fd, to) }, address)
	if err != nil {
		h.lab.t.Fatalf("probe %s from %s: %v", address, h.Name, err)
	}
	return h.startProber(&Prober{fd: fd, every: every,
		ask: func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) },
		which: func(answer []byte) (uint64, bool) {
			if len(answer) != 8 {
				return 0, false
			}
			return binary.BigEndian.Uint64(answer), true
		}})
}

func (h *Host) startProber(p *Prober) *Prober {
	p.stop = make(chan struct{})
	p.group.Go(p.send)
	p.group.Go(p.receive)
	h.lab.t.Cleanup(func() { p.Stop() })
	return p
}

func (p *Prober) stopped() bool {
	select {
	case <-p.stop:
		return true
	default:
		return false
	}
}

func (p *Prober) send() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	next := time.Now()
	for n := uint64(0); !p.stopped(); n++ {
		question := p.ask(n)
		p.mu.Lock()
		p.sent = append(p.sent, time.Now())
		p.answered = append(p.answered, time.Time{})
		p.mu.Unlock()
		_ = unix.Send(p.fd, question, 0)
		// After a stall of the machine, the questions that it missed are not sent in a burst.
		next = next.Add(p.every)
		if now := time.Now(); next.Before(now) {
			next = now
			continue
		}
		pause := unix.NsecToTimespec(time.Until(next).Nanoseconds())
		_ = unix.Nanosleep(&pause, nil)
	}
}

func (p *Prober) receive() {
	buf := make([]byte, 128)
	for !p.stopped() {
		if n, err := unix.Read(p.fd, buf); err == nil {
			p.take(buf[:n])
		}
	}
}

// take notes an answer.
func (p *Prober) take(answer []byte) {
	i, ok := p.which(answer)
	p.mu.Lock()
	defer p.mu.Unlock()
	if ok && i < uint64(len(p.answered)) && p.answered[i].IsZero() {
		p.answered[i] = time.Now()
	}
}

// Stop waits for late answers, ends the probe and returns what it saw.
func (p *Prober) Stop() Outage {
	if !p.stopped() {
		close(p.stop)
		p.group.Wait()
		p.drain()
		_ = unix.Close(p.fd)
	}
	return p.Outage()
}

// drain reads the answers that are on their way.
func (p *Prober) drain() {
	buf := make([]byte, 128)
	for {
		n, err := unix.Read(p.fd, buf)
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		if err == nil {
			p.take(buf[:n])
		}
	}
}

// Outage returns what was seen so far. While the probe runs, answers to the latest questions may still arrive.
func (p *Prober) Outage() Outage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return account(p.sent, p.answered)
}

func account(sent, answered []time.Time) Outage {
	o := Outage{Sent: len(sent)}
	var began time.Time
	for i, when := range sent {
		if i > 0 {
			o.Gap = max(o.Gap, when.Sub(sent[i-1]))
		}
		lost := answered[i].IsZero()
		if lost {
			o.Lost++
			if began.IsZero() {
				began = when
			}
		}
		if last := i == len(sent)-1; !began.IsZero() && (!lost || last) {
			if d := when.Sub(began); d > o.Longest || o.Began.IsZero() {
				o.Longest, o.Began = d, began
			}
			o.Open = lost
			began = time.Time{}
		}
	}
	o.Disturbed = disturbed(sent, answered)
	return o
}

// disturbed counts the questions without an answer that were asked near a long pause.
func disturbed(sent, answered []time.Time) (n int) {
	var ends []int // of the long pauses: the questions after them
	for i := 1; i < len(sent); i++ {
		if sent[i].Sub(sent[i-1]) >= longPause {
			ends = append(ends, i)
		}
	}
	for i, when := range sent {
		if answered[i].IsZero() && slices.ContainsFunc(ends, func(end int) bool {
			return when.After(sent[end-1].Add(-nearPause)) && when.Before(sent[end].Add(nearPause))
		}) {
			n++
		}
	}
	return n
}

// Answered reports how many of the latest n questions have an answer.
func (p *Prober) Answered(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	count := 0
	for _, when := range p.answered[max(0, len(p.answered)-n):] {
		if !when.IsZero() {
			count++
		}
	}
	return count
}
