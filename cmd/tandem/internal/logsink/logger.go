// SPDX-License-Identifier: Apache-2.0

package logsink

import (
	"io"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/configs"
)

// Open returns a logger to standard error or the journal, and its sink. The caller runs the sink.
func Open(level, format string) (hclog.Logger, *Sink) {
	if format = chosen(format); format == configs.LogJournal {
		sink := sinkFor(&nativeJournal{path: journalSocket, spare: os.Stderr})
		return fielded(level, func(e entry) { sink.put(e, 1) }), sink
	}
	sink := New(os.Stderr)
	return lines(level, format, sink), sink
}

// Direct returns a logger without a sink: it writes before it returns, and waits for the reader of the log.
func Direct(level, format string) hclog.Logger {
	if format = chosen(format); format == configs.LogJournal {
		out := &nativeJournal{path: journalSocket, spare: os.Stderr}
		return fielded(level, func(e entry) { out.write([]entry{e}) })
	}
	return lines(level, format, os.Stderr)
}

// chosen returns the format that auto stands for. systemd sets JOURNAL_STREAM to the device and inode of a standard error that
// goes to the journal.
func chosen(format string) string {
	if format != configs.LogAuto {
		return format
	}
	if toJournal() {
		return configs.LogJournal
	}
	return configs.LogText
}

func toJournal() bool {
	is, err := journal.StderrIsJournalStream()
	return err == nil && is
}

// Failure returns what a command writes to standard error when it fails. For the journal each line has the priority of an error:
// otherwise journalctl -p warning would not show why a director does not start.
func Failure(text string) []byte {
	if toJournal() {
		return entry{priority: journal.PriErr, message: text}.prefixed()
	}
	return []byte(text + "\n")
}

// lines returns a logger that writes lines of text or JSON.
func lines(level, format string, out io.Writer) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Output: out, Name: identifier, Level: hclog.LevelFromString(level), JSONFormat: format == configs.LogJSON,
	})
}

// fielded returns a logger that hands entries to put.
func fielded(level string, put func(entry)) hclog.Logger {
	log := hclog.NewInterceptLogger(&hclog.LoggerOptions{
		Output: io.Discard, Name: identifier, Level: hclog.LevelFromString(level),
		Exclude: func(hclog.Level, string, ...any) bool { return true }, // nothing is written but by the adapter
	})
	log.RegisterSink(&adapter{level: log.GetLevel, put: put})
	return log
}

// An adapter makes entries of log calls.
type adapter struct {
	level func() hclog.Level
	put   func(entry)
}

var _ hclog.SinkAdapter = (*adapter)(nil)

// Accept gets the calls of each level.
func (a *adapter) Accept(name string, level hclog.Level, message string, pairs ...any) {
	if level >= a.level() {
		a.put(newEntry(time.Now(), name, level, message, pairs))
	}
}
