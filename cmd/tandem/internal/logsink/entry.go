// SPDX-License-Identifier: Apache-2.0

package logsink

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/hashicorp/go-hclog"
)

// An entry is one log line. An entry of a stream has only its message, which is the whole line.
type entry struct {
	priority journal.Priority
	message  string // as journalctl shows it, with keys and values
	fields   []field
}

// A field is a field of an entry in the journal. Its value may have any bytes.
type field struct{ name, value string }

// size is what the entry counts in the queue, in bytes.
func (e entry) size() int {
	n := len(e.message)
	for _, f := range e.fields {
		n += len(f.name) + len(f.value)
	}
	return n
}

// priorities are the journal's names of the levels. It has none below debug.
var priorities = map[hclog.Level]journal.Priority{
	hclog.Trace: journal.PriDebug, hclog.Debug: journal.PriDebug, hclog.Info: journal.PriInfo, hclog.Warn: journal.PriWarning,
	hclog.Error: journal.PriErr,
}

// identifier is the name of the program in the journal, and that of the logger above all others.
const identifier = "tandem"

// newEntry returns the entry of a log call. name is that of the logger: "tandem.election".
func newEntry(now time.Time, name string, level hclog.Level, message string, pairs []any) entry {
	part := strings.TrimPrefix(strings.TrimPrefix(name, identifier), ".")
	e := entry{priority: journal.PriErr, message: plain(part, level, message, pairs)}
	if p, ok := priorities[level]; ok {
		e.priority = p
	}
	if part == "" {
		part = "director"
	}
	e.fields = append(e.fields, field{"SYSLOG_IDENTIFIER", identifier}, field{"COMPONENT", part},
		field{"LOGGED_AT", now.UTC().Format("2006-01-02T15:04:05.000000Z")})
	for i := 0; i+1 < len(pairs); i += 2 {
		key, value := fmt.Sprint(pairs[i]), valueOf(pairs[i+1])
		e.fields = append(e.fields, field{fieldName(key), value})
		e.fields = append(e.fields, derived(key, value)...)
	}
	return e
}

// plain returns the line as it is in a log of text, without time and level: the journal has them.
func plain(part string, level hclog.Level, message string, pairs []any) string {
	var out bytes.Buffer
	hclog.NewSinkAdapter(&hclog.LoggerOptions{Output: &out, Level: hclog.Trace, DisableTime: true}).Accept(part, level, message, pairs...)
	line := out.String()
	if len(line) > len(bracket) {
		line = line[len(bracket):]
	}
	return strings.TrimRight(line, " \n") // behind a value of several lines is an empty one
}

// bracket is as long as what hclog writes in front of a message without a time.
const bracket = "[INFO]  "

func valueOf(v any) string {
	if f, ok := v.(hclog.Format); ok && len(f) > 0 {
		return fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
	}
	return fmt.Sprint(v)
}
