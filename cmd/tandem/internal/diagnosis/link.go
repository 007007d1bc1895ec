// SPDX-License-Identifier: Apache-2.0

package diagnosis

import "github.com/tandem-lvs/tandem/vrrp"

// FaultyLink describes why an interface cannot carry its virtual routers. It returns false if it can.
func FaultyLink(l vrrp.Link) (Finding, bool) {
	f := Finding{Severity: Error, What: l.Fault(), Why: "its virtual routers are in FAULT, so that this director cannot be their master"}
	switch {
	case f.What == "":
		return f, false
	case l.Index == 0:
		f.ID, f.Mend = "link-missing", "create it, or correct the interface in the file and run `tandem reload`"
	case !l.Up:
		f.ID, f.Mend = "link-down", "ip link set "+l.Name+" up"
	default:
		f.ID, f.Mend = "no-carrier", "check the cable, the switch and its port"
	}
	return f, true
}
