// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"errors"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/configs"
)

// A converter converts one file, or the two files of a pair.
type converter struct {
	*report
	Importer
	*site
	checks namedChecks
	files  []string           // all that were read
	ids    []string           // of the directors
	seen   map[[2]string]bool // the rows of the table that were used
}

// A site is what the file of one director says.
type site struct {
	source    Source
	global    globals
	scripts   map[string]*script
	files     map[string]*trackedFile
	processes map[string]*process
	groups    []*syncGroup
	instances []*instance
	spacings  []spacing
	delays    []*statement // lines of interface_up_down_delays
	pools     map[string]*addressGroup
	services  []*virtualServer
	tls       tlsFiles
	mailed    []mailed
	routers   []*router // the instances as tables
	conds     []string
}

func newConverter(i Importer) *converter {
	c := &converter{report: &report{}, Importer: i, seen: make(map[[2]string]bool)}
	c.startPeer()
	return c
}

// startPeer forgets what the first file said, but not the checks that both may have.
func (c *converter) startPeer() {
	c.site = &site{
		global:  globals{version: 2, defaultInterface: "eth0"},
		scripts: make(map[string]*script), files: make(map[string]*trackedFile), processes: make(map[string]*process),
		pools: make(map[string]*addressGroup),
	}
}

// topHandlers translate the blocks of a file.
var topHandlers map[string]func(*converter, *site, *statement)

func init() {
	topHandlers = map[string]func(*converter, *site, *statement){
		"global_defs": func(c *converter, s *site, st *statement) {
			walk(c, "global_defs", &s.global, globalHandlers, st.block)
		},
		"track_file":               (*converter).readFile,
		"vrrp_track_file":          (*converter).readFile,
		"vrrp_track_process":       (*converter).readProcess,
		"vrrp_script":              (*converter).readScript,
		"vrrp_sync_group":          (*converter).readGroup,
		"garp_group":               (*converter).readSpacing,
		"vrrp_instance":            (*converter).readInstance,
		"interface_up_down_delays": (*converter).readDelays,
		"virtual_server_group":     (*converter).readPool,
		"virtual_server":           (*converter).readService,
		"SSL":                      func(c *converter, s *site, st *statement) { walk(c, "SSL", &s.tls, tlsHandlers, st.block) },
	}
}

// convert converts the file of one director.
func (c *converter) convert(s Source) *table {
	c.source = s
	r := &reader{report: c.report, files: c.Files, id: s.ID, params: make(map[string]parameter)}
	r.file(path.Clean(s.File), s.Text)
	c.files = append(c.files, r.read...)
	c.conds = r.ids
	statements := parse(c.report, r.lines)
	if len(c.refused) > 0 {
		return &table{}
	}
	c.explainConditions(s)
	walk(c, "", c.site, topHandlers, statements)
	d := c.document()
	if len(c.instances) == 0 && len(c.site.services) == 0 {
		c.note(Place{File: path.Clean(s.File)}, "", "has neither vrrp_instance nor virtual_server: there is nothing to convert")
	}
	return d
}

// explainConditions notes that lines for other machines were left out, and that neither director is one of them.
func (c *converter) explainConditions(s Source) {
	mine := func(id string) bool { return slices.Contains(c.ids, id) }
	if len(c.conds) > 0 && !slices.ContainsFunc(c.conds, mine) {
		c.note(Place{File: path.Clean(s.File)}, "choose a machine with --config-id",
			"lines begin with @%s, and none of these is %s", strings.Join(c.conds[:min(len(c.conds), 8)], ", @"), abbreviate(s.ID))
	}
}

// walk translates the statements of a block. It notes keywords that tandem has no equivalent for, and unknown ones.
func walk[T any](c *converter, block string, x *T, handlers map[string]func(*converter, *T, *statement), list []*statement) {
	for _, s := range list {
		if c.known(s, block) {
			handlers[s.keyword()](c, x, s)
		}
	}
}

// usual are the values of keywords without an equivalent with which tandem does the same.
var usual = map[string]string{
	"vrrp_mcast_group4": "224.0.0.18", "vrrp_mcast_group6": "ff02::12", "mcast_dst_ip": "224.0.0.18", "unicast_ttl": "255",
	"quorum": "1", "garp_master_refresh_repeat": "1", "vrrp_garp_master_refresh_repeat": "1", "min_reply_length": "0",
}

// known reports whether a keyword is one that is translated, in one of the blocks. It notes what is missing or unknown.
func (c *converter) known(s *statement, blocks ...string) bool {
	name := s.keyword()
	for _, block := range blocks {
		row, ok := byKeyword[[2]string{block, name}]
		if !ok {
			continue
		}
		c.seen[[2]string{block, name}] = true
		on, isBoolean := boolean(s.value())
		if row.fate == missing && (s.value() == "" || usual[name] != s.value()) && (on || !isBoolean) {
			c.note(s.at, row.text, "%s: has no equivalent", name)
		}
		if row.fate == missing { // what is in its block goes with it
			for _, inner := range s.block {
				c.option(inner.at, name, inner.keyword())
			}
		}
		return row.fate == translated
	}
	where := "outside of a block"
	if blocks[len(blocks)-1] != "" {
		where = "in " + blocks[0]
	}
	c.note(s.at, "look for a wrong word or brace", "%s is no keyword %s, and keepalived ignores it", abbreviate(name), where)
	return false
}

// option is known for an option of a value. It does not know unknown ones.
func (c *converter) option(at Place, block, name string) (row keyword, ok bool) {
	row, ok = byKeyword[[2]string{block, name}]
	if ok {
		c.seen[[2]string{block, name}] = true
	}
	return row, ok
}

// seconds reads the value of a keyword. If it is none, it notes that, and ok is false.
func (c *converter) seconds(s *statement) (d time.Duration, ok bool) {
	if d, ok = seconds(s.value()); !ok {
		c.odd(s, "a number of seconds")
	}
	return d, ok
}

// integer is seconds for a number.
func (c *converter) integer(s *statement, least, most int64) (n int64, ok bool) {
	if n, ok = integer(s.value(), least, most); !ok {
		c.odd(s, "a number from "+tomlInt(least)+" to "+tomlInt(most))
	}
	return n, ok
}

// boolean is seconds for a word for true or false.
func (c *converter) boolean(s *statement) (v, ok bool) {
	if v, ok = boolean(s.value()); !ok {
		c.odd(s, "on or off")
	}
	return v, ok
}

func (c *converter) odd(s *statement, want string) {
	c.note(s.at, "keepalived refuses or ignores it: correct it there first", "%s: %s is not %s", s.keyword(),
		abbreviate(s.value()), want)
}

// finish writes the document, and lets package configs read it. Its mistakes refuse the conversion.
func (c *converter) finish(s Source, d *table) Result {
	if len(c.refused) == 0 {
		w := &writer{}
		w.line(Place{}, "# Converted by tandem import from "+oneLine(path.Base(s.File))+". See the notes that it printed.")
		w.write(d, "")
		formatted, _, err := configs.Format("tandem.toml", []byte(w.b.String()))
		if err != nil {
			c.refuse(Place{File: path.Clean(s.File)}, "report this as a bug of tandem import", "the result is not TOML: %v", err)
		} else if c.accepted(s, formatted, w); len(c.refused) == 0 {
			return Result{Text: formatted, Notes: sorted(c.notes, c.files)}
		}
	}
	return Result{Notes: sorted(c.notes, c.files), Refused: sorted(c.refused, c.files)}
}

// accepted reads the converted file, as each of its directors.
func (c *converter) accepted(s Source, formatted string, w *writer) {
	from := origins(formatted, w)
	surroundings := configs.Surroundings{Variable: func(name string) (string, bool) { return "/" + name, true }}
	names := configs.Directors(surroundings, "tandem.toml", []byte(formatted))
	if len(names) == 0 {
		names = []string{""}
	}
	var good []*configs.Config
	for _, surroundings.Name = range names {
		cfg, err := configs.ParseIn(surroundings, "tandem.toml", []byte(formatted))
		if err == nil {
			good = append(good, cfg)
		}
		var mistakes configs.Mistakes
		if err != nil && !errors.As(err, &mistakes) {
			mistakes = configs.Mistakes{{Problem: err.Error()}}
		}
		for _, m := range mistakes {
			at := Place{File: path.Clean(s.File)}
			if m.Line > 0 && m.Line <= len(from) && from[m.Line-1].File != "" {
				at = from[m.Line-1].element(m.Key)
			}
			text := m.Problem
			if m.Key != "" {
				text = m.Key + ": " + text
			}
			c.refuse(at, m.Hint, "tandem does not accept it: %s", text)
		}
	}
	if len(good) == 2 {
		c.compare(Place{File: path.Clean(s.File)}, good[0], good[1])
	}
}

// origins returns where each line of the formatted text comes from. Formatting changes white space only.
func origins(formatted string, w *writer) (all []origin) {
	var from []origin
	for i, l := range strings.Split(strings.TrimSuffix(w.b.String(), "\n"), "\n") {
		if strings.TrimSpace(l) != "" {
			from = append(from, w.places[i])
		}
	}
	for l := range strings.SplitSeq(formatted, "\n") {
		if strings.TrimSpace(l) == "" || len(from) == 0 {
			all = append(all, origin{})
			continue
		}
		all = append(all, from[0])
		from = from[1:]
	}
	return all
}

// element returns where the element comes from that a key ends with: vips[3].
func (o origin) element(key string) Place {
	open := strings.LastIndexByte(key, '[')
	if open < 0 || !strings.HasSuffix(key, "]") {
		return o.Place
	}
	if n, ok := integer(key[open+1:len(key)-1], 0, int64(len(o.elements))-1); ok {
		return o.elements[n]
	}
	return o.Place
}
