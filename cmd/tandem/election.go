// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/logsink"
	"github.com/tandem-lvs/tandem/configs"
)

// newElection returns the command of run's child process. It is hidden, because it works only with the socket from a
// director.
func newElection() *cobra.Command {
	var level, format string
	var options election.Options
	cmd := &cobra.Command{
		Use:    "election",
		Short:  "Run the election for a director (started by tandem run)",
		Hidden: true,
		Args:   arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			conn, err := election.Inherited()
			if err != nil {
				return err
			}
			if options.Board, err = election.InheritedBoard(); err != nil {
				return err
			}
			// One more than the number of processors: the thread of a VRRP loop must never wait for a thread that runs other
			// Go code.
			runtime.GOMAXPROCS(runtime.NumCPU() + 1)
			// SIGHUP is for the director. The election must survive the death of the process that reads its log.
			signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			log, sink := logsink.Open(level, format)
			go sink.Run(log)
			defer sink.Flush(flushTimeout)
			options.Log = log.Named("election")
			return election.NewProcess(conn, options).Run(ctx)
		},
	}
	cmd.Flags().StringVar(&level, "log-level", "info", "lowest `LEVEL` that is logged: trace, debug, info, warn, error")
	cmd.Flags().StringVar(&format, "log-format", configs.LogAuto, "`FORMAT` of the log: auto, text, journal, json")
	cmd.Flags().StringVar(&options.LockDir, "lock-dir", "", "`DIRECTORY` of the locks; with them only one election runs at a time")
	cmd.Flags().StringVar(&options.StateDir, "state-dir", "", "state `DIRECTORY` of the director")
	cmd.Flags().BoolVar(&options.Realtime, "realtime", false, "use real-time scheduling")
	return cmd
}
