// SPDX-License-Identifier: Apache-2.0

package board

import (
	"fmt"
	"testing"
)

func TestBoardIsShared(t *testing.T) {
	director, file, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer director.Close()
	election, err := Open(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	election.Slot("eth0", "web").Store(7)
	election.Slot("eth1", "web").Store(8)
	election.Slot("eth0", "web").Add(1)
	if err := election.Close(); err != nil { // the process is killed
		t.Fatal(err)
	}
	for _, tt := range []struct {
		iface, router string
		want          int64
	}{{"eth0", "web", 8}, {"eth1", "web", 8}, {"eth0", "other", 0}} {
		if got := director.Spoke(tt.iface, tt.router); got != tt.want {
			t.Errorf("%s %s: %d, want %d", tt.iface, tt.router, got, tt.want)
		}
	}
}

func TestBoardIsFull(t *testing.T) {
	b, file, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	defer b.Close()
	for i := range slots {
		b.Slot("eth0", fmt.Sprint(i)).Store(int64(i + 1))
	}
	for i := range slots {
		if got := b.Spoke("eth0", fmt.Sprint(i)); got != int64(i+1) {
			t.Errorf("router %d has %d", i, got)
		}
	}
	if b.Slot("eth0", "one more") != nil || b.Spoke("eth0", "one more") != 0 {
		t.Error("there is room for one more")
	}
}

func TestOpenSomethingElse(t *testing.T) {
	if _, err := Open(-1); err == nil {
		t.Error("no descriptor is a board")
	}
}
