// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

func newCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE…",
		Short: "Check configuration files and list every mistake",
		Long: `Check configuration files without running anything. Each mistake is a line on standard error with
file, line, key, what is wrong and, where one is near, the valid key. Warnings do not fail the check.
Where this machine's kernel has IPVS, a scheduler that it lacks is a mistake too.`,
		Example: `  tandem check /etc/tandem/tandem.toml
  tandem check lb1.toml lb2.toml && rsync …`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			var failed []error
			for _, file := range files {
				cfg, err := configs.Load(file)
				if err != nil {
					failed = append(failed, err)
					continue
				}
				if err := checkKernel(cfg); err != nil {
					failed = append(failed, err)
					continue
				}
				for _, w := range cfg.Warnings {
					fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v\n", w)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: ok (virtual routers: %d, services: %d)\n", file, len(cfg.Routers), len(cfg.Services))
			}
			return errors.Join(failed...)
		},
	}
}

// checkKernel refuses schedulers that this machine's kernel does not have. A kernel without IPVS, or whose modules
// cannot be seen, is not the director's: it says nothing.
func checkKernel(cfg *configs.Config) error {
	have, err := kernel.AvailableSchedulers()
	if err != nil || len(have) == 0 {
		return nil
	}
	return lacking(cfg, have)
}

// lacking names the services whose scheduler is not among those that a kernel has.
func lacking(cfg *configs.Config, have []string) error {
	var failed []error
	for _, s := range cfg.Services {
		if scheduler := s.Virtuals[0].Scheduler; !slices.Contains(have, scheduler) {
			failed = append(failed, fmt.Errorf("%s: service %s: this kernel has no scheduler %s: install its module ip_vs_%s, or choose one of %s",
				cfg.File, s.Name, scheduler, scheduler, strings.Join(have, ", ")))
		}
	}
	return errors.Join(failed...)
}
