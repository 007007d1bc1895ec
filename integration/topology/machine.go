// SPDX-License-Identifier: Apache-2.0

package topology

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/integration/lab"
)

// A Machine is a host with a disk of its own: the directories that an installation writes to.
type Machine struct {
	*lab.Host
	t        lab.T
	disk     int      // a process that has the machine's disk
	switches []string // of its cables
}

// clone is where each machine has the project's files, like somebody who has cloned and built it.
const clone = "/root/tandem"

// disks are the directories that each machine has for itself.
const disks = "/run /usr/local/sbin /var/lib /etc/tandem /etc/systemd/system /etc/sysctl.d"

func newMachine(t lab.T, h *lab.Host) *Machine {
	t.Helper()
	if err := install(); err != nil {
		t.Fatalf("machine %s: %v", h.Name, err)
	}
	m := &Machine{Host: h, t: t}
	// The keeper of the disk is not in the host's network namespace, so it survives when the machine loses its power.
	keeper := exec.Command("busybox", "unshare", "-m", "sh", "-c",
		"for d in "+disks+"; do mkdir -p $d && mount -t tmpfs tmpfs $d || exit 1; done; echo ready; read end")
	in, err := keeper.StdinPipe()
	if err != nil {
		t.Fatalf("machine %s: %v", h.Name, err)
	}
	out, err := keeper.StdoutPipe()
	if err == nil {
		err = keeper.Start()
	}
	if err != nil {
		t.Fatalf("machine %s: %v", h.Name, err)
	}
	m.disk = keeper.Process.Pid
	t.Cleanup(func() {
		_ = in.Close()
		_ = keeper.Wait() // whose read fails
	})
	if _, err := out.Read(make([]byte, len("ready"))); err != nil {
		t.Fatalf("machine %s: no disk: %v", h.Name, err)
	}
	m.takeNotices()
	return m
}

// path is where others find a file of the machine.
func (m *Machine) path(file string) string { return fmt.Sprintf("/proc/%d/root%s", m.disk, file) }

// takeNotices has the machine's systemctl know when a service is ready, as systemd does (sd_notify(3)).
func (m *Machine) takeNotices() {
	m.t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path("/run/notify"), Net: "unixgram"})
	if err != nil {
		m.t.Fatalf("machine %s: %v", m.Name, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			if strings.Contains(string(buf[:n]), "READY=1") {
				_ = os.WriteFile(m.path("/run/ready"), nil, 0o644)
			}
		}
	}()
	m.t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
}

// Director is the tandem that runs on the machine.
func (m *Machine) Director() *lab.Director {
	return &lab.Director{Host: m.Host, Socket: m.path("/run/tandem/control.sock")}
}

// Shell runs a shell script on the machine, in the project's directory, and returns what it has written.
func (m *Machine) Shell(script string) (string, error) {
	return m.TryRun("busybox", "nsenter", "-t", strconv.Itoa(m.disk), "-m", "sh", "-c",
		"export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"+toolbox+"; cd "+clone+" && "+script)
}

// Must is Shell for what has to succeed.
func (m *Machine) Must(script string) string {
	m.t.Helper()
	out, err := m.Shell(script)
	if err != nil {
		m.t.Fatalf("on %s: %v", m.Name, err)
	}
	return out
}

//go:embed systemctl.sh
var systemctl string

// What the READMEs use of programs that busybox lacks.
const (
	curl      = "#!/bin/sh\nfor url; do wget -q -O - \"$url\" || exit; done\n"
	installer = `#!/bin/sh
mode= dirs= to=
while :; do
	case "$1" in
	-D) dirs=yes; shift ;;
	-m) mode=$2; shift 2 ;;
	-t) to=$2; shift 2 ;;
	*) break ;;
	esac
done
[ -n "$mode" ] && { [ -n "$to" ] || [ $# = 2 ]; } || { echo "install: want -m MODE and FILE TARGET, or -t DIRECTORY FILE, not $*" >&2; exit 1; }
if [ -z "$to" ]; then
	[ -z "$dirs" ] || mkdir -p "${2%/*}" || exit
	cp "$1" "$2" && chmod "$mode" "$2"
	exit
fi
[ -z "$dirs" ] || mkdir -p "$to" || exit
for file; do cp "$file" "$to" && chmod "$mode" "$to/${file##*/}" || exit; done
`
	journalctl = "#!/bin/sh\n[ \"$1\" = -u ] && cat \"/run/$2.log\"\n"
	// A file for another machine: /run/hosts has the process with its disk.
	scp = "#!/bin/sh\n[ \"$1\" = -p ] && disk=$(sed -n \"s/^${3%%:*} //p\" /run/hosts) && cp -p \"$2\" \"/proc/$disk/root${3#*:}\"\n"
)

const toolbox = "/usr/local/toolbox"

// install puts into the lab's file system what a new machine has: the project's clone with the program that was built there, and
// programs that the lab lacks.
var install = sync.OnceValue(func() error {
	files := map[string]string{
		"/usr/local/bin/systemctl":  systemctl,
		"/usr/local/bin/curl":       curl,
		"/usr/local/bin/install":    installer,
		"/usr/local/bin/journalctl": journalctl,
		"/usr/local/bin/scp":        scp,
		"/usr/local/bin/useradd":    "#!/bin/sh\n[ \"$*\" = \"--system --user-group tandem\" ]\n", // the lab has the user
		"/usr/local/bin/make":       "#!/bin/sh\n",                                                // it was built before
		clone + "/bin/tandem":       "#!/bin/sh\nexec " + lab.Tandem.Path() + " \"$@\"\n",
	}
	err := fs.WalkDir(configs.Shipped, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(configs.Shipped, file)
		files[path.Join(clone, "configs", file)] = string(text)
		return err
	})
	for file, text := range files {
		err = errors.Join(err, os.MkdirAll(path.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o755))
	}
	// The rest of what a system has. The lab's own programs come before.
	err = errors.Join(err, os.MkdirAll(toolbox, 0o755))
	if out, failed := exec.Command("busybox", "--install", "-s", toolbox).CombinedOutput(); failed != nil {
		err = errors.Join(err, fmt.Errorf("busybox --install: %w: %s", failed, out))
	}
	return err
})
