// SPDX-License-Identifier: Apache-2.0

package director

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/configs"
)

// maxTrackFile is more than any number takes with the white space around it, in bytes.
const maxTrackFile = 64

// A fileNumber is what a tracked file holds. What holds no number counts as 0: a file that is damaged or half written
// must not take a director out of service.
type fileNumber struct {
	value   int    // within 32 bits
	problem string // in words; empty: none
}

// readNumbers reads the tracked files, each once. A file of some bytes is read faster than its time of change is
// trusted: two changes may share one.
func readNumbers(tracks []configs.Track) map[string]fileNumber {
	numbers := make(map[string]fileNumber)
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

func readNumber(path string) fileNumber {
	// A pipe without a writer would block.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return fileNumber{}
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
		return fileNumber{problem: "is no regular file: taken as 0"}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxTrackFile+1))
	if err != nil {
		return unreadable(err)
	}
	return parseNumber(text)
}

func unreadable(err error) fileNumber {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fileNumber{problem: "cannot be read: " + err.Error() + ": taken as 0"}
}

// parseNumber reads an integer with white space around it; nothing at all is 0.
func parseNumber(text []byte) fileNumber {
	if len(text) > maxTrackFile {
		return fileNumber{problem: fmt.Sprintf("is longer than %d bytes: taken as 0", maxTrackFile)}
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return fileNumber{}
	}
	n, err := strconv.ParseInt(string(text), 10, 32)
	if err != nil {
		return fileNumber{problem: fmt.Sprintf("%q is no integer of 32 bits: taken as 0", text)}
	}
	return fileNumber{value: int(n)}
}
