// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe/script"
)

// Examine returns an error if this machine cannot run a valid check now: the program or its user is missing, or the
// certificates cannot be read or do not match. It contacts no server, and starts nothing.
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

// TryScript runs the program of a valid check of type exec once, as its user.
func TryScript(ctx context.Context, c *healthcheck.Config) healthcheck.Result {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return script.New().Run(ctx, &healthcheck.Target{ID: "try", Config: *c})
}
