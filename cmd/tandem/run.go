// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/handoff"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/lock"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/logsink"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/supervise"
	"github.com/tandem-lvs/tandem/configs/load"
)

// defaultConfig is the file of the shipped unit.
const defaultConfig = "/etc/tandem/tandem.toml"

// flushTimeout is how long the end of the process waits for the reader of the log.
const flushTimeout = time.Second

func newRun() *cobra.Command {
	var file string
	var name directorName
	var check bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the director until SIGTERM",
		Long: `Run the director in the foreground. On SIGTERM or SIGINT the director hands over to the peer and exits. On
SIGHUP it reloads the configuration. It needs the capability CAP_NET_ADMIN. For VRRP it also needs
CAP_NET_RAW, and for services the kernel must have IPVS. It writes its log to standard error; where systemd
connects that to the journal, it gives the journal priorities and fields: journalctl -u tandem -p warning.

If the file has [director.NAME], the director uses the table with its name. Variables in the file are those
of the environment at the start: a reload reads no new ones.

If tandem apply or tandem rollback put another configuration into force, and the file has not changed since,
the director starts with that configuration: see tandem apply --help.`,
		Example: `  tandem run -c /etc/tandem/tandem.toml
  tandem run --name lb1                  # with the values of [director.lb1]`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if check {
				return checkHandoff(file, name.is(), cmd.InOrStdin())
			}
			return run(cmd.Context(), file, name.is())
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", defaultConfig, "configuration `FILE`")
	name.register(cmd.Flags())
	cmd.Flags().BoolVar(&check, handoff.CheckFlag, false, "say whether this version can take over what the running one hands off")
	if err := cmd.Flags().MarkHidden(handoff.CheckFlag); err != nil {
		panic(err) // the flag was registered one line above
	}
	return cmd
}

func run(ctx context.Context, file, name string) error {
	former, unreadable := handoff.Inherited()
	begin, err := director.Begin(load.As(name), file)
	if err != nil {
		return err
	}
	cfg := begin.Config
	log, sink := logsink.Open(cfg.Log.Level, cfg.Log.Format)
	go sink.Run(log)
	defer sink.Flush(flushTimeout)
	for _, w := range cfg.Warnings {
		log.Warn("configuration", "warning", w.Error())
	}
	if err := relaxTimers(); err != nil {
		log.Debug("failed to relax timers", "error", err)
	}
	if unreadable != nil {
		log.Error("failed to take over from the former version: its election takes this director for dead", "error", unreadable)
	}
	hangup := make(chan os.Signal, 1)
	d := director.New(director.Options{
		Begin:       begin,
		Handoff:     former,
		Replacement: &replacement{hangup: hangup, flush: func() { sink.Flush(flushTimeout) }},
		Version:     version(),
		Log:         log,
		Spawn: func() (supervise.Child, error) {
			return supervise.Spawn(cfg.Election.Realtime, "election", "--log-level", cfg.Log.Level, "--log-format", cfg.Log.Format,
				"--lock-dir", lock.Dir(cfg.Control.Socket), "--state-dir", cfg.State.Dir, fmt.Sprintf("--realtime=%t", cfg.Election.Realtime))
		},
	})
	signal.Ignore(syscall.SIGPIPE) // the director must survive the death of the process that reads its log
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	ctx, end := context.WithCancelCause(ctx)
	join := atEach(ctx, hangup, func() {
		if _, err := d.Reload("a signal (SIGHUP)"); err != nil {
			log.Error("failed to reload the configuration: the old one stays in force", "error", err)
		}
	})
	err = d.Run(ctx)
	end(err)
	join(reloadTimeout)
	return err
}

// reloadTimeout is how long the end of the process waits for a reload: the disk of the configuration may hang.
const reloadTimeout = time.Second

// atEach calls f at each signal until ctx ends. join waits for a call that is under way, at most for a time.
func atEach(ctx context.Context, signals <-chan os.Signal, f func()) (join func(limit time.Duration)) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
				f()
			}
		}
	}()
	return func(limit time.Duration) {
		select {
		case <-ended:
		case <-time.After(limit):
		}
	}
}
