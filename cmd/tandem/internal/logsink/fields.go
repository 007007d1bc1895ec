// SPDX-License-Identifier: Apache-2.0

package logsink

import (
	"strings"
)

// maxFieldName is the maximum length of a name: journald refuses longer ones.
const maxFieldName = 64

// reserved are the names that mean something else to journald: see systemd.journal-fields(7). A key of one of these names gets
// ownPrefix.
var reserved = map[string]bool{
	"MESSAGE": true, "MESSAGE_ID": true, "PRIORITY": true, "CODE_FILE": true, "CODE_LINE": true, "CODE_FUNC": true, "ERRNO": true,
	"INVOCATION_ID": true, "USER_INVOCATION_ID": true, "SYSLOG_FACILITY": true, "SYSLOG_IDENTIFIER": true, "SYSLOG_PID": true,
	"SYSLOG_TIMESTAMP": true, "SYSLOG_RAW": true, "DOCUMENTATION": true, "TID": true, "UNIT": true, "USER_UNIT": true,
	"COMPONENT": true, "LOGGED_AT": true, // and these are our own, of each entry
}

const ownPrefix = "TANDEM_"

// fieldName returns the name of a field in the journal for a key of a log call: SERVERS_UP for servers-up. journald takes capital
// letters, digits and underscores, and no digit or underscore in front.
func fieldName(key string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		default:
			return '_'
		}
	}, key)
	name = strings.TrimLeft(name, "_")
	if name == "" || name[0] <= '9' || reserved[name] {
		name = ownPrefix + name
	}
	return name[:min(len(name), maxFieldName)]
}

// derived returns the fields that a value tells beside its own: a server's name has the service in front (www/192.0.2.11:80), the
// target of a check may be a server, and a hook's subject names its kind (router web).
func derived(key, value string) []field {
	switch key {
	case "server":
		if service, _, ok := strings.Cut(value, "/"); ok {
			return []field{{"SERVICE", service}}
		}
	case "target":
		server, _, _ := strings.Cut(value, " #") // one of several checks of the server
		service, _, ok := strings.Cut(server, "/")
		if ok && !strings.Contains(server, " ") { // the target of a track has a space
			return []field{{"SERVER", server}, {"SERVICE", service}}
		}
	case "subject":
		kind, name, ok := strings.Cut(value, " ")
		switch {
		case !ok:
		case kind == "server":
			return append([]field{{"SERVER", name}}, derived("server", name)...)
		case kind == "router" || kind == "sync_group" || kind == "service":
			return []field{{fieldName(kind), name}}
		}
	}
	return nil
}
