// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"fmt"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// Unanswered returns the finding for a real server that does not answer clients.
func Unanswered(is api.Unanswered) Finding {
	f := Finding{ID: "server-unanswered", Severity: Error,
		What: fmt.Sprintf("%s does not answer clients: 0 of %d new connections, others %d %%", is.Server, is.Connections, is.OthersPercent),
		Why:  "the clients that the director sends to it get no service",
		Mend: "look on it for the VIP, the listener, the default route, the firewall and, with method tunnel, the tunnel"}
	if is.Checked {
		f.What += "; its own check passes"
	}
	if words := is.Peer.Words(is.Checked); words != "" {
		f.What += " (" + words + ")"
	}
	if !is.TriedAgain.IsZero() {
		f.What += "; it gets no new clients for a while"
	}
	return f
}
