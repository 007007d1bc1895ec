// SPDX-License-Identifier: Apache-2.0

// Command package makes the Debian and RPM packages of tandem: make deb, make rpm.
//
// contents.go lists the files of a package, with their modes. They are the binary, the units, files/, the manual pages, and what is
// made here: completions, the licences of all modules in the binary (licences.go), and its bill of materials (sbom.go). scripts/ has
// what the package manager runs. nfpm packs all of it. nfpm is pinned in tools.mod, and needs the network only the first time.
//
// The same commit and the same Go make the same bytes: every time is that of the commit (or SOURCE_DATE_EPOCH), and neither the
// user, the folder, the umask nor the host is in the package. Settings of go build that change the binary are fixed here.
package main

import (
	"cmp"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

func main() {
	var b build
	var formats, architectures string
	flag.StringVar(&formats, "format", "deb,rpm", "`FORMATS` of the packages")
	flag.StringVar(&architectures, "arch", "amd64,arm64", "`ARCHITECTURES` of the packages")
	flag.StringVar(&b.out, "out", "bin", "`DIRECTORY` for the packages")
	flag.StringVar(&b.binaries, "binaries", "", "`DIRECTORY` with tandem-ARCH, instead of building them")
	flag.StringVar(&b.release, "version", "", "`VERSION`, as git describe prints it (default: ask git)")
	flag.Parse()
	if err := b.all(strings.Split(formats, ","), strings.Split(architectures, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "failed to make the packages:", err)
		os.Exit(1)
	}
}

// program is the package that is built.
const program = "github.com/tandem-lvs/tandem/cmd/tandem"

// A build makes packages from the checkout in the working directory.
type build struct {
	out, binaries, release string
	epoch                  time.Time // every time in the packages
	stage                  string    // a temporary directory
	nfpm                   string    // the program
}

// all makes the packages of all formats and architectures.
func (b *build) all(formats, architectures []string) (err error) {
	if _, err := os.Stat("configs/package/tools.mod"); err != nil {
		return errors.New("run this in the top folder of the checkout, as make deb does")
	}
	if err := b.readCommit(); err != nil {
		return err
	}
	if b.stage, err = os.MkdirTemp("", "tandem-package-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.stage)) }()
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	if b.nfpm, err = toolPath("nfpm"); err != nil {
		return err
	}
	var made parts
	if made.licences, err = licencesOf(program, architectures); err != nil {
		return err
	}
	native, err := b.binary(runtime.GOARCH)
	if err != nil {
		return err
	}
	if made.completions, err = completions(native); err != nil {
		return err
	}
	for _, arch := range architectures {
		path, err := b.binary(arch)
		if err != nil {
			return err
		}
		if made.binary, err = os.ReadFile(path); err != nil {
			return err
		}
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return err
		}
		if made.sbom, err = billOfMaterials(info, b.release, b.epoch, made.binary, made.licences); err != nil {
			return err
		}
		for _, format := range formats {
			if err := b.pack(format, arch, made); err != nil {
				return err
			}
		}
	}
	return nil
}

// readCommit asks git for the version and the time of the commit, unless the caller has given them.
func (b *build) readCommit() error {
	const advice = "this is no git checkout: set VERSION=v1.2.3 and SOURCE_DATE_EPOCH=SECONDS"
	if b.release == "" {
		out, err := exec.Command("git", "describe", "--tags", "--always", "--dirty").Output()
		if err != nil {
			return fmt.Errorf("%s (git describe: %w)", advice, err)
		}
		b.release = strings.TrimSpace(string(out))
	}
	seconds := os.Getenv("SOURCE_DATE_EPOCH")
	if seconds == "" {
		out, err := exec.Command("git", "log", "-1", "--format=%ct").Output()
		if err != nil {
			return fmt.Errorf("%s (git log: %w)", advice, err)
		}
		seconds = strings.TrimSpace(string(out))
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH is %q: want seconds since 1970", seconds)
	}
	b.epoch = time.Unix(n, 0).UTC()
	if strings.HasSuffix(b.release, "-dirty") {
		fmt.Fprintf(os.Stderr, "warning: %s has changes that are not committed: nobody else can make the same packages\n", b.release)
	}
	return nil
}

// binary returns the path of the binary for an architecture, and builds it if there is none yet.
func (b *build) binary(arch string) (string, error) {
	path := filepath.Join(cmp.Or(b.binaries, b.stage), "tandem-"+arch)
	if _, err := os.Stat(path); err == nil || b.binaries != "" {
		return path, err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid= -X main.released="+b.release,
		"-o", path, program)
	cmd.Env = append(os.Environ(), goEnvironment(arch)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go build for %s: %w", arch, err)
	}
	return path, nil
}

// goEnvironment fixes what could otherwise change the binary from one machine to another.
func goEnvironment(arch string) []string {
	return []string{
		"GOOS=linux", "GOARCH=" + arch, "CGO_ENABLED=0", "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOEXPERIMENT=", "GOWORK=off", "GOFIPS140=off",
	}
}

// completions returns the scripts of the shells, by the shell's name.
func completions(binary string) (map[string][]byte, error) {
	scripts := make(map[string][]byte)
	for _, shell := range []string{"bash", "zsh", "fish"} {
		out, err := exec.Command(binary, "completion", shell).Output()
		if err != nil {
			return nil, fmt.Errorf("tandem completion %s: %w", shell, err)
		}
		scripts[shell] = out
	}
	return scripts, nil
}
