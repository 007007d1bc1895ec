// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/lvs"
)

// A file is a configuration as it is written, before its virtual routers are split by family.
type file struct {
	Config
	routers []virtualRouter
	groups  []syncGroup
	checks  map[string]healthcheck.Config // by name
	hooks   []Hook                        // those that belong to no virtual router
}

// fileTable is the schema of the file as a whole.
func fileTable() toml.SchemaType[file] {
	return toml.Table(checkFile, slices.Concat([]toml.Field[file]{
		toml.Derived("name", identifier(), "The director's name in logs and status.",
			func(f *file, v string) { f.Name = v }).Unset("the host name").Example(`"lb1"`),
	}, assemblyFields(), partFields())...)
}

// partFields are the tables of the file.
func partFields() []toml.Field[file] {
	return []toml.Field[file]{
		toml.Section("log", logTable(), "What is logged, and how.",
			func(f *file, v Log) { f.Log = v }),
		toml.Section("control", controlTable(), "Where the daemon takes commands.",
			func(f *file, v Control) { f.Control = v }),
		toml.Section("state", stateTable(), "What the daemon remembers across restarts.",
			func(f *file, v State) { f.State = v }),
		toml.Section("metrics", metricsTable(), "Metrics for Prometheus.",
			func(f *file, v Metrics) { f.Metrics = v }),
		toml.Section("web", webTable(), "A page about the pair, for browsers. It shows, and takes no command.",
			func(f *file, v Web) { f.Web = v }),
		toml.Derived("peer", channelTable(),
			"The channel to the other director. It carries orders about real servers (tandem drain and others), and what each director "+
				"sees: differences of the configurations, of the servers' health and of the clocks. `tandem status --pair` shows them. "+
				"The election does not use it. It uses TLS, and not ssh: its key opens nothing but this channel, no login and no shell. "+
				"Without this table there is no channel.",
			func(f *file, v Peer) { f.Peer = v }),
		toml.Derived("drill", drillTable(), drillDoc, func(f *file, v Drill) { f.Drill = v }),
		toml.Section("election", electionTable(), "The process that runs the virtual routers.",
			func(f *file, v Election) { f.Election = v }),
		toml.Derived("vrrp", toml.List(routerTable(), 0, toml.Unlimited),
			"A virtual router: addresses that both directors share, and that the elected master holds.",
			func(f *file, v []virtualRouter) { f.routers = v }),
		toml.Derived("group", toml.List(groupTable(), 0, toml.Unlimited),
			"A sync group as a whole, for what is asked once for all of its virtual routers. The group itself needs no such table: it is made "+
				"by sync_group.",
			func(f *file, v []syncGroup) { f.groups = v }),
		toml.Section("lvs", lvsTable(), "The IPVS table as a whole.",
			func(f *file, v LVS) { f.LVS = v }),
		toml.Derived("check", namedChecks(), "A check that services and servers use by its name.",
			func(f *file, v map[string]healthcheck.Config) { f.checks = v }),
		toml.Derived("service", toml.List(serviceTable(), 0, toml.Unlimited),
			"A virtual service: the addresses that clients connect to, and the real servers behind them.\n"+
				"Services are optional: a VIP in front of HAProxy or nginx needs only [[vrrp]].\n"+
				"If a server fails, is drained, is disabled or is removed from the file, these rules apply. Some schedulers "+
				"have limits: see scheduler.\n"+
				"New clients are served while another server or sorry_server can serve.\n"+
				"Connections of a drained server continue.\n"+
				"Connections of a failed or disabled server end. The client's next packet is answered by a reset. A datagram "+
				"goes to another server. With on_failure = \"weight-zero\", connections of a failed server stay.",
			func(f *file, v []virtualService) { f.Services = services(v) }),
		toml.Derived("hook", toml.List(hookTable(), 0, toml.Unlimited),
			"Something that the director does when anything has happened: to any virtual router, sync group, service or real server, or "+
				"to itself. The rules are those of [[vrrp.hook]].",
			func(f *file, v []Hook) { f.hooks = v }),
		toml.Derived("realserver", realServerTable(),
			"The settings of this machine as a real server, for `tandem realserver`. Directors do not need this table. One "+
				"machine may be a director and a real server, but not for the same VIP.",
			func(f *file, v RealServer) { f.RealServer = &v }),
	}
}

func logTable() toml.SchemaType[Log] {
	return toml.Table(nil,
		toml.Optional("level", toml.OneOf("trace", "debug", "info", "warn", "error"), "info",
			"The lowest level that is logged.",
			func(l *Log, v string) { l.Level = v }),
		toml.Optional("format", toml.OneOf(LogAuto, LogText, LogJournal, LogJSON), LogAuto,
			"The format of a log line. With journal, systemd's journal gets priorities and fields: `journalctl -u tandem -p warning SERVICE=www`. "+
				"auto is journal where systemd connects standard error to the journal, and text elsewhere.",
			func(l *Log, v string) { l.Format = v }),
	)
}

func controlTable() toml.SchemaType[Control] {
	return toml.Table(checkControl,
		toml.Optional("socket", toml.String("an absolute path of at most 96 bytes", validSocket), DefaultSocket,
			"The unix socket where the daemon answers `tandem status` and the other commands. "+
				"The locks of the daemon are in a directory beside it.",
			func(c *Control, v string) { c.Socket = v }),
		toml.Derived("group", toml.String("the name of a group", validGroup),
			"The group of users who may read: status, history, plan and the like. They change nothing. Root may always read and change. "+
				"Without group and admin_group, the socket belongs to the daemon's user and group, and both may do everything.",
			func(c *Control, v string) { c.Group = v }).Unset("none").Example(`"tandem"`),
		toml.Derived("admin_group", toml.String("the name of a group", validGroup),
			"The group of users who may read and change: drain, weight, failover, reload and the like. With group alone, only root may "+
				"change. Each change is logged and is in the history with the user's name.",
			func(c *Control, v string) { c.AdminGroup = v }).Unset("none").Example(`"tandem-admin"`),
	)
}

// checkControl refuses one group for two purposes, because its members would get more than group alone says.
func checkControl(at toml.Node, c *Control) {
	if at.Sound("group", "admin_group") && c.Group != "" && c.Group == c.AdminGroup {
		at.Key("group").Mistake("leave it out: the members of admin_group may read too", "is the same as admin_group")
	}
}

// validGroup refuses what groupadd(8) refuses.
func validGroup(s string) *toml.Refusal {
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-.", r))
	}
	switch {
	case s == "":
		return toml.Refuse("", "is empty: leave it out")
	case len(s) > 32 || s[0] == '-' || strings.ContainsFunc(s, odd):
		return toml.Refuse("", "%q is not the name of a group: use at most 32 letters, digits and any of . - _", s)
	}
	return nil
}

func stateTable() toml.SchemaType[State] {
	return toml.Table(nil,
		toml.Optional("dir", toml.String("an absolute path", absolutePath), DefaultStateDir,
			"The directory where the daemon keeps what it needs after a restart, such as which IPVS services are its own, the "+
				"history of events, and the last 20 configurations. The daemon makes it if it is missing. While it cannot be read or written, the daemon works, and the status warns.",
			func(s *State, v string) { s.Dir = v }),
	)
}

func metricsTable() toml.SchemaType[Metrics] {
	return toml.Table(nil,
		toml.Optional("listen", toml.String("host:port, or :port for all addresses", validListen("9105")), "",
			"Where Prometheus reads the metrics, over HTTP at /metrics. An empty text turns them off. At /healthz the answer is 200 "+
				"while the director works, and at /readyz while it could serve clients as master: otherwise it is 503, with the reasons.",
			func(m *Metrics, v string) { m.Listen = v }),
	)
}

// maxHosts is how many names a web page can have.
const maxHosts = 32

func webTable() toml.SchemaType[Web] {
	names := toml.List(toml.String("a host name", validWebHost), 0, maxHosts)
	return toml.Table(nil,
		toml.Optional("listen", toml.String("host:port, or :port for all addresses", validListen("9106")), "",
			"Where browsers find the page, over HTTP. An empty text turns it off. It shows what `tandem status --pair` and `tandem history` "+
				"show: what is wrong, virtual routers, services with their servers, and what has happened. It has no password and no TLS: "+
				"choose a management address.",
			func(w *Web, v string) { w.Listen = v }),
		toml.Optional("hosts", names.Valued("an array of up to %d host names", maxHosts), nil,
			"Names with a dot by which browsers open the page: `[\"lb1.example.com\"]`. IP addresses, names without a dot, the director's name and the host in listen "+
				"need no entry. Under other names the page is refused, so that a website cannot lead a browser in this network to it by a name of its own "+
				"(DNS rebinding).",
			func(w *Web, v []string) { w.Hosts = append(w.Hosts, v...) }),
	)
}

func validWebHost(s string) *toml.Refusal {
	if !validHostName(s) {
		return toml.Refuse(`write "lb1.example.com"`, "%q is not a host name", toml.Abbreviate(s))
	}
	return nil
}

// checkWeb refuses a page at the address of the metrics: only one of them could be served.
func checkWeb(at toml.Node, c *Config) {
	host, port, _ := splitHostPort(c.Web.Listen)
	other, taken, _ := splitHostPort(c.Metrics.Listen)
	if c.Web.Listen != "" && port == taken && (strings.EqualFold(host, other) || anyAddress(host) || anyAddress(other)) {
		at.Key("web").Key("listen").Mistake("choose another port", "%s is the address of metrics.listen too", c.Web.Listen)
	}
}

// anyAddress tells whether a host to listen at stands for all addresses.
func anyAddress(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "" || err == nil && a.IsUnspecified()
}

func electionTable() toml.SchemaType[Election] {
	return toml.Table(nil,
		toml.Optional("realtime", toml.Boolean(), false,
			"If true, this process locks its memory and uses real-time threads, so that a busy machine does not delay advertisements.",
			func(e *Election, v bool) { e.Realtime = v }),
		toml.Optional("orphan_grace", toml.Duration(0, 10*time.Minute, time.Nanosecond), 10*time.Second,
			"How long this process stays master after the rest of the daemon has died, if no peer takes over. "+
				"A daemon that restarts within this time finds the VIPs in place.",
			func(e *Election, v time.Duration) { e.OrphanGrace = v }),
	)
}

// checkFile applies the rules about several parts of the file.
func checkFile(at toml.Node, f *file) {
	checkRouters(at.Key("vrrp"), f.routers)
	checkSyncGroups(at, f)
	checkServices(at.Key("service"), f.Services)
	resolveChecks(at, f)
	checkReferences(at, f)
	checkSync(at.Key("service"), &f.Config)
	warnClients(at, &f.Config)
	checkProbeMarks(at, &f.Config)
	for i := range f.routers {
		r := &f.routers[i]
		for _, half := range r.split() {
			f.Routers = append(f.Routers, half)
			f.Tracks = append(f.Tracks, r.tracksOf(half.Name)...)
			for _, k := range r.keys {
				k.Router = half.Name
				f.KeyFiles = append(f.KeyFiles, k)
			}
		}
	}
	checkHooks(at, f)
	checkWeb(at, &f.Config)
	checkUseful(at.Key("vrrp"), f)
	checkRealServer(at.Key("realserver"), &f.Config)
	refusePeerVIP(at.Key("peer"), &f.Config)
	checkScheduled(at, f)
	checkSynced(at, f)
	if len(f.routers) == 0 && len(f.Services) == 0 && f.RealServer == nil && at.Sound("vrrp", "service") {
		at.Warn("", "has neither [[vrrp]] nor [[service]]: there is nothing to do")
	}
	warnStrangers(at.Key("service"), &f.Config)
	refuseOwnServers(at.Key("service"), &f.Config)
}

// warnStrangers warns of services on addresses that are no VIP, if there are VIPs of the same family.
func warnStrangers(services toml.Node, c *Config) {
	vips, families := make(map[netip.Addr]bool), make(map[lvs.Family]bool)
	for _, r := range c.Routers {
		for _, vip := range slices.Concat(r.VIPs, r.ExcludedVIPs) {
			vips[vip.Addr()] = true
			families[lvs.FamilyOf(vip.Addr())] = true
		}
	}
	for i, s := range c.Services {
		warned := make(map[netip.Addr]bool)
		for _, v := range s.Virtuals {
			if a := v.Addr; a.IsValid() && families[lvs.FamilyOf(a)] && !vips[a] && !warned[a] {
				warned[a] = true
				services.Index(i).Key("virtual").Warn("", "%s is not a VIP of any [[vrrp]]: the address will not follow the master", a)
			}
		}
	}
}

// A firstUse has the first use of each value, so that other uses can be refused.
type firstUse[T comparable] map[T]toml.Node

// add records that v is used at a node. If v is used already, it returns the node of the first use, and false.
func (u firstUse[T]) add(v T, at toml.Node) (earlier toml.Node, ok bool) {
	if earlier, used := u[v]; used {
		return earlier, false
	}
	u[v] = at
	return at, true
}

// checkName refuses a name that is used already. A name that was derived from other keys is compared only if those keys
// are unique.
func checkName(names firstUse[string], name string, unique bool, at toml.Node) (ok bool) {
	if !at.Sound("name") || !unique && !at.Has("name") {
		return true
	}
	earlier, ok := names.add(name, at)
	if !ok {
		at.Key("name").Mistake("names must differ", "%q is already the name of %s", name, earlier.Describe())
	}
	return ok
}

// maxName is the maximum length of a name in characters.
const maxName = 64

// identifier is a name that people type on command lines.
func identifier() toml.SchemaType[string] {
	return toml.String(fmt.Sprintf("1 to %d characters, without white space, slashes and control characters", maxName), validName)
}

func validName(s string) *toml.Refusal {
	odd := func(r rune) bool { return r == '/' || r == '\\' || unicode.IsSpace(r) || !unicode.IsPrint(r) }
	switch i := strings.IndexFunc(s, odd); {
	case s == "":
		return toml.Refuse("", "is empty")
	case utf8.RuneCountInString(s) > maxName:
		return toml.Refuse("", "is longer than %d characters", maxName)
	case i >= 0:
		r, _ := utf8.DecodeRuneInString(s[i:])
		return toml.Refuse("use letters, digits and any of . - _ :", "%q has the character %q", s, r)
	}
	return nil
}

func absolutePath(s string) *toml.Refusal {
	switch {
	case !path.IsAbs(s):
		return toml.Refuse("", "%q is not an absolute path", toml.Abbreviate(s))
	case strings.ContainsFunc(s, unicode.IsControl):
		return toml.Refuse("", "%q has a control character", toml.Abbreviate(s))
	}
	return nil
}

func validSocket(s string) *toml.Refusal {
	// unix(7): sun_path has 108 bytes, one of them the final NUL. The election's socket is in the directory of the locks,
	// whose name is that of the control socket and ".locks".
	const most = 107 - len(".locks/next")
	if len(s) > most {
		return toml.Refuse("", "is a path of %d bytes: want at most %d, because another socket has a longer path", len(s), most)
	}
	return absolutePath(s)
}

// validListen refuses what is no address to listen at. port is that of the examples.
func validListen(port string) func(string) *toml.Refusal {
	hint := fmt.Sprintf(`write "127.0.0.1:%[1]s", "[::1]:%[1]s" or ":%[1]s"`, port)
	return func(s string) *toml.Refusal {
		if s == "" {
			return nil
		}
		host, port, ok := splitHostPort(s)
		if !ok {
			return toml.Refuse(hint, "%q is not host:port", toml.Abbreviate(s))
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return toml.Refuse(hint, "%q is not a port: want 1 to 65535", toml.Abbreviate(port))
		}
		if host == "" || validHostName(host) {
			return nil
		}
		if _, err := netip.ParseAddr(host); err != nil {
			return toml.Refuse(hint, "%q is neither an address nor a host name", toml.Abbreviate(host))
		}
		return nil
	}
}

// validHostName follows RFC 1123, section 2.1. It also accepts underscores, which many names have in practice.
func validHostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, toml.NotBare) {
			return false
		}
	}
	return true
}
