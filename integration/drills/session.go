// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// inTerminal starts a drill in a shell in a terminal. The end of the terminal is that of an operator's window, or of ssh: the kernel
// hangs up, and the next line that the drill writes has no place to go.
func (s *site) inTerminal(args []string) (end func()) {
	master, slave, err := openTerminal()
	if err != nil {
		s.t.Fatalf("failed to open a terminal: %v", err)
	}
	cmd := exec.Command("busybox", "sh", "-c", strings.Join(args, " ")+"; true")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	s.session(cmd)
	_ = slave.Close()
	go func() { _, _ = io.Copy(io.Discard, master) }()
	return func() { _ = master.Close() }
}

// openTerminal opens a pseudoterminal (pty(7)).
func openTerminal() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	number := 0
	raw, err := master.SyscallConn()
	if err == nil {
		controlErr := raw.Control(func(fd uintptr) {
			if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
				number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
			}
		})
		if controlErr != nil {
			err = controlErr
		}
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		_ = master.Close()
		return nil, nil, err
	}
	return master, slave, nil
}

// overNetwork starts a drill whose input and output are a connection from the client's machine. Its end is that of the director's
// network: what the drill writes does not arrive, and nobody tells it.
func (s *site) overNetwork(args []string) (end func()) {
	var server, conn net.Conn
	err := s.a.Do(func() error {
		listener, err := net.Listen("tcp4", "192.0.2.2:0")
		if err != nil {
			return err
		}
		defer listener.Close()
		if err := s.client.Do(func() (err error) { conn, err = net.Dial("tcp4", listener.Addr().String()); return err }); err != nil {
			return err
		}
		server, err = listener.Accept()
		return err
	})
	if err != nil {
		s.t.Fatalf("no connection to director-a: %v", err)
	}
	file, err := server.(*net.TCPConn).File()
	if err != nil {
		s.t.Fatalf("%v", err)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = file, file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	s.session(cmd)
	_, _ = file.Close(), server.Close()
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	s.t.Cleanup(func() { _ = conn.Close() })
	return s.a.Isolate
}

// session starts a command on the master, which ends with the row.
func (s *site) session(cmd *exec.Cmd) {
	if err := s.a.Do(cmd.Start); err != nil {
		s.t.Fatalf("%v", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
}
