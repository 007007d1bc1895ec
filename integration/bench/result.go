// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// A result is the measurements of a run.
type result struct {
	Revision string  `json:"revision"`         // of tandem's source
	Before   string  `json:"before,omitempty"` // of the older one beside it
	Took     string  `json:"took"`
	Places   []place `json:"places"`
	Rows     []row   `json:"rows"`
}

// A place is the machine and kernel where sections ran.
type place struct {
	Kind       string  `json:"kind"` // vm or direct
	Machine    string  `json:"machine"`
	CPUs       int     `json:"cpus"`
	Kernel     string  `json:"kernel"`
	Load       float64 `json:"load"` // load average of the last minute, at the start
	Tandem     string  `json:"tandem"`
	Keepalived string  `json:"keepalived"`
}

func (p place) String() string {
	kind := "this machine's own kernel, in namespaces"
	if p.Kind == "vm" {
		kind = "a virtual machine, under emulation"
	}
	return fmt.Sprintf("%s: Linux %s, %d × %s, load %.2f at the start; tandem %s, %s",
		kind, p.Kernel, p.CPUs, p.Machine, p.Load, p.Tandem, p.Keepalived)
}

// A row is one measurement.
type row struct {
	Section string   `json:"section"`
	Place   string   `json:"place"`
	Case    string   `json:"case"`
	Subject string   `json:"subject"`
	Value   *float64 `json:"value"` // null: it could not be measured
	Unit    string   `json:"unit"`
	Note    string   `json:"note,omitempty"` // helps to read the number, or says why there is none
}

func (r row) String() string {
	if r.Value == nil {
		return "not measured"
	}
	return fmt.Sprintf("%.4g %s", *r.Value, r.Unit)
}

// A message is a line from the inner run to the outer one.
type message struct {
	Place *place `json:"place,omitempty"`
	Row   *row   `json:"row,omitempty"`
}

// mark begins the line of a message, to distinguish it from other output.
const mark = "bench: "

// take adds a message to the result. It returns false if the line is not a message.
func (r *result) take(line []byte) bool {
	text, ok := bytes.CutPrefix(line, []byte(mark))
	var m message
	if !ok || json.Unmarshal(text, &m) != nil {
		return false
	}
	if m.Place != nil {
		r.Places = append(r.Places, *m.Place)
	}
	if m.Row != nil {
		r.Rows = append(r.Rows, *m.Row)
	}
	return true
}

func (r *result) failed() int {
	n := 0
	for _, row := range r.Rows {
		if row.Value == nil {
			n++
		}
	}
	return n
}
