// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/moby/ipvs"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/lvs"
)

// fakeFamily is the number of the fake's netlink family.
const fakeFamily = 42

// A fakeHandle stands for moby/ipvs and its netlink socket: closing it ends the command that waits for an answer.
type fakeHandle struct {
	kernel *fakeKernel
	closed chan struct{}
}

func (h *fakeHandle) Close() {
	close(h.closed)
	if h.kernel.closing != nil {
		h.kernel.closing()
	}
}

func (h *fakeHandle) write(command uint8, s *ipvs.Service, d *ipvs.Destination) error {
	var server lvs.Server
	if d != nil {
		server = fromDestination(d)
	}
	if err := h.kernel.call(); err != nil {
		return err
	}
	h.kernel.mu.Lock()
	h.kernel.writes++
	h.kernel.mu.Unlock()
	answered, err := h.kernel.write(command, fromService(s), server)
	if !answered {
		<-h.closed
		return errors.New("socket closed")
	}
	return err
}

func (h *fakeHandle) NewService(s *ipvs.Service) error    { return h.write(cmdNewService, s, nil) }
func (h *fakeHandle) UpdateService(s *ipvs.Service) error { return h.write(cmdSetService, s, nil) }
func (h *fakeHandle) DelService(s *ipvs.Service) error    { return h.write(cmdDelService, s, nil) }

func (h *fakeHandle) NewDestination(s *ipvs.Service, d *ipvs.Destination) error {
	return h.write(cmdNewServer, s, d)
}

func (h *fakeHandle) UpdateDestination(s *ipvs.Service, d *ipvs.Destination) error {
	return h.write(cmdSetServer, s, d)
}

func (h *fakeHandle) DelDestination(s *ipvs.Service, d *ipvs.Destination) error {
	return h.write(cmdDelServer, s, d)
}

// fromService is the inverse of toService.
func fromService(s *ipvs.Service) lvs.Service {
	out := lvs.Service{Scheduler: s.SchedName, Flags: lvs.Flags(s.Flags), Timeout: time.Duration(s.Timeout) * time.Second,
		Engine: s.PEName}
	family := enumOf[lvs.Family](familyNumbers[:], s.AddressFamily)
	out.Prefix = prefixOf(s.Netmask, family)
	if s.FWMark != 0 {
		out.FWMark, out.Family = s.FWMark, family
		return out
	}
	out.Protocol, out.Port = enumOf[lvs.Protocol](protocolNumbers[:], s.Protocol), s.Port
	out.Addr = addr(s.Address)
	return out
}

// fromDestination is the inverse of toDestination.
func fromDestination(d *ipvs.Destination) lvs.Server {
	return lvs.Server{
		ServerID:       lvs.ServerID{Addr: addr(d.Address), Port: d.Port},
		Method:         enumOf[lvs.Method](methodNumbers[:], d.ConnectionFlags),
		Weight:         d.Weight,
		UpperThreshold: d.UpperThreshold,
		LowerThreshold: d.LowerThreshold,
	}.Canonical()
}

func addr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

// A fakeSocket stands for our own netlink socket.
type fakeSocket struct {
	kernel  *fakeKernel
	closed  chan struct{} // by the handle of the same session
	answers chan []byte
}

func (s *fakeSocket) Close() error {
	s.kernel.mu.Lock()
	defer s.kernel.mu.Unlock()
	s.kernel.open--
	return nil
}

func (s *fakeSocket) Read(b []byte) (int, error) {
	select {
	case answer := <-s.answers:
		return copy(b, answer), nil
	case <-s.closed:
		return 0, errors.New("socket closed")
	}
}

// Write runs the messages of one system call as the kernel does: each one, even if an earlier one failed. It answers if an
// answer was requested or if there is an error other than EINTR. After a command that hangs there are no answers.
func (s *fakeSocket) Write(b []byte) (int, error) {
	if err := s.kernel.call(); err != nil {
		return 0, err
	}
	counted := false
	for rest := b; len(rest) > 0; {
		length := align(int(binary.NativeEndian.Uint32(rest)))
		message := rest[:length]
		rest = rest[length:]
		if binary.NativeEndian.Uint16(message[4:]) == unix.NLMSG_NOOP {
			s.answer(message, unix.NLMSG_ERROR, make([]byte, 4))
			continue
		}
		flags, command := binary.NativeEndian.Uint16(message[6:]), message[unix.SizeofNlMsghdr]
		if flags&unix.NLM_F_DUMP == unix.NLM_F_DUMP {
			s.list(message)
			continue
		}
		if command == cmdGetService {
			s.one(message)
			continue
		}
		if !counted {
			counted = true
			s.kernel.mu.Lock()
			s.kernel.writes++
			s.kernel.mu.Unlock()
		}
		answered, err := s.write(command, message[messageHeader:])
		var errno unix.Errno
		_ = errors.As(err, &errno)
		if !answered {
			break
		}
		if err != nil && errno != unix.EINTR {
			s.answer(message, unix.NLMSG_ERROR, binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno))))
		}
	}
	return len(b), nil
}

func (s *fakeSocket) write(command uint8, attributes []byte) (answered bool, _ error) {
	if command == cmdNewDaemon || command == cmdDelDaemon {
		d, _ := parseDaemon(attributes)
		return s.kernel.writeDaemon(command, d)
	}
	service, _ := parseService(attributes, nil)
	_, attributes, _ = nextAttr(attributes)
	var server lvs.ServerStatus
	if len(attributes) > 0 {
		server, _ = parseServer(attributes, service.AddrFamily(), false)
	}
	return s.kernel.write(command, service, server.Server)
}

// list answers a dump: one datagram for each element, and one that says that this was all.
func (s *fakeSocket) list(message []byte) {
	f, command := s.kernel, message[unix.SizeofNlMsghdr]
	service, _ := parseService(message[messageHeader:], nil)
	object := service.ServiceID.String()
	if command != cmdGetServer {
		object = map[uint8]string{cmdGetService: "services", cmdGetDaemon: "daemons"}[command]
	}
	var elements [][]byte
	answered, err := f.do("list", object, func() error {
		elements = f.elements(command, service.ServiceID)
		return nil
	})
	if !answered {
		return
	}
	for _, e := range elements {
		s.answer(message, fakeFamily, append([]byte{command, 1, 0, 0}, e...))
	}
	var errno unix.Errno
	_ = errors.As(err, &errno)
	s.answer(message, unix.NLMSG_DONE, binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno))))
}

// one answers the question for one service.
func (s *fakeSocket) one(message []byte) {
	f := s.kernel
	service, _ := parseService(message[messageHeader:], nil)
	var element []byte
	_, err := f.do("get", service.ServiceID.String(), func() error {
		found := f.find(service.ServiceID)
		if found == nil {
			return unix.ESRCH
		}
		element = appendService(nil, found.Service, true)
		return nil
	})
	if err == nil {
		s.answer(message, fakeFamily, append([]byte{cmdGetService, 1, 0, 0}, element...))
		return
	}
	var errno unix.Errno
	_ = errors.As(err, &errno)
	s.answer(message, unix.NLMSG_ERROR, binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno))))
}

// elements returns the attributes of what a dump lists.
func (f *fakeKernel) elements(command uint8, of lvs.ServiceID) (all [][]byte) {
	switch command {
	case cmdGetService:
		for range f.foreign {
			all = append(all, appendService(nil, lvs.Service{ServiceID: lvs.ServiceID{Addr: netip.IPv4Unspecified()}}, true))
		}
		for _, s := range f.services {
			kernels := s.Service
			kernels.Flags |= flagHashed
			all = append(all, appendStats(appendService(nil, kernels, true), serviceStats, s.Stats))
		}
	case cmdGetServer:
		if found := f.find(of); found != nil {
			for _, s := range found.servers {
				b := appendServer(nil, s.Server, true)
				b = appendAttr32(b, serverActive, uint32(s.Active))
				b = appendAttr32(b, serverInactive, uint32(s.Inactive))
				b = appendAttr32(b, serverPersistent, uint32(s.Persistent))
				all = append(all, appendStats(b, serverStats, s.Stats))
			}
		}
	case cmdGetDaemon:
		for _, d := range f.daemons {
			all = append(all, appendDaemon(nil, d.Sync, d.Roles))
		}
	}
	return all
}

// appendStats appends statistics to the nested attribute that b is.
func appendStats(b []byte, kind uint16, s lvs.Stats) []byte {
	b, start := nest(b, kind)
	for i, v := range []uint64{s.Connections, s.InPackets, s.OutPackets, s.InBytes, s.OutBytes,
		s.ConnectionRate, s.InPacketRate, s.OutPacketRate, s.InByteRate, s.OutByteRate} {
		b = binary.NativeEndian.AppendUint64(appendHead(b, uint16(1+i), 8), v)
	}
	unnest(b, start)
	unnest(b, 0)
	return b
}

// answer queues a datagram with one message.
func (s *fakeSocket) answer(to []byte, kind uint16, data []byte) {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(data)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_MULTI)
	b = append(b, to[8:12]...)
	b = append(b, 0, 0, 0, 0)
	s.answers <- append(b, data...)
}

// writeDaemon carries out a command that starts or stops a sync daemon.
func (f *fakeKernel) writeDaemon(command uint8, d lvs.SyncDaemon) (answered bool, _ error) {
	return f.do(commandNames[command], d.Roles.String(), func() error {
		at := -1
		for i, x := range f.daemons {
			if x.Roles == d.Roles {
				at = i
			}
		}
		switch {
		case command == cmdNewDaemon && at >= 0:
			return unix.EEXIST
		case command == cmdNewDaemon:
			d.Sync = complete(d.Sync)
			f.daemons = append(f.daemons, d)
		case at < 0:
			return unix.ESRCH
		default:
			f.daemons = append(f.daemons[:at:at], f.daemons[at+1:]...)
		}
		return nil
	})
}
