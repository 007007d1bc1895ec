// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The roles of a process, told apart by the environment: none outside, then init, then payload.
const (
	roleVar     = "TANDEM_LAB_ROLE"
	roleVM      = "init-vm"
	roleDirect  = "init-direct"
	rolePayload = "payload"
)

// inside is the directory that holds the run's own files: the payload and its cargo.
const inside = "/lab"

// graceAfterTests is added to the test binary's own timeout, which ends the run with a better message.
const graceAfterTests = 30 * time.Second

// A Cargo is a binary that is built outside and used inside, at [Cargo.Path].
type Cargo struct {
	Name    string // file name inside
	Package string // import path of what to build
	Tests   bool   // the package's test binary rather than its program
	Tags    string // build tags, comma-separated
	Dir     string // the source to build it from, "" for this module
	ModFile string // the module file to build it with, "" for go.mod; relative to the working directory
	Version string // what tandem calls itself, "" for what the Go toolchain records
}

// Tandem is the daemon as cargo.
var Tandem = Cargo{Name: "tandem", Package: modulePath + "/cmd/tandem"}

// Path returns where a binary of the cargo is found inside.
func (c Cargo) Path() string { return inside + "/" + c.Name }

// Main is the body of a TestMain whose tests need the lab. It does not return.
//
// Outside, it builds the package in the working directory again, runs its tests inside with the same -test flags, and exits
// with their exit code. Where that is not possible, the error says what is missing.
func Main(m *testing.M, cargo ...Cargo) {
	flag.Parse()
	if f := flag.Lookup("test.list"); f != nil && f.Value.String() != "" {
		os.Exit(m.Run())
	}
	limit := testTimeout()
	if limit > 0 {
		limit += graceAfterTests
	}
	enter(trip{
		payload: Cargo{Name: "payload", Package: ".", Tests: true, Tags: buildTags()},
		cargo:   cargo,
		args:    guestFlags(os.Args[1:]),
		limit:   limit,
	})
	os.Exit(m.Run())
}

// Enter runs the calling program inside. It returns there; outside it exits with the exit code of the inner run.
// mainPackage is the import path of the calling program. limit is the longest time for the inner run (0: no limit).
func Enter(mainPackage string, limit time.Duration, cargo ...Cargo) {
	enter(trip{
		payload: Cargo{Name: "payload", Package: mainPackage},
		cargo:   cargo,
		args:    os.Args[1:],
		limit:   limit,
	})
}

// A trip is one run inside, as seen from the outside.
type trip struct {
	payload Cargo
	cargo   []Cargo
	args    []string
	env     []string
	limit   time.Duration // 0: none
	extra   []Packages    // beside those of the base
	carried []File
	memory  int // of a virtual machine, in MB
}

// enter returns in the payload; in every other role it exits.
func enter(tr trip) {
	switch os.Getenv(roleVar) {
	case rolePayload:
		return
	case roleVM, roleDirect:
		os.Exit(initMain(os.Getenv(roleVar)))
	}
	ctx, stop := signal.NotifyContext(context.Background(),
		syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	code, err := tr.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "lab: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

// run makes the trip and returns the exit code of the inner run.
func (tr trip) run(ctx context.Context) (int, error) {
	place, err := choosePlace()
	if err != nil {
		return 0, err
	}
	if place == placeVM {
		if err := ensureQemu(ctx); err != nil {
			return 0, err
		}
	}
	base, err := openBase(ctx)
	if err != nil {
		return 0, err
	}
	for _, p := range tr.extra {
		if err := p.add(ctx, base); err != nil {
			return 0, err
		}
	}
	tr.env = append(tr.env, placeVar+"="+place.String())
	if isTerminal(os.Stdout) {
		tr.env = append(tr.env, terminalVar+"=1")
	}
	files, err := tr.files(ctx)
	if err != nil {
		return 0, err
	}
	if tr.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, tr.limit, fmt.Errorf("still running after %s", tr.limit))
		defer cancel()
	}
	if place == placeVM {
		return bootVM(ctx, base, files, max(tr.memory, usualMemory))
	}
	return runDirect(ctx, base, files)
}

// A place is where the payload runs.
type place uint8

const (
	placeVM place = iota + 1
	placeDirect
)

func (p place) String() string {
	switch p {
	case placeVM:
		return "vm"
	case placeDirect:
		return "direct"
	}
	return "place(" + strconv.Itoa(int(p)) + ")"
}

// Prefer chooses a place, "vm" or "direct", where TANDEM_LAB does not. It is called before the lab is entered.
func Prefer(place string) {
	if os.Getenv("TANDEM_LAB") == "" {
		_ = os.Setenv("TANDEM_LAB", place)
	}
}

// choosePlace returns the place that TANDEM_LAB names. Without TANDEM_LAB the lab runs on this machine's kernel if that has
// IPVS, and otherwise in a virtual machine.
func choosePlace() (place, error) {
	switch v := os.Getenv("TANDEM_LAB"); v {
	case "vm":
		return placeVM, nil
	case "direct":
		if os.Geteuid() != 0 {
			return 0, errors.New("TANDEM_LAB=direct needs root")
		}
		return placeDirect, nil
	case "":
		if os.Geteuid() == 0 && hasIPVS() {
			return placeDirect, nil
		}
		return placeVM, nil
	default:
		return 0, fmt.Errorf("TANDEM_LAB=%q: want vm or direct", v)
	}
}

// hasIPVS asks generic netlink for the family, which loads the module if the kernel has it as one.
func hasIPVS() bool {
	_, err := netlink.GenlFamilyGet("IPVS")
	return err == nil
}

// What the inner run is told: whether the output goes to a terminal, and the place.
const (
	terminalVar = "TANDEM_LAB_TERMINAL"
	placeVar    = "TANDEM_LAB_PLACE"
)

// Terminal reports whether the outer run's standard output is a terminal. It is for use inside.
func Terminal() bool { return os.Getenv(terminalVar) != "" }

// Outside reports whether the program is still where it was started.
func Outside() bool { return os.Getenv(roleVar) == "" }

// Place returns where the lab runs: "vm" or "direct". Outside the lab it returns "".
func Place() string { return os.Getenv(placeVar) }

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// outsideFlags are the flags that name files of the outside, which the inner run does not see.
var outsideFlags = []string{
	"testlogfile", "coverprofile", "gocoverdir", "outputdir", "fuzzcachedir",
	"cpuprofile", "memprofile", "blockprofile", "mutexprofile", "trace",
}

// guestFlags returns the arguments without the flags that name files of the outside.
func guestFlags(args []string) []string {
	var kept []string
	for _, a := range args {
		name, _, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
		drop := false
		for _, f := range outsideFlags {
			drop = drop || name == "test."+f
		}
		if !drop {
			kept = append(kept, a)
		}
	}
	return kept
}

// testTimeout returns the value of -test.timeout, 0 for none.
func testTimeout() time.Duration {
	f := flag.Lookup("test.timeout")
	if f == nil {
		return 0
	}
	d, err := time.ParseDuration(f.Value.String())
	if err != nil {
		return 0
	}
	return d
}
