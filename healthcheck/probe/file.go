// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/words"
)

// maxWordFile is the maximum size of a file in bytes.
const maxWordFile = 1024

// A fileReader reads the files of checks of type file. A disk that does not answer holds one goroutine for each path.
type fileReader struct {
	mu      sync.Mutex
	reading map[string]bool
}

func newFileReader() *fileReader { return &fileReader{reading: make(map[string]bool)} }

// probe reads the file of a valid target once.
func (f *fileReader) probe(ctx context.Context, t *healthcheck.Target) healthcheck.Result {
	path := healthcheck.ForServer(t.Config.File, t.Endpoint())
	if !f.begin(path) {
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: path + ": the disk has not answered yet"}
	}
	result := make(chan healthcheck.Result, 1)
	go func() {
		defer f.end(path)
		result <- readWord(path)
	}()
	select {
	case res := <-result:
		return res
	case <-ctx.Done():
	}
	res := socket.Explain(ctx, ctx.Err(), t.Config.Timeout, "reading "+path)
	if res.Outcome == healthcheck.Failed { // the disk's fault is not the server's
		res = healthcheck.Result{Outcome: healthcheck.NotRun, Reason: res.Reason}
	}
	return res
}

func (f *fileReader) begin(path string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reading[path] {
		return false
	}
	f.reading[path] = true
	return true
}

func (f *fileReader) end(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.reading, path)
}

// readWord reads what a file says about its server. A file that is missing, empty or a comment says nothing: the server is healthy
// and has its own weight. A file that cannot be read, or not be understood, changes nothing.
func readWord(path string) healthcheck.Result {
	text, err := readSmall(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return healthcheck.Pass("no file")
	case err != nil:
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: err.Error()}
	}
	return parseFile(path, text)
}

// readSmall reads a regular file of up to maxWordFile bytes. It does not wait for the writer of a pipe.
func readSmall(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is no regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxWordFile+1))
	switch {
	case err != nil:
		return "", err
	case len(text) > maxWordFile:
		return "", fmt.Errorf("%s is longer than 1 KiB", path)
	}
	return string(text), nil
}

// parseFile reads the first line that is no comment: a weight, or the words of an agent.
func parseFile(path, text string) healthcheck.Result {
	line := ""
	for l := range strings.Lines(text) {
		l, _, _ = strings.Cut(l, "#")
		if line = strings.TrimSpace(l); line != "" {
			break
		}
	}
	if line == "" {
		return healthcheck.Pass("the file says nothing")
	}
	if weight, err := strconv.ParseUint(line, 10, 16); err == nil {
		res := healthcheck.Pass("the file says weight " + strconv.FormatUint(weight, 10))
		res.Advice = healthcheck.Weigh(int(weight))
		return res
	}
	res := parseWords("the file", line)
	if res.Cause.Kind == healthcheck.Malformed {
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: fmt.Sprintf(
			"%s: %q is not understood: want up, drain, down, a part of the weight (75%%) or a weight (0 to %d)",
			path, words.Line([]byte(line)), healthcheck.MaxWeight)}
	}
	return res
}
