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
	"github.com/tandem-lvs/tandem/configs/account"
)

// defaultPeerKey is the file of the key that both directors share, unless the user names another.
const defaultPeerKey = "/etc/tandem/peer.key"

// defaultPeerDir is where new certificates are written.
const defaultPeerDir = "/etc/tandem/peer"

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

// peerInitFlags are the flags of tandem peer init.
type peerInitFlags struct {
	key, dir           string
	certificates, json bool
}

func newPeerInit() *cobra.Command {
	var f peerInitFlags
	cmd := &cobra.Command{
		Use:   "init [NAME=ADDRESS… NAME=ADDRESS…]",
		Short: "Make the key that both directors share, or certificates",
		Long: `Make a file with a new key, which only its owner can read, and print what to do next. An existing file is
never overwritten. Run the command on one director only, and copy the file to the other one.

With --certificates, make an authority (ca.pem, ca.key) and a certificate for each of the two directors
(NAME.pem, NAME.key) instead, in the directory of --dir. NAME is the director's name, and each ADDRESS one at
which the other director reaches it; several have commas between them. The certificates are valid for 10 years.
Who has ca.key can make certificates of either director: keep it elsewhere.`,
		Example: `  tandem peer init
  tandem peer init --key /etc/tandem/peer.key
  tandem peer init --certificates lb1=10.0.0.1 lb2=10.0.0.2`,
		Args: arguments(0, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case f.certificates && cmd.Flags().Changed("key"):
				return errors.New("--key has no meaning with --certificates: write --dir DIRECTORY")
			case f.certificates:
				return initCertificates(cmd, &f, args)
			case len(args) > 0:
				return fmt.Errorf("%q has a meaning only with --certificates: see %s --help", args[0], cmd.CommandPath())
			case cmd.Flags().Changed("dir"):
				return errors.New("--dir has a meaning only with --certificates: write --key FILE")
			}
			return initKey(cmd, &f)
		},
	}
	cmd.Flags().StringVar(&f.key, "key", defaultPeerKey, "`FILE` for the key")
	cmd.Flags().BoolVar(&f.certificates, "certificates", false, "make certificates instead of a key")
	cmd.Flags().StringVar(&f.dir, "dir", defaultPeerDir, "`DIRECTORY` for the certificates; it is made if it does not exist")
	registerJSON(cmd, &f.json, "the paths of the new files")
	return cmd
}

// madeFiles are what peer init prints for programs.
type madeFiles struct {
	Files []string `json:"files"`
}

func initKey(cmd *cobra.Command, f *peerInitFlags) error {
	path, err := filepath.Abs(f.key)
	if err == nil {
		err = makePeerKey(path)
	}
	if err != nil {
		return err
	}
	if f.json {
		return writeJSON(cmd.OutOrStdout(), madeFiles{[]string{path}})
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), `%[1]s: made, with mode 0600

1. Copy it to the other director, for example:
     scp -p %[1]s OTHER:%[1]s
   Then, on both, give it to the user of the director (unless the director runs as root):
     chown %[2]s %[1]s
2. Add to the configuration of each director, with the address of the other one:
     [peer]
     address = "OTHER-ADDRESS:8474"
     key = { file = %[1]q }
3. Let TCP port 8474 through the firewalls between the directors, and reload both:
     tandem reload
4. Look at the pair:
     tandem status --pair
`, path, account.Name)
	return err
}

// makePeerKey writes a new key to a file that must not exist.
func makePeerKey(path string) error {
	octets := make([]byte, 32)
	_, _ = rand.Read(octets) // never fails
	err := writeNew(path, []byte(configs.PeerKeyText(octets)+"\n"))
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s exists: copy it to the other director, or move it away for a new key", path)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no directory %s: make it, or choose another file with --key", filepath.Dir(path))
	case err != nil:
		return fmt.Errorf("failed to make the key: %w", err)
	}
	return nil
}

// writeNew writes a file for its owner only. The file must not exist.
func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
