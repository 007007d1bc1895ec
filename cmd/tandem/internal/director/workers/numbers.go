// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
)

const (
	// numberInterval is the pause between two readings of the tracked files.
	numberInterval = time.Second
	// maxTrackFile is more bytes than any number with white space around it has.
	maxTrackFile = 64
	// readTimeout is how long a new configuration waits for the first reading of the tracked files.
	readTimeout = time.Second
)

// Numbers reads the tracked files, if there are any.
type Numbers struct {
	Post Post
	In   Mailbox[[]configs.Track]
}

// Run reads until ctx ends. It reads each file every time: the file is small, and two changes may have the same modification
// time.
func (w *Numbers) Run(ctx context.Context) error {
	var tracks []configs.Track
	var last core.Numbers
	for {
		var tick <-chan time.Time
		if tracksFiles(tracks) {
			tick = time.After(numberInterval)
		}
		select {
		case <-ctx.Done():
			return nil
		case tracks = <-w.In:
			last = nil
		case <-tick:
			if now := readNumbers(tracks); !maps.Equal(now, last) {
				last = now
				w.Post(now)
			}
		}
	}
}

func tracksFiles(tracks []configs.Track) bool {
	for _, t := range tracks {
		if t.Kind == configs.TrackFile {
			return true
		}
	}
	return false
}

// ReadNumbers reads the tracked files once. A file that the disk does not return in time counts as 0.
func ReadNumbers(tracks []configs.Track) core.Numbers {
	if !tracksFiles(tracks) {
		return core.Numbers{}
	}
	read := make(chan core.Numbers, 1)
	go func() { read <- readNumbers(tracks) }()
	select {
	case numbers := <-read:
		return numbers
	case <-time.After(readTimeout):
		numbers := make(core.Numbers)
		for _, t := range tracks {
			if t.Kind == configs.TrackFile {
				numbers[t.File] = core.Number{Problem: "cannot be read yet: taken as 0"}
			}
		}
		return numbers
	}
}

// readNumbers reads each tracked file once.
func readNumbers(tracks []configs.Track) core.Numbers {
	numbers := make(core.Numbers)
	for _, t := range tracks {
		if t.Kind != configs.TrackFile {
			continue
		}
		if _, done := numbers[t.File]; !done {
			numbers[t.File] = readNumber(t.File)
		}
	}
	return numbers
}

func readNumber(path string) core.Number {
	// Opening a pipe without a writer would block.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return core.Number{}
	}
	if err != nil {
		return unreadable(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return unreadable(err)
	}
	if !info.Mode().IsRegular() {
		return core.Number{Problem: "is no regular file: taken as 0"}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxTrackFile+1))
	if err != nil {
		return unreadable(err)
	}
	return parseNumber(text)
}

func unreadable(err error) core.Number {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return core.Number{Problem: "cannot be read: " + err.Error() + ": taken as 0"}
}

// parseNumber reads an integer with white space around it. Empty text is 0.
func parseNumber(text []byte) core.Number {
	if len(text) > maxTrackFile {
		return core.Number{Problem: fmt.Sprintf("is longer than %d bytes: taken as 0", maxTrackFile)}
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return core.Number{}
	}
	n, err := strconv.ParseInt(string(text), 10, 32)
	if err != nil {
		return core.Number{Problem: fmt.Sprintf("%q is no integer of 32 bits: taken as 0", text)}
	}
	return core.Number{Value: int(n)}
}
