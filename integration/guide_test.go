// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	printed "github.com/tandem-lvs/tandem/integration/topology"
)

// TestGuide does what the guide says, command by command: it installs a first pair with its real servers, fails it over, connects the
// two directors, takes a server out of service, looks at everything, asks for a drill, and ends it all.
func TestGuide(t *testing.T) {
	t.Parallel()
	printed.BuildGuide(t).FollowGuide()
}
