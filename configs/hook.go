// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
)

// A Hook is a command that the director runs, or a URL that it posts to, when something has happened.
type Hook struct {
	Name string // unique in the file
	On   []HookEvent
	// One of Command and URL is set.
	Command    []string
	User       string // that runs Command
	Style      HookStyle
	URL        string
	SecretFile string        // holds the bearer token for URL; empty: none
	Timeout    time.Duration // of one attempt
	Retries    int           // after a failure
	RetryPause time.Duration // before the first retry; it doubles with each
	// Routers are the names of the virtual routers of a [[vrrp.hook]]. nil: the hook is a [[hook]].
	Routers []string
	// Group makes a [[hook]] hear of this sync group instead of single virtual routers.
	Group string
	// Before makes a take-over from a silent master wait for the hook.
	Before bool
	// Services limits a [[hook]] to these services; nil: all.
	Services []string
}

// A HookEvent is something that a hook can be told.
type HookEvent uint8

// The events.
const (
	HookMaster         HookEvent = iota + 1 // master
	HookBackup                              // backup
	HookFault                               // fault
	HookStop                                // stop
	HookContested                           // contested
	HookContestOver                         // contest_over
	HookServerUp                            // server_up
	HookServerDown                          // server_down
	HookQuorumLost                          // quorum_lost
	HookQuorumRegained                      // quorum_regained
	HookDirectorStart                       // director_start
	HookDirectorStop                        // director_stop
	HookTakeover                            // takeover
	HookDrill                               // drill
)

// A HookStyle says which arguments a command gets.
type HookStyle uint8

const (
	// HookPlain adds no arguments.
	HookPlain HookStyle = iota + 1 // plain
	// HookKeepalived adds TYPE NAME STATE PRIORITY, as keepalived does.
	HookKeepalived // keepalived
)

var (
	groupEvents    = []HookEvent{HookMaster, HookBackup, HookFault, HookStop}
	routerEvents   = append(slices.Clone(groupEvents), HookContested, HookContestOver)
	fenceEvents    = append(slices.Clone(routerEvents), HookTakeover)
	serviceEvents  = []HookEvent{HookServerUp, HookServerDown, HookQuorumLost, HookQuorumRegained}
	directorEvents = []HookEvent{HookDirectorStart, HookDirectorStop, HookDrill}
)

// Hears tells whether the hook is to be told an event.
func (h *Hook) Hears(e HookEvent) bool { return slices.Contains(h.On, e) }

// hearsOf tells whether the hook is to be told any of the events.
func (h *Hook) hearsOf(events []HookEvent) bool { return slices.ContainsFunc(events, h.Hears) }

// hookDoc are the rules of all hooks.
const hookDoc = "" +
	"For each virtual router, group, service and server, hooks run one at a time, in the order of the events, and those of one " +
	"event in the order of the file. A hook that has not started is replaced by the newest state. Each hook runs in the daemon, " +
	"never in the election: it delays no takeover, unless it has before = true. A hook may be told an event " +
	"again, after a failure or a restart."

const routerEventsDoc = "master, backup and fault: the new state of a virtual router. " +
	"stop: the director was stopped, or a reload has removed the virtual router. tandem failover causes backup.\n" +
	"contested: this director is master, another master was heard, and this one stays master. The other one may have moved a " +
	"cloud address to itself. contest_over: the other master has been silent for 5s, so that its own hooks have probably ended.\n"

// routerHookTable is a hook of one virtual router.
func routerHookTable() toml.SchemaType[Hook] {
	fields := hookFields(fenceEvents, routerEventsDoc+
		"takeover: only with before = true.\n"+
		"After a start and a reload, the present state is told if the hook was not told it before, or failed.",
		func(text string) string { return text })
	return toml.Table(checkHook, append(fields,
		toml.Optional("before", toml.Boolean(), false,
			"With on = [\"takeover\"]: this director takes over from a silent master only after the hook has succeeded, for example has "+
				"switched off the other director's power or has taken away its cloud address. It is not asked before a master that "+
				"leaves or that is preempted: that one gives way by itself. Until the hook succeeds, the director stands back, and says so. After "+
				"a failure or a timeout it tries again after retry_pause, which doubles up to 1m, as long as no master is heard. Several such hooks of "+
				"a virtual router run at the same time, and all must succeed. Each member of a sync group asks its own.\n"+
				"With it, the other director cannot be master at the same time. In return, the take-over lasts as long as the hook, and nobody "+
				"takes over while it fails. At its start, a director that hears no master asks too: give it a startup_delay in which the other "+
				"one can start. Give both directors witnesses: a director that is cut off must not switch off the other one.",
			func(h *Hook, v bool) { h.Before = v }))...)
}

// hookTable is a hook of the file as a whole.
func hookTable() toml.SchemaType[Hook] {
	fields := hookFields(slices.Concat(routerEvents, serviceEvents, directorEvents), ""+
		"master, backup, fault, stop, contested and contest_over: as in [[vrrp.hook]].\n"+
		"server_up and server_down: the health of a real server, all its checks together. quorum_lost and quorum_regained: of a "+
		"service. Of these four, the good state is told only after the bad one.\n"+
		"director_start and director_stop: of the daemon. When the daemon is killed, it tells nothing.\n"+
		"drill: a drill of this director has ended, or one of its schedule was not made. TANDEM_REASON says which, how it ended, and why; "+
		"TANDEM_STATE is passed, failed, died, undone or skipped.",
		func(string) string { return "As in [[vrrp.hook]]." })
	return toml.Table(checkHook, append(fields,
		toml.Derived("sync_group", identifier(),
			"The name of a sync group. The hook is then told the state of the group: master if all members are, fault if any is, and "+
				"backup otherwise. It is not told the states of single virtual routers.",
			func(h *Hook, v string) { h.Group = v }).Unset("each virtual router").Example(`"web"`),
		toml.Derived("services", toml.List(identifier(), 1, toml.Unlimited).Valued("an array of names"),
			"The services whose events are told.",
			func(h *Hook, v []string) { h.Services = v }).Unset("all services").Example(`["www"]`),
	)...)
}

// hookFields are the keys of both. doc makes the documentation of a key from that of the same key of a [[vrrp.hook]].
func hookFields(events []HookEvent, eventsDoc string, doc func(string) string) []toml.Field[Hook] {
	return []toml.Field[Hook]{
		toml.Required("on", toml.List(toml.Enum(events...), 1, len(events)), `["master", "backup", "fault", "stop"]`,
			"The events that are told. "+eventsDoc, func(h *Hook, v []HookEvent) { h.On = v }),
		toml.Derived("name", identifier(), doc("The hook's name in logs, status and metrics."),
			func(h *Hook, v string) { h.Name = v }).Unset("the file name of the program or the host of the URL, after the name of the virtual router and a slash").Example(`"move-address"`),
		toml.Derived("command", toml.StringOr(program(nil), commandLine(nil)),
			doc("A program that is run. Its variables are TANDEM_EVENT, TANDEM_KIND (router, sync_group, service, server or director), "+
				"TANDEM_NAME (of the virtual router, group, service, server or director), TANDEM_PREVIOUS (the former event of the same "+
				"thing), TANDEM_REASON, TANDEM_TIME (RFC 3339), TANDEM_DIRECTOR, TANDEM_HOOK and TANDEM_ATTEMPT (1, 2, …). For a virtual "+
				"router there are also TANDEM_STATE, TANDEM_PRIORITY, TANDEM_INTERFACE, TANDEM_VRID and TANDEM_VIPS (separated by "+
				"spaces). For a server and a service there is also TANDEM_SERVICE, for a server TANDEM_ADDRESS and TANDEM_PORT.\n"+
				"The exit code 0 is success. The first 20 lines of its output are logged. When it ends, its process group is killed. What "+
				"must survive needs a session of its own and must not hold the output: use systemd-run, or setsid with the output "+
				"redirected."),
			func(h *Hook, v []string) { h.Command = v }).Unset("none").Example(`["/usr/local/bin/notify", "web"]`),
		toml.Optional("user", toml.String("a user's name or number", validUser), "root",
			doc("The user that runs the command, with the user's own group only. A program of root must be writable by root only. "+
				"With the shipped unit, users other than tandem need its drop-in other-users.conf."),
			func(h *Hook, v string) { h.User = v }).OnlyFor("commands"),
		toml.Optional("style", toml.Enum(HookPlain, HookKeepalived), HookPlain,
			doc("The arguments that are added to those of the command. plain: none. keepalived: TYPE NAME STATE PRIORITY as in keepalived's "+
				"notify scripts. TYPE is INSTANCE or GROUP. STATE is MASTER, BACKUP, FAULT, STOP, MASTER_RX_LOWER_PRI for contested, or "+
				"MASTER for contest_over. PRIORITY is that of the configuration with the weights of the tracks, also in a fault; for a group it "+
				"is 0."),
			func(h *Hook, v HookStyle) { h.Style = v }).OnlyFor("commands and events of virtual routers"),
		toml.Derived("url", toml.String("an http or https URL", validHookURL),
			doc("Where the event is posted as JSON, instead of a command. The members are the variables of command, in lower case and "+
				"without TANDEM_. Any status from 200 to 299 is success. Redirections are not followed."),
			func(h *Hook, v string) { h.URL = v }).Unset("none").Example(`"https://alerts.example.net/tandem"`),
		toml.Derived("secret_file", toml.String("an absolute path", absolutePath),
			doc("A file with a secret, that is sent as `Authorization: Bearer SECRET`. It is read at each attempt. Only its owner may "+
				"have access to it."),
			func(h *Hook, v string) { h.SecretFile = v }).Unset("none").Example(`"/etc/tandem/hook.secret"`).OnlyFor("URLs"),
		toml.Optional("timeout", toml.Duration(10*time.Millisecond, time.Hour, time.Nanosecond), 30*time.Second,
			doc("The maximum time of one attempt. Then the program and its children are killed, and the attempt has failed. While the "+
				"daemon stops, all hooks together have 30s."),
			func(h *Hook, v time.Duration) { h.Timeout = v }),
		toml.Optional("retries", toml.Integer(0, 100), 2,
			doc("How often it is tried again after a failure. A newer state ends this: then there is one more attempt, or none if this hook "+
				"is told the newer state."),
			func(h *Hook, v int) { h.Retries = v }),
		toml.Optional("retry_pause", toml.Duration(time.Millisecond, time.Hour, time.Nanosecond), time.Second,
			doc("The pause before the first retry. It doubles with each retry, up to 1m."),
			func(h *Hook, v time.Duration) { h.RetryPause = v }),
	}
}

func validHookURL(s string) *toml.Refusal {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return toml.Refuse(`write "https://host/path"`, "%q is not an http or https URL", toml.Abbreviate(s))
	case u.User != nil:
		return toml.Refuse("remove it, and use secret_file", "has a user or password")
	case u.Fragment != "":
		return toml.Refuse("remove it", "has a fragment (#%s), which is not sent", toml.Abbreviate(u.Fragment))
	}
	return nil
}

// checkHook applies the rules about several keys of a hook.
func checkHook(at toml.Node, h *Hook) {
	seen := make(map[HookEvent]bool)
	for i, e := range h.On {
		if seen[e] && e != 0 {
			at.Key("on").Index(i).Mistake("", "%s is repeated", e)
		}
		seen[e] = true
	}
	checkBefore(at, h)
	switch {
	case at.Has("command") && at.Has("url"):
		at.Key("url").Mistake("use a hook for each", "cannot be combined with command")
	case !at.Has("command") && !at.Has("url"):
		at.Mistake("add command or url", "does not say what to do")
	case at.Has("url"):
		refuseKeys(at, "remove it", "has no meaning without command", "user", "style")
		h.User, h.Style = "", 0
	default:
		refuseKeys(at, "remove it", "has no meaning without url", "secret_file")
	}
	if at.Sound("on") && h.Style == HookKeepalived && (h.hearsOf(serviceEvents) || h.hearsOf(directorEvents)) {
		at.Key("style").Mistake("use a hook of its own for the other events", "keepalived has arguments for the events of virtual routers only")
	}
	if at.Sound("on", "sync_group") && h.Group != "" {
		for i, e := range h.On {
			if !slices.Contains(groupEvents, e) {
				at.Key("on").Index(i).Mistake("use a hook of its own for it", "%s is not an event of a sync group", e)
			}
		}
	}
	if at.Sound("on") && h.Services != nil && !h.hearsOf(serviceEvents) {
		at.Key("services").Mistake("remove it", "has no meaning without an event of services")
	}
}

// checkBefore applies the rules about hooks that must succeed before a take-over.
func checkBefore(at toml.Node, h *Hook) {
	if !at.Sound("on", "before") {
		return
	}
	switch fences := h.Hears(HookTakeover); {
	case fences && !h.Before:
		at.Key("on").Mistake("add before = true", "takeover is told only to a hook that must succeed before it")
	case !fences && h.Before:
		at.Key("before").Mistake(`write on = ["takeover"]`, "only a takeover can wait for a hook")
	case fences && len(h.On) > 1:
		at.Key("on").Mistake("use a hook of its own for the other events", "takeover cannot be combined with other events")
	case fences && at.Has("retries"):
		at.Key("retries").Mistake("remove it", "has no meaning for takeover: it is tried again as long as no master is heard")
	case fences && at.Has("style"):
		at.Key("style").Mistake("remove it", "has no meaning for takeover, which keepalived does not have")
	}
}

// refuseOwner refuses a hook that would never be asked.
func refuseOwner(at toml.Node, r *virtualRouter) {
	if r.Priority == owner {
		at.Key("before").Mistake("give the virtual router a priority below 255, or remove the hook",
			"has no meaning with priority 255: the owner of the addresses does not wait for a master's silence")
	}
}

func refuseKeys(at toml.Node, hint, problem string, names ...string) {
	for _, name := range names {
		if at.Has(name) {
			at.Key(name).Mistake(hint, "%s", problem)
		}
	}
}

// checkHooks collects the hooks of the routers and of the file, names them, and refuses references to nothing.
func checkHooks(at toml.Node, f *file) {
	names := firstUse[string]{}
	used := make(map[string]bool)
	add := func(here toml.Node, h Hook) {
		checkName(names, h.Name, false, here)
		used[h.Name] = true
		f.Hooks = append(f.Hooks, h)
	}
	for i := range f.routers {
		for j, h := range f.routers[i].hooks {
			h.Routers = f.routers[i].names()
			if h.Before {
				refuseOwner(at.Key("vrrp").Index(i).Key("hook").Index(j), &f.routers[i])
			}
			add(at.Key("vrrp").Index(i).Key("hook").Index(j), h)
		}
	}
	for i, h := range f.hooks {
		add(at.Key("hook").Index(i), h)
		checkHookReferences(at, at.Key("hook").Index(i), f, h)
	}
	for i := range f.Hooks {
		h := &f.Hooks[i]
		if h.Name != "" {
			continue
		}
		name := h.does()
		if len(h.Routers) > 0 {
			name = h.Routers[0] + "/" + name
		}
		h.Name = name
		for n := 2; used[h.Name]; n++ {
			h.Name = fmt.Sprintf("%s #%d", name, n)
		}
		used[h.Name] = true
	}
}

// does names the program of a hook, or the host of its URL.
func (h *Hook) does() string {
	if u, err := url.Parse(h.URL); err == nil && u.Host != "" {
		return u.Host
	}
	return path.Base(strings.Join(h.Command[:min(1, len(h.Command))], ""))
}

func checkHookReferences(at, here toml.Node, f *file, h Hook) {
	if h.Group != "" && here.Sound("sync_group") && at.Sound("vrrp") {
		var groups []string
		for i := range f.routers {
			if g := f.routers[i].SyncGroup; g != "" {
				groups = append(groups, g)
			}
		}
		if !slices.Contains(groups, h.Group) {
			here.Key("sync_group").Mistake(toml.Suggest(h.Group, groups), "there is no [[vrrp]] with the sync_group %q", h.Group)
		}
	}
	if names, services := serviceNames(at.Key("service"), f.Services); services != nil && here.Sound("services") {
		for i, name := range h.Services {
			if services[name] == nil {
				here.Key("services").Index(i).Mistake(toml.Suggest(name, names), "there is no [[service]] with the name %q", name)
			}
		}
	}
	if here.Sound("on") && h.hearsOf(routerEvents) && len(f.routers) == 0 {
		here.Key("on").Warn("", "has events of virtual routers, but there is no [[vrrp]]")
	}
	if here.Sound("on") && h.hearsOf(serviceEvents) && len(f.Services) == 0 {
		here.Key("on").Warn("", "has events of services, but there is no [[service]]")
	}
}

// hookNotes returns sentences about hooks that could be better.
func (c *Config) hookNotes() (notes []string) {
	for _, h := range c.Hooks {
		if h.Hears(HookMaster) && h.Hears(HookBackup) && !h.Hears(HookStop) {
			notes = append(notes, fmt.Sprintf("hook %s: it is told master and backup, but not stop: a director that is stopped as master "+
				`does not tell it that it has left; add "stop" to on`, h.Name))
		}
		if strings.HasPrefix(h.URL, "http:") && h.SecretFile != "" {
			notes = append(notes, fmt.Sprintf("hook %s: the secret is sent unencrypted; write https in url", h.Name))
		}
	}
	return notes
}
