// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
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
the health of real servers, in the orders about them, and between the clocks. This needs [peer] in the
configuration.

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
			if asJSON {
				raw, err := client.RawStatus(cmd.Context())
				if err != nil {
					return err
				}
				var pretty bytes.Buffer
				if err := json.Indent(&pretty, raw, "", "  "); err != nil {
					return fmt.Errorf("failed to read the director's answer: %w", err)
				}
				_, err = pretty.WriteTo(cmd.OutOrStdout())
				return err
			}
			status, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			if pair {
				if status.Peer == nil {
					return errors.New("this director has no channel to another one: see tandem peer init --help")
				}
				var b bytes.Buffer
				writePair(&b, status, time.Now())
				_, err = b.WriteTo(cmd.OutOrStdout())
				return err
			}
			device := screen.Detect(cmd.OutOrStdout())
			return device.Write(cmd.OutOrStdout(), statusText(status, device, verbose, time.Now()))
		},
	}
	s.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print everything as JSON; later versions may add members, but never rename or remove one")
	cmd.Flags().BoolVar(&pair, "pair", false, "show both directors of the pair, and what differs")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "also show the counters, signatures and paths of each virtual router, the last result of each check, and all hooks")
	cmd.Flags().BoolVar(&check, "check", false, "print one line for a monitor, and set the exit code: 0 ok, 1 warning, 2 critical, 3 not known")
	cmd.MarkFlagsMutuallyExclusive("check", "json")
	cmd.MarkFlagsMutuallyExclusive("check", "verbose")
	cmd.MarkFlagsMutuallyExclusive("check", "pair")
	return cmd
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
