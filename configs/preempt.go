// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"strconv"

	"github.com/tandem-lvs/tandem/configs/internal/toml"
	"github.com/tandem-lvs/tandem/lvs"
)

// A preemption says whether a virtual router takes over from a master of lower priority.
type preemption uint8

const (
	preemptNever preemption = iota + 1
	preemptAlways
	preemptSynced // when this director has the connections of the other one
)

const preemptDoc = "If true, this director takes over from a master of lower priority, for example when it returns after a failure.\n" +
	"\"synced\": it first waits until its kernel has the connections of the other director, because those that it does not have end when " +
	"it takes over. Both directors count their established connections, for each real server. It waits at most for preempt_sync_limit, and " +
	"only while the other director serves: if that one leaves, falls silent or runs at priority 1, this one takes over at once. It needs " +
	"[lvs] sync and [peer]. A sync group waits if one of its members does."

// preemptions is the schema type of a preemption: true, false or "synced".
func preemptions() toml.SchemaType[preemption] {
	const synced = "synced"
	either := toml.Boolean()
	return toml.SchemaType[preemption]{
		Name:   either.Name,
		Values: toml.Alternatives([]string{"true", "false", strconv.Quote(synced)}),
		Read: func(at toml.Node) preemption {
			word, text := at.Value.(string)
			hint := toml.Suggest(word, []string{synced})
			switch {
			case text && word == synced:
				return preemptSynced
			case text && hint != "":
				at.Mistake(hint, "unknown value %q: want true, false or %q", toml.Abbreviate(word), synced)
				return preemptNever
			case either.Read(at):
				return preemptAlways
			}
			return preemptNever
		},
		Show: func(p preemption) string {
			if p == preemptSynced {
				return strconv.Quote(synced)
			}
			return either.Show(p == preemptAlways)
		},
	}
}

// checkPreempt finds settings of preemption that another setting makes useless.
func checkPreempt(at toml.Node, r *virtualRouter) {
	if !at.Sound("preempt") {
		return
	}
	switch {
	case r.synced && r.Priority == owner:
		at.Key("preempt").Mistake("write preempt = true, or another priority",
			"is \"synced\", but priority 255 never waits: it always takes over (RFC 9568, section 6.1)")
	case r.Priority == owner && !r.Preempt:
		at.Key("preempt").Warn("", "has no effect: priority 255 always takes over (RFC 9568, section 6.1)")
	}
	if r.PreemptDelay > 0 && !r.Preempt {
		at.Key("preempt_delay").Mistake("remove one of them", "has no meaning with preempt = false")
	}
	if !r.synced && at.Has("preempt_sync_limit") && at.Sound("preempt_sync_limit") {
		at.Key("preempt_sync_limit").Mistake("write preempt = \"synced\", or remove it", "has no meaning without preempt = \"synced\"")
	}
	if !r.synced {
		r.PreemptSyncLimit = 0
	}
}

// checkSynced refuses preempt = "synced" where nobody copies or counts connections.
func checkSynced(at toml.Node, f *file) {
	for i, r := range f.routers {
		here := at.Key("vrrp").Index(i)
		if !r.synced || !here.Sound("preempt") {
			continue
		}
		copied := f.LVS.Sync != (lvs.Sync{}) || at.Key("lvs").Has("sync") || !at.Sound("lvs")
		told := f.Peer.On() || at.Has("peer") || !at.Sound("peer")
		const no = "is \"synced\", but there is "
		switch {
		case !copied && !told:
			here.Key("preempt").Mistake("add sync to [lvs], and [peer] (see tandem peer init); or write preempt = true",
				no+"neither connection sync nor a channel to the other director: no connections come, and nobody tells how many there are")
		case !copied:
			here.Key("preempt").Mistake("add sync to [lvs], or write preempt = true",
				no+"no connection sync: this director would wait for connections that never come")
		case !told:
			here.Key("preempt").Mistake("add [peer] (see tandem peer init), or write preempt = true",
				no+"no channel to the other director: nobody tells how many connections it has")
		}
	}
}
