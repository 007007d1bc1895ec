// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer"
	"github.com/tandem-lvs/tandem/configs/account"
)

// holderName is a name that a certificate and a file can have.
var holderName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?$`)

// initCertificates makes the certificates of two directors.
func initCertificates(cmd *cobra.Command, f *peerInitFlags, args []string) error {
	directors, err := holders(args)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return err
	}
	made, err := peer.NewCertificates(time.Now(), directors)
	if err != nil {
		return err
	}
	files, err := writeCertificates(dir, made)
	if err != nil {
		return err
	}
	if f.json {
		return writeJSON(cmd.OutOrStdout(), madeFiles{files})
	}
	return explainCertificates(cmd.OutOrStdout(), dir, files, directors)
}

// holders reads NAME=ADDRESS[,ADDRESS…] of each director.
func holders(args []string) ([]peer.Holder, error) {
	if len(args) != 2 {
		return nil, errors.New("the two directors are missing: write tandem peer init --certificates NAME=ADDRESS NAME=ADDRESS")
	}
	all := make([]peer.Holder, len(args))
	owner := make(map[netip.Addr]string)
	for i, arg := range args {
		name, list, _ := strings.Cut(arg, "=")
		if !holderName.MatchString(name) || strings.EqualFold(name, "ca") {
			return nil, fmt.Errorf("%q: %q is not a name for a certificate: write NAME=ADDRESS, the name with letters, digits, dots and hyphens, and not ca",
				arg, name)
		}
		all[i].Name = name
		for word := range strings.SplitSeq(list, ",") {
			a, err := netip.ParseAddr(word)
			if err != nil || a.Zone() != "" {
				return nil, fmt.Errorf("%q: %q is not an IP address: write NAME=ADDRESS, with the address at which the other director reaches this one",
					arg, word)
			}
			if other, is := owner[a]; is {
				return nil, fmt.Errorf("%s is given twice, for %s and %s: each director has addresses of its own", a, other, name)
			}
			owner[a] = name
			all[i].Addresses = append(all[i].Addresses, a)
		}
	}
	if strings.EqualFold(all[0].Name, all[1].Name) {
		return nil, fmt.Errorf("both directors have the name %s: give each one its own", all[0].Name)
	}
	return all, nil
}

// writeCertificates writes all files or none, and returns their paths. No file may exist.
func writeCertificates(dir string, made []peer.CertificateFile) (paths []string, err error) {
	switch err := os.Mkdir(dir, 0o700); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no directory %s: make it, or choose another one with --dir", filepath.Dir(dir))
	case err != nil && !errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("failed to make the directory of the certificates: %w", err)
	}
	for _, f := range made {
		path := filepath.Join(dir, f.Name)
		if err := writeNew(path, f.Text); err != nil {
			for _, written := range paths {
				err = errors.Join(err, os.Remove(written))
			}
			if errors.Is(err, fs.ErrExist) {
				return nil, fmt.Errorf("%s exists: copy it to the director that needs it, or choose another directory with --dir", path)
			}
			return nil, fmt.Errorf("failed to write %s: %w", path, err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// explainCertificates says what to do with the files.
func explainCertificates(w io.Writer, dir string, files []string, directors []peer.Holder) error {
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "%s: made, with mode 0600\n", f)
	}
	ca := filepath.Join(dir, "ca")
	fmt.Fprintf(&b, "\n1. Give each director its own certificate and key, and %s.pem. The directory must be there:\n     mkdir -p -m 700 %s\n", ca, dir)
	for _, d := range directors {
		own := filepath.Join(dir, d.Name)
		fmt.Fprintf(&b, "     scp -p %s.pem %s.pem %s.key %s:%s/\n", ca, own, own, d.Name, dir)
	}
	fmt.Fprintf(&b, "   Move %s.key to a safe place elsewhere: who has it can make certificates of either director.\n", ca)
	fmt.Fprintf(&b, "   Then, on each, give all to the user of the director (unless the director runs as root):\n     chown -R %s %s\n", account.Name, dir)
	b.WriteString("2. Add to the configuration of each director:\n")
	for i, d := range directors {
		own, other := filepath.Join(dir, d.Name), directors[1-i]
		fmt.Fprintf(&b, "     [peer] # on %s\n", d.Name)
		fmt.Fprintf(&b, "     address = %q\n", netip.AddrPortFrom(other.Addresses[0], 8474).String())
		fmt.Fprintf(&b, "     tls_cert = %q\n     tls_key = %q\n     tls_ca = %q\n", own+".pem", own+".key", ca+".pem")
	}
	b.WriteString(`3. Let TCP port 8474 through the firewalls between the directors, and reload both:
     tandem reload
4. Look at the pair:
     tandem status --pair
`)
	_, err := io.WriteString(w, b.String())
	return err
}
