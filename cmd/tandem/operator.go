// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/tandem-lvs/tandem/lvs/realserver"
)

// operator returns the SSH session that tandem was started from. It reads SSH_CONNECTION from the environment of this
// process, then of its ancestors, because sudo removes the variable. The zero value means that there is no session.
func operator() realserver.Operator {
	for pid := os.Getpid(); pid > 1; {
		if environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); err == nil {
			for _, v := range bytes.Split(environ, []byte{0}) {
				if session, ok := strings.CutPrefix(string(v), "SSH_CONNECTION="); ok {
					return parseSession(session)
				}
			}
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			break
		}
		// "pid (name) state ppid": the name may hold spaces and brackets.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 2 {
			break
		}
		if pid, err = strconv.Atoi(fields[1]); err != nil {
			break
		}
	}
	return realserver.Operator{}
}

// parseSession reads "remote-address port local-address port" of ssh(1).
func parseSession(s string) realserver.Operator {
	fields := strings.Fields(s)
	if len(fields) != 4 {
		return realserver.Operator{}
	}
	remote, err := netip.ParseAddr(fields[0])
	if err != nil {
		return realserver.Operator{}
	}
	local, err := netip.ParseAddr(fields[2])
	if err != nil {
		return realserver.Operator{}
	}
	return realserver.Operator{Remote: remote.Unmap(), Local: local.Unmap()}
}
