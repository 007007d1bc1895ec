// SPDX-License-Identifier: Apache-2.0

package workers

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// permissionsPause is the pause between two attempts to put permissions in force. The group may be made meanwhile.
const permissionsPause = 30 * time.Second

// Permissions puts the permissions of the control socket in force.
type Permissions[T any] struct {
	Allow func(T) error
	Log   hclog.Logger
	In    Mailbox[T]

	problem atomic.Pointer[string]
}

// Problem returns a sentence for the status, or "" if there is none.
func (w *Permissions[T]) Problem() string {
	if p := w.problem.Load(); p != nil {
		return *p
	}
	return ""
}

// Run puts the latest permissions in force until ctx ends.
func (w *Permissions[T]) Run(ctx context.Context) error {
	var now T
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case now = <-w.In:
		case <-retry:
		}
		retry = nil
		problem := ""
		if err := w.Allow(now); err != nil {
			problem, retry = strings.ReplaceAll(err.Error(), "\n", "; "), time.After(permissionsPause)
		}
		switch before := w.Problem(); {
		case problem != "" && problem != before:
			w.Log.Error("failed to set who may use the control socket: root still may", "error", problem)
		case problem == "" && before != "":
			w.Log.Info("the permissions of the control socket are in force")
		}
		w.problem.Store(&problem)
	}
}
