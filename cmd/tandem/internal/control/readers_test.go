// SPDX-License-Identifier: Apache-2.0

package control

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadersOnEachRoute: a member of control.group is answered on each route that reads, and refused on each that changes, before the
// director is asked anything. Who is in no group is refused everywhere, although the socket's mode lets everybody connect.
func TestReadersOnEachRoute(t *testing.T) {
	d := &fakeDirector{}
	_, s := serveSocket(t, d)
	if err := os.Chmod(filepath.Dir(filepath.Dir(filepath.Dir(s.path))), 0o755); err != nil { // of this test alone
		t.Fatal(err)
	}
	if err := os.Chmod(s.path, 0o666); err != nil {
		t.Fatal(err)
	}
	const reader, admin = 4711, 4712
	s.rights.Store(&rights{Permissions{"ops", "admins"}, &group{"ops", reader}, &group{"admins", admin}})
	readers, strangers := as(t, s, 4001, reader), as(t, s, 4001, 4001)
	reading, changing := 0, 0
	for _, r := range routes {
		if r.path == eventsPath {
			continue // it does not end; it is refused like the others
		}
		var body []byte
		if r.method == http.MethodPost {
			body = []byte("{}")
		}
		name := r.method + " " + r.path
		// A plan has a body, and changes nothing. All else with a body does.
		mayRead := r.method == http.MethodGet || r.path == planPath || r.path == peerPlanPath
		d.by, d.asked = "", nil
		_, err := readers.Do(t.Context(), r.method, r.path, body)
		switch {
		case mayRead && err != nil:
			t.Errorf("%s: a reader: %v", name, err)
		case mayRead:
			reading++
		case err == nil || !strings.Contains(err.Error(), "may read, but not change") || d.by != "" || d.asked != nil:
			t.Errorf("%s: a reader changes something: %v, asked %q by %q", name, err, d.asked, d.by)
		default:
			changing++
		}
		d.by, d.asked = "", nil
		if _, err := strangers.Do(t.Context(), r.method, r.path, body); err == nil || !strings.Contains(err.Error(), "may not use the control socket") || d.by != "" || d.asked != nil {
			t.Errorf("%s: a stranger: %v, asked %q by %q", name, err, d.asked, d.by)
		}
	}
	if reading == 0 || changing == 0 {
		t.Fatalf("%d routes read, %d change", reading, changing)
	}
	for _, path := range []string{planPath, peerPlanPath} {
		for what, c := range map[string]struct {
			body string
			want string
		}{
			"the text of a configuration": {`{"text": "x"}`, "without -c, tandem plan is for all who may read"},
			"the name of a file":          {`{"file": "/etc/shadow"}`, "without -c, tandem plan is for all who may read"},
			"as much as an admin":         {`{"text": "` + strings.Repeat("x", maxRequest) + `"}`, "http: request body too large"},
		} {
			d.asked = nil
			if _, err := readers.Do(t.Context(), http.MethodPost, path, []byte(c.body)); err == nil || !strings.Contains(err.Error(), c.want) || d.asked != nil {
				t.Errorf("%s: a reader sends %s: %.200v, asked %q", path, what, err, fmt.Sprint(d.asked))
			}
		}
		if _, err := as(t, s, 4001, admin).Do(t.Context(), http.MethodPost, path, []byte(`{"file": "/x", "text": "`+strings.Repeat("x", maxRequest)+`"}`)); err != nil {
			t.Errorf("%s: an admin: %.200v", path, err)
		}
	}
}
