// SPDX-License-Identifier: Apache-2.0

package script

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// shell is a command that runs as the user of this process.
func shell(text string) Command {
	return Command{Args: []string{"/bin/sh", "-c", text}, User: strconv.Itoa(os.Geteuid())}
}

func TestCommands(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		lines        []string
		problem      string
	}{
		{"success", "echo one; echo; echo two >&2", []string{"one", "two"}, ""},
		{"failure", "echo why; exit 3", []string{"why"}, "exit code 3"},
		{"a signal", "kill -9 $$", nil, "ended by a signal: killed"},
		{"it hangs", "echo begun; sleep 100", []string{"begun"}, "it took too long, and was killed"},
		{"it prints without end", "yes", slices.Repeat([]string{"y"}, maxLines), "it took too long, and was killed; it printed more than 1 MiB"},
		{"what disturbs a log", "printf 'a\\033[2Jb\\n'", []string{"a [2Jb"}, ""},
		{"its own variables", `echo $TANDEM_EVENT; echo ${HOME:+home}`, []string{"master", "home"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			limit := 30 * time.Second
			if strings.Contains(tt.problem, "too long") {
				t.Parallel()
				limit = 2 * time.Second // on a busy machine it must print before that
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			c := shell(tt.script)
			c.Env = []string{"TANDEM_EVENT=master"}
			lines, err := c.Run(ctx)
			problem := ""
			if err != nil {
				problem = err.Error()
			}
			if problem != tt.problem || !slices.Equal(lines, tt.lines) {
				t.Errorf("%q, %q, want %q, %q", lines, problem, tt.lines, tt.problem)
			}
		})
	}
	if _, err := (Command{Args: []string{"/no/such"}, User: strconv.Itoa(os.Geteuid())}).Run(t.Context()); err == nil || err.Error() != "failed to run /no/such: no such file" {
		t.Error(err)
	}
}

// What a command leaves behind is dead when Run returns, so that the next one does not run beside it.
func TestCommandsThatFork(t *testing.T) {
	said := filepath.Join(t.TempDir(), "said")
	for name, tt := range map[string]struct {
		script string
		limit  time.Duration
	}{
		"in its process group": {"sleep 100 >/dev/null 2>&1 & echo $!", 30 * time.Second},
		"in a session, with output": {
			"setsid sh -c 'echo $$; : > " + said + "; sleep 100' & until [ -e " + said + " ]; do sleep 0.01; done", 30 * time.Second,
		},
		"and it hangs": {"setsid sh -c 'echo $$; sleep 100' >&1 & sleep 100", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
			defer cancel()
			lines, _ := shell(tt.script).Run(ctx)
			if len(lines) != 1 {
				t.Fatalf("%q", lines)
			}
			pid, err := strconv.Atoi(lines[0])
			if err != nil {
				t.Fatal(err)
			}
			if is, err := statOf(pid); err == nil && !is.zombie {
				t.Errorf("%d is alive", pid)
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		})
	}
}

// Only a command that may start services gains privileges by set-user-ID programs, and is no better to kill than the director.
func TestCommandsThatStartServices(t *testing.T) {
	own, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range []bool{false, true} {
		c := shell("sleep 0.1; grep NoNewPrivs /proc/self/status; cat /proc/self/oom_score_adj")
		c.Service = service
		want := []string{"NoNewPrivs: 1", "1000"}
		if service {
			want = []string{"NoNewPrivs: 0", strings.TrimSpace(string(own))}
		}
		if lines, err := c.Run(t.Context()); err != nil || !slices.Equal(lines, want) {
			t.Errorf("%q, %v, want %q", lines, err, want)
		}
	}
}

func TestUnsafePaths(t *testing.T) {
	for _, tt := range []struct {
		owner, mode uint32
		want        string
	}{
		{0, unix.S_IFREG | 0o755, ""},
		{0, unix.S_IFREG | 0o757, "/x is writable by others than root"},
		{0, unix.S_IFREG | 0o775, "/x is writable by others than root"},
		{1, unix.S_IFREG | 0o755, "/x belongs to user 1"},
		{0, unix.S_IFDIR | 0o777, "/x is writable by others than root"},
		{0, unix.S_IFDIR | unix.S_ISVTX | 0o777, ""}, // like /tmp
	} {
		if err := unsafePath("/x", tt.owner, tt.mode); tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	if got, want := parents("/usr/bin/true"), []string{"/", "/usr", "/usr/bin", "/usr/bin/true"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
