// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// minus is the reason of a Redis server that answers with an error.
const minus = `the answer contains "-"`

// redis is judged by two checks: one that any server passes, and one for the master alone.
func redis(s *stage) {
	serve := func(port string, args ...string) *lab.Process {
		return s.start(s.first, "redis-server", append([]string{
			"--port", port, "--bind", firstAddress + " 127.0.0.1", "--save", "", "--dir", s.first.Dir(),
			"--protected-mode", "no", "--enable-debug-command", "local",
		}, args...)...)
	}
	order := func(port string, words ...string) {
		out := s.eventually(s.first, append([]string{"redis-cli", "-e", "-p", port}, words...)...)
		s.Logf("redis-cli %s: %s", strings.Join(words, " "), out)
	}

	p := serve("6379")
	s.judge("up", "redis", "healthy", answered)
	order("6379", "config", "set", "protected-mode", "yes")
	s.judge("protected mode", "redis", "unhealthy", minus)
	order("6379", "config", "set", "protected-mode", "no")
	order("6379", "config", "set", "requirepass", "secret")
	s.judge("wants a password", "redis", "unhealthy", minus)
	order("6379", "-a", "secret", "--no-auth-warning", "config", "set", "requirepass", "")
	hangUp := s.connections(2, s.second, firstAddress+":6379", "PING\r\n", "+PONG")
	order("6379", "config", "set", "maxclients", "2")
	s.judge("has as many clients as it may have", "redis", "unhealthy", minus)
	hangUp()
	order("6379", "config", "set", "maxclients", "1000")
	order("6379", "replicaof", secondAddress, "6379")
	s.judge("replica without its master", "redis", "healthy", answered)
	order("6379", "config", "set", "replica-serve-stale-data", "no")
	s.judge("the same, serves no stale data", "redis", "unhealthy", minus)
	order("6379", "replicaof", "no", "one")
	s.hang(p, "redis", silent)

	order("6379", "debug", "populate", "20000")
	order("6379", "save")
	p.Stop()
	p = serve("6379", "--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024")
	s.judge("loads its data", "redis", "unhealthy", minus)
	s.judge("has loaded it", "redis", "healthy", answered)
	s.down(p, "redis", unreachable)

	const port = "6380"
	p = serve(port, "--dbfilename", "master.rdb")
	// The rights are those that checks.toml names.
	order(port, "acl", "setuser", "tandem", "on", ">secret", "+ping", "+role")
	s.judge("master", "redis-master", "healthy", answered)
	order(port, "acl", "setuser", "tandem", "resetpass", ">other")
	s.judge("the user has another password", "redis-master", "unhealthy", "step 1: "+minus)
	order(port, "acl", "setuser", "tandem", "resetpass", ">secret", "off")
	s.judge("the user is off", "redis-master", "unhealthy", "step 1: "+minus)
	order(port, "acl", "setuser", "tandem", "on", "-role")
	s.judge("the user may not ask for the role", "redis-master", "unhealthy",
		`step 2: answered, but without a match of "\\*\\d+\\r\\n\\$\\d+\\r\\nmaster\\r\\n" within 1s`)
	order(port, "acl", "setuser", "tandem", "+role")
	order(port, "replicaof", secondAddress, port)
	s.judge("replica", "redis-master", "unhealthy", `step 2: the answer contains "slave"`)
	order(port, "replicaof", "no", "one")
	s.judge("promoted to master", "redis-master", "healthy", answered)
	p.Stop()
	s.judge("ended", "redis-master", "unhealthy", "connection refused")
}

func memcached(s *stage) {
	p := s.start(s.first, "memcached", "-u", "nobody", "-l", firstAddress, "-U", "0", "-c", "64")
	s.judge("up", "memcached", "healthy", answered)
	hangUp := s.connections(64, s.second, firstAddress+":11211", "", "")
	s.judge("has as many clients as it may have", "memcached", "unhealthy", `the answer contains "ERROR"`)
	hangUp()
	s.judge("has a place again", "memcached", "healthy", answered)
	s.hang(p, "memcached", silent)
	s.down(p, "memcached", unreachable)
}
