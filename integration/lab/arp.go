// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"golang.org/x/sys/unix"
)

// An ARPAnswer holds the answers to one question who has an address.
type ARPAnswer struct {
	Asked time.Time
	MACs  []string // of those who answered, sorted, without duplicates
}

// An ARPWatch asks by broadcast who has an address, again and again.
type ARPWatch struct {
	stop chan struct{}
	done chan struct{}

	mu      sync.Mutex
	answers []ARPAnswer
}

// WhoHas asks once from eth0 of the host and returns the hardware addresses that answer within 150 ms.
func (h *Host) WhoHas(addr string) []string {
	h.lab.t.Helper()
	a, err := h.newAsker(addr)
	if err != nil {
		h.lab.t.Fatalf("ask for %s from %s: %v", addr, h.Name, err)
	}
	defer a.close()
	return a.ask(150 * time.Millisecond).MACs
}

// WatchARP asks from eth0 of the host at an interval. Replies count as answers to the latest question.
func (h *Host) WatchARP(addr string, every time.Duration) *ARPWatch {
	h.lab.t.Helper()
	a, err := h.newAsker(addr)
	if err != nil {
		h.lab.t.Fatalf("watch %s from %s: %v", addr, h.Name, err)
	}
	w := &ARPWatch{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		defer a.close()
		for {
			select {
			case <-w.stop:
				return
			default:
			}
			answer := a.ask(every)
			w.mu.Lock()
			w.answers = append(w.answers, answer)
			w.mu.Unlock()
		}
	}()
	h.lab.t.Cleanup(func() { w.Stop() })
	return w
}

// Stop ends the watch and returns all answers.
func (w *ARPWatch) Stop() []ARPAnswer {
	select {
	case <-w.done:
	default:
		close(w.stop)
		<-w.done
	}
	return w.Answers()
}

// Answers returns the answers so far.
func (w *ARPWatch) Answers() []ARPAnswer {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.answers)
}

// LongestOverlap returns the longest time in which two or more answered each question. It is counted from the first such
// question to the next one that fewer answered.
func LongestOverlap(answers []ARPAnswer) time.Duration {
	return longest(answers, func(a ARPAnswer) bool { return len(a.MACs) > 1 })
}

// LongestSilence returns the longest time in which nobody answered, counted in the same way.
func LongestSilence(answers []ARPAnswer) time.Duration {
	return longest(answers, func(a ARPAnswer) bool { return len(a.MACs) == 0 })
}

// LongestPause returns the longest time between two questions, which is the error of the other figures.
func LongestPause(answers []ARPAnswer) time.Duration {
	var most time.Duration
	for i := 1; i < len(answers); i++ {
		most = max(most, answers[i].Asked.Sub(answers[i-1].Asked))
	}
	return most
}

func longest(answers []ARPAnswer, is func(ARPAnswer) bool) time.Duration {
	var most time.Duration
	for i := 0; i < len(answers); i++ {
		if !is(answers[i]) {
			continue
		}
		first := answers[i].Asked
		for i+1 < len(answers) && is(answers[i+1]) {
			i++
		}
		last := answers[min(i+1, len(answers)-1)].Asked
		most = max(most, last.Sub(first))
	}
	return most
}

// An asker sends ARP requests and reads the replies.
type asker struct {
	fd      int
	index   int
	target  netip.Addr
	request []byte
}

func (h *Host) newAsker(addr string) (*asker, error) {
	target, err := netip.ParseAddr(addr)
	if err != nil {
		return nil, err
	}
	a := &asker{target: target}
	return a, h.Do(func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		a.index = ifi.Index
		// A probe (RFC 5227, section 2.1.1) has no sender address, so it changes nobody's neighbour table.
		p, err := arp.NewPacket(arp.OperationRequest, ifi.HardwareAddr, netip.IPv4Unspecified(), make(net.HardwareAddr, 6), target)
		if err != nil {
			return err
		}
		payload, err := p.MarshalBinary()
		if err != nil {
			return err
		}
		frame := &ethernet.Frame{
			Destination: ethernet.Broadcast, Source: ifi.HardwareAddr, EtherType: ethernet.EtherTypeARP, Payload: payload,
		}
		if a.request, err = frame.MarshalBinary(); err != nil {
			return err
		}
		a.fd, err = packetSocket("eth0", unix.ETH_P_ARP)
		return err
	})
}

func (a *asker) close() { _ = unix.Close(a.fd) }

// ask sends the question and collects answers for the time given. There are none while the interface is down.
func (a *asker) ask(wait time.Duration) ARPAnswer {
	answer := ARPAnswer{Asked: time.Now()}
	deadline := answer.Asked.Add(wait)
	_ = unix.Sendto(a.fd, a.request, 0, &unix.SockaddrLinklayer{Ifindex: a.index, Protocol: 0x0608})
	buf := make([]byte, 2048)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			slices.Sort(answer.MACs)
			return answer
		}
		timeout := unix.NsecToTimeval(max(left, time.Millisecond).Nanoseconds())
		_ = unix.SetsockoptTimeval(a.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)
		f, ok := receiveFrame(a.fd, buf)
		if !ok {
			continue
		}
		var frame ethernet.Frame
		var p arp.Packet
		if frame.UnmarshalBinary(f.Data) != nil || p.UnmarshalBinary(frame.Payload) != nil {
			continue
		}
		mine := bytes.Equal(frame.Destination, a.request[6:12])
		if p.Operation != arp.OperationReply || p.SenderIP != a.target || !mine {
			// Gratuitous replies are announcements, not answers.
			continue
		}
		if mac := p.SenderHardwareAddr.String(); !slices.Contains(answer.MACs, mac) {
			answer.MACs = append(answer.MACs, mac)
		}
	}
}
