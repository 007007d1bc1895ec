// SPDX-License-Identifier: Apache-2.0

package core

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/revision"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

var update = flag.Bool("update", false, "write the transcripts' answers anew")

// An outcome is everything that a director wants at one moment.
type outcome struct {
	Table    []lvs.Entry
	Checks   []healthcheck.Target
	Tracking map[string]vrrp.Tracking
	Files    map[string]any // by name
}

// A conversation is a file of testdata. Each event is a line. Indented lines belong to the event above. Answers begin with
// ">".
type conversation struct {
	t    *testing.T
	p    *player
	log  *bytes.Buffer
	now  time.Time
	cfg  *configs.Config
	last outcome
	syncSaid
	machine
}

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			log := &bytes.Buffer{}
			logger := hclog.New(&hclog.LoggerOptions{Output: log, DisableTime: true})
			c := &conversation{t: t, p: newPlayer(logger), log: log, now: noon}
			got := c.run(string(text))
			if *update {
				err = os.WriteFile(file, []byte(got), 0o644)
			} else if got != string(text) {
				t.Errorf("%s is played otherwise; see -update. Got:\n%s", file, got)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// run plays a file and returns it with the answers as they are.
func (c *conversation) run(text string) string {
	var out strings.Builder
	var event string
	var body []string
	flush := func() {
		if event == "" {
			return
		}
		for _, answer := range c.play(event, strings.Join(body, "\n")) {
			out.WriteString("> " + answer + "\n")
		}
		event, body = "", nil
	}
	for line := range strings.Lines(text) {
		switch plain := strings.TrimSuffix(line, "\n"); {
		case strings.HasPrefix(plain, ">"):
			continue
		case plain == "" || strings.HasPrefix(plain, "#"):
			flush()
		case strings.HasPrefix(plain, "\t"):
			body = append(body, plain[1:])
		default:
			flush()
			event = plain
		}
		out.WriteString(line)
	}
	flush()
	return out.String()
}

// play passes one event to the director and returns its answers.
func (c *conversation) play(event, body string) []string {
	verb, rest, _ := strings.Cut(event, " ")
	args := strings.Fields(rest)
	var answers []string
	switch verb {
	case "start":
		c.cfg = c.parse(body)
		c.p.start(c.now, c.cfg, nil)
	case "reload":
		c.cfg = c.parse(body)
		c.p.reload(c.now, c.cfg)
	case "restart": // the kernel keeps its table; with "-" after a server's address somebody else has set it to 0 meanwhile
		table := c.p.outcome().Table
		if body != "" {
			c.cfg = c.parse(body)
		}
		for i, e := range table {
			table[i].Servers = slices.Clone(e.Servers)
			for j, s := range e.Servers {
				if slices.Contains(args, s.ServerID.String()) {
					table[i].Servers[j].Weight = 0
				}
			}
		}
		c.p.restart(c.now, c.cfg, table)
	case "healthy", "unhealthy", "silent":
		id, reason, _ := strings.Cut(rest, ": ")
		status := healthcheck.TargetStatus{Health: healthcheck.Healthy, Reason: reason, Since: c.now}
		if verb != "healthy" {
			status.Health, status.Silent = healthcheck.Unhealthy, verb == "silent"
		}
		c.p.verdict(c.now, id, status)
	case "unknown": // since the director stood still
		id, reason, _ := strings.Cut(rest, ": ")
		c.p.verdict(c.now, id, healthcheck.TargetStatus{Health: healthcheck.Unknown, Reason: reason, Since: c.now})
	case "advice":
		status := healthcheck.TargetStatus{Health: healthcheck.Healthy, Reason: "agent", Since: noon, Advice: healthcheck.Advice{Given: true, Percent: c.number(args[1])}}
		c.p.verdict(c.now, args[0], status)
	case "neighbours": // answer, or are silent
		c.p.step(c.now, neighboursOf(c.p.s, args[0] == "answer"))
	case "link": // of a router's interface
		r := c.p.s.report
		r.Links = map[string]string{args[0]: ""}
		if args[1] == "down" {
			r.Links[args[0]] = "interface " + args[0] + " has no carrier"
		}
		c.p.step(c.now, Report{r})
	case "kernel": // refuses a service, or takes it
		id := strings.Join(args[1:], " ")
		c.p.refused = map[string]bool{id: args[0] == "refuses"}
		c.p.step(c.now, c.p.tableDone(c.p.s.generation))
	case "role":
		c.p.role(c.now, args[0], map[string]vrrp.State{"master": vrrp.Master, "backup": vrrp.Backup}[args[1]])
	case "order":
		command := ServerOrder{Action: api.Action(args[0]), Server: args[1]}
		if len(args) > 2 {
			command.Weight = c.number(args[2])
		}
		if err := c.p.order(c.now, command); err != nil {
			answers = append(answers, "refused: "+err.Error())
		}
	case "file":
		c.p.trackFile(c.now, args[0], c.number(args[1]))
	case "connections": // as the kernel shows them now
		var rows []lvs.Row
		for _, e := range c.p.outcome().Table {
			row := lvs.Row{Service: e.Service}
			for _, s := range e.Servers {
				active := 0
				if slices.Contains(args, s.ServerID.String()) {
					active = 1
				}
				row.Servers = append(row.Servers, lvs.ServerRow{Server: s, Active: active})
			}
			rows = append(rows, row)
		}
		c.p.connections(c.now, rows)
	case "after":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			c.t.Fatal(err)
		}
		c.now = c.now.Add(d)
		c.p.tick(c.now)
	default:
		if c.playSync(verb, args) {
			return append(c.syncAnswers(), c.answers()...)
		}
		said, known := c.playRevisions(verb, args, body)
		if !known {
			c.t.Fatalf("unknown event %q", event)
		}
		answers = append(answers, said...)
	}
	return append(answers, c.answers()...)
}

func (c *conversation) number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

func (c *conversation) parse(text string) *configs.Config {
	cfg, err := configs.Parse("t.toml", []byte("name = \"lb1\"\n"+text))
	if err != nil {
		c.t.Fatal(err)
	}
	return cfg
}

// answers returns the changes since the last answers.
func (c *conversation) answers() []string {
	var all []string
	is, was := c.p.outcome(), c.last
	c.last = is
	for line := range strings.Lines(c.log.String()) {
		all = append(all, "log "+strings.TrimSpace(line))
	}
	c.log.Reset()
	before := make(map[lvs.ServiceID]string)
	for _, e := range was.Table {
		before[e.ServiceID] = e.String()
	}
	for _, e := range is.Table {
		if text := e.String(); text != before[e.ServiceID] {
			all = append(all, "table "+text)
		}
		delete(before, e.ServiceID)
	}
	for _, id := range slices.SortedFunc(maps.Keys(before), lvs.ServiceID.Compare) {
		all = append(all, "table without "+id.String())
	}
	all = append(all, changes("check", checkNames(was.Checks), checkNames(is.Checks))...)
	for _, name := range slices.Sorted(maps.Keys(is.Tracking)) {
		if t := is.Tracking[name]; t != was.Tracking[name] || was.Tracking == nil {
			line := fmt.Sprintf("election %s delta %d unclear %t fault %q", name, t.Delta, t.Unclear, t.Fault)
			if t.Unsynced {
				line += " unsynced"
			}
			all = append(all, line)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(is.Files)) {
		if kept, ok := is.Files[name].(revision.Kept); ok {
			if before, _ := was.Files[name].(revision.Kept); !reflect.DeepEqual(before.State, kept.State) {
				all = append(all, "file "+name+" "+inWords(kept))
			}
			continue
		}
		text, err := json.Marshal(is.Files[name])
		if err != nil {
			c.t.Fatal(err)
		}
		if before, _ := json.Marshal(was.Files[name]); !bytes.Equal(text, before) {
			all = append(all, "file "+name+" "+string(text))
		}
	}
	return all
}

func checkNames(targets []healthcheck.Target) []string {
	var all []string
	for _, t := range targets {
		name := t.ID + " (" + t.Config.Type.String()
		if t.Config.Mark != 0 {
			name += fmt.Sprintf(" mark %#x", t.Config.Mark)
		}
		all = append(all, name+")")
	}
	slices.SortFunc(all, cmp.Compare[string])
	return all
}

func changes(what string, was, is []string) (all []string) {
	for _, s := range was {
		if !slices.Contains(is, s) {
			all = append(all, what+" ends "+s)
		}
	}
	for _, s := range is {
		if !slices.Contains(was, s) {
			all = append(all, what+" begins "+s)
		}
	}
	return all
}
