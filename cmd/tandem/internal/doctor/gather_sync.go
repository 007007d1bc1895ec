// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
)

const (
	// syncPause is the longest pause between two messages of connection sync while there are new connections: the kernel looks once a
	// second whether the first one that it has not told yet is 2 s old (net/netfilter/ipvs/ip_vs_sync.c).
	syncPause = 3 * time.Second
	// syncStale is the time at the beginning of an examination in which messages are not judged: they may tell of connections from before
	// a change on the other director that is 2 s old.
	syncStale = time.Second
	// syncWait is how long an examination waits for a message, with the time that a busy machine needs to send it.
	syncWait = syncStale + syncPause + 200*time.Millisecond
	// mostSynced is how many messages of connection sync are looked at.
	mostSynced = 1000
)

// A syncListener hears the messages of connection sync beside the rest of an examination.
type syncListener struct {
	began time.Time
	stop  context.CancelFunc
	heard chan struct{} // closed with the first message that concerns this pair
	ended chan struct{}

	all []SyncMessage // after ended
	err error         // likewise
}

// A frameReader passes on frames that other machines send, until ctx ends.
type frameReader interface {
	read(ctx context.Context, hear func(frame []byte, hardware string)) error
}

// listenSync begins to listen for connection sync on its interface. It returns nil if there is none, or if the interface does not work.
func (s *Snapshot) listenSync(ctx context.Context, c *configs.Config) (*syncListener, error) {
	of := c.LVS.Sync
	if !s.working(of.Interface) {
		return nil, nil
	}
	from, err := newListener(of.Interface, protocolUDP, of.Port)
	if err != nil {
		return nil, fmt.Errorf("failed to listen for connection sync: %w", err)
	}
	e := examination{config: c, snapshot: *s}
	return startSyncListener(ctx, from, of, e.concerns, func() { _ = from.conn.Close() }), nil
}

// startSyncListener starts to read. concerns reports whether a message tells something about this pair.
func startSyncListener(ctx context.Context, from frameReader, of lvs.Sync, concerns func(SyncMessage) bool, end func()) *syncListener {
	l := &syncListener{began: time.Now(), heard: make(chan struct{}), ended: make(chan struct{})}
	ctx, l.stop = context.WithCancel(ctx)
	go func() {
		defer close(l.ended)
		defer end()
		first := true
		l.err = from.read(ctx, func(frame []byte, _ string) {
			m, ok := parseSync(frame, of.Port)
			if !ok || m.Group != of.Group || len(l.all) == mostSynced || time.Since(l.began) < syncStale {
				return
			}
			m.Interface = of.Interface
			l.all = append(l.all, m)
			if first && concerns(m) {
				first = false
				close(l.heard)
			}
		})
	}()
	return l
}

// messages ends the listening, and returns what was heard. If another director may have connections to tell, it waits for a message.
func (l *syncListener) messages(ctx context.Context, expected bool) ([]SyncMessage, error) {
	if l == nil {
		return nil, nil
	}
	if expected {
		select {
		case <-ctx.Done():
		case <-l.heard:
		case <-time.After(time.Until(l.began.Add(syncWait))):
		}
	}
	l.close()
	if l.err != nil && !errors.Is(l.err, unix.ENETDOWN) { // an interface that has gone down is another finding
		return nil, fmt.Errorf("failed to listen for connection sync: %w", l.err)
	}
	return l.all, nil
}

// close ends the listening. It may be called again.
func (l *syncListener) close() {
	if l != nil {
		l.stop()
		<-l.ended
	}
}

// concerns reports whether a message tells of a connection to a VIP of this pair.
func (e *examination) concerns(m SyncMessage) bool {
	return slices.ContainsFunc(m.Connections, func(c SyncedConnection) bool { return e.isVIP(c.Virtual.Addr()) })
}

// expectsSync reports whether another director may have connections to tell: this one is not master of all virtual routers.
func (e *examination) expectsSync() bool {
	return e.snapshot.IPVS && slices.ContainsFunc(e.config.Routers, func(r configs.Router) bool { return !e.isMaster(r) })
}
