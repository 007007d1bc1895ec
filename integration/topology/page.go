// SPDX-License-Identifier: Apache-2.0

package topology

import (
	"fmt"
	"net/netip"
	"strings"
)

// A page is the README of a topology, as far as a machine can follow it.
type page struct {
	machines []machine
	steps    []step
}

// A machine is a row of the page's table: its addresses on each interface, in the order of the interfaces, and its gateway.
type machine struct {
	name    string
	cables  [][]netip.Prefix
	gateway string // empty for none
}

// A step is a block of commands, and the machines to type them on: "the router", "each director", "lb1".
type step struct {
	part   part
	where  string
	script string
}

// A part is a part of a page: the steps under one of its headings.
type part uint8

// The parts of a page, in their order.
const (
	setUp part = iota + 1
	look       // at what has been set up
	failOver
	undo
)

// parts are the headings that begin a part. What comes before them is the set-up.
var parts = map[string]part{"## See that it works": look, "## Fail over by hand": failOver, "## Undo": undo}

const (
	tableHead = "| machine | eth0 | eth1 | default route |"
	fence     = "```"
)

// parse reads a README.
func parse(text string) (p page, err error) {
	lines := strings.Split(text, "\n")
	now, where := setUp, ""
	for i := 0; i < len(lines); i++ {
		switch line := lines[i]; {
		case line == tableHead:
			for i += 2; i < len(lines) && strings.HasPrefix(lines[i], "|"); i++ {
				m, err := parseMachine(lines[i])
				if err != nil {
					return p, fmt.Errorf("line %d: %w", i+1, err)
				}
				p.machines = append(p.machines, m)
			}
		case parts[line] != 0:
			now, where = parts[line], ""
		case strings.HasPrefix(line, "#"):
			_, where, _ = strings.Cut(line, "# On ")
		case line == fence+"sh":
			begin := i + 1
			for i++; i < len(lines) && lines[i] != fence; i++ {
			}
			if i == len(lines) {
				return p, fmt.Errorf("line %d: the block does not end", begin)
			}
			p.steps = append(p.steps, step{now, where, strings.Join(lines[begin:i], "\n") + "\n"})
		}
	}
	if len(p.machines) == 0 || len(p.steps) == 0 {
		return p, fmt.Errorf("%d machines and %d steps", len(p.machines), len(p.steps))
	}
	return p, nil
}

func parseMachine(row string) (m machine, err error) {
	cells := strings.Split(strings.Trim(row, "|"), "|")
	if len(cells) != 4 {
		return m, fmt.Errorf("%d cells, want 4", len(cells))
	}
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	m.name, m.gateway = cells[0], cells[3]
	for _, cell := range cells[1:3] {
		var addrs []netip.Prefix
		for _, text := range strings.Split(cell, ",") {
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			a, err := netip.ParsePrefix(text)
			if err != nil {
				return m, err
			}
			addrs = append(addrs, a)
		}
		if len(addrs) > 0 {
			m.cables = append(m.cables, addrs)
		}
	}
	if len(m.cables) == 0 {
		return m, fmt.Errorf("%s has no address", m.name)
	}
	return m, nil
}

// networks names the switch of each cable of each machine: cables with addresses of one network share a switch. So do cables
// that a machine with addresses of both networks joins, like a router with two addresses on one interface.
func networks(machines []machine) map[netip.Prefix]string {
	names := map[netip.Prefix]string{}
	for _, m := range machines {
		for _, cable := range m.cables {
			name := ""
			for _, a := range cable {
				if known := names[a.Masked()]; known != "" {
					name = known
				}
			}
			if name == "" {
				name = fmt.Sprintf("net%d", len(names)+1)
			}
			for _, a := range cable {
				names[a.Masked()] = name
			}
		}
	}
	return names
}
