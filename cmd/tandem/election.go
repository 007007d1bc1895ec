// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election"
)

// newElection is the child process of run. It is hidden: it speaks to a director on an inherited socket only.
func newElection() *cobra.Command {
	var level, format string
	var options election.Options
	cmd := &cobra.Command{
		Use:    "election",
		Short:  "Run the election for a director (started by tandem run)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conn, err := election.Inherited()
			if err != nil {
				return err
			}
			// A loop's thread must find a place to run Go code whatever the others are doing.
			runtime.GOMAXPROCS(runtime.NumCPU() + 1)
			// A hang-up is the director's to act on, and a log that nobody reads is no reason to leave.
			signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			options.Log = newLogger(level, format, os.Stderr).Named("election")
			return election.NewProcess(conn, options).Run(ctx)
		},
	}
	cmd.Flags().StringVar(&level, "log-level", "info", "least level that is logged")
	cmd.Flags().StringVar(&format, "log-format", "text", "text or json")
	cmd.Flags().StringVar(&options.StateDir, "state-dir", "", "state directory of the director")
	cmd.Flags().BoolVar(&options.Realtime, "realtime", false, "ask for real-time scheduling")
	return cmd
}
