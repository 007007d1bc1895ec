// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// A fakeKernel answers as Linux does, errno by errno, through any number of sessions.
type fakeKernel struct {
	mu       sync.Mutex
	services []*fakeService
	foreign  int // services of a protocol that tandem does not know
	daemons  []lvs.SyncDaemon
	log      []string         // the commands, by name and object
	writes   int              // system calls that carried commands other than lists
	fail     map[string]error // answers of commands, instead of their effect
	hang     map[string]bool  // commands that are not answered
	lie      bool             // report success and do nothing
	slow     time.Duration    // how long every system call takes
	closing  func()           // called when a session is closed, after its command has got its error
	busy     bool             // a system call is under way
	dialed   int
	open     int
}

type fakeService struct {
	lvs.Service
	Stats   lvs.Stats
	servers []*lvs.ServerStatus
}

// newFake returns an IPVS in front of a fakeKernel.
func newFake(t *testing.T) (*IPVS, *fakeKernel) {
	f := &fakeKernel{fail: make(map[string]error), hang: make(map[string]bool)}
	k := New(hclog.NewNullLogger())
	k.dial = func(hclog.Logger) (*session, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if err := f.fail["dial"]; err != nil {
			return nil, err
		}
		f.dialed++
		f.open++
		closed := make(chan struct{})
		socket := &fakeSocket{kernel: f, closed: closed, answers: make(chan []byte, 2*batchSize)}
		return &session{&fakeHandle{kernel: f, closed: closed}, newWire(socket, fakeFamily)}, nil
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if f.open != 0 {
			t.Errorf("%d sessions are still open", f.open)
		}
	})
	return k, f
}

// do answers one command. Without another arrangement it runs do. It is false if there is no answer.
func (f *fakeKernel) do(command, object string, do func() error) (answered bool, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, command+" "+object)
	if f.hang[command] {
		return false, nil
	}
	if err := f.fail[command]; err != nil {
		return true, err
	}
	if f.lie && command != "list" && command != "get" {
		return true, nil
	}
	return true, do()
}

// call marks the beginning of a system call. It returns an error if another call is under way.
func (f *fakeKernel) call() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy {
		return fmt.Errorf("two commands at once")
	}
	f.busy = true
	f.mu.Unlock()
	time.Sleep(f.slow) // lets a second call in, if there is one
	f.mu.Lock()
	f.busy = false
	return nil
}

func (f *fakeKernel) find(id lvs.ServiceID) *fakeService {
	i := slices.IndexFunc(f.services, func(x *fakeService) bool { return x.ServiceID == id })
	if i < 0 {
		return nil
	}
	return f.services[i]
}

func (s *fakeService) find(id lvs.ServerID) int {
	return slices.IndexFunc(s.servers, func(x *lvs.ServerStatus) bool { return x.ServerID == id })
}

// commandNames are the kernel's commands as the log has them.
var commandNames = map[uint8]string{
	cmdNewService: "new-service", cmdSetService: "set-service", cmdDelService: "del-service", cmdGetService: "list",
	cmdNewServer: "new-server", cmdSetServer: "set-server", cmdDelServer: "del-server", cmdGetServer: "list",
	cmdNewDaemon: "new-daemon", cmdDelDaemon: "del-daemon", cmdGetDaemon: "list",
}

// write carries out a command that changes the table.
func (f *fakeKernel) write(command uint8, s lvs.Service, server lvs.Server) (answered bool, _ error) {
	return f.do(commandNames[command], s.ServiceID.String(), func() error {
		found := f.find(s.ServiceID)
		if command == cmdNewService {
			if found != nil {
				return unix.EEXIST
			}
			f.services = append(f.services, &fakeService{Service: s})
			return nil
		}
		if found == nil {
			return unix.ESRCH
		}
		at := found.find(server.ServerID)
		switch {
		case command == cmdSetService:
			found.Service = s
		case command == cmdDelService:
			f.services = slices.DeleteFunc(f.services, func(x *fakeService) bool { return x == found })
		case command == cmdNewServer && at >= 0:
			return unix.EEXIST
		case command == cmdNewServer:
			found.servers = append(found.servers, &lvs.ServerStatus{Server: server})
		case at < 0:
			return unix.ENOENT
		case command == cmdSetServer:
			found.servers[at].Server = server
		case command == cmdDelServer:
			found.servers = slices.Delete(found.servers, at, at+1)
		}
		return nil
	})
}

// commands returns the commands since the last call.
func (f *fakeKernel) commands() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	log := f.log
	f.log = nil
	return log
}
