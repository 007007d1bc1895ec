// SPDX-License-Identifier: Apache-2.0

package logsink

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// journalSocket is where journald takes entries: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
const journalSocket = "/run/systemd/journal/socket"

// A nativeJournal is an output to journald. Its socket is connected, so that a write to a journald that has stopped sleeps. (The journal
// package of go-systemd sends from a socket that is not: Linux then wakes the writer with each try, which costs a whole processor
// for as long as journald stands still.) An entry that journald does not take is written to spare with its priority in front, as
// sd-daemon(3) has it.
type nativeJournal struct {
	path  string
	spare io.Writer

	conn *net.UnixConn // nil: not connected
}

func (j *nativeJournal) write(batch []entry) {
	for _, e := range batch {
		if err := j.send(e.datagram()); err != nil {
			_, _ = j.spare.Write(e.prefixed())
		}
	}
}

// send sends a datagram. If journald was started anew with another socket, it connects again.
func (j *nativeJournal) send(data []byte) (err error) {
	for range 2 {
		if j.conn == nil {
			if j.conn, err = net.DialUnix("unixgram", nil, &net.UnixAddr{Name: j.path, Net: "unixgram"}); err != nil {
				j.conn = nil
				return err
			}
		}
		if err = j.deliver(data); err == nil {
			return nil
		}
		_ = j.conn.Close()
		j.conn = nil
	}
	return err
}

// deliver writes to the socket. What is too large for a datagram goes as a sealed file in memory.
func (j *nativeJournal) deliver(data []byte) error {
	_, err := j.conn.Write(data)
	if !errors.Is(err, unix.EMSGSIZE) && !errors.Is(err, unix.ENOBUFS) {
		return err
	}
	file, err := sealed(data)
	if err != nil {
		return err
	}
	defer file.Close()
	return j.hand(file)
}

// hand sends a datagram that has only a file. (WriteMsgUnix refuses a connected socket.)
func (j *nativeJournal) hand(file *os.File) error {
	raw, err := j.conn.SyscallConn()
	if err != nil {
		return err
	}
	rights := unix.UnixRights(int(file.Fd()))
	waited := raw.Write(func(fd uintptr) bool {
		err = unix.Sendmsg(int(fd), nil, rights, nil, 0)
		return !errors.Is(err, unix.EAGAIN)
	})
	return errors.Join(waited, err)
}

// sealed returns a file in memory that nobody can change any more. journald takes no other.
func sealed(data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("tandem-log", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("failed to make a file in memory: %w", err)
	}
	file := os.NewFile(uintptr(fd), "tandem-log")
	if _, err = file.Write(data); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE|unix.F_SEAL_SEAL)
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("failed to fill a file in memory: %w", err)
	}
	return file, nil
}

// datagram returns the entry in journald's native format.
func (e entry) datagram() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "PRIORITY=%d\n", e.priority)
	field{"MESSAGE", e.message}.append(&out)
	for _, f := range e.fields {
		f.append(&out)
	}
	return out.Bytes()
}

// append appends the field to a datagram. A value with line feeds needs its length in front.
func (f field) append(out *bytes.Buffer) {
	out.WriteString(f.name)
	if strings.Contains(f.value, "\n") {
		out.WriteByte('\n')
		out.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(f.value))))
	} else {
		out.WriteByte('=')
	}
	out.WriteString(f.value)
	out.WriteByte('\n')
}

// prefixed returns the entry as lines of text, each with the priority in front: a journald that reads standard error takes it from
// there.
func (e entry) prefixed() []byte {
	var out bytes.Buffer
	for line := range strings.SplitSeq(e.message, "\n") {
		fmt.Fprintf(&out, "<%d>%s\n", e.priority, line)
	}
	return out.Bytes()
}
