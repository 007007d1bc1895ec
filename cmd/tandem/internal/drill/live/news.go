// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
)

const (
	// tellTime is how long a director may take to hear a piece of news.
	tellTime = 5 * time.Second
	// retellLimit is how long the dead-man's switch tries to tell how a drill ended. A director that was killed starts again.
	retellLimit = time.Minute
	// tellSlack is added to the time after which a director does not wait for the end of a drill any more.
	tellSlack = 2 * time.Minute
)

// A herald tells a director about a drill. News that the director could not hear, because it was stopped or dead, come later, with
// their own times.
type herald struct {
	socket           string
	until, forgotten time.Time
	untold           []api.DrillNews
}

// newHerald returns the herald of a drill that begins. limit is that of the dead-man's switch, settle how long it may take until all is
// as before.
func newHerald(socket string, now time.Time, limit, settle time.Duration) *herald {
	return &herald{socket: socket, until: now.Add(limit), forgotten: now.Add(limit + settle + tellSlack)}
}

// tell tells a step, and the former ones that the director has not heard.
func (h *herald) tell(ctx context.Context, step api.DrillStep, at time.Time, r *drill.Report, done []string) (err error) {
	h.untold = append(h.untold, api.DrillNews{
		Step: step, At: at, Drill: r.Summary(), Done: done, Until: h.until, Forgotten: h.forgotten,
	})
	return h.retell(ctx)
}

// retell tells what the director has not heard yet.
func (h *herald) retell(ctx context.Context) error {
	for len(h.untold) > 0 {
		attempt, cancel := context.WithTimeout(ctx, tellTime)
		err := control.NewClient(h.socket).TellDrill(attempt, h.untold[0])
		cancel()
		if err != nil {
			return err
		}
		h.untold = h.untold[1:]
	}
	return nil
}

// mayHear reports whether a director that could not be told may hear it later. One of an older version may not.
func mayHear(err error) bool {
	return errors.Is(err, control.ErrNoDirector) || errors.Is(err, control.ErrSilent)
}

// insist is tell, again and again until the director has heard it.
func (h *herald) insist(ctx context.Context, step api.DrillStep, at time.Time, r *drill.Report, done []string) {
	limit := time.Now().Add(retellLimit)
	for err := h.tell(ctx, step, at, r, done); mayHear(err) && time.Now().Before(limit) && rest(ctx, undoPause) == nil; {
		err = h.retell(ctx)
	}
}
