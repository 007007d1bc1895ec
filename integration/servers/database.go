// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/tandem-lvs/tandem/integration/lab"
)

func mariadb(s *stage) {
	data := filepath.Join(s.first.Dir(), "mariadb")
	socket := filepath.Join(s.first.Dir(), "mariadb.sock")
	s.installMariaDB(s.first, data)
	p := s.serveMariaDB(s.first, data, socket, firstAddress)
	sql := func(text string) {
		s.eventually(s.first, "mariadb", "--no-defaults", "--socket="+socket, "--user=root", "--execute="+text)
	}

	s.judge("no user may come from the director's network", "mysql", "unhealthy", "step 1: "+hungUp+"is not allowed to connect")
	sql("CREATE USER other@'192.0.2.%'")
	s.judge("the user does not exist", "mysql", "unhealthy", "step 2: "+hungUp+"Access denied for user")
	// As checks.toml has it.
	sql("CREATE USER tandem@'192.0.2.%' IDENTIFIED WITH mysql_native_password")
	s.judge("up", "mysql", "healthy", answered)
	s.judgeOwn("up", "mysql-writable", "healthy", answered)
	sql("SET GLOBAL max_connect_errors = 3")
	for range 20 {
		s.ask(s.shipped, "mysql", firstAddress)
	}
	s.judge("20 checks later, max_connect_errors = 3", "mysql", "healthy", answered)
	s.connections(5, s.director, firstAddress+":3306", "no login", "")()
	s.judge("refuses the director, for 5 clients there did not log in", "mysql", "unhealthy", "step 1: "+hungUp+"is blocked because of many connection errors")
	sql("FLUSH HOSTS")
	sql("ALTER USER tandem@'192.0.2.%' IDENTIFIED BY 'secret'")
	s.judge("the user has a password", "mysql", "unhealthy", "step 2: "+hungUp+"Access denied for user")
	sql("ALTER USER tandem@'192.0.2.%' IDENTIFIED BY ''")
	hangUp := s.connections(10, s.second, firstAddress+":3306", "", "")
	sql("SET GLOBAL max_connections = 10")
	s.judge("has as many clients as it may have", "mysql", "unhealthy", "step 2: "+hungUp+"Too many connections")
	hangUp()
	sql("SET GLOBAL read_only = 1")
	s.judge("read-only", "mysql", "healthy", answered)
	s.judgeOwn("read-only", "mysql-writable", "unhealthy", `step 3: the answer contains "\x02\x00\x00\x04\x011"`)
	sql("SET GLOBAL read_only = 0")
	s.judgeOwn("writable again", "mysql-writable", "healthy", answered)
	s.hang(p, "mysql", "step 1: "+silent)
	s.down(p, "mysql", unreachable)
}

// installMariaDB makes a data directory, as mariadb-install-db does, whose helpers are in another package.
func (s *stage) installMariaDB(h *lab.Host, data string) {
	const tables = "/usr/share/mysql/mysql_system_tables"
	s.must(os.Mkdir(data, 0o755))
	h.Run("sh", "-c", fmt.Sprintf("(printf 'CREATE DATABASE mysql;\\nUSE mysql;\\nSET @auth_root_socket = NULL;\\n'; cat %[1]s.sql %[1]s_data.sql) | "+
		"mariadbd --no-defaults --bootstrap --user=root --datadir=%[2]s --lc-messages-dir=/usr/share/mysql", tables, data))
}

func (s *stage) serveMariaDB(h *lab.Host, data, socket, address string) *lab.Process {
	return s.start(h, "mariadbd", "--no-defaults", "--user=root", "--datadir="+data, "--socket="+socket, "--bind-address="+address,
		"--lc-messages-dir=/usr/share/mysql", "--pid-file="+socket+".pid")
}

const pgPrograms = "/usr/lib/postgresql/15/bin/"

// A pgServer is a PostgreSQL server, which does not run as root.
type pgServer struct {
	*stage
	host      *lab.Host
	dir, data string
}

// newPostgres makes a data directory whose pg_hba.conf has one rule for clients of the network.
func (s *stage) newPostgres(h *lab.Host, rule string) *pgServer {
	pg := &pgServer{stage: s, host: h, dir: filepath.Join(h.Dir(), "postgresql")}
	pg.data = filepath.Join(pg.dir, "data")
	s.must(os.Mkdir(pg.dir, 0o755))
	s.must(os.Chown(pg.dir, nobody, nobody))
	initdb := unprivileged(pgPrograms+"initdb", "-D", pg.data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale", "C")
	h.Run(initdb[0], initdb[1:]...)
	pg.admit(rule)
	return pg
}

// nobody is the number of the user and of its group.
const nobody = 65534

// admit writes the rule for clients of the network.
func (pg *pgServer) admit(rule string) {
	text := fmt.Sprintf("local all all trust\nhost all tandem 192.0.2.0/24 %s\n", rule)
	pg.must(os.WriteFile(filepath.Join(pg.data, "pg_hba.conf"), []byte(text), 0o644))
}

// serve starts the server. It has places for 4 clients, and soon notices that one is gone.
func (pg *pgServer) serve(address string, settings ...string) *lab.Process {
	words := []string{pgPrograms + "postgres", "-D", pg.data, "-h", address, "-k", pg.dir, "-F"}
	usual := []string{"max_connections=4", "superuser_reserved_connections=1", "max_wal_senders=0", "client_connection_check_interval=100"}
	for _, setting := range append(usual, settings...) {
		words = append(words, "-c", setting)
	}
	words = unprivileged(words...)
	return pg.start(pg.host, words[0], words[1:]...)
}

// sql runs a statement until it succeeds, and returns what it selects.
func (pg *pgServer) sql(text string) string {
	return strings.TrimSpace(pg.eventually(pg.host, psqlPath, "-h", pg.dir, "-U", "postgres", "-A", "-t", "-c", text))
}

// reload lets the server read its files again, and waits until new sessions have them.
func (pg *pgServer) reload() {
	before := pg.sql("SELECT pg_conf_load_time()")
	pg.sql("SELECT pg_reload_conf()")
	pg.sql("SELECT 1 / (pg_conf_load_time() > '" + before + "')::int")
}

// psqlPath is where the package has psql: the one in /usr/bin is a script of another package.
const psqlPath = pgPrograms + "psql"

func postgresql(s *stage) {
	const check, primary = "postgresql", "postgresql-primary"
	pg := s.newPostgres(s.first, "scram-sha-256")
	p := pg.serve(firstAddress)
	s.judge("up, the user does not exist", check, "healthy", answered)
	pg.sql("CREATE ROLE tandem LOGIN")
	s.judge("up, the user has no password", check, "healthy", answered)
	rule := func(text string) { pg.admit(text); pg.reload() }
	rule("reject")
	s.judge("pg_hba.conf rejects the director", check, "unhealthy", hungUp+"pg_hba.conf rejects connection")
	rule("trust")
	s.judge("up", check, "healthy", answered)
	s.judgeOwn("primary", primary, "healthy", answered)

	// Each of the clients has begun to log in: R asks for its password.
	rule("scram-sha-256")
	const login = "\x00\x00\x00\x27\x00\x03\x00\x00user\x00tandem\x00database\x00postgres\x00\x00"
	hangUp := s.connections(4, s.second, firstAddress+":5432", login, "R")
	s.judge("has as many clients as it may have", check, "unhealthy", hungUp+"too many clients already")
	hangUp()
	rule("trust")
	s.judge("has a place again", check, "healthy", answered)
	s.hang(p, check, silent)

	session := s.start(s.first, psqlPath, "-h", pg.dir, "-U", "postgres", "-c", "SELECT pg_sleep(600)")
	pg.sql("SELECT 1 / count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)'")
	p.Signal(syscall.SIGTERM)
	s.Eventually(settling, "the server begins to shut down", func() error {
		if !strings.Contains(p.Output(), "received smart shutdown request") {
			return errors.New("not yet")
		}
		return nil
	})
	s.judge("shuts down, and waits for a client", check, "unhealthy", hungUp+"the database system is shutting down")
	session.Stop()
	p.Wait(settling)
	s.judge("has shut down", check, "unhealthy", "connection refused")

	pg.must(os.WriteFile(filepath.Join(pg.data, "standby.signal"), nil, 0o644))
	p = pg.serve(firstAddress, "restore_command='sleep 600'")
	s.judge("starts", check, "unhealthy", hungUp+"the database system is starting up")
	p.Stop()
	p = pg.serve(firstAddress, "hot_standby=off")
	s.judge("standby that serves no clients", check, "unhealthy", hungUp+"the database system is not accepting connections")
	p.Stop()
	p = pg.serve(firstAddress)
	s.judge("standby", check, "healthy", answered)
	s.judgeOwn("standby", primary, "unhealthy", `step 1: the answer contains "in_hot_standby\x00on\x00"`)
	pg.sql("SELECT pg_promote()")
	s.judgeOwn("promoted to primary", primary, "healthy", answered)
	s.down(p, check, unreachable)
}
