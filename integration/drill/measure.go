// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// askEvery is the time between two questions, and the error of an outage. An emulated machine has no time for more.
const askEvery = 5 * time.Millisecond

// patience is how long the drill waits for the end of an outage.
func patience() time.Duration { return 10*time.Second + 10*advert }

// settled is how long an outage may begin after a fault, unless the row says otherwise: the backup waits for its
// master-down interval, and then takes its first steps as master.
func settled() time.Duration { return masterDown() + 300*time.Millisecond }

// outage runs the fault while a client asks the VIP by UDP, and returns the longest time without answers.
func outage(over func(*site)) func(*site, func(*site)) figure {
	return func(s *site, fault func(*site)) figure {
		probe := s.client.ProbeEvery(lab.VIP+":7", askEvery)
		if !answered(probe) {
			s.attempt.Fatalf("the VIP did not answer before the fault")
		}
		fault(s)
		if over == nil {
			s.pause(settled())
		} else {
			over(s)
		}
		ended := answered(probe)
		o := probe.Stop()
		return figure{Outage: o.Longest, Open: !ended, Stall: o.Gap - askEvery,
			Note: fmt.Sprintf("%d of %d questions unanswered", o.Lost, o.Sent)}
	}
}

// answered waits until the VIP answers again.
func answered(probe *lab.Prober) bool {
	for end := time.Now().Add(patience()); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if probe.Answered(40) >= 36 {
			return true
		}
	}
	return false
}

// fromNothing runs a fault that begins a service which is not there yet, and returns the time until it answers.
func fromNothing(s *site, fault func(*site)) figure {
	probe := s.client.ProbeEvery(lab.VIP+":7", askEvery)
	fault(s)
	ended := answered(probe)
	o := probe.Stop()
	return figure{Outage: o.Longest, Open: !ended}
}

// servedAfter runs the fault, waits, and counts the clients that get a page.
func servedAfter(wait time.Duration, body string) func(*site, func(*site)) figure {
	return func(s *site, fault func(*site)) figure {
		fault(s)
		s.pause(wait)
		return s.count(func(int) error { return s.page(body) })
	}
}

// page asks for the page, whose text must begin with a body.
func (s *site) page(body string) error {
	text, err := s.client.Get("http://" + lab.VIP + "/")
	if err == nil && !strings.HasPrefix(text, body) {
		err = fmt.Errorf("%q answers, want %s", text, body)
	}
	return err
}

// servedThroughout counts the clients of 40 that get a page from the moment of the fault on, one every 100 ms.
func servedThroughout(body string) func(*site, func(*site)) figure {
	return func(s *site, fault func(*site)) figure {
		var done sync.WaitGroup
		done.Go(func() { s.attempt.Keep(func() { fault(s) }) })
		errs := make([]error, clients)
		for i := range clients {
			done.Go(func() { errs[i] = s.page(body) })
			s.pause(100 * time.Millisecond)
		}
		done.Wait()
		return tally(errs)
	}
}

// count has 40 clients ask at the same time, and counts those who are served.
func (s *site) count(ask func(client int) error) figure {
	var done sync.WaitGroup
	errs := make([]error, clients)
	for i := range clients {
		done.Go(func() { errs[i] = ask(i) })
	}
	done.Wait()
	return tally(errs)
}

// tally counts the clients without an error.
func tally(errs []error) figure {
	n, note := 0, ""
	for _, err := range errs {
		if err == nil {
			n++
		} else {
			note = err.Error()
		}
	}
	return figure{Served: &n, Note: note}
}

// setClock moves the machine's wall clock.
func setClock(by time.Duration) error {
	ts := unix.NsecToTimespec(time.Now().Add(by).UnixNano())
	return unix.ClockSettime(unix.CLOCK_REALTIME, &ts)
}
