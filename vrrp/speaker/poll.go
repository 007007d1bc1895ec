// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// wait blocks until a packet, a wake-up or the next deadline. Right after packets it waits a little for the rest of their
// burst: the advertisements of two hundred routers must not cause two hundred wake-ups.
func (l *Loop) wait() error {
	next := l.next()
	if l.heard {
		if err := l.poll(l.fds[:1], sooner(next, l.awake.Add(l.lull()))); err != nil {
			return err
		}
		if l.fds[0].Revents != 0 || !next.IsZero() && !l.now().Before(next) {
			return l.clearWakeUp()
		}
	}
	l.fds = l.fds[:1]
	for at := range l.conns() {
		c := l.connAt(at)
		for i := 0; c != nil && i < sockets; i++ {
			l.fds = append(l.fds, unix.PollFd{Fd: int32(c.all[i].fd), Events: unix.POLLIN}) // ppoll ignores a closed socket: its fd is -1
		}
	}
	if err := l.poll(l.fds, next); err != nil {
		return err
	}
	read := 1
	for at := range l.conns() {
		c := l.connAt(at)
		for i := 0; c != nil && i < sockets; i++ {
			c.all[i].ready = l.fds[read].Revents != 0
			read++
		}
	}
	return l.clearWakeUp()
}

// conns is the number of indexes of connAt.
func (l *Loop) conns() int { return 1 + len(l.carriers) }

// connAt returns the sockets of the interface, or those of a path; nil: none are open.
func (l *Loop) connAt(i int) *conn {
	if i == 0 {
		return l.conn
	}
	return l.carriers[i-1].conn
}

// lull returns how long to wait for the rest of a burst.
func (l *Loop) lull() time.Duration {
	least := maxEarly
	for _, r := range l.routers {
		least = min(least, r.Config.AdvertInterval/100)
	}
	return least
}

// poll waits for descriptors until a time; the zero time means no limit. The first descriptor is that of wake-ups.
func (l *Loop) poll(fds []unix.PollFd, until time.Time) error {
	fds[0] = unix.PollFd{Fd: int32(l.event), Events: unix.POLLIN}
	var timeout *unix.Timespec
	if !until.IsZero() {
		timeout = l.timeout.of(until.Sub(l.now()))
	}
	if _, err := unix.Ppoll(fds, timeout, nil); err != nil && err != unix.EINTR {
		return fmt.Errorf("failed to wait on the VRRP sockets of %s: %w", l.iface, err)
	}
	return nil
}

// clearWakeUp reads the eventfd after a wake-up.
func (l *Loop) clearWakeUp() error {
	if l.fds[0].Revents != 0 {
		var count [8]byte
		if _, err := unix.Read(l.event, count[:]); err != nil && err != unix.EAGAIN && err != unix.EINTR {
			return fmt.Errorf("failed to read the eventfd of the VRRP loop of %s: %w", l.iface, err)
		}
	}
	return nil
}

// next returns the next time at which the loop has something to do, the zero time if never.
func (l *Loop) next() time.Time {
	next := sooner(sooner(l.reopen, l.diagnosisDue), sooner(l.pulseDue, l.carrierDue))
	if len(l.timers) > 0 {
		next = sooner(next, l.timers[0].due)
	}
	return next
}

// sooner returns the earlier of two times. The zero time means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// latest returns the later of two times.
func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
