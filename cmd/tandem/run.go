// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/lock"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/logsink"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/supervise"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/configs/load"
)

// defaultConfig is the file of the shipped unit.
const defaultConfig = "/etc/tandem/tandem.toml"

// flushTimeout is how long the end of the process waits for the reader of the log.
const flushTimeout = time.Second

func newRun() *cobra.Command {
	var file string
	var name directorName
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the director until SIGTERM",
		Long: `Run the director in the foreground. On SIGTERM or SIGINT the director hands over to the peer and exits. On
SIGHUP it reloads the configuration. It needs the capability CAP_NET_ADMIN. For VRRP it also needs
CAP_NET_RAW, and for services the kernel must have IPVS. It writes its log to standard error.

If the file has [director.NAME], the director uses the table with its name. Variables in the file are those
of the environment at the start: a reload reads no new ones.

If tandem apply or tandem rollback put another configuration into force, and the file has not changed since,
the director starts with that configuration: see tandem apply --help.`,
		Example: `  tandem run -c /etc/tandem/tandem.toml
  tandem run --name lb1                  # with the values of [director.lb1]`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), file, name.is())
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", defaultConfig, "configuration `FILE`")
	name.register(cmd.Flags())
	return cmd
}

func run(ctx context.Context, file, name string) error {
	begin, err := director.Begin(load.As(name), file)
	if err != nil {
		return err
	}
	cfg := begin.Config
	sink := logsink.New(os.Stderr)
	log := newLogger(cfg.Log.Level, cfg.Log.Format, sink)
	go sink.Run(log)
	defer sink.Flush(flushTimeout)
	for _, w := range cfg.Warnings {
		log.Warn("configuration", "warning", w.Error())
	}
	if err := relaxTimers(); err != nil {
		log.Debug("failed to relax timers", "error", err)
	}
	d := director.New(director.Options{
		Begin:   begin,
		Version: version(),
		Log:     log,
		Spawn: func() (supervise.Child, error) {
			return supervise.Spawn(cfg.Election.Realtime, "election", "--log-level", cfg.Log.Level, "--log-format", cfg.Log.Format,
				"--lock-dir", lock.Dir(cfg.Control.Socket), "--state-dir", cfg.State.Dir, fmt.Sprintf("--realtime=%t", cfg.Election.Realtime))
		},
	})
	signal.Ignore(syscall.SIGPIPE) // the director must survive the death of the process that reads its log
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	reloads := make(chan struct{})
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		defer close(reloads)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangup:
				if _, err := d.Reload("a signal (SIGHUP)"); err != nil {
					log.Error("failed to reload the configuration: the old one stays in force", "error", err)
				}
			}
		}
	}()
	err = d.Run(ctx)
	end(err)
	<-reloads
	return err
}

// newLogger logs to out.
func newLogger(level, format string, out io.Writer) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Output:            out,
		Name:              "tandem",
		Level:             hclog.LevelFromString(level),
		JSONFormat:        format == configs.LogJSON,
		IndependentLevels: false,
	})
}
