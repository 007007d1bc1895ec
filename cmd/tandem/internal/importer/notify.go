// SPDX-License-Identifier: Apache-2.0

package importer

import "strings"

// A notification is a command that is told some events.
type notification struct {
	at     Place
	events []string
	cmd    *command
	full   bool // it gets the arguments of notify
}

// notifications are those of a virtual router or group, in the order in which keepalived runs them: notify is the last one.
type notifications struct {
	single []notification
	all    []notification
	alert  *bool // smtp_alert
	at     Place
}

// ordered returns them in their order.
func (n *notifications) ordered() []notification {
	return append(n.single[:len(n.single):len(n.single)], n.all...)
}

// told returns the handler of a keyword that runs a command at an event.
func told[T any](of func(*T) *notifications, events ...string) func(*converter, *T, *statement) {
	return func(c *converter, x *T, s *statement) {
		if len(s.words) > 1 {
			n := of(x)
			n.single = append(n.single, notification{s.at, events, c.notified(s), false})
		}
	}
}

// toldAll returns the handler of notify.
func toldAll[T any](of func(*T) *notifications) func(*converter, *T, *statement) {
	return func(c *converter, x *T, s *statement) {
		n := of(x)
		n.all = append(n.all, notification{s.at, []string{"master", "backup", "fault", "stop"}, c.notified(s), true})
	}
}

// alerted returns the handler of smtp_alert.
func alerted[T any](of func(*T) *notifications) func(*converter, *T, *statement) {
	return func(c *converter, x *T, s *statement) {
		n := of(x)
		n.alert, n.at = c.flag(s), s.at
	}
}

// emitHook writes a command that is told events.
func (c *converter) emitHook(t *table, at Place, events []string, cmd *command) *table {
	h := t.child(at, "hook", true)
	h.setList(at, "on", tomlStrings(events))
	if len(cmd.args) == 0 {
		t.children = t.children[:len(t.children)-1]
		return h
	}
	value, list := cmd.value()
	h.set(at, "command", value).list = list
	if u := c.userOf(cmd); u != "root" {
		h.set(at, "user", tomlString(u))
	}
	return h
}

// emitNotifications writes the hooks of a virtual router, or of a group if it has a name.
func (c *converter) emitNotifications(t *table, n *notifications, group string) {
	in := func(h *table, at Place) {
		if group != "" {
			h.set(at, "sync_group", tomlString(group))
		}
	}
	for _, one := range n.ordered() {
		if group != "" && one.events[0] == "contested" {
			continue
		}
		h := c.emitHook(t, one.at, one.events, one.cmd)
		if one.full {
			h.set(one.at, "style", `"keepalived"`)
		}
		in(h, one.at)
	}
	if c.mails(n.alert, c.global.alertRouters, false) {
		at := n.at
		if at.File == "" {
			at = c.global.mailAt
		}
		in(c.emitMail(t, at, c.routerEvents()), at)
	}
}

// routerEvents are what keepalived mails about virtual routers, and the event stop: without it, nobody hears of the last change.
func (c *converter) routerEvents() []string {
	if c.global.noFaults {
		return []string{"master", "backup", "stop"}
	}
	return []string{"master", "backup", "fault", "stop"}
}

// mails reports whether keepalived would mail: by its own setting, that of its kind, or that for all.
func (c *converter) mails(own, kind *bool, usual bool) bool {
	if len(c.global.mails) == 0 {
		return false
	}
	for _, v := range []*bool{own, kind, c.global.alert} {
		if v != nil {
			return *v
		}
	}
	return usual
}

// mailProgram is where configs/hooks.toml has the shipped mail hook.
const mailProgram = "/usr/local/lib/tandem/mail"

// emitMail writes a hook that mails.
func (c *converter) emitMail(t *table, at Place, events []string) *table {
	h := t.child(at, "hook", true)
	h.setList(at, "on", tomlStrings(events))
	args := append([]string{mailProgram}, c.global.mails...)
	h.setList(at, "command", tomlStrings(args)).because("configs/hooks/mail; it needs a sendmail program")
	return h
}

// onlyFor makes a command of a hook of a service do nothing for other servers than one.
func (cmd *command) onlyFor(address, port string) *command {
	test := `[ "$TANDEM_ADDRESS" != ` + address + ` ]`
	if port != "0" {
		test += ` || [ "$TANDEM_PORT" != ` + port + ` ]`
	}
	args := append([]string{"/bin/sh", "-c", test + ` || exec "$0" "$@"`}, cmd.args...)
	return &command{args: args, user: cmd.user, at: cmd.at}
}

// same reports whether two commands are equal.
func (cmd *command) same(o *command) bool {
	return cmd.user == o.user && strings.Join(cmd.args, "\x00") == strings.Join(o.args, "\x00")
}
