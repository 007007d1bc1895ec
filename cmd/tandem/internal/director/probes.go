// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/report"
)

const (
	// probeTimeout is how long a probe waits for the loop.
	probeTimeout = 2 * time.Second
	// probeMemory is how long an answer of the loop counts for further probes. Anybody who reaches the port may probe.
	probeMemory = 100 * time.Millisecond
)

// A prober answers the probes of other machines: /healthz says whether the director works, and /readyz whether it could serve
// clients. The answer is 200, or 503 with the reasons, one a line.
type prober struct {
	look     func(context.Context) *core.Snapshot // asks the loop; nil: there was no answer
	notReady func(*core.Snapshot) []string

	turn chan struct{} // has room for one: its holder may look, and has what follows
	last *core.Snapshot
	at   time.Time // of last
}

func newProber(look func(context.Context) *core.Snapshot, notReady func(*core.Snapshot) []string) *prober {
	return &prober{look: look, notReady: notReady, turn: make(chan struct{}, 1)}
}

// snapshot returns a fresh snapshot, or nil if the loop does not answer in time.
func (p *prober) snapshot(ctx context.Context) *core.Snapshot {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil
	}
	if p.last == nil || time.Since(p.at) >= probeMemory {
		p.last, p.at = p.look(ctx), time.Now()
	}
	return p.last
}

func (p *prober) healthz(w http.ResponseWriter, r *http.Request) {
	var problems []string
	if p.snapshot(r.Context()) == nil {
		problems = append(problems, "the director does not answer: it is leaving, or it hangs")
	}
	answerProbe(w, problems)
}

func (p *prober) readyz(w http.ResponseWriter, r *http.Request) {
	shot := p.snapshot(r.Context())
	if shot == nil {
		answerProbe(w, []string{"the director does not answer: it is leaving, or it hangs"})
		return
	}
	answerProbe(w, p.notReady(shot))
}

// answerProbe answers with the problems, or with ok if there are none.
func answerProbe(w http.ResponseWriter, problems []string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	text := "ok"
	if len(problems) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		text = strings.Join(problems, "\n")
	}
	_, _ = io.WriteString(w, text+"\n")
}

// notReady returns sentences about why this director could not serve clients now.
func (d *Director) notReady(shot *core.Snapshot) []string {
	is := report.Readiness{ElectionRunning: d.elections.Running()}
	select {
	case <-d.filled:
		is.TableWritten = true
	default:
	}
	return report.NotReady(shot, is)
}
