// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A file is one file or directory of a package.
type file struct {
	path string // in the installed system
	mode fs.FileMode
	kind string // of nfpm; empty: a regular file
	text []byte
	from string // path in the checkout, if a page may have a link to the file
}

// parts are the files that are not in the checkout, but made for the package.
type parts struct {
	binary      []byte
	completions map[string][]byte // by shell
	licences    []licensed
	sbom        []byte
}

const (
	kindConfig    = "config|noreplace" // the package manager keeps the administrator's changes
	kindDirectory = "dir"
	docs          = "usr/share/doc/tandem/"
)

// notExamples are the folders of configs/ that do not go into the documentation.
var notExamples = []string{"internal", "load", "man", "package", "tandem.service.d", "testdata"}

// exampleNames are the files of the other folders that do, besides the hooks.
var exampleNames = regexp.MustCompile(`\.(toml|md|conf|json|yml)$`)

// contents returns the files of a package of a format, from the checkout and from what was made.
func contents(checkout fs.FS, made parts, format, version string, epoch time.Time) ([]file, error) {
	c := &collecting{checkout: checkout, epoch: epoch}
	c.add("usr/sbin/tandem", 0o755, made.binary)
	for _, unit := range []string{"tandem.service", "tandem-realserver.service"} {
		c.add("usr/lib/systemd/system/"+unit, 0o644, packagedUnit(c.read("configs/"+unit)))
		c.files[len(c.files)-1].from = "configs/" + unit
	}
	for _, dropIn := range []string{"as-root.conf", "other-users.conf"} {
		c.add("usr/share/tandem/"+dropIn, 0o644, c.read("configs/tandem.service.d/"+dropIn))
	}
	c.add("usr/lib/sysusers.d/tandem.conf", 0o644, c.read("configs/package/files/sysusers.conf"))
	c.add("usr/lib/modules-load.d/tandem.conf", 0o644, c.read("configs/package/files/modules-load.conf"))
	c.files = append(c.files, file{path: "etc/tandem", mode: 0o755, kind: kindDirectory})
	c.files = append(c.files, file{path: "etc/default/tandem", mode: 0o644, kind: kindConfig, text: c.read("configs/package/files/default")})
	c.add("usr/share/man/man8/tandem.8.gz", 0o644, c.compressed(c.read("configs/man/tandem.8")))
	c.add("usr/share/man/man5/tandem.toml.5.gz", 0o644, c.compressed(c.read("configs/man/tandem.toml.5")))
	c.add("usr/share/bash-completion/completions/tandem", 0o644, made.completions["bash"])
	c.add("usr/share/fish/vendor_completions.d/tandem.fish", 0o644, made.completions["fish"])
	licence := c.read("LICENSE")
	switch format {
	case "deb":
		c.add("usr/share/zsh/vendor-completions/_tandem", 0o644, made.completions["zsh"])
		c.add(docs+"copyright", 0o644, c.read("configs/package/files/copyright"))
		c.add(docs+"changelog.gz", 0o644, c.compressed(changelog(version, epoch)))
	case "rpm":
		c.add("usr/share/zsh/site-functions/_tandem", 0o644, made.completions["zsh"])
		c.add("usr/share/licenses/tandem/LICENSE", 0o644, licence)
	default:
		return nil, fmt.Errorf("unknown format %q: want deb or rpm", format)
	}
	c.add(docs+"licences.txt", 0o644, licenceTexts(made.licences))
	c.add(docs+"sbom.cdx.json", 0o644, made.sbom)
	c.copy(docs+"README.md", 0o644, "README.md")
	c.addExamples()
	c.relink()
	if format == "rpm" {
		c.files = append(ownFolders(c.files), c.files...)
	}
	return c.files, c.err
}

// ownFolders returns the folders of files that only this package has. rpm removes none that is not listed.
func ownFolders(files []file) (folders []file) {
	known := make(map[string]bool)
	for _, f := range files {
		known[f.path] = true
	}
	for _, f := range files {
		for dir := path.Dir(f.path); strings.Contains(dir, "/tandem") && !known[dir]; dir = path.Dir(dir) {
			known[dir] = true
			folders = append(folders, file{path: dir, mode: 0o755, kind: kindDirectory})
		}
	}
	return folders
}

// A collecting collects the files of a package. After the first error it is useless.
type collecting struct {
	checkout fs.FS
	epoch    time.Time
	files    []file
	err      error
}

func (c *collecting) add(name string, mode fs.FileMode, text []byte) {
	if len(text) == 0 && c.err == nil {
		c.err = fmt.Errorf("%s would be empty", name)
	}
	c.files = append(c.files, file{path: name, mode: mode, text: text})
}

// copy adds a file of the checkout.
func (c *collecting) copy(to string, mode fs.FileMode, name string) {
	c.add(to, mode, c.read(name))
	c.files[len(c.files)-1].from = name
}

func (c *collecting) read(name string) []byte {
	text, err := fs.ReadFile(c.checkout, name)
	if err != nil && c.err == nil {
		c.err = err
	}
	return text
}

// compressed compresses as Debian's policy asks: as much as possible, without a name and a time.
func (c *collecting) compressed(text []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil && c.err == nil {
		c.err = err
	}
	return b.Bytes()
}

// addExamples adds the examples, and the guide. The hooks are programs.
func (c *collecting) addExamples() {
	err := fs.WalkDir(c.checkout, "configs", func(name string, e fs.DirEntry, err error) error {
		short := strings.TrimPrefix(name, "configs/")
		hook := path.Dir(short) == "hooks"
		switch {
		case err != nil:
			return err
		case e.IsDir() && slices.Contains(notExamples, short):
			return fs.SkipDir
		case e.IsDir() || !hook && !exampleNames.MatchString(name):
			return nil
		case hook:
			c.copy(docs+"examples/"+short, 0o755, name)
		case strings.HasPrefix(short, "guide/"):
			c.copy(docs+short, 0o644, name)
		default:
			c.copy(docs+"examples/"+short, 0o644, name)
		}
		return nil
	})
	if err != nil && c.err == nil {
		c.err = err
	}
}

// packagedUnit returns a unit that starts the binary of the package, instead of the one that the administrator has built.
func packagedUnit(unit []byte) []byte {
	return bytes.ReplaceAll(unit, []byte("/usr/local/sbin/tandem "), []byte("/usr/sbin/tandem "))
}

// changelog is the one that Debian's policy asks for. What has changed is in the history of the repository.
func changelog(version string, epoch time.Time) []byte {
	return fmt.Appendf(nil, "tandem (%s) unstable; urgency=medium\n\n  * See %s/commits.\n\n -- %s  %s\n",
		version, homepage, maintainer, epoch.Format(time.RFC1123Z))
}
