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
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/socket"
	"github.com/tandem-lvs/tandem/healthcheck/probe/internal/words"
)

// maxWordFile is the maximum size of a file in bytes.
const maxWordFile = 1024

// hanging is the time after which a disk that has not answered counts as hanging: then other probes do not wait for it.
const hanging = time.Second

// A fileReader reads the files of checks of type file. A disk that does not answer holds one goroutine for each path.
type fileReader struct {
	mu       sync.Mutex
	readings map[string]*reading // that are under way, by path
}

// A reading is one reading of a file. All probes that begin during it share its result.
type reading struct {
	began time.Time
	ended chan struct{}
	res   healthcheck.Result
}

func newFileReader() *fileReader { return &fileReader{readings: make(map[string]*reading)} }

// probe reads the file of a valid target once.
func (f *fileReader) probe(ctx context.Context, t *healthcheck.Target) healthcheck.Result {
	path := healthcheck.ForServer(t.Config.File, t.Endpoint())
	is, mine := f.begin(path)
	switch {
	case mine:
		go func() {
			is.res = readWord(path)
			f.end(path, is)
		}()
	case time.Since(is.began) >= hanging:
		return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: path + ": the disk has not answered yet"}
	}
	select {
	case <-is.ended:
		return is.res
	case <-ctx.Done():
	}
	res := socket.Explain(ctx, ctx.Err(), t.Config.Timeout, "reading "+path)
	if res.Outcome == healthcheck.Failed { // the disk's fault is not the server's
		res = healthcheck.Result{Outcome: healthcheck.NotRun, Reason: res.Reason}
	}
	return res
}

// begin returns the reading of a file that is under way. If there is none, it begins one, which is the caller's to do.
func (f *fileReader) begin(path string) (is *reading, mine bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if is = f.readings[path]; is == nil {
		is, mine = &reading{began: time.Now(), ended: make(chan struct{})}, true
		f.readings[path] = is
	}
	return is, mine
}

func (f *fileReader) end(path string, is *reading) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.readings, path)
	close(is.ended)
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
