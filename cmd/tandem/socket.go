// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/configs/load"
)

// socketFlags choose the control socket. The order is: --socket, TANDEM_SOCKET, the configuration, the default.
type socketFlags struct {
	socket, config string
	name           directorName
}

func (s *socketFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.socket, "socket", "", "control socket `PATH` of the director (default: $TANDEM_SOCKET; if it is not set, the path in the configuration)")
	cmd.Flags().StringVarP(&s.config, "config", "c", defaultConfig, "configuration `FILE` that names the control socket")
	s.name.register(cmd.Flags())
}

// client returns a client of the chosen control socket.
func (s *socketFlags) client(cmd *cobra.Command) (*control.Client, error) {
	path, err := s.path(cmd.Flags().Changed("config"))
	if err != nil {
		return nil, err
	}
	return control.NewClient(path), nil
}

// path returns the socket. A configuration that cannot be read is an error only if the user named the file (asked).
func (s *socketFlags) path(asked bool) (string, error) {
	if s.socket != "" {
		return s.socket, nil
	}
	if env := os.Getenv("TANDEM_SOCKET"); env != "" {
		return env, nil
	}
	path, err := load.As(s.name.is()).Socket(s.config)
	if err != nil && asked {
		return "", err
	}
	if err != nil {
		return configs.DefaultSocket, nil
	}
	return path, nil
}

// stateDir returns the state directory of the chosen configuration, for when no director runs. A configuration that cannot be read
// is an error only if the user named the file (asked).
func (s *socketFlags) stateDir(asked bool) (string, error) {
	dir, err := load.As(s.name.is()).StateDir(s.config)
	if err != nil && !asked {
		return configs.DefaultStateDir, nil
	}
	if err != nil {
		return "", fmt.Errorf("failed to find the state directory: %w", err)
	}
	return dir, nil
}
