// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/moby/ipvs"
	"golang.org/x/sys/unix"
)

// A fakeKernel answers as Linux does, errno by errno, through any number of handles.
type fakeKernel struct {
	mu       sync.Mutex
	services []*fakeService
	log      []string         // the commands, by name and object
	fail     map[string]error // answers of commands, instead of what they would do
	hang     map[string]bool  // commands that are not answered
	lie      bool             // report success and do nothing
	slow     time.Duration    // how long every command takes
	closing  func()           // called by a handle's Close once its command has its error
	busy     bool             // a command is under way
	dialed   int
	open     int
}

type fakeService struct {
	ipvs.Service
	servers []*ipvs.Destination
}

// newFake returns a Kernel in front of a fakeKernel.
func newFake(t *testing.T) (*Kernel, *fakeKernel) {
	f := &fakeKernel{fail: make(map[string]error), hang: make(map[string]bool)}
	k := NewKernel(hclog.NewNullLogger())
	k.dial = func(hclog.Logger) (handle, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if err := f.fail["dial"]; err != nil {
			return nil, err
		}
		f.dialed++
		f.open++
		return &fakeHandle{kernel: f, closed: make(chan struct{})}, nil
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if f.open != 0 {
			t.Errorf("%d handles are still open", f.open)
		}
	})
	return k, f
}

// A fakeHandle stands for one netlink socket: closing it ends the command that waits for an answer.
type fakeHandle struct {
	kernel *fakeKernel
	closed chan struct{}
}

func (h *fakeHandle) Close() {
	close(h.closed)
	if h.kernel.closing != nil {
		h.kernel.closing()
	}
	h.kernel.mu.Lock()
	defer h.kernel.mu.Unlock()
	h.kernel.open--
}

// do answers one command, do being what it does if nothing was arranged.
func (h *fakeHandle) do(command, object string, do func() error) error {
	f := h.kernel
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, command+" "+object)
	if f.hang[command] {
		f.mu.Unlock()
		<-h.closed
		f.mu.Lock()
		return fmt.Errorf("socket closed")
	}
	if f.busy {
		return fmt.Errorf("two commands at once")
	}
	f.busy = true
	f.mu.Unlock()
	time.Sleep(f.slow) // lets a second one in, if there is one
	f.mu.Lock()
	f.busy = false
	if err := f.fail[command]; err != nil {
		return err
	}
	if f.lie && command != "list" {
		return nil
	}
	return do()
}

func key(s *ipvs.Service) string {
	if s.FWMark != 0 {
		return fmt.Sprintf("mark %d/%d", s.FWMark, s.AddressFamily)
	}
	return fmt.Sprintf("%d %s:%d", s.Protocol, s.Address, s.Port)
}

func (h *fakeHandle) find(s *ipvs.Service) *fakeService {
	i := slices.IndexFunc(h.kernel.services, func(x *fakeService) bool { return key(&x.Service) == key(s) })
	if i < 0 {
		return nil
	}
	return h.kernel.services[i]
}

func (s *fakeService) find(d *ipvs.Destination) int {
	return slices.IndexFunc(s.servers, func(x *ipvs.Destination) bool {
		return x.Address.Equal(d.Address) && x.Port == d.Port
	})
}

func (h *fakeHandle) GetServices() (list []*ipvs.Service, err error) {
	err = h.do("list", "services", func() error {
		for _, s := range h.kernel.services {
			c := s.Service
			c.Flags |= flagHashed
			list = append(list, &c)
		}
		return nil
	})
	return list, err
}

func (h *fakeHandle) GetDestinations(s *ipvs.Service) (list []*ipvs.Destination, err error) {
	err = h.do("list", key(s), func() error {
		if found := h.find(s); found != nil {
			list = slices.Clone(found.servers)
		}
		return nil
	})
	return list, err
}

func (h *fakeHandle) NewService(s *ipvs.Service) error {
	return h.do("new-service", key(s), func() error {
		if h.find(s) != nil {
			return unix.EEXIST
		}
		h.kernel.services = append(h.kernel.services, &fakeService{Service: *s})
		return nil
	})
}

func (h *fakeHandle) UpdateService(s *ipvs.Service) error {
	return h.onService("set-service", s, func(found *fakeService) error {
		found.Service = *s
		return nil
	})
}

func (h *fakeHandle) DelService(s *ipvs.Service) error {
	return h.onService("del-service", s, func(found *fakeService) error {
		h.kernel.services = slices.DeleteFunc(h.kernel.services, func(x *fakeService) bool { return x == found })
		return nil
	})
}

func (h *fakeHandle) NewDestination(s *ipvs.Service, d *ipvs.Destination) error {
	return h.onService("new-server", s, func(found *fakeService) error {
		if found.find(d) >= 0 {
			return unix.EEXIST
		}
		found.servers = append(found.servers, d)
		return nil
	})
}

func (h *fakeHandle) UpdateDestination(s *ipvs.Service, d *ipvs.Destination) error {
	return h.onServer("set-server", s, d, func(found *fakeService, i int) { found.servers[i] = d })
}

func (h *fakeHandle) DelDestination(s *ipvs.Service, d *ipvs.Destination) error {
	return h.onServer("del-server", s, d, func(found *fakeService, i int) {
		found.servers = slices.Delete(found.servers, i, i+1)
	})
}

func (h *fakeHandle) onService(command string, s *ipvs.Service, do func(*fakeService) error) error {
	return h.do(command, key(s), func() error {
		found := h.find(s)
		if found == nil {
			return unix.ESRCH
		}
		return do(found)
	})
}

func (h *fakeHandle) onServer(command string, s *ipvs.Service, d *ipvs.Destination, do func(*fakeService, int)) error {
	return h.onService(command, s, func(found *fakeService) error {
		i := found.find(d)
		if i < 0 {
			return unix.ENOENT
		}
		do(found, i)
		return nil
	})
}

// commands returns what was asked since the last call.
func (f *fakeKernel) commands() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	log := f.log
	f.log = nil
	return log
}
