// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io/fs"
	"testing"
	"time"
)

// TestLongest: an outage is from the first question without an answer to the next one with an answer.
func TestLongest(t *testing.T) {
	lost := errors.New("lost")
	begin := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		errs   []error
		length time.Duration
		lost   int
	}{
		{"none", nil, 0, 0},
		{"all answered", []error{nil, nil, nil}, 0, 0},
		{"one", []error{nil, lost, nil}, time.Second, 1},
		{"two times", []error{lost, nil, lost, lost, lost, nil, nil}, 3 * time.Second, 4},
		{"not over", []error{nil, nil, lost, lost, lost}, 2 * time.Second, 3},
	} {
		var all []asked
		for i, err := range tt.errs {
			all = append(all, asked{begin.Add(time.Duration(i) * time.Second), err})
		}
		if o := longest(all); o.length != tt.length || o.lost != tt.lost || o.asked != len(all) {
			t.Errorf("%s: %+v", tt.name, o)
		}
	}
}

// TestSubjects: the subjects of both programs say which director, which virtual router and which state.
func TestSubjects(t *testing.T) {
	for subject, want := range map[string][3]string{
		"[director-a] router ipv4: master":                             {"director-a", "ipv4", "master"},
		"[director-b] VRRP Instance ipv6 - Entering BACKUP state":      {"director-b", "ipv6", "BACKUP"},
		"[director-b] VRRP Instance ipv6 - Now in FAULT state":         {"director-b", "ipv6", "FAULT"},
		"[director-a] service www: quorum_lost":                        {},
		"[director-b] Realserver [192.0.2.11]:tcp:80 - DOWN":           {},
		"[director-b] VRRP Instance ipv4 - Priority changed to 100, x": {},
	} {
		var got [3]string
		if found := aboutState.FindStringSubmatch(subject); found != nil {
			got = [3]string(found[1:])
		}
		if got != want {
			t.Errorf("%q: %q, want %q", subject, got, want)
		}
	}
}

// TestAnswers: the address in an answer tells which director has asked.
func TestAnswers(t *testing.T) {
	for answer, want := range map[string]string{"web-1 192.0.2.2": "a", "web-1 198.51.100.3": "b", "web-1 192.0.2.9": "", "": "", "web-1": ""} {
		if got := throughDirector(answer); got != want {
			t.Errorf("%q: %q, want %q", answer, got, want)
		}
	}
}

// TestDeploymentsHaveFiles: each deployment has a file for both directors, and each folder is of a deployment.
func TestDeploymentsHaveFiles(t *testing.T) {
	known := make(map[string]bool)
	for _, d := range deployments() {
		known[d.name] = true
		for _, machine := range []string{"a", "b"} {
			if _, err := fs.Stat(testdata, "testdata/"+d.name+"/"+machine+"/keepalived.conf"); err != nil {
				t.Error(err)
			}
		}
		if d.priority["a"] == 0 || d.priority["b"] == 0 || d.advert == 0 || len(d.vips) == 0 || d.build == nil {
			t.Errorf("%s lacks something: %+v", d.name, d)
		}
	}
	folders, err := fs.ReadDir(testdata, "testdata")
	if err != nil || len(folders) != len(known) || len(known) != 10 {
		t.Errorf("%d folders for %d deployments: %v", len(folders), len(known), err)
	}
	for _, f := range folders {
		if !known[f.Name()] {
			t.Errorf("%s is of no deployment", f.Name())
		}
	}
}
