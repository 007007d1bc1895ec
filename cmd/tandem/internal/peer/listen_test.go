// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// A meanwhile is a context that does something when it is asked whether it has ended.
type meanwhile struct {
	context.Context
	do func()
}

func (m meanwhile) Err() error {
	m.do()
	return m.Context.Err()
}

// A connection that comes while the former one ends is the one that counts.
func TestConnectionComesWhileTheFormerOneEnds(t *testing.T) {
	h := hearing{Link: &Link{told: make(chan struct{}, 1)}}
	former, next := net.Pipe()
	defer former.Close()
	defer next.Close()
	h.begin(former, &message.Hello{Instance: "former"})
	var coming sync.WaitGroup
	come := func() { h.begin(next, &message.Hello{Instance: "next"}) }
	h.end(meanwhile{t.Context(), func() {
		if h.mu.TryLock() { // nothing keeps the next one from coming now
			h.mu.Unlock()
			come()
		} else {
			coming.Go(come)
		}
	}}, former, errors.New("it fell silent"))
	coming.Wait()
	if is := h.channel; !is.From.Up || is.Peer.Instance != "next" {
		t.Errorf("%+v", is)
	}
}

// An exhausted is a listener that has no descriptors for its second connection.
type exhausted struct {
	net.Listener
	asked int
	again chan struct{} // closed when it is asked again after that
}

func (l *exhausted) Accept() (net.Conn, error) {
	switch l.asked++; l.asked {
	case 2:
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", unix.EMFILE)}
	case 3:
		close(l.again)
	}
	return l.Listener.Accept()
}

// A director that runs out of descriptors still hears the other one on the connection that it has.
func TestNoDescriptors(t *testing.T) {
	own, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	_, theirs := addresses(t)
	x, y := newSide(t, "x", theirs, theirs), newSide(t, "y", theirs, netip.MustParseAddrPort(own.Addr().String()))
	x.instance, x.told = "x", make(chan struct{}, 1)
	socket := &exhausted{Listener: own, again: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- x.take(ctx, socket) }()
	y.start()
	select {
	case <-socket.again:
	case err := <-ended:
		t.Fatalf("it takes no more connections: %v", err)
	}
	y.Out.Put(viewOf("www/192.0.2.1:80"))
	x.awaitOrder("www/192.0.2.1:80")
	x.Link.mu.Lock()
	if is := x.Link.channel; !is.From.Up {
		t.Errorf("%+v", is)
	}
	x.Link.mu.Unlock()
	cancel()
	_ = own.Close()
	<-ended
}
