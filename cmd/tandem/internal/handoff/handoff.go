// SPDX-License-Identifier: Apache-2.0

// Package handoff is what a director leaves to the version of the program that replaces it in the same process.
//
// The process executes the new program, and keeps its number, its children and the descriptors that the document names. Before, the
// new program reads the same document: if it cannot, nothing has happened.
package handoff

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
)

// Format is the version of a Document, and of what an election hands off to its successor. A change that another version could not
// read, or could misunderstand, raises it.
const Format = 1

// maxSize bounds a document.
const maxSize = 64 << 20

// A Document is the state that is in no file: all else, the new director reads from the state directory and from the kernel.
type Document struct {
	Format int `json:"format"`
	// Version is that of the program that hands off.
	Version string `json:"version"`
	// Count is how many times in a row the process has been given another program, this one included.
	Count int `json:"count"`
	// File is the configuration, and SHA256 that of the configuration in force.
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
	// Election is the running election process; nil: there are no virtual routers.
	Election *Election `json:"election,omitempty"`
}

// An Election is a running election process.
type Election struct {
	PID int `json:"pid"`
	// Socket and Board are the descriptors of the director's end of its socket and of its board.
	Socket int `json:"socket"`
	Board  int `json:"board"`
	// Order is what it carries out, without secrets. Report is the latest that it said.
	Order  message.Order  `json:"order"`
	Report message.Report `json:"report"`
}

// WithoutSecrets returns a copy of an order without the keys of signed advertisements: a document may be read by more than its
// reader.
func WithoutSecrets(o message.Order) message.Order {
	o.Routers = slices.Clone(o.Routers)
	for i := range o.Routers {
		o.Routers[i].Secrets = nil
	}
	return o
}

// FormatError is the error of a hand-off in a format that this version does not read.
func FormatError(format int) error {
	return fmt.Errorf("the hand-off of the running version has format %d, and this version reads format %d", format, Format)
}

// Read reads a document. It refuses one of another format, and a member that it does not know: what it does not understand, it
// could not take over.
func Read(r io.Reader) (Document, error) {
	var d Document
	text, err := io.ReadAll(io.LimitReader(r, maxSize))
	if err != nil {
		return d, fmt.Errorf("failed to read the hand-off of the running version: %w", err)
	}
	var is struct{ Format int }
	if err := json.Unmarshal(text, &is); err != nil {
		return d, fmt.Errorf("failed to read the hand-off of the running version: %w", err)
	}
	if is.Format != Format {
		return d, FormatError(is.Format)
	}
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(&d); err != nil {
		return d, fmt.Errorf("failed to read the hand-off of the running version: %w", err)
	}
	if d.Version == "" || d.File == "" || d.SHA256 == "" {
		return d, errors.New("the hand-off of the running version is incomplete")
	}
	if e := d.Election; e != nil && (e.PID <= 1 || e.Socket <= 2 || e.Board <= 2 || len(e.Order.Routers) == 0) {
		return d, errors.New("the hand-off of the running version is incomplete: it lacks the election process")
	}
	return d, nil
}
