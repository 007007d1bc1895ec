// SPDX-License-Identifier: Apache-2.0

package script

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/internal/probetest"
)

// Only a program that exits with 0 passes, whatever it prints. What it prints does not disturb the log.
func TestProgramsThatLie(t *testing.T) {
	tests := make(map[string]string) // reasons by scripts; empty: passes
	for code := 1; code < 256; code += 2 {
		tests[fmt.Sprintf("exit %d", code)] = fmt.Sprintf("exit code %d", code)
	}
	tests["exit 256"], tests["exit 512"] = "", "" // exit(3): only the low 8 bits reach the parent
	for _, signal := range []syscall.Signal{1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 24, 25, 26, 27, 29, 30, 31} {
		tests[fmt.Sprintf("ulimit -c 0; kill -%d $$", signal)] = "ended by a signal: " + signal.String()
	}
	for _, text := range []string{"OK", "up", "200", "exit 0", "exit code 0", "healthy", "HTTP/1.1 200 OK", "PASS", "true", "0"} {
		tests["echo "+text+"; exit 1"] = "exit code 1: " + text
		tests["echo "+text+" >&2; exit 2"] = "exit code 2: " + text
		tests["echo "+text+"; exit 0"] = ""
		tests["echo "+text+"; false"] = "exit code 1: " + text
	}
	for c := 1; c < 32; c++ {
		if c != '\n' {
			tests[fmt.Sprintf(`printf 'a\%03ob'; exit 1`, c)] = "exit code 1: a b"
		}
	}
	for _, script := range []string{"no-such-program", "/no/such/program", "./x"} {
		tests[script+" 2>/dev/null"] = "exit code 127"
	}
	tests["/etc 2>/dev/null"], tests["/etc/passwd 2>/dev/null"] = "exit code 126", "exit code 126"
	tests["exec /bin/false"], tests["exec /bin/true"], tests["true &"], tests["false &"], tests["false | true"], tests["true | false"] = "exit code 1", "", "", "", "", "exit code 1"
	if len(tests) < 200 {
		t.Errorf("%d scripts", len(tests))
	}
	// A director catches SIGHUP. So its programs begin with the default action, also where nohup(1) has started the director.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP)
	defer signal.Stop(caught)
	var wg sync.WaitGroup
	turn := make(chan struct{}, 4)
	for script, want := range tests {
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			res := probetest.Fail(want)
			if want == "" {
				res = healthcheck.Pass("exit code 0")
			}
			if got, _ := probeOnce(probetest.Shell(script)); got != res {
				t.Errorf("%s: %+v, want %+v", script, got, res)
			}
		})
	}
	wg.Wait()
}

// A tag identifies its director. Other values of the limit do not count as tags.
func TestTags(t *testing.T) {
	for _, tt := range []struct {
		space, start uint64
		pid          int
	}{{4026531836, 0, 1}, {1<<32 - 1, 1<<63 - 1, 1<<22 - 1}, {0, 12345, 4194303}} {
		own := directorTag(tt.space, tt.pid, tt.start)
		full := own<<numberBits | tag(low(1<<20, numberBits))
		if full.director() != own || full.pid() != tt.pid || uint64(full) >= 1<<63 || full>>56 != tagMagic {
			t.Errorf("%+v: %x, director %x, pid %d", tt, full, full.director(), full.pid())
		}
		if directorTag(tt.space, tt.pid, uint64(full)>>numberBits) != own || directorTag(tt.space+1, tt.pid, tt.start) == own || directorTag(tt.space, tt.pid, tt.start+1) == own {
			t.Errorf("%+v: taken for another", tt)
		}
	}
	if first, second := newTag(), newTag(); first == second {
		t.Error("two programs have one tag")
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_LOCKS, &limit); err != nil || limit.Cur != limit.Max {
		t.Errorf("%+v, %v", limit, err)
	}
}
