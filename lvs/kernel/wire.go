// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Commands of linux/ip_vs.h (IPVS_CMD_…).
const (
	cmdNewService = 1
	cmdSetService = 2
	cmdDelService = 3
	cmdGetService = 4
	cmdNewServer  = 5
	cmdSetServer  = 6
	cmdDelServer  = 7
	cmdGetServer  = 8
	cmdNewDaemon  = 9
	cmdDelDaemon  = 10
	cmdGetDaemon  = 11
	cmdGetInfo    = 15
)

const (
	genlHeader    = 4 // struct genlmsghdr
	messageHeader = unix.SizeofNlMsghdr + genlHeader

	// batchSize is how many commands go in one system call. Larger batches are not faster.
	batchSize = 1000
	// serviceBatchSize is batchSize for services. The kernel takes about 15 ms to change a scheduler, and 100 ms to find that
	// it does not have a scheduler. Other commands wait meanwhile.
	serviceBatchSize = 25
	// sendBuffer holds a batch: a command takes up to 200 bytes.
	sendBuffer = 1 << 20
	// receiveBuffer holds an error for each command of a batch. The kernel counts each as nearly 1 KiB.
	receiveBuffer = 4 << 20
	// datagramSize is more than the kernel puts into one datagram of a dump (32 KiB).
	datagramSize = 64 << 10
)

var errMalformed = errors.New("malformed netlink message")

// A wire is a netlink connection to IPVS for the changes that moby/ipvs cannot make (see mobyCan). It serves one caller at a
// time.
type wire struct {
	socket io.ReadWriteCloser // a Write is one system call, a Read one datagram
	family uint16
	seq    uint32
	out    []byte
	in     []byte
}

// dialWire connects to the family in the network namespace of the calling thread.
func dialWire(family uint16) (*wire, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_GENERIC)
	if err != nil {
		return nil, fmt.Errorf("failed to open IPVS netlink socket: %w", err)
	}
	socket := os.NewFile(uintptr(fd), "netlink")
	err = errors.Join(
		setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, sendBuffer),
		setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, receiveBuffer),
		unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)) // an error need not repeat the command
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("failed to set up IPVS netlink socket: %w", err), socket.Close())
	}
	return newWire(socket, family), nil
}

// setBuffer sets the size of a buffer. In a container with a user namespace the system's limit applies.
func setBuffer(fd, force, ordinary, size int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size)
	if errors.Is(err, unix.EPERM) {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, ordinary, size)
	}
	return err
}

func newWire(socket io.ReadWriteCloser, family uint16) *wire {
	return &wire{socket: socket, family: family, in: make([]byte, datagramSize)}
}

// header appends the header of the next message, whose length end completes.
func (w *wire) header(b []byte, kind, flags uint16) []byte {
	w.seq++
	b = binary.NativeEndian.AppendUint32(b, unix.SizeofNlMsghdr)
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|flags)
	b = binary.NativeEndian.AppendUint32(b, w.seq)
	return binary.NativeEndian.AppendUint32(b, 0) // to the kernel
}

// begin appends the headers of the next command, which end completes once the attributes are there.
func (w *wire) begin(b []byte, command uint8, flags uint16) []byte {
	return append(w.header(b, w.family, flags), command, 1, 0, 0)
}

func end(b []byte, start int) { binary.NativeEndian.PutUint32(b[start:], uint32(len(b)-start)) }

// exec sends n commands in one system call. encode appends the attributes of the i-th command and returns its number. The
// kernel runs them in order before the system call returns, and continues after a failure. It answers the commands that
// failed. The map holds their errors.
//
// An empty message after the last command asks for an acknowledgement, because the kernel does not answer a command that
// fails with EINTR. This happens if a sync daemon is stopped right after its start. Such a command counts as successful.
//
// The other error is the connection's. After it the connection must not be used again, and the result of the commands is
// unknown. With ENOBUFS, the commands were run, but some of their errors are lost.
func (w *wire) exec(n int, encode func(b []byte, i int) (command uint8, attributes []byte)) (map[int]error, error) {
	first := w.seq + 1
	w.out = w.out[:0]
	for i := range n {
		start := len(w.out)
		b := w.begin(w.out, 0, 0)
		command, b := encode(b, i)
		b[start+unix.SizeofNlMsghdr] = command
		end(b, start)
		w.out = b
	}
	w.out = w.header(w.out, unix.NLMSG_NOOP, unix.NLM_F_ACK)
	if _, err := w.socket.Write(w.out); err != nil {
		return nil, fmt.Errorf("failed to send to IPVS: %w", err)
	}
	var failed map[int]error
	for last := false; !last; {
		err := w.receive(first, func(i int, kind uint16, data []byte) error {
			if kind != unix.NLMSG_ERROR {
				return nil
			}
			if last = i == n; len(data) < 4 {
				return errMalformed
			}
			if errno := int32(binary.NativeEndian.Uint32(data)); errno != 0 {
				if failed == nil {
					failed = make(map[int]error)
				}
				failed[i] = unix.Errno(-errno)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return failed, nil
}

// get sends one request and calls each with the attributes of every reply. After an error that is not an errno of the
// kernel, the connection must be closed.
func (w *wire) get(command uint8, encode func(b []byte) []byte, each func(attributes []byte) error) error {
	first := w.seq + 1
	w.out = encode(w.begin(w.out[:0], command, 0))
	end(w.out, 0)
	w.out = w.header(w.out, unix.NLMSG_NOOP, unix.NLM_F_ACK)
	if _, err := w.socket.Write(w.out); err != nil {
		return fmt.Errorf("failed to send to IPVS: %w", err)
	}
	var refused error
	for last := false; !last; {
		err := w.receive(first, func(i int, kind uint16, data []byte) error {
			switch {
			case len(data) < genlHeader: // as long as an errno
				return errMalformed
			case kind != unix.NLMSG_ERROR:
				return each(data[genlHeader:])
			}
			last = i == 1
			if errno := int32(binary.NativeEndian.Uint32(data)); errno != 0 {
				refused = unix.Errno(-errno)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return refused
}

// dump asks for a list and calls each with the attributes of each element. They are valid until each returns. After an
// error the connection must not be used again.
func (w *wire) dump(command uint8, encode func(b []byte) []byte, each func(attributes []byte) error) error {
	w.out = w.begin(w.out[:0], command, unix.NLM_F_DUMP)
	if encode != nil {
		w.out = encode(w.out)
	}
	end(w.out, 0)
	if _, err := w.socket.Write(w.out); err != nil {
		return fmt.Errorf("failed to send to IPVS: %w", err)
	}
	for done := false; !done; {
		err := w.receive(w.seq, func(_ int, kind uint16, data []byte) error {
			if kind != unix.NLMSG_DONE && kind != unix.NLMSG_ERROR {
				if len(data) < genlHeader {
					return errMalformed
				}
				return each(data[genlHeader:])
			}
			done = true
			if len(data) < 4 {
				return errMalformed
			}
			if errno := int32(binary.NativeEndian.Uint32(data)); errno != 0 {
				return unix.Errno(-errno)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// receive reads one datagram and calls each for the messages in it that answer the message number first or a later one.
func (w *wire) receive(first uint32, each func(i int, kind uint16, data []byte) error) error {
	n, err := w.socket.Read(w.in)
	if err != nil {
		return fmt.Errorf("failed to receive from IPVS: %w", err)
	}
	return eachMessage(w.in[:n], func(kind uint16, seq uint32, data []byte) error {
		if i := seq - first; i <= w.seq-first {
			return each(int(i), kind, data)
		}
		return nil
	})
}

// eachMessage calls each for the messages of a datagram.
func eachMessage(b []byte, each func(kind uint16, seq uint32, data []byte) error) error {
	for len(b) > 0 {
		if len(b) < unix.SizeofNlMsghdr {
			return errMalformed
		}
		length := int(binary.NativeEndian.Uint32(b))
		if length < unix.SizeofNlMsghdr || length > len(b) {
			return errMalformed
		}
		kind, seq := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint32(b[8:])
		if err := each(kind, seq, b[unix.SizeofNlMsghdr:length]); err != nil {
			return err
		}
		b = b[min(align(length), len(b)):]
	}
	return nil
}

func (w *wire) close() error { return w.socket.Close() }
