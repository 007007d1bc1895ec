// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/summary"
)

func newCompletion() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print a script that completes tandem's commands in a shell",
		Long: `Print a script for a shell. With it, the key Tab completes commands, flags, and the names of the virtual
routers, services and real servers of the running director. For the names, your user must be allowed to read
its control socket.`,
		Example: `  tandem completion bash > /etc/bash_completion.d/tandem      # needs the package bash-completion
  tandem completion zsh  > /usr/local/share/zsh/site-functions/_tandem
  tandem completion fish > ~/.config/fish/completions/tandem.fish`,
		ValidArgs: []string{"bash", "zsh", "fish"},
		Args:      arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return cmd.Root().GenBashCompletionV2(out, true)
			case "zsh":
				return cmd.Root().GenZshCompletion(out)
			case "fish":
				return cmd.Root().GenFishCompletion(out, true)
			}
			return fmt.Errorf("unknown shell %q: want bash, zsh or fish", args[0])
		},
	}
}

// completionTime is how long the director may take to tell its names. The user waits at the prompt.
const completionTime = time.Second

// A namer returns the names of a status that begin with what the user has typed. A description may follow a tab.
type namer func(s control.Status, typed string) []string

// complete completes the arguments of a command, from the first one to the one with the index last (-1: all of them).
func (s *socketFlags) complete(last int, namers ...namer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if last >= 0 && len(args) > last {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		client, err := s.client(cmd)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.Background(), completionTime)
		defer cancel()
		status, err := client.Status(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, n := range namers {
			names = append(names, n(status, typed)...)
		}
		directive := cobra.ShellCompDirectiveNoFileComp
		if len(names) > 0 && strings.HasSuffix(plainName(names[0]), "/") {
			directive |= cobra.ShellCompDirectiveNoSpace // the server's address follows
		}
		return names, directive
	}
}

// completeFlag completes the value of a flag.
func (s *socketFlags) completeFlag(cmd *cobra.Command, flag string, namers ...namer) {
	if err := cmd.RegisterFlagCompletionFunc(flag, s.complete(-1, namers...)); err != nil {
		panic(err) // there is no such flag
	}
}

// plainName returns a name without its description.
func plainName(name string) string {
	name, _, _ = strings.Cut(name, "\t")
	return name
}

func routerNames(s control.Status, typed string) (names []string) {
	for _, r := range s.VRRP {
		if strings.HasPrefix(r.Name, typed) {
			names = append(names, r.Name+"\t"+summary.State(&r))
		}
	}
	return names
}

func serviceNames(s control.Status, typed string) (names []string) {
	for _, svc := range s.Services {
		if strings.HasPrefix(svc.Name, typed) {
			names = append(names, fmt.Sprintf("%s\t%s %s", svc.Name, svc.Protocol, svc.Virtual))
		}
	}
	return names
}

// serverNames completes SERVICE/ first, and then the servers of that service: there can be thousands.
func serverNames(s control.Status, typed string) (names []string) {
	for _, svc := range s.Services {
		prefix := svc.Name + "/"
		if !strings.HasPrefix(typed, prefix) && len(s.Services) > 1 {
			if strings.HasPrefix(prefix, typed) && len(svc.Servers) > 0 {
				names = append(names, prefix+"\t"+summary.Counted(len(svc.Servers), "server"))
			}
			continue
		}
		for _, srv := range svc.Servers {
			if name := prefix + summary.HostPort(&srv); strings.HasPrefix(name, typed) {
				names = append(names, fmt.Sprintf("%s\t%s, weight %s", name, srv.Health, summary.Weight(&srv)))
			}
		}
	}
	return names
}
