// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/screen"
)

func newStatus() *cobra.Command {
	var s socketFlags
	var asJSON, verbose, check, pair bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the state of the running director, what is wrong first",
		Long: `Show the virtual routers, services, real servers and checks of the running director. What is wrong comes
first, and the worst of it at the top. It is critical if no real server of a service gets clients, if a
virtual router is in FAULT, or if the kernel's table is not as it should be. The rest are warnings.

STATE is MASTER, BACKUP, FAULT (an interface or a track fails) or INITIALIZE. After tandem failover it is
followed by (standby). If the present priority differs from the configured one, PRIORITY shows both:
1 (of 150) means that it is 1 now and configured as 150. WEIGHT is shown in the same way. ACTIVE and
INACTIVE are the numbers of active and inactive connections in the kernel. The bars beside WEIGHT and
ACTIVE are relative to the largest of the service.

With --pair, the command shows both directors side by side, and what differs: in the configurations, in
the health of real servers, in the orders about them, and between the clocks. It also says what a failover
would cost now: for how long there would be no master, how many established connections the other director does
not know, which services have no healthy server there, and when the last drill was. With --json, this is the
member "forecast". --pair needs [peer] in the configuration.

A hook is shown while it runs, waits or fails. TOLD and FAILED count its runs. REPLACED counts the events
that it was not told because a newer one came first.

On a terminal, long texts are broken to its width, and colours are used unless NO_COLOR is set or TERM is
dumb.

With --check, it prints one line for a monitor such as Nagios or Icinga. The exit code is 0 if all is well,
1 for a warning, 2 if something is critical or no director answers, and 3 if the state is not known: the
socket must not be read, or the configuration that names it has mistakes. After "|" come the numbers: of how
many virtual routers this director is master, how many are in FAULT, servers that are up, connections, new
connections a second, and warnings.`,
		Example: `  tandem status
  tandem status --verbose
  tandem status --pair
  tandem status --json | jq -r '.vrrp[].state'
  tandem status --pair --json | jq '.forecast.failures[].cable_or_crash_seconds'
  tandem status --check || notify-the-team`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if check {
				return monitor(cmd, &s)
			}
			client, err := s.client(cmd)
			if err != nil {
				return err
			}
			if asJSON && !pair {
				return printRawStatus(cmd, client, nil)
			}
			status, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			if pair {
				return printPair(cmd, client, status, asJSON)
			}
			device := screen.Detect(cmd.OutOrStdout())
			return device.Write(cmd.OutOrStdout(), statusText(status, device, verbose, time.Now()))
		},
	}
	s.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print everything as JSON; later versions may add members, but never rename or remove one")
	cmd.Flags().BoolVar(&pair, "pair", false, "show both directors of the pair, what differs, and what a failover would cost")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "also show the counters, signatures and paths of each virtual router, the last result of each check, and all hooks")
	cmd.Flags().BoolVar(&check, "check", false, "print one line for a monitor, and set the exit code: 0 ok, 1 warning, 2 critical, 3 not known")
	cmd.MarkFlagsMutuallyExclusive("check", "json")
	cmd.MarkFlagsMutuallyExclusive("check", "verbose")
	cmd.MarkFlagsMutuallyExclusive("check", "pair")
	return cmd
}

// printRawStatus prints the status as the director wrote it, including members that this version does not know, and a forecast unless it
// is nil.
func printRawStatus(cmd *cobra.Command, client *control.Client, forecast *drill.Forecast) error {
	raw, err := client.RawStatus(cmd.Context())
	if err != nil {
		return err
	}
	if forecast != nil {
		text, err := json.Marshal(forecast)
		if err != nil {
			return err
		}
		// The members of the status keep their order.
		raw = bytes.TrimSuffix(bytes.TrimSpace(raw), []byte("}"))
		raw = slices.Concat(raw, []byte(`,"forecast":`), text, []byte("}"))
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, raw, "", "  "); err != nil {
		return fmt.Errorf("failed to read the director's answer: %w", err)
	}
	_, err = pretty.WriteTo(cmd.OutOrStdout())
	return err
}

// forecastTime is how long the other director may take to tell its state for the forecast.
const forecastTime = 5 * time.Second

// forecast asks the other director, and returns what a failover would cost.
func forecast(ctx context.Context, client *control.Client, here control.Status) drill.Forecast {
	ctx, cancel := context.WithTimeout(ctx, forecastTime)
	defer cancel()
	var there control.Status
	lacking := ""
	if p := here.Peer; !p.To.Up || !p.From.Up {
		lacking = channelState(p, time.Now())
	} else if is, err := client.PeerStatus(ctx); err != nil {
		lacking = err.Error()
	} else {
		there = is
	}
	return drill.Foresee(here, there, lacking)
}

// printPair prints both directors.
func printPair(cmd *cobra.Command, client *control.Client, status control.Status, asJSON bool) error {
	if status.Peer == nil {
		return errNoPeer
	}
	f := forecast(cmd.Context(), client, status)
	if asJSON {
		return printRawStatus(cmd, client, &f)
	}
	var b bytes.Buffer
	writePair(&b, status, f, time.Now())
	_, err := b.WriteTo(cmd.OutOrStdout())
	return err
}

// monitor prints the line of status --check.
func monitor(cmd *cobra.Command, s *socketFlags) error {
	var status control.Status
	client, err := s.client(cmd)
	if err == nil {
		status, err = client.Status(cmd.Context())
	}
	line, code := monitorLine(status, err)
	fmt.Fprintln(cmd.OutOrStdout(), line)
	if code == monitorOK {
		return nil
	}
	return code
}
