// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/signal"
	"runtime"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/logsink"
	"github.com/tandem-lvs/tandem/cmd/tandem/seccomp"
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
			refuseCalls(options.Log)
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

// electionFilter is what an election never does: it starts no program, changes nothing of the machine but its network, and has sockets
// for VRRP, ARP, the kernel, the director and the log only.
func electionFilter() seccomp.Filter {
	return seccomp.Filter{
		Calls:    append(seccomp.Privileged(), seccomp.Starting()...),
		Families: []uint32{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK, unix.AF_PACKET},
		Threads:  true,
	}
}

// maxRefusals is how many refused calls are logged. A call that is refused again and again must not fill the log.
const maxRefusals = 100

// refuseCalls puts the filter in force. An election works without it, too.
func refuseCalls(log hclog.Logger) {
	refused := 0
	err := electionFilter().Install(func(call int) {
		if refused++; refused <= maxRefusals {
			log.Warn("refused a system call that an election does not need", "call", call, "count", refused)
		}
	})
	if err != nil {
		log.Warn("system calls are not filtered", "error", err)
	}
}
