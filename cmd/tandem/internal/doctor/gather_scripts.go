// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"os"
	"reflect"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe"
)

// TryScripts runs each tracked script once, as its user, and returns those that fail. Only root can do this; for other users it
// returns none. A script that this machine cannot start is left out.
func TryScripts(ctx context.Context, tracks []configs.Track) (failing []diagnosis.TriedScript) {
	if os.Geteuid() != 0 {
		return nil
	}
	var tried []*healthcheck.Config
	for _, t := range tracks {
		if t.Kind != configs.TrackScript || contains(tried, t.Check) || probe.Examine(t.Check) != nil {
			continue
		}
		tried = append(tried, t.Check)
		if r := probe.TryScript(ctx, t.Check); r.Outcome != healthcheck.Passed {
			failing = append(failing, diagnosis.TriedScript{Track: t, Reason: r.Reason})
		}
	}
	return failing
}

func contains(all []*healthcheck.Config, c *healthcheck.Config) bool {
	for _, other := range all {
		if reflect.DeepEqual(other, c) {
			return true
		}
	}
	return false
}

// scripts reports the tracked scripts that fail.
func (e *examination) scripts() {
	for _, s := range e.snapshot.Scripts {
		f := diagnosis.FailingScript(s)
		f.Mend += afterwards
		e.add(f)
	}
}
