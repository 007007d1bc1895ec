// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"slices"
	"strings"
)

// A fate is what becomes of a keyword.
type fate uint8

const (
	// translated: it becomes keys of tandem. The text names them.
	translated fate = iota + 1
	// implied: tandem does so anyway, or has no need for it. The text says why. It is dropped without a note.
	implied
	// missing: tandem has no equivalent. The text says what to do instead. Its use is noted.
	missing
)

// String implements fmt.Stringer.
func (f fate) String() string { return [...]string{"", "translated", "implied", "missing"}[f] }

// A keyword is a row of the table: a keyword of keepalived, in the block where it is known.
type keyword struct {
	block string // empty: outside of all blocks
	name  string
	fate  fate
	text  string
}

// Keywords are all keywords of the manuals of keepalived 2.2 and 2.4, their deprecated synonyms, and the options that values
// have. The blocks "address", "route", "rule", "peer", "track", "sync daemon" and "timeouts" stand for the options of values.
// The block "checker" has what all checkers share.
var keywords = slices.Concat(topKeywords, globalKeywords, vrrpKeywords, instanceKeywords, addressKeywords, serviceKeywords,
	checkerKeywords)

// byKeyword has the rows by block and name. A row that says "as NAME" has the text of that row of its block.
var byKeyword = func() map[[2]string]keyword {
	all := make(map[[2]string]keyword, len(keywords))
	for _, k := range keywords {
		all[[2]string{k.block, k.name}] = k
	}
	for at, k := range all {
		other, is := strings.CutPrefix(k.text, "as ")
		if row, ok := all[[2]string{k.block, other}]; is && ok && k.fate == missing {
			k.text = row.text
			all[at] = k
		}
	}
	return all
}()

// A Keyword is a row of the table for people.
type Keyword struct {
	Block string `json:"block"` // empty: outside of all blocks
	Name  string `json:"name"`
	Fate  string `json:"fate"` // translated, implied or missing
	Text  string `json:"text"`
}

// Keywords returns what becomes of each keyword.
func Keywords() []Keyword {
	all := make([]Keyword, len(keywords))
	for i, k := range keywords {
		all[i] = Keyword{k.block, k.name, k.fate.String(), k.text}
	}
	return all
}

// What is said of several keywords.
const (
	toMetrics  = "read the metrics: [metrics] listen, or the status: tandem status --json"
	toStatus   = "let what reads the file run tandem status --json"
	toMail     = "set it in the sendmail program of this machine, which the mail hook uses (postfix, msmtp, dma)"
	toFIFO     = "use a [[hook]], or read tandem events"
	toAffinity = "set CPUAffinity= or Nice= in a drop-in of tandem.service"
	toNetwork  = "let the network configuration of the machine do it (systemd-networkd, ifupdown, NetworkManager)"
	toBFD      = "use a [[vrrp.track]] with check = { type = \"ping\", … }, or a shorter advert_interval"
	bufferSize = "tandem sizes its buffers itself"
	noFirewall = "tandem has no mode that needs firewall rules"
	realtime   = "election.realtime = true"
)

// topKeywords are known outside of all blocks.
var topKeywords = []keyword{
	{"", "include", implied, "the included files are read; the converted file is one file"},
	{"", "includer", implied, "as include"},
	{"", "includem", implied, "as include; a missing file is refused"},
	{"", "includew", implied, "as include; a pattern without a file is refused"},
	{"", "includeb", implied, "as include; an alternative without a file is refused"},
	{"", "includea", implied, "as include, with all checks"},
	{"", "net_namespace", missing, "write NetworkNamespacePath=/run/netns/NAME in a drop-in of tandem.service"},
	{"", "net_namespace_ipvs", missing, "tandem has its checks and its IPVS table in one namespace"},
	{"", "namespace_with_ipsets", implied, "tandem uses no ipsets"},
	{"", "instance", missing, "give each tandem its own [control] socket and [state] dir"},
	{"", "use_pid_dir", implied, "tandem has no PID files"},
	{"", "linkbeat_use_polling", implied, "tandem hears of the carrier from the kernel"},
	{"", "child_wait_time", implied, "tandem waits for its election process by itself"},
	{"", "global_defs", translated, "several tables"},
	{"", "linkbeat_interfaces", implied, "tandem hears of the carrier from the kernel"},
	{"", "track_group", missing, "track the interface of the static address: [[vrrp.track]] interface"},
	{"", "static_ipaddress", missing, toNetwork},
	{"", "static_routes", missing, toNetwork},
	{"", "static_rules", missing, toNetwork},
	{"", "track_file", translated, "[[vrrp.track]] file"},
	{"", "vrrp_track_file", translated, "as track_file"},
	{"", "vrrp_track_process", translated, "[[vrrp.track]] process"},
	{"", "bfd_instance", missing, toBFD},
	{"", "vrrp_script", translated, "[[vrrp.track]] script, process or unit"},
	{"", "vrrp_sync_group", translated, "sync_group of its members, and [[hook]] sync_group"},
	{"", "garp_group", translated, "[vrrp.announce] spacing"},
	{"", "vrrp_instance", translated, "[[vrrp]]"},
	{"", "interface_up_down_delays", translated, "[vrrp.debounce]"},
	{"", "virtual_server_group", translated, "virtual of [[service]], as an array"},
	{"", "virtual_server", translated, "[[service]]"},
	{"", "SSL", translated, "keys of TLS of each [check.NAME] of type https"},
}
