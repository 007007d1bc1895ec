// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/lab/report"
)

// A snapshot is what a drill must leave as it was, a line each: of both machines, and of what both directors say.
type snapshot []string

func (s *site) snapshot() (all snapshot) {
	for _, d := range []*lab.Director{s.a, s.b} {
		for _, lines := range []snapshot{machine(d), said(d)} {
			for _, line := range lines {
				all = append(all, d.Name+": "+line)
			}
		}
	}
	slices.Sort(all)
	return all
}

// machine is what is so on a director's machine.
func machine(d *lab.Director) (all snapshot) {
	for _, command := range []string{"ip -oneline address", "ip -oneline link", "ip route show table all", "ip -6 route show table all", "ip rule",
		"nft list ruleset"} {
		words := strings.Fields(command)
		out, err := d.TryRun(words[0], words[1:]...)
		if err != nil {
			out = err.Error()
		}
		for line := range strings.Lines(out) {
			all = append(all, fmt.Sprintf("%s: %s", command, strings.Join(strings.Fields(line), " ")))
		}
	}
	for line := range strings.Lines(d.Table()) {
		all = append(all, "ipvs: "+strings.TrimSpace(line))
	}
	return append(append(all, processes(d)...), immutable(d)...)
}

// processes are those of tandem, without those of this look.
func processes(d *lab.Director) (all snapshot) {
	for _, pid := range d.Pids() {
		command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		status, statErr := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		words := strings.Split(string(command), "\x00")
		if err != nil || statErr != nil || len(words) < 2 || filepath.Base(words[0]) != filepath.Base(d.Program()) {
			continue
		}
		state := "running"
		if strings.Contains(string(status), "\nState:\tT") {
			state = "stopped"
		}
		all = append(all, fmt.Sprintf("process: %s: %s", words[1], state))
	}
	return all
}

// immutable are the files of the state that refuse to be written.
func immutable(d *lab.Director) (all snapshot) {
	const flag = 0x10 // FS_IMMUTABLE_FL
	dir := filepath.Join(d.Dir(), "state")
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() && !e.Type().IsRegular() {
			return nil
		}
		file, err := os.Open(path)
		if err != nil {
			return nil
		}
		defer file.Close()
		if flags, err := unix.IoctlGetUint32(int(file.Fd()), unix.FS_IOC_GETFLAGS); err == nil && flags&flag != 0 {
			all = append(all, "immutable: "+path)
		}
		return nil
	})
	return all
}

// said is what a director says of itself.
func said(d *lab.Director) (all snapshot) {
	out, err := d.TryRun(d.Program(), "status", "--json", "--socket", d.Socket)
	var is struct {
		VRRP []struct {
			Name, State string
			Standby     bool
			HandingOver bool `json:"handing_over"`
			Priority    int  `json:"effective_priority"`
		}
		Services []struct {
			Name    string
			Servers []struct {
				Address, Health, Note string
				Weight                int `json:"effective_weight"`
			}
		}
		Peer *struct{ To, From struct{ Up bool } }
	}
	if err = errors.Join(err, json.Unmarshal([]byte(out), &is)); err != nil {
		return snapshot{"no status"}
	}
	for _, r := range is.VRRP {
		all = append(all, fmt.Sprintf("router: %+v", r))
	}
	for _, v := range is.Services {
		for _, server := range v.Servers {
			all = append(all, fmt.Sprintf("server: %s: %+v", v.Name, server))
		}
	}
	if is.Peer != nil {
		all = append(all, fmt.Sprintf("channel: %+v", *is.Peer))
	}
	return all
}

// differs waits until all is as before, and returns what is not.
func (s *site) differs(before snapshot, limit time.Duration) (text string) {
	for end := time.Now().Add(limit); ; {
		if text = compare(before, s.snapshot()); text == "" || time.Now().After(end) {
			return text
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// compare returns the lines that are gone, and those that are new.
func compare(before, after snapshot) string {
	return strings.Join(report.Differences(before, after), "\n")
}
