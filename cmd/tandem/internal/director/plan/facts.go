// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// Facts returns what both directors of a pair must have in common, or should, for the other director. Secrets are told as sums.
func Facts(cfg *configs.Config) *message.Facts {
	f := &factWriter{}
	for i := range cfg.Routers {
		f.router(&cfg.Routers[i])
	}
	f.add("lvs.timeouts", "", "")
	f.fields("lvs.timeouts", cfg.LVS.Timeouts)
	if cfg.LVS.Sync.Roles != 0 {
		f.add("lvs.sync", "", "")
		f.fields("lvs.sync", usualSync(cfg.LVS.Sync), "Interface", "TTL", "Roles")
	}
	for _, s := range cfg.Services {
		f.service(s)
	}
	facts := &message.Facts{Name: cfg.Name, SHA256: cfg.SHA256, All: f.all}
	if facts.Left = len(f.all) - message.MaxFacts; facts.Left > 0 {
		facts.All = f.all[:message.MaxFacts]
	} else {
		facts.Left = 0
	}
	return facts
}

// A factWriter is one use of Facts.
type factWriter struct{ all []message.Fact }

// add adds a fact. Without a key, it says that the object exists.
func (f *factWriter) add(object, key, value string) {
	if secret(key) {
		value = sum(value)
	}
	f.all = append(f.all, message.Fact{Object: object, Key: key, Value: value})
}

// fields adds the exported fields of a struct, except those that are skipped by their names in Go.
func (f *factWriter) fields(object string, of any, skip ...string) {
	every := func(reflect.Value, reflect.Value) bool { return true }
	v := reflect.ValueOf(of)
	for _, field := range compare("", v, v, skip, every) {
		f.add(object, field.key, field.is)
	}
}

func sum(value string) string {
	s := sha256.Sum256([]byte("tandem fact " + value))
	return hex.EncodeToString(s[:8])
}

// sorted writes a list whose order has no meaning.
func sorted[T any](list []T) string {
	parts := make([]string, len(list))
	for i := range list {
		parts[i] = text(list[i])
	}
	slices.Sort(parts)
	return "[" + strings.Join(parts, ", ") + "]"
}

func (f *factWriter) router(r *configs.Router) {
	object := routerName(r)
	f.add(object, "", "")
	f.fields(object, r.Config, own...)
	f.add(object, "vips", sorted(r.VIPs))
	f.add(object, "excluded_vips", sorted(r.ExcludedVIPs))
	f.add(object, "preempt", text(r.Preempt))
	f.add(object, "checksum", text(r.Checksum))
	f.add(object, "noprefixroute", text(r.NoPrefixRoute))
	f.add(object, "witnessed", text(r.Witnessed))
	f.add(object, "fenced", text(r.Fenced))
	f.fields(object, *r, "Config", "Announce")
	f.add(object, "priority", fmt.Sprint(r.Priority))
	var paths []string
	for _, path := range r.Heartbeat {
		kind := "interface"
		if path.Peer.IsValid() {
			kind = "peer"
		}
		paths = append(paths, fmt.Sprintf("%s, ttl_min %d", kind, path.TTLMin))
	}
	f.add(object, "heartbeat", sorted(paths))
	f.add(object, "unicast", fmt.Sprint(len(r.UnicastPeers) > 0))
	if !r.HMAC.On() {
		return
	}
	f.add(object, "hmac.anti_replay", text(r.HMAC.AntiReplay))
	for _, k := range r.HMAC.Keys {
		f.add(object, fmt.Sprintf("hmac.key %d", k.ID), sum(string(k.Secret.Octets())))
	}
	if r.HMAC.Mode > vrrp.HMACReceiveOnly {
		f.add(object, "hmac.active_key", fmt.Sprint(r.HMAC.ActiveKey))
	}
}

func (f *factWriter) service(s configs.Service) {
	object := "service " + s.Name
	f.add(object, "", "")
	var ids []lvs.ServiceID
	var families []lvs.Family
	first := s.Virtuals[0]
	f.fields(object, first, "ServiceID")
	for _, v := range s.Virtuals {
		ids, families = append(ids, v.ServiceID), append(families, v.Family)
		if first.ServiceID = v.ServiceID; v != first {
			f.fields(fmt.Sprintf("%s: virtual %s", object, v.ServiceID), v, "ServiceID")
		}
	}
	f.add(object, "virtual", sorted(ids))
	f.add(object, "family", sorted(families))
	f.fields(object, s, "Name", "Virtuals", "Servers", "Sorry", "Method")
	if s.Sorry != nil {
		f.add(object, "sorry_server", sorryText(s.Sorry))
		f.server(object+": sorry_server", *s.Sorry)
	}
	for _, srv := range s.Servers {
		f.server(object+": server "+srv.ServerID.String(), srv)
	}
}

func (f *factWriter) server(object string, srv configs.Server) {
	f.add(object, "", "")
	f.fields(object, srv.Server.Canonical(), "ServerID")
	f.add(object, "port for all ports of the service", text(srv.Mapped))
	f.add(object, "maintenance_file", text(srv.MaintenanceFile))
	f.add(object, "track", text(srv.Track))
	checks := ""
	given := func(v, _ reflect.Value) bool { return !v.IsZero() } // what an older director does not know is not told if it is not used
	for _, c := range common(srv.Checks) {
		for _, field := range compare("", reflect.ValueOf(c), reflect.ValueOf(c), nil, given) {
			checks += field.key + " " + field.is + "\n"
		}
		checks += "\n"
	}
	f.add(object, "checks", sum(checks+srv.Pass.String()))
}

// oddFacts are the keys of virtual routers and of connection sync that may differ, although it is probably not intended.
var oddFacts = []string{"preempt", "noprefixroute", "max_len", "checksum", "witnessed", "witness_release", "fenced", "preempt_sync_limit"}

// Drift compares the facts of both directors. The words are for the operator of the first one.
func Drift(ours, theirs *message.Facts, peer string) (all []core.Difference) {
	here, there := objects(ours), objects(theirs)
	say := func(wrong bool, format string, args ...any) {
		all = append(all, core.Difference{Wrong: wrong, Text: message.Clean(fmt.Sprintf(format, args...))})
	}
	cutOff := ours.Left+theirs.Left > 0 // of objects beyond the limit, nothing is known
	only := func(object, with, without string) {
		if strings.Contains(object, ": ") && !known(object, with == peer, here, there) || cutOff {
			return // its service is told already
		}
		say(true, "%s is configured on %s, and not %s", object, with, without)
	}
	for _, object := range here.order {
		other, ok := there.facts[object]
		if !ok {
			only(object, "this director", "on "+peer)
			continue
		}
		mine := here.facts[object]
		for _, key := range here.keys[object] {
			v, ok := other[key]
			if !ok && !strings.HasPrefix(key, "hmac.") {
				continue // an older director does not tell it
			}
			differs(object, key, mine[key], v, peer, other, mine, say)
		}
		for _, key := range there.keys[object] {
			if _, ok := mine[key]; !ok && strings.HasPrefix(key, "hmac.") {
				differs(object, key, "", other[key], peer, other, mine, say)
			}
		}
	}
	for _, object := range there.order {
		if _, ok := here.facts[object]; !ok {
			only(object, peer, "here")
		}
	}
	return all
}

// known reports whether the service of a server is on both directors.
func known(object string, fromThere bool, here, there factMap) bool {
	of, _, _ := strings.Cut(object, ": ")
	where := there
	if fromThere {
		where = here
	}
	return where.facts[of] != nil
}

// differs says what one setting that differs means.
func differs(object, key, mine, theirs, peer string, other, own map[string]string, say func(bool, string, ...any)) {
	router := strings.HasPrefix(object, "virtual router ")
	switch {
	case key == "":
	case key == "priority":
		if mine == theirs {
			say(false, "%s: both directors have priority %s: the one with the higher address becomes master; give one of them a higher priority", object, mine)
		}
	case key == "hmac.active_key":
		if id := "hmac.key " + mine; mine != "" && other[id] == "" {
			say(true, "%s: this director signs with key %s, which %s does not have", object, mine, peer)
		}
		if id := "hmac.key " + theirs; theirs != "" && own[id] == "" {
			say(true, "%s: %s signs with key %s, which this director does not have", object, peer, theirs)
		}
	case mine == theirs:
	case key == "unicast":
		say(true, "%s: one director has unicast_peers, and the other one sends by multicast: neither hears the other", object)
	case strings.HasPrefix(key, "hmac.key ") && (mine == "" || theirs == ""):
		// A key that is being introduced: hmac.active_key says whether it is missing.
	case key == "hmac.anti_replay" && (mine == "" || theirs == ""):
	case secret(key) || strings.HasPrefix(key, "hmac.key ") || key == "checks":
		say(router, "%s: %s differs between %s and this director", object, key, peer)
	case key == "checksum" && own["version"] != other["version"]:
	default:
		say(wrong(object, key), "%s: %s has %s %s, here %s", object, peer, key, message.Text(theirs), message.Text(mine))
	}
}

// wrong reports whether the pair does not work if a setting differs.
func wrong(object, key string) bool {
	if strings.HasPrefix(object, "virtual router ") || object == "lvs.sync" {
		return !slices.Contains(oddFacts, key)
	}
	return key == "virtual" || key == "method"
}

// Preempts returns which virtual routers of the other director preempt, by name.
func Preempts(theirs *message.Facts) map[string]bool {
	all := make(map[string]bool)
	for _, f := range theirs.All {
		if name, is := strings.CutPrefix(f.Object, routerName(&configs.Router{})); is && f.Key == "preempt" {
			all[name] = f.Value == text(true)
		}
	}
	return all
}

// A factMap has facts by object and key.
type factMap struct {
	order []string // of objects
	keys  map[string][]string
	facts map[string]map[string]string
}

func objects(f *message.Facts) factMap {
	m := factMap{keys: make(map[string][]string), facts: make(map[string]map[string]string)}
	for _, fact := range f.All {
		if m.facts[fact.Object] == nil {
			m.order, m.facts[fact.Object] = append(m.order, fact.Object), make(map[string]string)
		}
		if _, twice := m.facts[fact.Object][fact.Key]; !twice {
			m.keys[fact.Object] = append(m.keys[fact.Object], fact.Key)
		}
		m.facts[fact.Object][fact.Key] = fact.Value
	}
	return m
}
