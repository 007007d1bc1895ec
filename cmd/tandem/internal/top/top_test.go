// SPDX-License-Identifier: Apache-2.0

package top

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/screen"
)

var update = flag.Bool("update", false, "write the files in testdata anew")

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// pair is the status of a director after so many seconds of traffic.
func pair(seconds uint64) Status {
	server := func(addr, health string, weight, active int, perSecond uint64) api.Server {
		return api.Server{
			Address: netip.MustParseAddr(addr), Port: 80, Health: health, Weight: 1, EffectiveWeight: weight, Active: active,
			Stats: api.Stats{Connections: 1000 + perSecond*seconds, InBytes: 5000 * perSecond * seconds, OutBytes: 90 * perSecond * seconds},
		}
	}
	drained := server("192.0.2.13", "healthy", 0, 4, 0)
	drained.Drained = true
	www := []api.Server{server("192.0.2.11", "healthy", 1, 120, 250), server("192.0.2.12", "unhealthy", 0, 0, 0), drained}
	mx := []api.Server{server("2001:db8::25", "healthy", 3, 7, 1200)}
	return Status{api.Status{
		Name: "lb1", Warnings: []string{"no metrics are served: port 9105 is taken", "the second"},
		VRRP: []api.Router{
			{Name: "web", State: "master", Priority: 150, EffectivePriority: 150, Reason: "higher priority than 192.0.2.3"},
			{Name: "mail", State: "backup", Standby: true, Priority: 150, EffectivePriority: 1, Reason: "192.0.2.3 took over"},
			{Name: "db", State: "fault", Priority: 100, EffectivePriority: 100, Reason: "interface eth1 has no carrier"},
		},
		Services: []api.Service{
			{Name: "www", Up: 1, Servers: www, Stats: api.Stats{Connections: 5000 + 250*seconds, InBytes: 1250000 * seconds, OutBytes: 22500 * seconds}},
			{Name: "mx", Up: 1, Servers: mx, Stats: api.Stats{Connections: 1200 * seconds, InBytes: 6000000 * seconds, OutBytes: 108000 * seconds}},
		},
	}, noon.Add(time.Duration(seconds) * time.Second)}
}

// play updates a model of 80 × 24 that has seen two statuses.
func play(messages ...any) (m Model, last Command) {
	for _, message := range slices.Concat([]any{Size{80, 24}, pair(0), pair(2)}, messages) {
		m, last = Update(m, message)
	}
	return m, last
}

// keys returns the keys of a text.
func keys(text string) (all []any) {
	for _, k := range keysIn([]byte(text)) {
		all = append(all, k)
	}
	return all
}

// text is what a model shows. The row with the cursor begins with ">".
func text(m Model) string {
	var b strings.Builder
	for _, l := range Render(m, noon) {
		mark := " "
		if len(l) > 0 && l[0].Style == screen.Reverse {
			mark = ">"
		}
		b.WriteString(strings.TrimRight(mark+l.Render(false), " ") + "\n")
	}
	return b.String()
}

func TestScreens(t *testing.T) {
	for name, messages := range map[string][]any{
		"services":         nil,
		"servers":          keys("\t"),
		"servers-by-bytes": keys("\tssss"),
		"routers":          keys("\t\t\x1b[B"),
		"filter":           keys("\t/192.0.2.1\r\x1b[B"),
		"typing":           keys("\t/2001"),
		"filter-nothing":   keys("/nothing\r"),
		"drain":            keys("\td"),
		"failover":         keys("\t\tf"),
		"no-answer":        {Failure{errors.New("no director listens at /run/tandem/control.sock: start one with `tandem run`, or give the path")}},
		"small":            {Size{30, 8}},
		"wide":             {Size{140, 12}},
		"order-done":       append(keys("\tdy"), Done{Order{Drain, "www/192.0.2.11:80"}, nil}),
		"order-failed":     append(keys("\t\tfy"), Done{Order{Failover, "web"}, errors.New("nobody took over web: this director is still master of it")}),
	} {
		m, _ := play(messages...)
		got := text(m)
		for i, line := range strings.Split(got, "\n") {
			if screen.Width(line) > m.Width+1 || i > m.Height {
				t.Errorf("%s: line %d does not fit: %s", name, i, line)
			}
		}
		file := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(file); err != nil || got != string(want) {
			t.Errorf("%s: %v, got\n%s\nwant\n%s", file, err, got, want)
		}
	}
}

func TestKeysGiveOrders(t *testing.T) {
	for _, c := range []struct {
		keys string
		want string // the order, quit, or nothing
	}{
		{"\td", ""}, {"\tdy", "drain www/192.0.2.11:80"}, {"\tdY", "drain www/192.0.2.11:80"}, {"\tdn", ""}, {"\td\r", ""}, {"\tdq", ""},
		{"\t\x1b[B\x1b[Buy", "undrain www/192.0.2.13:80"}, {"\tGdy", "drain mx/[2001:db8::25]:80"},
		{"\t\tfy", "failover web"}, {"\t\tjly", "release mail"}, {"\t\tdy", ""}, {"fy", ""}, {"\t/nobody\rdy", ""},
		{"q", "quit"}, {"\x03", "quit"}, {"\td\x03", "quit"}, {"/q", ""}, {"/\x03", "quit"},
	} {
		m, got := play(keys(c.keys)...)
		is := ""
		switch {
		case got.Quit:
			is = "quit"
		case got.Order != nil:
			is = got.Order.Action.String() + " " + got.Order.Name
		}
		if is != c.want || m.question != nil && got.Order != nil {
			t.Errorf("%q: %q, want %q", c.keys, is, c.want)
		}
	}
}

// TestTheCursorStaysOnItsServer: while rows change places, a question is about the server that the user has chosen.
func TestTheCursorStaysOnItsServer(t *testing.T) {
	m, _ := play(keys("\tj")...)
	chosen := m.rows[m.cursor()].key
	m, _ = Update(m, Key('r'))
	for _, k := range keys("ss") {
		m, _ = Update(m, k)
	}
	if m, _ = Update(m, pair(4)); m.rows[m.cursor()].key != chosen {
		t.Errorf("the cursor is on %s, was on %s", m.rows[m.cursor()].key, chosen)
	}
	m, _ = Update(m, Key('d'))
	gone := pair(6)
	gone.Services[0].Servers = nil
	if m, _ = Update(m, gone); m.question == nil || m.question.Name != chosen {
		t.Errorf("the question is about %v, want %s", m.question, chosen)
	}
}

func TestRatesAfterARestartOfTheCounters(t *testing.T) {
	m, _ := play(pair(1)) // fewer than before
	for _, r := range m.rows {
		if r.known {
			t.Errorf("%s has a rate of %f", r.key, r.connections)
		}
	}
}

// TestTenThousandServers: each update and each screen is quick enough to be done ten times a second, and the cursor reaches the end.
func TestTenThousandServers(t *testing.T) {
	s := pair(0)
	for i := range 10000 {
		s.Services[0].Servers = append(s.Services[0].Servers, api.Server{
			Address: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), Port: 80, Health: "healthy", Stats: api.Stats{Connections: uint64(i)},
		})
	}
	m, _ := play(keys("\tss")...)
	before := processorTime(t)
	const times = 20
	for i := range uint64(times) {
		s.At = noon.Add(time.Duration(i) * time.Second)
		m, _ = Update(m, s)
		m, _ = Update(m, PageDown)
		if lines := Render(m, noon); len(lines) != 24 {
			t.Fatalf("%d lines", len(lines))
		}
	}
	if each := (processorTime(t) - before) / times; each > 500*time.Millisecond {
		t.Errorf("an update takes %s", each)
	}
	m, _ = Update(m, End)
	if got := text(m); m.cursor() != 10003 || strings.Count(got, ">") != 1 {
		t.Errorf("at the end: row %d\n%s", m.cursor(), got)
	}
}

// processorTime is the processor time of this process. The rest of the machine does not make it longer.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// TestEverySizeFits: no size of the terminal breaks the screen, in no view.
func TestEverySizeFits(t *testing.T) {
	for _, typed := range []string{"", "\t", "\t\t", "\td", "/x"} {
		m, _ := play(keys(typed)...)
		for width := range 90 {
			for height := range 12 {
				m, _ = Update(m, Size{width + 1, height + 1})
				lines := Render(m, noon)
				if len(lines) > height+1 {
					t.Fatalf("%q at %d × %d: %d lines", typed, width+1, height+1, len(lines))
				}
				for _, l := range lines {
					if l.Width() > width+1 {
						t.Fatalf("%q at %d × %d: a line of %d: %q", typed, width+1, height+1, l.Width(), l.Render(false))
					}
				}
			}
		}
	}
}

func TestKeysIn(t *testing.T) {
	for text, want := range map[string][]Key{
		"a":                {'a'},
		"\x1b":             {Escape},
		"\x1b[A\x1bOBq":    {Up, Down, 'q'},
		"\x1b[5~\x1b[6~":   {PageUp, PageDown},
		"\x1b[1;5Ax":       {'x'}, // Ctrl with an arrow is nothing here
		"é\t\r\x7f":        {'é', Tab, Enter, Backspace},
		"\xff\xfe":         nil,
		"\x1b[":            nil,
		"\x1b[H\x1b[F\x03": {Home, End, Interrupt},
	} {
		if got := keysIn([]byte(text)); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func FuzzKeysIn(f *testing.F) {
	f.Add([]byte("\x1b[1;5A\tq/x\r"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, _ := play()
		for _, k := range keysIn(text) {
			if m, _ = Update(m, k); len(Render(m, noon)) != m.Height {
				t.Fatal("the screen has another height")
			}
		}
	})
}

func TestAmount(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 0.4: "0.4", 9.96: "10", 250: "250", 999.4: "999", 999.6: "1.0k", 12345: "12k", 2.5e9: "2.5G", 3e15: "3000T"} {
		if got := amount(n); got != want {
			t.Errorf("%g: %s, want %s", n, got, want)
		}
	}
}

// TestOnlyChangesAreWritten: the same screen again writes nothing, and one changed line writes only this line.
func TestOnlyChangesAreWritten(t *testing.T) {
	m, _ := play()
	var f frame
	if first := string(f.next(Render(m, noon), true)); strings.Count(first, "\x1b[K") != 24 || !strings.HasSuffix(first, "\x1b[J\x1b[?2026l") {
		t.Errorf("the first frame: %q", first)
	}
	if again := f.next(Render(m, noon), true); again != nil {
		t.Errorf("the same again: %q", again)
	}
	m, _ = Update(m, Down)
	if moved := string(f.next(Render(m, noon), true)); strings.Count(moved, "\x1b[K") != 2 || strings.Contains(moved, "\x1b[J") {
		t.Errorf("a moved cursor: %q", moved)
	}
	if mono := paint(screen.Line{{Text: "a", Style: screen.Red}, {Text: "b", Style: screen.Reverse}}, false); mono != "a\x1b[7mb\x1b[0m" {
		t.Errorf("without colour: %q", mono)
	}
}

// The sorry server, and servers that leave, are no servers that ought to be up.
func TestServersOfAPool(t *testing.T) {
	s := pair(0)
	s.Services = s.Services[1:]
	for _, extra := range []api.Server{{Sorry: true}, {Leaving: true}} {
		extra.Address, extra.Port = netip.MustParseAddr("2001:db8::99"), 80
		s.Services[0].Servers = append(s.Services[0].Servers, extra)
	}
	m, _ := Update(Model{Width: 80, Height: 24}, s)
	title := m.title(noon).Render(false)
	if r := m.rows[0]; r.state != "1 of 1 up" || r.style != screen.Green || !strings.Contains(title, "1 of 1 server up") {
		t.Errorf("%q, style %d, below %q", r.state, r.style, title)
	}
}
