// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/vrrp"
)

// TestHistoryOfManyServers: a crowd of servers that come and go does not push out what happens to the virtual routers.
func TestHistoryOfManyServers(t *testing.T) {
	c := newChronicle(t)
	c.said()
	for range 3000 {
		c.note(is(first, down))
		c.note(is(first, up))
	}
	c.elect(vrrp.Fault, "interface eth0 has no carrier")
	got := strings.Split(c.said(), "\n")
	if n := len(got); n < 1000 || n > 2600 {
		t.Errorf("%d events, want those of the first burst, and one each 10 s", n)
	}
	if last := got[len(got)-1]; last != "transition router web became fault: interface eth0 has no carrier" {
		t.Errorf("the last event is %q", last)
	}
	if !slices.ContainsFunc(got, func(line string) bool {
		return strings.HasPrefix(line, "warning director lb1 left out ") && strings.HasSuffix(line, "events of services and real servers: there were too many")
	}) {
		t.Error("nothing says that events are missing")
	}
}

// TestHistoryIsWritten: the status says when the disk does not take the history, and how many events are missing.
func TestHistoryIsWritten(t *testing.T) {
	c := newChronicle(t)
	file := func() HistoryFile { return c.s.Snapshot(c.now).StateDir.History }
	if got := file(); got.Problem != "the disk does not answer" {
		t.Errorf("never written: %+v", got)
	}
	c.note(HistoryStored{Upto: c.s.history.sent})
	if got := file(); got != (HistoryFile{}) {
		t.Errorf("written: %+v", got)
	}
	c.elect(vrrp.Backup, "startup")
	if got := file(); got != (HistoryFile{}) {
		t.Errorf("just sent: %+v", got)
	}
	c.note(HistoryStored{Problem: "no space left on device", Lost: 4})
	if got := file(); got != (HistoryFile{Problem: "no space left on device", Lost: 4}) {
		t.Errorf("full: %+v", got)
	}
}

func TestMergeRecorded(t *testing.T) {
	all := Recorded{}
	for i := range maxRecorded + 10 {
		all = MergeRecorded(all, Recorded{Events: []api.Event{{What: fmt.Sprint(i)}}, Upto: uint64(i + 1)})
	}
	if len(all.Events) != maxRecorded || all.Lost != 10 || all.Upto != maxRecorded+10 || all.Events[0].What != "10" {
		t.Errorf("%d events from %q on, %d lost, up to %d", len(all.Events), all.Events[0].What, all.Lost, all.Upto)
	}
}
