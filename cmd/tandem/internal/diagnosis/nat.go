// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"fmt"
	"strings"

	"github.com/tandem-lvs/tandem/configs"
)

// SplitNAT returns the finding for virtual routers that method nat needs on the same director, and that may have different masters.
func SplitNAT(is configs.NATSplit) Finding {
	const most = 3
	services := "service "
	if len(is.Services) > 1 {
		services = "services "
	}
	services += strings.Join(is.Services[:min(len(is.Services), most)], ", ")
	if more := len(is.Services) - most; more > 0 {
		services += fmt.Sprintf(" and %d more", more)
	}
	return Finding{ID: "nat-split", Severity: Warning,
		What: fmt.Sprintf("%s: %s", services, is),
		Why:  "a fault on one side moves one of the two addresses alone",
		Mend: "give the virtual routers the same sync_group on both directors, and run `tandem reload`"}
}

// SilentSegment returns the finding for an interface on which no other machine answers, although a sync group needs it.
func SilentSegment(iface string) Finding {
	return Finding{ID: "segment-silent", Severity: Error,
		What: iface + ": no other machine answers there, although the interface is up: this director steps back at priority 1, " +
			"so that the peer serves if it reaches somebody",
		Why:  "this director cannot serve: the other virtual routers of the sync group stay with the peer, too",
		Mend: "look at the cable, the switch and the VLAN of " + iface}
}
