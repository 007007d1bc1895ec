// SPDX-License-Identifier: Apache-2.0

package main

import (
	"embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/integration/lab"
)

// testdata has a folder for each deployment: the keepalived.conf of a and b, and the files that both machines have.
//
//go:embed testdata
var testdata embed.FS

// A machine is one of the two directors: it has files, processes and mounts of its own. director-a runs tandem, director-b keepalived.
type machine struct {
	*lab.Host
	scene    *scene
	letter   string // a or b
	switches []string
	box      *lab.Box // nil: it is off
	daemon   *lab.Process
	program  *lab.Process // what the deployment puts behind the address; nil: nothing on this machine
}

// The paths of a machine, below the directory that holds its files.
const (
	disk         = "disk"
	keepalivedAt = "/etc/keepalived/keepalived.conf"
	tandemAt     = "/etc/tandem/tandem.toml"
	toldAt       = "/var/log/notify"
	mailHookAt   = "/usr/local/lib/tandem/mail"
)

// own are the folders that each machine has for itself.
var own = []string{"/etc/keepalived", "/etc/tandem", "/etc/haproxy", "/etc/nginx", "/etc/mail", "/run", "/var/lib", "/var/log"}

// newMachine makes a director with its files. It is off.
func newMachine(s *scene, letter string, addrs ...string) *machine {
	m := &machine{Host: s.Host("director-"+letter, addrs...), scene: s, letter: letter, switches: []string{lab.MainSwitch}}
	for _, folder := range own {
		s.must(os.MkdirAll(folder, 0o755))
		s.must(os.MkdirAll(filepath.Join(m.Dir(), disk, folder), 0o755))
	}
	m.copyFiles("both", "/")
	m.copyFiles(letter, filepath.Dir(keepalivedAt))
	m.write("/etc/nginx/page.conf", "default_type text/plain;\nreturn 200 \""+m.Name+"\";\n")
	return m
}

// copyFiles copies a part of the deployment's folder to the machine. Scripts can be run.
func (m *machine) copyFiles(part, to string) {
	folder := "testdata/" + m.scene.name + "/" + part
	err := fs.WalkDir(testdata, folder, func(file string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && d.IsDir() {
			return nil
		}
		text, err := testdata.ReadFile(file)
		if err != nil {
			return err
		}
		place := m.write(filepath.Join(to, strings.TrimPrefix(file, folder)), string(text))
		if strings.HasSuffix(file, ".sh") {
			return os.Chmod(place, 0o755)
		}
		return nil
	})
	m.scene.must(err)
}

// write writes a file of the machine.
func (m *machine) write(path, text string) (place string) {
	return m.WriteFile(filepath.Join(disk, path), text)
}

// read reads a file of the machine; "" if there is none.
func (m *machine) read(path string) string {
	text, err := os.ReadFile(filepath.Join(m.Dir(), disk, path))
	if !errors.Is(err, os.ErrNotExist) {
		m.scene.must(err)
	}
	return string(text)
}

// join plugs the machine into one more switch.
func (m *machine) join(sw, addr string) {
	m.Join(sw, addr)
	m.switches = append(m.switches, sw)
}

// boot starts the machine and its program, and then its daemon.
func (m *machine) boot() {
	binds := make(map[string]string)
	for _, folder := range own {
		binds[folder] = filepath.Join(m.Dir(), disk, folder)
	}
	m.scene.must(os.RemoveAll(binds["/run"]))
	m.scene.must(os.Mkdir(binds["/run"], 0o755))
	m.box = m.Box(binds)
	m.startProgram()
	m.startDaemon()
}

// startProgram starts what is behind the address.
func (m *machine) startProgram() {
	switch m.scene.program {
	case "haproxy": // as Debian's unit does
		m.program = m.box.Start("haproxy", "-Ws", "-f", "/etc/haproxy/haproxy.cfg")
	case "nginx":
		m.program = m.box.Start("nginx", "-c", "/etc/nginx/nginx.conf")
	}
}

// killProgram ends it as a crash does.
func (m *machine) killProgram() { m.box.Run("killall", "-9", m.scene.program) }

func (m *machine) startDaemon() {
	if m.letter == "a" {
		m.daemon = m.box.Start(lab.Tandem.Path(), "run", "-c", tandemAt)
		return
	}
	m.daemon = m.box.Start("keepalived", "--dont-fork", "--log-console", "--log-detail", "-f", keepalivedAt)
}

// stopDaemon ends the daemon as systemctl stop does.
func (m *machine) stopDaemon() {
	m.box.Signal(m.daemon, syscall.SIGTERM)
	m.daemon.Wait(20 * time.Second)
}

// tandem runs a command of tandem on the machine.
func (m *machine) tandem(args ...string) string {
	return m.box.Run(append([]string{lab.Tandem.Path()}, args...)...)
}

// powerOff ends the machine as a power cut does. Its kernel forgets everything.
func (m *machine) powerOff() {
	for _, sw := range m.switches {
		m.IsolateAt(sw)
	}
	m.box.Kill()
	m.box = nil
	for _, vip := range m.scene.vips {
		for _, ifi := range []string{"eth0", "eth1"}[:len(m.switches)] {
			m.Run("ip", "address", "flush", "dev", ifi, "to", vip)
		}
	}
	for _, link := range strings.Fields(m.Run("busybox", "sh", "-c", "/sbin/ip -o link show type macvlan | busybox cut -d: -f2 | busybox cut -d@ -f1")) {
		m.Run("ip", "link", "delete", link)
	}
	if m.scene.ipvs {
		m.Run("ipvsadm", "-C")
		for _, role := range []string{"master", "backup"} {
			_, _ = m.TryRun("ipvsadm", "--stop-daemon", role) // there may be none
		}
	}
}

// powerOn ends what powerOff began.
func (m *machine) powerOn() {
	for _, sw := range m.switches {
		m.RejoinAt(sw)
	}
	m.boot()
}

// installMailHook puts the shipped program for mails where the converted file looks for it.
func (s *scene) installMailHook() {
	text, err := fs.ReadFile(configs.Shipped, "hooks/mail")
	s.must(err)
	s.must(os.MkdirAll(filepath.Dir(mailHookAt), 0o755))
	s.must(os.WriteFile(mailHookAt, text, 0o755))
}
