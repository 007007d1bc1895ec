// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/revision"
	"github.com/tandem-lvs/tandem/configs"
)

// A machine is what a restart of the director finds: the director's own file, the files of the revisions and the boot clock.
type machine struct {
	own    revision.Files
	stored map[string]revision.Files
	boots  int
}

// clock returns the boot clock.
func (c *conversation) clock() revision.Boot {
	return revision.Boot{ID: fmt.Sprint("boot ", c.boots), Clock: time.Hour + c.now.Sub(noon)}
}

// playRevisions plays the events about revisions. The director's own file is t.toml.
func (c *conversation) playRevisions(verb string, args []string, body string) (answers []string, known bool) {
	option := func(name string) string {
		if i := slices.Index(args, name); i >= 0 {
			return args[i+1]
		}
		return ""
	}
	var event Event
	switch verb {
	case "begin": // a director that keeps revisions
		c.stored = make(map[string]revision.Files)
		c.edit(body)
		c.p.is.Files = map[string]any{"leaving.json": Drains{}, "orders.json": map[string]Override{}}
		c.restarted()
		return nil, true
	case "edit": // the own file
		c.edit(body)
		return nil, true
	case "killed": // and started again, after a time
		if len(args) > 0 {
			gone, _ := time.ParseDuration(args[0])
			c.now = c.now.Add(gone)
		}
		c.restarted()
		return nil, true
	case "rebooted":
		c.boots++
		c.restarted()
		return nil, true
	case "disk":
		c.p.disk = strings.Join(args[1:], " ") // "disk says WHY", or "disk works"
		return nil, true
	case "sighup":
		files := c.own
		if is := c.p.s.revisions.is; is.Counts(c.digest(c.own)) {
			files = c.stored[is.Current().SHA256]
		}
		event = c.change(files, Change{How: revision.Reloaded, Lines: []string{"what differs"}})
	case "apply": // the own file, or that of the body with the name after "of"
		files := c.own
		if name := option("of"); name != "" {
			files = revision.Files{File: name, Text: body}
		}
		change := Change{How: revision.Applied, Lines: []string{"what differs", "and more"}}
		if confirm := option("confirm"); confirm != "" {
			change.Confirm, _ = time.ParseDuration(confirm)
		}
		if base := option("planned-for"); base != "" {
			change.Base = c.number(base)
		}
		event = c.change(files, change)
	case "rollback":
		event = RollBack{}
		if len(args) > 0 {
			r, err := c.p.s.revisions.is.Find(c.number(args[0]))
			if err != nil {
				c.t.Fatal(err)
			}
			event = c.change(c.stored[r.SHA256], Change{How: revision.RolledBack, Of: r.Number})
		}
	case "confirm":
		event = Confirm{}
	default:
		return nil, false
	}
	_, reply := c.p.step(c.now, event)
	if reply.Err != nil {
		answers = append(answers, "refused: "+reply.Err.Error())
	}
	if reply.NotRemembered != "" {
		answers = append(answers, "not remembered: "+reply.NotRemembered)
	}
	c.remember()
	return answers, true
}

// remember puts the written files on the disk.
func (c *conversation) remember() {
	if kept, ok := c.p.files[RevisionsFile].(revision.Kept); ok {
		maps.Copy(c.stored, kept.Files)
	}
}

func (c *conversation) edit(text string) { c.own = revision.Files{File: "t.toml", Text: text} }

func (c *conversation) loaded(f revision.Files) *configs.Config {
	cfg, err := configs.Parse(f.File, []byte("name = \"lb1\"\n"+f.Text))
	if err != nil {
		c.t.Fatal(err)
	}
	return cfg
}

func (c *conversation) digest(f revision.Files) string { return c.loaded(f).SHA256 }

func (c *conversation) change(f revision.Files, change Change) Reload {
	change.Files, change.Own, change.Boot = f, c.digest(c.own), c.clock()
	return Reload{Config: c.loaded(f), Change: &change}
}

// restarted starts the director as package director does.
func (c *conversation) restarted() {
	kept, _ := c.p.files[RevisionsFile].(revision.Kept)
	own := c.digest(c.own)
	o := &Origin{Saved: kept.State, Begin: kept.Start(own, c.clock()), Files: c.own, Own: own}
	if o.Begin.Revision > 0 {
		r, err := kept.Find(o.Begin.Revision)
		if err != nil {
			c.t.Fatal(err)
		}
		o.Files = c.stored[r.SHA256]
	}
	if w := kept.Waiting; w != nil && o.Begin.Left > 0 {
		r, err := kept.Find(w.Former)
		if err != nil {
			c.t.Fatal(err)
		}
		o.Former = &Loaded{Config: c.loaded(c.stored[r.SHA256])}
	}
	c.p.origin = o
	c.p.restart(c.now, c.loaded(o.Files), c.p.outcome().Table)
	c.remember()
}

// inWords returns what the file of the revisions says.
func inWords(k revision.Kept) string {
	var all []string
	for _, r := range k.Revisions {
		text := fmt.Sprintf("%d %s of %s", r.Number, r.How, r.File)
		if r.Of > 0 {
			text += fmt.Sprintf(" to %d", r.Of)
		}
		all = append(all, text)
	}
	text := strings.Join(all, ", ")
	if k.Apart() {
		text += "; apart from the own file"
	}
	if w := k.Waiting; w != nil {
		text += fmt.Sprintf("; waits until %s (%s of %s), then %d", w.Until.Format(time.TimeOnly), w.End.Clock, w.End.ID, w.Former)
	}
	var missing []string
	for _, digest := range slices.Sorted(maps.Keys(k.Files)) {
		missing = append(missing, k.Files[digest].File)
	}
	slices.SortFunc(missing, cmp.Compare[string])
	return text + "; with the files of " + strings.Join(missing, " and ")
}
