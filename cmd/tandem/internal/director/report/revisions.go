// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/revision"
)

// Config says which configuration is in force.
func Config(shot *core.Snapshot) api.Config {
	r := shot.Revisions
	c := api.Config{
		File: shot.Config.File, SHA256: shot.Config.SHA256, LoadedAt: shot.LoadedAt, Revision: r.Current().Number, Apart: r.Apart(),
	}
	if w := r.Waiting; w != nil {
		c.Waits = &api.Wait{Former: w.Former, Until: r.Until.Round(0)}
	}
	return c
}

// Revision returns a revision for operators.
func Revision(r revision.Revision) api.Revision {
	return api.Revision{
		Number: r.Number, At: r.At, How: string(r.How), Of: r.Of, File: r.File, SHA256: r.SHA256, Bytes: r.Size, Changes: r.Changes, Lines: r.Lines,
	}
}

// RevisionWarnings returns sentences about a configuration that waits for confirmation, or that is not the one of the director's
// own file.
func RevisionWarnings(shot *core.Snapshot) (all []string) {
	r := shot.Revisions
	is := r.Current()
	if w := r.Waiting; w != nil {
		all = append(all, fmt.Sprintf("revision %d of the configuration waits for confirmation until %s: run tandem confirm, otherwise revision %d follows",
			is.Number, r.Until.Format(time.RFC3339), w.Former))
	}
	if r.Apart() {
		all = append(all, fmt.Sprintf("revision %d of the configuration (%s of %s) is in force, and not the director's own file: "+
			"that file counts when it changes, or with tandem apply", is.Number, is.How, is.File))
	}
	return all
}
