// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// checked is when a server that ended has left the table: after two checks, of which the second one comes a second after the first.
const checked = 2*time.Second + time.Second + time.Second

// A database is a machine with MariaDB.
type database struct {
	*lab.Host
	id int
}

func (d database) start(s *scene) {
	// As small as it gets: the machine is an emulated one.
	s.behind[d.Name] = d.Start("mariadbd", "--no-defaults", "--user=root", "--datadir="+d.data(), "--socket="+d.socket(), "--bind-address=0.0.0.0",
		"--lc-messages-dir=/usr/share/mysql", "--pid-file="+d.socket()+".pid", "--skip-name-resolve", "--performance-schema=OFF",
		"--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M", "--innodb-flush-method=fsync", fmt.Sprintf("--server-id=%d", d.id),
		// A question for the greeting alone counts as a failed login.
		"--max-connect-errors=1000000")
}

func (d database) data() string   { return filepath.Join(d.Dir(), "mariadb") }
func (d database) socket() string { return filepath.Join(d.Dir(), "mariadb.sock") }

// install makes the tables of the server's own, as mariadb-install-db does.
func (d database) install(s *scene) {
	const tables = "/usr/share/mysql/mysql_system_tables"
	s.must(os.Mkdir(d.data(), 0o755))
	d.Run("busybox", "sh", "-c", fmt.Sprintf("(printf 'CREATE DATABASE mysql;\\nUSE mysql;\\nSET @auth_root_socket = NULL;\\n'; "+
		"busybox cat %[1]s.sql %[1]s_data.sql) | mariadbd --no-defaults --bootstrap "+
		"--user=root --datadir=%[2]s --lc-messages-dir=/usr/share/mysql --innodb-buffer-pool-size=8M --innodb-log-file-size=4M", tables, d.data()))
}

func databases(s *scene) []database {
	var all []database
	for i := 1; i <= 2; i++ {
		all = append(all, database{s.Host(fmt.Sprintf("db-%d", i), fmt.Sprintf("192.0.2.1%d/24", i)), 10 + i})
	}
	return all
}

func mysql(s *scene) {
	dbs := databases(s)
	dbs[0].install(s)
	s.must(os.CopyFS(dbs[1].data(), os.DirFS(dbs[0].data())))
	for _, d := range dbs {
		d.RealServer(lab.VIP)
		d.start(s)
		s.Eventually(2*time.Minute, "MariaDB on "+d.Name, func() error {
			_, err := d.TryRun("mariadb", "--no-defaults", "--socket="+d.socket(), "--user=root",
				"--execute=CREATE USER IF NOT EXISTS app@'192.0.2.%'")
			return err
		})
	}
	s.questions = []question{s.greeting(lab.VIP + ":3306")}
	s.query = func() (string, error) {
		out, err := s.client.TryRun("mariadb", "--no-defaults", "--host="+lab.VIP, "--user=app", "--connect-timeout=3", "--batch",
			"--skip-column-names", "--execute=SELECT @@server_id")
		return strings.TrimSpace(out), err
	}
	s.restart = func() { dbs[0].start(s) }
	s.fault = func(s *scene) { serverKilled(s, "db-1", "11", "12") }
}

func nameServers(s *scene) {
	s.joinInside()
	s.route()
	zone, err := testdata.ReadFile("testdata/dns-nat/behind/zone")
	s.must(err)
	conf, err := testdata.ReadFile("testdata/dns-nat/behind/named.conf")
	s.must(err)
	start := func(h *lab.Host) {
		file := h.WriteFile("zone", strings.ReplaceAll(string(zone), "NAME", h.Name))
		s.behind[h.Name] = h.Start("named", "-g", "-n", "1", "-c", h.WriteFile("named.conf", strings.ReplaceAll(string(conf), "ZONE", file)))
	}
	var first *lab.Host
	for i := 1; i <= 2; i++ {
		h := s.HostAt(inside, fmt.Sprintf("ns-%d", i), fmt.Sprintf("198.51.100.1%d/24", i))
		h.Run("ip", "route", "add", "default", "via", "198.51.100.1")
		start(h)
		if i == 1 {
			first = h
		}
	}
	udp, tcp := s.lookUp("udp", lab.VIP+":53", "who.example.net."), s.lookUp("tcp", lab.VIP+":53", "who.example.net.")
	s.questions = []question{udp, tcp}
	s.query = func() (string, error) { return s.ask(udp) }
	s.restart = func() { start(first) }
	s.fault = func(s *scene) { serverKilled(s, "ns-1", "ns-1", "ns-2") }
}

// serverKilled kills the program of a real server, and starts it again. The answers name the servers.
func serverKilled(s *scene, host, its, other string) {
	s.take(host+" killed", s.normal("a"), checked+s.reaction, func() {
		s.behind[host].Signal(syscall.SIGKILL)
		s.answers("after the end of "+host, map[string]bool{other: true}, map[string]bool{its: true})
	})
	s.take(host+" is back", s.normal("a"), s.reaction, func() {
		s.restart()
		s.answers(host+" serves again", map[string]bool{its: true, other: true}, nil)
	})
}

// answers waits until the answers to a number of queries in a row are all wanted ones, and the wanted ones are all there.
func (s *scene) answers(what string, want, never map[string]bool) {
	const enough = 6
	s.Eventually(settling, what, func() error {
		got := make(map[string]bool)
		for range enough {
			answer, err := s.query()
			if err != nil {
				return err
			}
			if never[answer] {
				return errors.New("answered by " + answer)
			}
			got[answer] = true
		}
		for name := range want {
			if !got[name] {
				return fmt.Errorf("no answer from %s: %v", name, got)
			}
		}
		return nil
	})
}
