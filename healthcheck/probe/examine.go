// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/script"
)

// Examine says why this machine could not run a valid check now: its program or its user is missing, or its certificates
// cannot be read or do not match. It contacts no server, and starts nothing.
func Examine(c *healthcheck.Config) error {
	switch {
	case c.Type == healthcheck.Exec:
		return script.Examine(c)
	case c.TLS.On:
		_, err := load(c.TLS)
		return err
	}
	return nil
}
