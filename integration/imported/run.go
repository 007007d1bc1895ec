// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const (
	// ready is the longest time until a subject is master and has judged all servers. keepalived needs three intervals and the skew,
	// and a check that times out twice.
	ready = 40 * time.Second
	// steady is how long nothing may change then. The advertisements of this time are recorded.
	steady = 5 * time.Second
)

// A result is what came of a configuration.
type result struct {
	name               string
	services, servers  int
	compared           map[string]comparison
	keepalived, tandem record
	left               []string // what keepalived left behind
	notes              []string
	logs               []string
	reason             string // of a failure
}

// run runs a configuration with both. If verbose, the result has what the programs wrote.
func (c configuration) run(verbose bool) result {
	attempt := lab.NewAttempt(c.name)
	s := &stage{attempt: attempt, of: c}
	r := result{name: c.name}
	r.reason = attempt.Do(func() {
		if err := installPrograms(); err != nil {
			attempt.Fatalf("%v", err)
		}
		s.build()
		before := s.look()
		p := s.keepalived()
		r.keepalived = s.settled(p, before, nil)
		s.end(p)
		r.left = before.differences(s.cleared(before))

		// tandem starts from what is there now. What keepalived leaves is not tandem's to remove.
		s.director.Run("ipvsadm", "--set", "900", "120", "300")
		before = s.look()
		conversion := s.convert()
		for _, n := range conversion.Notes {
			text := fmt.Sprintf("line %d: %s", n.Line, n.Text)
			if n.Do != "" {
				text += "; " + n.Do
			}
			r.notes = append(r.notes, text)
		}
		p = s.tandem(conversion)
		r.tandem = s.settled(p, before, r.keepalived)
		s.end(p)
		if left := before.differences(s.cleared(before)); len(left) > 0 {
			attempt.Errorf("tandem has left something behind: %s", strings.Join(left, "; "))
		}
		if verbose {
			attempt.Logf("%s", s.Written(time.Time{}))
		}
	})
	r.compared = map[string]comparison{}
	for _, part := range parts {
		r.compared[part] = compare(part, r.keepalived[part], r.tandem[part])
	}
	for _, l := range r.keepalived[table] {
		switch {
		case strings.HasPrefix(l, "-A "):
			r.services++
		case strings.HasPrefix(l, "-a "):
			r.servers++
		}
	}
	r.logs = attempt.Logs()
	return r
}

// settled waits until a subject is master, the dead servers are found, and nothing changes any more, and returns what it has made.
// If there is something to compare with, it waits for the same first, but does not insist.
func (s *stage) settled(p *lab.Process, before, same record) record {
	var now record
	as := func(same record) bool {
		for _, part := range []string{table, addresses, routes} {
			if len(compare(part, same[part], now[part]).differences) > 0 {
				return false
			}
		}
		return true
	}
	since, began := time.Now(), time.Now()
	s.Eventually(ready+steady, "it is master and settled", func() error {
		if !p.Running() {
			s.attempt.Fatalf("it has ended")
		}
		last := now
		now = s.look().minus(before)
		waits := ""
		for _, a := range s.of.has {
			if !s.director.Has(a) {
				waits = "it has no " + a
			}
		}
		if alive := now.alive(s.of.dead); len(alive) > 0 {
			waits = "it has not found out that these are dead: " + strings.Join(alive, ", ")
		}
		// A difference may be one that stays.
		if same != nil && !as(same) && time.Since(began) < ready-steady {
			waits = "it is not like keepalived"
		}
		if waits != "" || last == nil || !last.equal(now) {
			since = time.Now()
			return errors.New("it still changes: " + waits)
		}
		if left := steady - time.Since(since); left > 0 {
			return fmt.Errorf("it has changed nothing for %s", steady-left)
		}
		return nil
	})
	now[adverts] = s.sent(since)
	return now
}

// cleared waits until all is as before, and returns what is.
func (s *stage) cleared(before record) (now record) {
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		if now = s.look(); now.equal(before) || time.Now().After(end) {
			return now
		}
	}
}
