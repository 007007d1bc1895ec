// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestRelaxTimers(t *testing.T) {
	if err := relaxTimers(); err != nil {
		t.Fatal(err)
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	relaxed := 0
	for _, task := range tasks {
		got, err := os.ReadFile("/proc/" + task.Name() + "/timerslack_ns")
		if err == nil && strings.TrimSpace(string(got)) == strconv.Itoa(int(timerSlack)) {
			relaxed++
		}
	}
	// One new thread is possible: a thread without slack may have started it meanwhile.
	if relaxed < len(tasks)-1 {
		t.Errorf("%d of %d threads are relaxed", relaxed, len(tasks))
	}
}
