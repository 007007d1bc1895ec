// SPDX-License-Identifier: Apache-2.0

package api

// A PlanRequest asks what a reload would change.
type PlanRequest struct {
	// File and Text are the name and the content of a configuration. Without a name, the director reads its own file.
	File string `json:"file,omitempty"`
	Text string `json:"text,omitempty"`
	// Matches are the files that each pattern of include matches, and Included has the text of each file that is included. Their
	// names are absolute.
	Matches  map[string][]string `json:"matches,omitempty"`
	Included map[string]string   `json:"included,omitempty"`
	// Name is the director's name, if it is not that of the running director.
	Name string `json:"name,omitempty"`
	// Own asks about the director's own file, even if a reload would not take it because it has not changed since another
	// configuration was applied.
	Own bool `json:"own,omitempty"`
	// Revision asks about a rollback to the revision of this number, and Former about a rollback to the latest revision whose files
	// have this SHA-256. Only one of File, Revision and Former is given.
	Revision int    `json:"revision,omitempty"`
	Former   string `json:"former,omitempty"`
	// NoProbe leaves the checks of new real servers out.
	NoProbe bool `json:"no_probe,omitempty"`
}

// A Plan says what a reload would change.
type Plan struct {
	// ID names the plan in an ApplyRequest. It changes with the files and with the configuration in force.
	ID      string     `json:"id"`
	File    string     `json:"file"`
	SHA256  string     `json:"sha256"`
	InForce string     `json:"in_force"` // the SHA-256 of the configuration in force
	Lines   []PlanLine `json:"lines"`    // what hurts most comes first; empty: nothing changes
	// Refused has a sentence for each cause why a reload refuses the file. Then Lines say what would change without the cause.
	Refused []string `json:"refused"`
	// Warnings are about the file, as tandem check prints them, and about what the plan could not find out.
	Warnings []string `json:"warnings"`
	Probed   Probed   `json:"probed"`
}

// Probed counts the real servers with a new check. Each was checked once for the plan.
type Probed struct {
	Healthy   int `json:"healthy"`
	Failed    int `json:"failed"`
	NotProbed int `json:"not_probed"`
	// Causes are those of the servers that are not healthy, the most frequent first.
	Causes []ProbedCause `json:"causes,omitempty"`
}

// A ProbedCause counts servers with the same result.
type ProbedCause struct {
	Servers int    `json:"servers"`
	Reason  string `json:"reason"` // "connection refused"
}

// A Harm says how much a change disturbs clients.
type Harm string

// The harms, the worst first.
const (
	Refuses    Harm = "restart needed" // the setting cannot change while the director runs
	Interrupts Harm = "interrupts"     // connections end, or clients get no answer
	Moves      Harm = "moves"          // a VIP moves, or may move
	Drains     Harm = "drains"         // a server gets no new clients
	Harmless   Harm = "none"
)

// Harms returns all harms, the worst first.
func Harms() []Harm { return []Harm{Refuses, Interrupts, Moves, Drains, Harmless} }

// A PlanLine is one change.
type PlanLine struct {
	Harm   Harm   `json:"harm"`
	Area   string `json:"area"`   // director, vrrp, address, service, server, check, sync or sysctl
	Op     string `json:"op"`     // add, remove or change
	Object string `json:"object"` // "server 192.0.2.12:80 of www"
	Change string `json:"change"` // "weight 1 → 0"; may be empty if Op says all
	Cost   string `json:"cost"`   // "2 connections of 192.0.2.12 end"; empty: none
	// Connections are those that the change ends or leaves to a server without new clients.
	Connections int `json:"connections"`
	// Rows are the rows of the IPVS table that change.
	Rows []PlanRow `json:"rows,omitempty"`
	// Address is the address that is added or removed, and Interface is where.
	Address   string `json:"address,omitempty"`
	Interface string `json:"interface,omitempty"`
	// Setting is the kernel setting that changes, Old its value and New its next one.
	Setting string `json:"setting,omitempty"`
	Old     string `json:"old,omitempty"`
	New     string `json:"new,omitempty"`
	// Later says that the reload itself does not do this: it happens when a check passes, or when this director becomes master.
	Later bool `json:"later,omitempty"`
}

// signs are the first characters of the lines, by operation.
var signs = map[string]string{"add": "+", "remove": "-", "change": "~"}

// String returns the change without its cost: "~ virtual router web: priority 150 → 90".
func (l PlanLine) String() string {
	text := signs[l.Op] + " " + l.Object
	if l.Change != "" {
		text += ": " + l.Change
	}
	if l.Later {
		text += " (later)"
	}
	return text
}

// A PlanRow is a row of the IPVS table.
type PlanRow struct {
	Service string `json:"service"`          // "tcp 192.0.2.100:80"
	Server  string `json:"server,omitempty"` // "192.0.2.12:80"; empty: the service itself
}
