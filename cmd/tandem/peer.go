// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/configs"
)

// defaultPeerKey is the file of the key that both directors share, unless the user names another.
const defaultPeerKey = "/etc/tandem/peer.key"

func newPeer() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "peer",
		Short: "Set up the channel between the two directors of a pair",
		Long: `Set up the channel between the two directors of a pair, the table [peer] of the configuration. Orders about
real servers (tandem drain, weight, disable) then reach both directors, and tandem status --pair shows both.`,
		Example: `  tandem peer init`,
		Args:    arguments(0, 0),
	}
	cmd.AddCommand(newPeerInit())
	return cmd
}

func newPeerInit() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the key that both directors share",
		Long: `Make a file with a new key, which only its owner can read, and print what to do next. An existing file is
never overwritten. Run the command on one director only, and copy the file to the other one.`,
		Example: `  tandem peer init
  tandem peer init --key /etc/tandem/peer.key`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := filepath.Abs(file)
			if err == nil {
				err = makePeerKey(path)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), `%[1]s: made, with mode 0600

1. Copy it to the other director, for example:
     scp -p %[1]s OTHER:%[1]s
2. Add to the configuration of each director, with the address of the other one:
     [peer]
     address = "OTHER-ADDRESS:8474"
     key = { file = %[1]q }
3. Let TCP port 8474 through the firewalls between the directors, and reload both:
     tandem reload
4. Look at the pair:
     tandem status --pair
`, path)
			return err
		},
	}
	cmd.Flags().StringVar(&file, "key", defaultPeerKey, "`FILE` for the key")
	return cmd
}

// makePeerKey writes a new key to a file that must not exist.
func makePeerKey(path string) error {
	octets := make([]byte, 32)
	_, _ = rand.Read(octets) // never fails
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s exists: copy it to the other director, or move it away for a new key", path)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no directory %s: make it, or choose another file with --key", filepath.Dir(path))
	case err != nil:
		return fmt.Errorf("failed to make the key: %w", err)
	}
	_, err = f.WriteString(configs.PeerKeyText(octets) + "\n")
	if err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("failed to write the key: %w", err), os.Remove(path))
	}
	return nil
}
