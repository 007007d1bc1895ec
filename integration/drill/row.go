// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab/report"
)

// A row of the drill is one fault and what clients see of it.
type row struct {
	group   string
	name    string
	bound   bound
	fault   func(*site)
	restore func(*site)                     // ends the fault; nil if it ends by itself
	measure func(*site, func(*site)) figure // runs the fault and says what clients saw; nil for outage
	over    func(*site)                     // waits until no outage can begin any more; nil: a pause of settled
	before  func(*site)                     // brings about what the fault needs; nil for nothing
	on      network                         // the network that it needs; 0 for duo
	beside  bool                            // no matter of milliseconds: all subjects at once
	cuts    bool                            // the director that is hit answers nobody: an outage of 0 means that it was the backup
	shared  bool                            // the fault hits the whole kernel, and so all subjects at once
	note    string                          // what the table says below
	vm      bool                            // it needs a kernel of its own: disks, clocks
	peer    string                          // why keepalived cannot be asked the same; "" if it can
}

// A network is what rows share.
type network uint8

// The networks. A duo needs no kernel with IPVS, and so no emulated machine, which distorts times where this one's has none.
const (
	duo   network = iota + 1 // two directors that answer at the VIP themselves, by UDP
	pair                     // two directors in front of web servers
	pools                    // one director with services of many kinds, whose VIP does not move
)

// ipvs reports whether the network needs a kernel with IPVS.
func (n network) ipvs() bool { return n != duo }

// kind is the kind of kernel that the network needs.
func (n network) kind() report.Kind {
	if n.ipvs() {
		return report.IPVS
	}
	return report.Native
}

// A bound is what clients may see at most, or how many of them must be served. One of most and served is not 0.
type bound struct {
	most   time.Duration
	served int
	why    string // where it comes from
}

func within(most time.Duration, why string) bound { return bound{most: most, why: why} }

// everyone must be served.
func everyone(why string) bound { return bound{served: clients, why: why} }

func (b bound) String() string {
	if b.served > 0 {
		return fmt.Sprintf("%d of %d", b.served, clients)
	}
	return milliseconds(b.most)
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.0f ms", float64(d.Microseconds())/1000)
}

// clients is how many are asked where they are counted.
const clients = 40

// A figure is what clients of one subject saw.
type figure struct {
	Outage  time.Duration `json:"outage_ns,omitempty"`
	Served  *int          `json:"served,omitempty"`   // of 40; nil where the outage is measured
	Cells   []cell        `json:"cells,omitempty"`    // of the matrix
	Open    bool          `json:"open,omitempty"`     // the outage was not over when the drill stopped waiting
	Stall   time.Duration `json:"stall_ns,omitempty"` // for how long the machine itself stood still meanwhile
	Note    string        `json:"note,omitempty"`
	Error   string        `json:"error,omitempty"`    // why there is no figure
	NotBack string        `json:"not_back,omitempty"` // what was not as before, although the row puts it back
}

func (f figure) String() string {
	switch {
	case f.Error != "":
		return "failed"
	case f.NotBack != "" && f.Served == nil:
		return milliseconds(f.Outage) + ", stays broken"
	case f.Served != nil:
		return fmt.Sprintf("%d of %d", *f.Served, clients)
	case f.Open:
		return "> " + milliseconds(f.Outage)
	}
	return milliseconds(f.Outage)
}

// A verdict is what a figure of tandem's means.
type verdict string

const (
	pass      verdict = "pass"
	fail      verdict = "FAIL"
	undecided verdict = "undecided" // the machine stood still for so long that the figure says nothing
)

// maxStall is what a stall of the machine may add to an outage. Beyond it the figure is not tandem's.
const maxStall = 60 * time.Millisecond

// mayCost is how many times its length a stall may cost clients: it may make a director give up the VIP, and take it again.
const mayCost = 3

// judge compares a figure with the bound.
func (b bound) judge(f figure) verdict {
	switch {
	case f.Error == "" && f.NotBack == "" && b.keeps(f):
		return pass
	case (b.served > 0 || f.Error != "") && f.Stall > checkTimeout/2: // enough to fail a check
		return undecided
	case b.served == 0 && f.Stall > maxStall && f.Outage <= b.most+mayCost*f.Stall:
		return undecided
	}
	return fail
}

func (b bound) keeps(f figure) bool {
	if b.served > 0 {
		return f.Served != nil && *f.Served >= b.served
	}
	return f.Served == nil && !f.Open && f.Outage <= b.most+min(f.Stall, maxStall)
}
