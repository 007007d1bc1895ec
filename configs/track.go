// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/vrrp"
)

// A Track is something that a virtual router depends on, other than an interface.
type Track struct {
	Router  string // the virtual router's name
	Group   string // whose witness it is: of the whole sync group. It is among the tracks of each member. Empty: the virtual router's own
	Kind    TrackKind
	Name    string              // unique in the virtual router: "script /usr/local/bin/check-uplink", "service www"
	Check   *healthcheck.Config // of a script, check, process or unit: how it is probed
	File    string              // of a file: its absolute path
	Service string              // of a service: its name
	// Weight is added to the priority: -253 to -1 while the track fails, 1 to 253 while it does not fail. With 0 the virtual
	// router fails with the track. For a file, the number in the file times Weight is added.
	Weight int
}

// A TrackKind is what a Track looks at.
type TrackKind uint8

const (
	// TrackScript is a program. It fails when it does not exit with 0.
	TrackScript TrackKind = iota + 1 // script
	// TrackFile is a file that holds a number. It fails when the number is not 0.
	TrackFile // file
	// TrackService is a service. It fails when too few of its servers are healthy.
	TrackService // service
	// TrackCheck is a check of any type that this director makes. It fails while the check is unhealthy.
	TrackCheck // check
	// TrackProcess is a process of this machine. It fails when no such process runs.
	TrackProcess // process
	// TrackUnit is a unit of systemd. It fails when it is not active.
	TrackUnit // unit
	// TrackWitness is a machine that answers whoever is not cut off. By itself, its silence changes nothing.
	TrackWitness // witness
	// TrackPeer is the other director, as a master asks it before it lets go. By itself, its silence changes nothing.
	TrackPeer // peer
)

// Probed reports whether the track is probed at an interval. Its state is then not known before the first result.
func (t Track) Probed() bool { return t.Check != nil }

// A tracked is one element of track as it is written. It has one of link, file, service, process, unit, command and use.
type tracked struct {
	link, file, service, process, unit string
	command                            []string
	use                                checkUse
	weight                             int
	check                              healthcheck.Config // how a script, process or unit is probed
	debounce                           vrrp.Debounce      // of an interface
}

// trackedKeys are the keys that say what is tracked. The others are the keys that only a script has, and those that processes
// and units have too.
var (
	trackedKeys = []string{"interface", "script", "file", "service", "check", "process", "unit"}
	probeKeys   = []string{"interval", "timeout", "rise", "fall"}
	scriptKeys  = append([]string{"user"}, probeKeys...)
)

// The usual intervals of probes, and the usual timeout of a script. To ask whether a process still runs costs next to nothing.
// Looking for it among all processes does not: while it is missing, that is done more rarely.
const (
	scriptInterval  = 2 * time.Second
	scriptTimeout   = time.Second
	processInterval = 200 * time.Millisecond
	unitInterval    = 500 * time.Millisecond
	missingInterval = time.Second
)

func trackTable() toml.SchemaType[tracked] {
	return toml.Table(checkTrack, append(thingFields(), trackPaceFields()...)...)
}

// thingFields are what can be tracked, and what its failure does.
func thingFields() []toml.Field[tracked] {
	const most = 253 // between the lowest and the highest priority of a machine that is not the owner
	return []toml.Field[tracked]{
		toml.Derived("interface", interfaceName(), "An interface. It fails when it is missing, down or without carrier.",
			func(t *tracked, v string) { t.link = v }).Unset("none").Example(`"eth1"`),
		toml.Derived("script", toml.StringOr(program(LooksFor), commandLine(LooksFor)),
			"A program that runs at an interval. It fails when its exit code is not 0, or when it takes too long. It runs as "+
				"the user of the key `user`, without capabilities: the user nobody cannot `ping`, read files that are only "+
				"for root, or signal other users' processes. If root runs `tandem check` or `tandem doctor`, these run the "+
				"script once as that user. If a script with weight 0 fails on all directors, one of them is still master, at "+
				"priority 1, and warns.",
			func(t *tracked, v []string) { t.command = v }).Unset("none").Example(`"/usr/local/bin/check-uplink"`),
		toml.Derived("file", toml.String("an absolute path", absolutePath),
			"A file that holds a number. It fails when the number is not 0. A missing or empty file counts as 0.",
			func(t *tracked, v string) { t.file = v }).Unset("none").Example(`"/run/tandem/step-back"`),
		toml.Derived("service", identifier(), "The name of a service. The track fails when the service has fewer healthy "+
			"servers than its min_up.",
			func(t *tracked, v string) { t.service = v }).Unset("none").Example(`"www"`),
		toml.Derived("check", oneCheck("the name of a [check.NAME], or a table with the keys of one"), "A check that this director makes, for example of a proxy on this machine. The track "+
			"fails while the check is unhealthy. It has the keys of a [check.NAME], and needs a port (a ping: an address). "+
			"Without an address, it asks 127.0.0.1. Its type is neither exec nor agent. If a check with weight 0 fails on "+
			"all directors, one of them is still master, as with script.",
			func(t *tracked, v checkUse) { t.use = v }).Unset("none").Example(`{ type = "http", port = 8080, path = "/healthz" }`),
		toml.Derived("process", toml.String("the file name of a program, without its directory", programName),
			"A process on this machine. The track fails when no process runs this program. When the process ends, tandem "+
				"notices it within interval. When it runs again, tandem notices it within 1s, or within a longer interval. If a process with weight 0 is missing on all "+
				"directors, one of them is still master, as with script.",
			func(t *tracked, v string) { t.process = v }).Unset("none").Example(`"haproxy"`),
		toml.Derived("unit", toml.String("the full name of a unit of systemd", unitName),
			"A unit of systemd on this machine. The track fails when the unit is not active. tandem asks over D-Bus. If a unit with "+
				"weight 0 fails on all directors, one of them is still master, as with script.",
			func(t *tracked, v string) { t.unit = v }).Unset("none").Example(`"haproxy.service"`),
		toml.Optional("weight", toml.Integer(-most, most), 0,
			"A number that is added to the priority. A negative weight is added while the track fails. A positive weight is added "+
				"while the track does not fail. For a file, tandem adds the number in the file times the weight. With weight 0, the "+
				"virtual router is in state FAULT while the track fails (see script for the exception).",
			func(t *tracked, v int) { t.weight = v }),
	}
}

// trackPaceFields are how often something that is tracked is looked at, and from when on the result counts.
func trackPaceFields() []toml.Field[tracked] {
	return []toml.Field[tracked]{
		toml.Optional("up_delay", delay(), 0, "How long an interface must work again before that counts.",
			func(t *tracked, v time.Duration) { t.debounce.UpDelay = v }).OnlyFor("interfaces"),
		toml.Optional("down_delay", delay(), 0, "How long an interface must fail before that counts. A shorter failure has no effect.",
			func(t *tracked, v time.Duration) { t.debounce.DownDelay = v }).OnlyFor("interfaces"),
		toml.Derived("interval", toml.Duration(100*time.Millisecond, time.Hour, time.Nanosecond),
			"The time from the start of one run to the start of the next, or between two looks at a process or unit.",
			func(t *tracked, v time.Duration) { t.check.Interval = v }).
			Unset(toml.ShowDuration(scriptInterval) + " for a script, " + toml.ShowDuration(processInterval) + " for a process, " +
				toml.ShowDuration(unitInterval) + " for a unit").
			Example(`"2s"`).OnlyFor("scripts, processes and units"),
		toml.Optional("timeout", toml.Duration(10*time.Millisecond, time.Hour, time.Nanosecond), scriptTimeout,
			"The maximum time of a run. It is at most the interval. If a run takes longer, tandem kills the script and its children, "+
				"and the run has failed.",
			func(t *tracked, v time.Duration) { t.check.Timeout = v }).OnlyFor("scripts"),
		toml.Optional("rise", toml.Integer(1, 100), 1, "The failure of the track ends after this many successes in a row.",
			func(t *tracked, v int) { t.check.Rise = v }).OnlyFor("scripts, processes and units"),
		toml.Optional("fall", toml.Integer(1, 100), 1,
			"The track fails after this many failures in a row. For a process or unit, give the time that a restart "+
				"takes, divided by the interval, if a restart is not to move the VIPs.",
			func(t *tracked, v int) { t.check.Fall = v }).OnlyFor("scripts, processes and units"),
		toml.Optional("user", toml.String("a user's name or number", validUser), "nobody", userDoc,
			func(t *tracked, v string) { t.check.User = v }).OnlyFor("scripts"),
	}
}

// userDoc documents user, of tracked scripts and of checks of type exec.
const userDoc = "" +
	"The user that runs the program. The program has no capabilities, and cannot get any by sudo or a set-user-ID program. " +
	"With the user nobody, `ping` fails, and `killall -0` on a process of root fails. With the shipped unit, users other than " +
	"tandem need its drop-in other-users.conf."

func checkTrack(at toml.Node, t *tracked) {
	given := slices.DeleteFunc(slices.Clone(trackedKeys), func(name string) bool { return !at.Has(name) })
	if len(given) == 0 {
		at.Mistake("add "+toml.Alternatives(trackedKeys), "does not say what is tracked")
		return
	}
	for _, name := range given[1:] {
		at.Key(name).Mistake("use a table for each", "cannot be combined with %s", given[0])
	}
	for _, name := range []string{"up_delay", "down_delay"} {
		if at.Has(name) && given[0] != "interface" {
			at.Key(name).Mistake("remove it", "has no meaning without interface")
		}
	}
	needless, missing := scriptKeys, "script, process or unit"
	switch given[0] {
	case "script":
		if !at.Has("interval") {
			t.check.Interval = scriptInterval
		}
		checkTimeout(at, t.check)
		t.check.Type, t.check.Command = healthcheck.Exec, t.command
		return
	case "process":
		if !at.Has("interval") {
			t.check.Interval = processInterval
		}
		t.check.Type, t.check.Process, t.check.User, t.check.Timeout = healthcheck.Process, t.process, "", t.check.Interval
		t.check.IntervalDown = max(t.check.Interval, missingInterval)
		needless, missing = []string{"timeout", "user"}, "script"
	case "unit":
		if !at.Has("interval") {
			t.check.Interval = unitInterval
		}
		t.check.Type, t.check.Unit, t.check.User, t.check.Timeout = healthcheck.Unit, t.unit, "", t.check.Interval
		needless, missing = []string{"timeout", "user"}, "script"
	case "check":
		missing = "script, process or unit; the check has a table of its own"
	}
	for _, name := range needless {
		if at.Has(name) {
			at.Key(name).Mistake("remove it", "has no meaning without %s", missing)
		}
	}
}

// unitName refuses what is not the name of a unit with its type (systemd.unit(5)).
func unitName(s string) *toml.Refusal {
	odd := func(r rune) bool { return toml.NotBare(r) && !strings.ContainsRune(`:.@\\`, r) }
	switch dot := strings.LastIndexByte(s, '.'); {
	case s == "" || len(s) > 255 || strings.ContainsFunc(s, odd):
		return toml.Refuse("", "%q is not the name of a unit", toml.Abbreviate(s))
	case dot < 0:
		return toml.Refuse(fmt.Sprintf("write %q", s+".service"), "%q has no type", toml.Abbreviate(s))
	}
	return nil
}

// programName refuses what cannot be the file name of a program.
func programName(s string) *toml.Refusal {
	switch {
	case s == "" || len(s) > 255 || strings.ContainsRune(s, 0):
		return toml.Refuse("", "%q is not a file name", toml.Abbreviate(s))
	case strings.Contains(s, "/"):
		return toml.Refuse(fmt.Sprintf("write %q", path.Base(s)), "%q has a directory", toml.Abbreviate(s))
	case strings.ContainsFunc(s, unicode.IsSpace):
		return toml.Refuse("only the program is named, without arguments", "%q has white space", toml.Abbreviate(s))
	}
	return nil
}

// validUser refuses what is not a user's name or number, as useradd does. Only the director knows whether the user exists.
func validUser(s string) *toml.Refusal {
	odd := func(r rune) bool { return toml.NotBare(r) && r != '.' && r != '$' }
	if s == "" || len(s) > 32 || strings.HasPrefix(s, "-") || strings.ContainsFunc(s, odd) {
		return toml.Refuse("", "%q is not a valid user", toml.Abbreviate(s))
	}
	return nil
}

// checkTracks collects the tracked interfaces, and refuses what is tracked twice.
func checkTracks(at toml.Node, r *virtualRouter) {
	names := firstUse[string]{}
	for i, t := range r.tracks {
		here := at.Key("track").Index(i)
		if !here.Sound(trackedKeys...) {
			continue
		}
		if earlier, ok := names.add(t.String(), here); !ok {
			here.Mistake("", "%s is already %s", t, earlier.Describe())
		}
		if t.weight != 0 && r.Priority == owner {
			here.Key("weight").Warn("", "has no effect: priority 255 never changes")
		}
		if t.link == "" {
			continue
		}
		if t.link == r.Interface && t.debounce != (vrrp.Debounce{}) && r.Carrier != vrrp.CarrierIgnore {
			here.Warn("set debounce of the virtual router", "has no effect by its delays: a virtual router always fails with its own interface")
		}
		if t.link == r.Interface && t.weight != 0 && r.Carrier != vrrp.CarrierIgnore {
			here.Key("weight").Warn("", "has no effect: a virtual router always fails with its own interface")
		}
		r.TrackInterfaces = append(r.TrackInterfaces, vrrp.TrackInterface{Interface: t.link, Weight: t.weight, Debounce: t.debounce})
	}
}

// String names what is tracked: "script /usr/local/bin/check-uplink --fast".
func (t tracked) String() string {
	switch {
	case t.link != "":
		return "interface " + t.link
	case t.file != "":
		return TrackFile.String() + " " + t.file
	case t.service != "":
		return TrackService.String() + " " + t.service
	case t.process != "":
		return TrackProcess.String() + " " + t.process
	case t.unit != "":
		return TrackUnit.String() + " " + t.unit
	case t.use.given():
		return TrackCheck.String() + " " + t.use.String()
	}
	odd := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '"' }
	words := slices.Clone(t.command)
	for i, w := range words {
		if w == "" || strings.ContainsFunc(w, odd) {
			words[i] = strconv.Quote(w)
		}
	}
	return TrackScript.String() + " " + strings.Join(words, " ")
}

// tracksOf returns what the virtual router of that name tracks, other than interfaces.
func (v *virtualRouter) tracksOf(name string) (tracks []Track) {
	for _, t := range v.tracks {
		track := Track{Router: name, Name: t.String(), Weight: t.weight, File: t.file, Service: t.service}
		switch {
		case t.file != "":
			track.Kind = TrackFile
		case t.service != "":
			track.Kind = TrackService
		case t.command != nil:
			track.Kind = TrackScript
			check := t.check
			check.Command = slices.Clone(t.command)
			track.Check = &check
		case t.process != "":
			track.Kind = TrackProcess
			check := t.check
			track.Check = &check
		case t.unit != "":
			track.Kind = TrackUnit
			check := t.check
			track.Check = &check
		case t.use.given():
			track.Kind = TrackCheck
			check := t.use.check
			track.Check = &check
		default:
			continue
		}
		tracks = append(tracks, track)
	}
	return append(tracks, v.asks.tracks(name)...)
}

// checked reports whether any of the service's servers is checked.
func (s *Service) checked() bool {
	return slices.ContainsFunc(s.Servers, func(server Server) bool { return len(server.Checks) > 0 })
}

// checkReferences refuses tracks of services that do not exist, and warns of tracks and keys without effect.
func checkReferences(at toml.Node, f *file) {
	names, services := serviceNames(at.Key("service"), f.Services)
	if services == nil {
		return
	}
	used := make(map[string]bool)
	for i, r := range f.routers {
		for j, t := range r.tracks {
			here := at.Key("vrrp").Index(i).Key("track").Index(j)
			if t.service == "" || !here.Sound("service") {
				continue
			}
			used[t.service] = true
			switch s, ok := services[t.service]; {
			case !ok:
				here.Key("service").Mistake(toml.Suggest(t.service, names), "there is no [[service]] with the name %q", t.service)
			case s.CheckWhen == CheckMaster:
				here.Key("service").Mistake(`write check_when = "always" there, or track something else`,
					"%s is checked by the master only: after a handover this director would count it as healthy at once", s.Name)
			case !s.checked():
				here.Key("service").Warn("", "%s has no check: its servers always count as healthy", s.Name)
			}
		}
	}
	for i, s := range f.Services {
		if here := at.Key("service").Index(i); here.Has("min_up") && !used[s.Name] {
			here.Key("min_up").Warn("", "has no effect: no [[vrrp]] tracks the service")
		}
	}
}

// serviceNames returns the names of the services, in the file's order, and the services by name. It returns nil if a mistake
// makes one of the names uncertain.
func serviceNames(at toml.Node, services []Service) ([]string, map[string]*Service) {
	if !at.Sound() {
		return nil, nil
	}
	names, byName := make([]string, len(services)), make(map[string]*Service, len(services))
	for i := range services {
		s, here := &services[i], at.Index(i)
		if !here.Sound("name") || !here.Has("name") && !here.Sound("virtual", "protocol") {
			return nil, nil
		}
		names[i], byName[s.Name] = s.Name, s
	}
	return names, byName
}
