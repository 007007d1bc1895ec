// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	homepage   = "https://github.com/tandem-lvs/tandem"
	maintainer = "The tandem authors <tandem@tandem-lvs.example>"
	summary    = "load balancer of two machines, with VRRP and IPVS"
	// description is the long one.
	description = `tandem makes two Linux machines (directors) into one load balancer. If one
of them fails, the other takes over. VRRP elects the master, which holds the
virtual addresses. Both directors have the same IPVS table, and health checks
set the weights of the real servers. It works together with keepalived, and
reads its configuration.`
)

// A recipe is the configuration of nfpm for one package. JSON is YAML.
type recipe struct {
	Name            string            `json:"name"`
	Arch            string            `json:"arch"`
	Platform        string            `json:"platform"`
	Version         string            `json:"version"`
	VersionSchema   string            `json:"version_schema"`
	Section         string            `json:"section"`
	Priority        string            `json:"priority"`
	Maintainer      string            `json:"maintainer"`
	Homepage        string            `json:"homepage"`
	License         string            `json:"license"`
	Description     string            `json:"description"`
	DisableGlobbing bool              `json:"disable_globbing"`
	Recommends      []string          `json:"recommends"`
	Scripts         map[string]string `json:"scripts"`
	Contents        []content         `json:"contents"`
	RPM             map[string]string `json:"rpm"`
}

// A content is one file or directory of a recipe.
type content struct {
	Source      string   `json:"src,omitempty"`
	Destination string   `json:"dst"`
	Type        string   `json:"type,omitempty"`
	Info        fileInfo `json:"file_info"`
}

type fileInfo struct {
	Owner string `json:"owner"`
	Group string `json:"group"`
	Mode  uint32 `json:"mode"`
}

// scriptsOf are the names of a format's scripts in scripts/, by nfpm's names.
var scriptsOf = map[string]map[string]string{
	"deb": {"postinstall": "deb-postinst", "preremove": "deb-prerm", "postremove": "deb-postrm"},
	"rpm": {"postinstall": "rpm-post", "preremove": "rpm-preun", "postremove": "rpm-postun"},
}

// pack makes one package.
func (b *build) pack(format, arch string, made parts) error {
	version, err := packageVersion(format, b.release, b.epoch)
	if err != nil {
		return err
	}
	checkout := os.DirFS(".")
	all, err := contents(checkout, made, format, version, b.epoch)
	if err != nil {
		return err
	}
	r := recipe{
		Name: "tandem", Arch: arch, Platform: "linux", Version: version, VersionSchema: "none", Section: "net", Priority: "optional",
		Maintainer: maintainer, Homepage: homepage, License: "Apache-2.0", Description: description, DisableGlobbing: true,
		Recommends: []string{"kmod"}, Scripts: make(map[string]string),
		RPM: map[string]string{"buildhost": "localhost", "summary": summary, "packager": maintainer},
	}
	if format == "deb" {
		r.Description = summary + "\n" + description // Debian has both in one field
	}
	dir, err := os.MkdirTemp(b.stage, format+"-"+arch+"-")
	if err != nil {
		return err
	}
	staged := func(name string, text []byte) (string, error) {
		path := filepath.Join(dir, name)
		return path, os.WriteFile(path, text, 0o644)
	}
	for name, script := range scriptsOf[format] {
		text, err := maintainerScript(checkout, script)
		if err == nil {
			r.Scripts[name], err = staged(script, text)
		}
		if err != nil {
			return err
		}
	}
	for i, f := range all {
		c := content{Destination: "/" + f.path, Type: f.kind, Info: fileInfo{Owner: "root", Group: "root", Mode: uint32(f.mode)}}
		if f.kind != kindDirectory {
			if c.Source, err = staged(strconv.Itoa(i), f.text); err != nil {
				return err
			}
		}
		r.Contents = append(r.Contents, c)
	}
	return b.runNFPM(format, r, dir)
}

// runNFPM gives a recipe to nfpm, which prints the name of the package.
func (b *build) runNFPM(format string, r recipe, dir string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	config := filepath.Join(dir, "nfpm.json")
	if err := os.WriteFile(config, text, 0o644); err != nil {
		return err
	}
	cmd := exec.Command(b.nfpm, "package", "--config", config, "--packager", format, "--target", b.out)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(b.epoch.Unix(), 10))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nfpm: %w\n%s", err, out)
	}
	name := packageFile(format, r.Arch, r.Version)
	if _, err := os.Stat(filepath.Join(b.out, name)); err != nil {
		return err
	}
	fmt.Println(filepath.Join(b.out, name))
	return nil
}

// toolPath builds a tool of tools.mod, unless it is in Go's cache, and returns its path.
func toolPath(name string) (string, error) {
	var errs strings.Builder
	cmd := exec.Command("go", "tool", "-modfile=configs/package/tools.mod", "-n", name)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("failed to build %s, which Go downloads the first time: %w\n%s", name, err, errs.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// packageFile returns the name of a package's file, as the distributions expect it.
func packageFile(format, arch, version string) string {
	if format == "deb" {
		return "tandem_" + version + "_" + arch + ".deb"
	}
	return "tandem-" + version + "-1." + map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch] + ".rpm"
}
