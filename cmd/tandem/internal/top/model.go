// SPDX-License-Identifier: Apache-2.0

// Package top is the display of tandem top. Update and View are pure: a model and a message in, a model out, lines out. Run connects
// them with a terminal. It writes plain ANSI sequences: the few that it needs are in ECMA-48 and known to every terminal, and a
// library for full-screen programs would add some twenty modules to a daemon that runs as root.
package top

import (
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
)

// A View is what the rows are about.
type View uint8

// The views, in the order in which Tab shows them.
const (
	Services View = iota
	Servers
	Routers
	views
)

// A Column is a value by which rows are sorted.
type Column uint8

// The columns, in the order in which the key s takes them.
const (
	ByConfig Column = iota // as in the configuration
	ByName
	ByActive
	ByConnections // a second
	ByBytes       // in and out, a second
	ByWeight
	columns
)

func (c Column) String() string {
	return [...]string{"file", "name", "active connections", "new connections", "bytes", "weight"}[c]
}

// An Action is a command that the user can give.
type Action uint8

// The actions.
const (
	Drain Action = iota + 1
	Undrain
	Failover
	Release
)

func (a Action) String() string {
	return [...]string{Drain: "drain", Undrain: "undrain", Failover: "failover", Release: "release"}[a]
}

// An Order is an action on a server or a virtual router.
type Order struct {
	Action Action
	Name   string
}

// A Command is what the program does after an update. The zero value is nothing.
type Command struct {
	Quit  bool
	Order *Order
}

// The messages.
type (
	// A Status is the latest state of the director.
	Status struct {
		api.Status
		At time.Time
	}
	// A Failure is an answer that could not be had.
	Failure struct{ Err error }
	// A Done is the end of an order.
	Done struct {
		Order Order
		Err   error
	}
	// A Key is a key that was pressed: a character, or one of the constants.
	Key rune
	// A Size is the size of the terminal.
	Size struct{ Width, Height int }
)

// Keys that are no characters.
const (
	Up Key = -1 - iota
	Down
	PageUp
	PageDown
	Home
	End
	Escape
	Enter
	Backspace
	Tab
	Interrupt
)

// A Model is what is shown. The zero value is a model that has no status yet.
type Model struct {
	Width, Height int

	view     View
	sort     Column
	reverse  bool
	filter   string
	typing   bool // the filter
	question *Order
	asked    string // the question
	note     string // the result of the latest order
	failed   bool   // the note is an error
	silent   string // why there is no new status; empty: there is

	status *Status
	before map[string]counts // of the status before, by key
	passed time.Duration     // since then
	rows   []row             // of the view, filtered and sorted
	chosen string            // the key of the row with the cursor
	first  int               // the index of the first row on the screen
}

// Update returns the model after a message.
func Update(m Model, message any) (Model, Command) {
	switch msg := message.(type) {
	case Size:
		m.Width, m.Height = msg.Width, msg.Height
	case Status:
		m.receive(msg)
	case Failure:
		m.silent = msg.Err.Error()
	case Done:
		m.note, m.failed = msg.Order.Action.String()+" "+msg.Order.Name+": done", false
		if msg.Err != nil {
			m.note, m.failed = msg.Order.Action.String()+" "+msg.Order.Name+": "+msg.Err.Error(), true
		}
	case Key:
		command := m.press(msg)
		m.keepInView()
		return m, command
	}
	m.keepInView()
	return m, Command{}
}

// receive takes a status. Rates are the differences of the kernel's counters.
func (m *Model) receive(s Status) {
	if m.status != nil {
		m.before, m.passed = countsOf(m.status.Status), s.At.Sub(m.status.At)
	}
	m.status, m.silent = &s, ""
	m.arrange()
}

// press handles a key.
func (m *Model) press(k Key) Command {
	switch {
	case k == Interrupt:
		return Command{Quit: true}
	case m.question != nil:
		return m.answer(k)
	case m.typing:
		m.typeFilter(k)
		return Command{}
	}
	m.note = ""
	switch k {
	case 'q':
		return Command{Quit: true}
	case Escape:
		m.filter = ""
		m.arrange()
	case '/':
		m.typing = true
	case Tab:
		m.view = (m.view + 1) % views
		m.chosen, m.first = "", 0
		m.arrange()
	case 's':
		m.sort = (m.sort + 1) % columns
		m.arrange()
	case 'r':
		m.reverse = !m.reverse
		m.arrange()
	case 'd', 'u', 'f', 'l':
		m.ask(map[Key]Action{'d': Drain, 'u': Undrain, 'f': Failover, 'l': Release}[k])
	default:
		m.move(k)
	}
	return Command{}
}

// typeFilter edits the filter.
func (m *Model) typeFilter(k Key) {
	switch {
	case k == Enter:
		m.typing = false
	case k == Escape:
		m.typing, m.filter = false, ""
	case k == Backspace:
		if text := []rune(m.filter); len(text) > 0 {
			m.filter = string(text[:len(text)-1])
		}
	case k >= ' ':
		m.filter += string(rune(k))
	}
	m.arrange()
}

// ask asks before an order. An order that does not fit the view is explained.
func (m *Model) ask(a Action) {
	onServer := a == Drain || a == Undrain
	i := m.cursor()
	switch {
	case onServer && m.view != Servers:
		m.note, m.failed = a.String()+" is for real servers: Tab shows them", true
		return
	case !onServer && m.view != Routers:
		m.note, m.failed = a.String()+" is for virtual routers: Tab shows them", true
		return
	case i < 0:
		return
	}
	r := m.rows[i]
	m.question = &Order{a, r.key}
	m.asked = map[Action]string{
		Drain:    "Drain " + r.key + "? It gets no new clients. " + summary.Counted(r.active, "connection") + " may go on.",
		Undrain:  "Send " + r.key + " new clients again?",
		Failover: "Hand " + r.key + " over to the peer, and stay in standby?",
		Release:  "End the standby of " + r.key + "?",
	}[a]
}

// answer takes the answer to a question. Every key but y means no.
func (m *Model) answer(k Key) Command {
	order := m.question
	m.question, m.asked = nil, ""
	if k != 'y' && k != 'Y' {
		m.note, m.failed = "not done", false
		return Command{}
	}
	m.note, m.failed = order.Action.String()+" "+order.Name+" …", false
	return Command{Order: order}
}

// move moves the cursor.
func (m *Model) move(k Key) {
	i, page := max(0, m.cursor()), max(1, m.room()-1)
	switch k {
	case Up, 'k':
		i--
	case Down, 'j':
		i++
	case PageUp:
		i -= page
	case PageDown, ' ':
		i += page
	case Home, 'g':
		i = 0
	case End, 'G':
		i = len(m.rows) - 1
	default:
		return
	}
	if len(m.rows) > 0 {
		m.chosen = m.rows[min(max(i, 0), len(m.rows)-1)].key
	}
}

// cursor returns the index of the chosen row; -1: there are no rows. If the chosen one has gone, it is the first.
func (m *Model) cursor() int {
	if i := slices.IndexFunc(m.rows, func(r row) bool { return r.key == m.chosen }); i >= 0 || len(m.rows) == 0 {
		return i
	}
	return 0
}

// keepInView scrolls to the cursor.
func (m *Model) keepInView() {
	i, room := m.cursor(), m.room()
	m.first = min(m.first, max(0, i), max(0, len(m.rows)-room))
	if i >= m.first+room {
		m.first = i - room + 1
	}
}

// arrange makes the rows of the view anew.
func (m *Model) arrange() {
	if m.status == nil {
		return
	}
	all := m.allRows()
	m.rows = slices.DeleteFunc(all, func(r row) bool { return !strings.Contains(strings.ToLower(r.key), strings.ToLower(m.filter)) })
	if m.sort != ByConfig {
		slices.SortStableFunc(m.rows, m.sort.compare)
	}
	if m.reverse {
		slices.Reverse(m.rows)
	}
}
