// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"fmt"

	"github.com/tandem-lvs/tandem/configs"
)

// A TriedScript is a tracked script that was run once, and failed.
type TriedScript struct {
	Track  configs.Track
	Reason string
}

// FailingScript describes a tracked script that failed when it was run as its user.
func FailingScript(s TriedScript) Finding {
	f := Finding{ID: "script-fails", Severity: Warning,
		What: fmt.Sprintf("virtual router %s: %s fails as user %s: %s", s.Track.Router, s.Track.Name, s.Track.Check.User, s.Reason),
		Why:  "its virtual router is in FAULT as long as it fails",
		Mend: "run the script by hand as this user; if it needs more than this user may do, set user in its table; " +
			"scripts have no capabilities, so ping fails for every user but root",
	}
	if s.Track.Weight != 0 {
		f.Why = fmt.Sprintf("the weight %d depends on it", s.Track.Weight)
	}
	return f
}
