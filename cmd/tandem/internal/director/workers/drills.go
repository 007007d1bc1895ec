// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
)

// Drills makes scheduled drills, by the command tandem drill. A drill may stop or kill this process, so it is a process of its own, with
// a session of its own.
type Drills struct {
	Post Post
	In   Mailbox[core.DrillRun]
	// Command runs the program of this process with arguments, and returns what it prints.
	Command func(ctx context.Context, args ...string) ([]byte, error)
}

// Run makes drills until ctx ends. A drill under way is interrupted then: it undoes its failure, and ends by itself.
func (w *Drills) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case run := <-w.In:
			w.Post(w.make(ctx, run))
		}
	}
}

// make makes drills in their order. After one that does not pass, the others are skipped.
func (w *Drills) make(ctx context.Context, run core.DrillRun) (ended core.DrillRunEnded) {
	failed := ""
	for _, kind := range run.Kinds {
		if failed != "" {
			ended.Skipped = append(ended.Skipped, core.SkippedDrill{Kind: kind, Why: failed})
			continue
		}
		args := []string{"drill", kind, "--json", "--scheduled", "--config", run.File, "--socket", run.Socket}
		if run.Budget >= 0 {
			args = append(args, "--budget", run.Budget.String())
		}
		out, err := w.Command(ctx, args...)
		made, why := madeDrill(out, err)
		if !made {
			ended.Skipped = append(ended.Skipped, core.SkippedDrill{Kind: kind, Why: why})
		}
		if err != nil {
			failed = "the drill " + kind + " before it did not pass"
		}
	}
	return ended
}

// madeDrill reports whether a drill was made, and why it was not.
func madeDrill(out []byte, err error) (made bool, why string) {
	var reports []drill.Report
	parseErr := json.Unmarshal(out, &reports)
	switch {
	case parseErr == nil && len(reports) > 0 && len(reports[0].Refused) > 0:
		return false, strings.Join(reports[0].Refused, "; ")
	case parseErr == nil && len(reports) > 0:
		return true, ""
	case err != nil:
		return false, "tandem drill failed: " + err.Error()
	}
	return false, fmt.Sprintf("tandem drill did not say how it ended: %v", parseErr)
}

// RunTandem runs the program of this process with arguments, in a session of its own, and returns what it prints. When ctx ends, it sends
// SIGTERM, and does not wait.
func RunTandem(ctx context.Context, args ...string) ([]byte, error) {
	// Not os.Executable: after an upgrade that path holds another version.
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0], cmd.Dir = os.Args[0], "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var text strings.Builder
	cmd.Stdout = &text
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the drill, which may outlive this process
	select {
	case err := <-ended:
		return []byte(text.String()), err
	case <-ctx.Done():
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		return nil, errors.New("the director is leaving")
	}
}
