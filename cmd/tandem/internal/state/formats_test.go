// SPDX-License-Identifier: Apache-2.0

package state_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/hooks"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/revision"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/state"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/kernel"
	"github.com/tandem-lvs/tandem/lvs/realserver"
)

var flat = state.Options{Flat: true}

// roundTrip loads a file of an earlier version, compares its value, and stores it again without a change.
func roundTrip[T any](t *testing.T, o state.Options, text, value string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := state.New[T](path, o)
	v, err := f.Load()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := json.Marshal(v); err != nil || string(got) != value {
		t.Errorf("loaded %s, %v, want %s", got, err, value)
	}
	if err := f.Store(v); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("stored again as\n%s%v", got, err)
	}
}

// TestFilesOfEarlierVersions: the format of each file in the state directory has not changed.
func TestFilesOfEarlierVersions(t *testing.T) {
	t.Run("ipvs-owned.json", func(t *testing.T) {
		roundTrip[kernel.Owned](t, flat, `{
  "version": 1,
  "services": [
    "tcp 192.0.2.100:80",
    "fwmark 1 (ipv4)"
  ]
}
`, `{"services":["tcp 192.0.2.100:80","fwmark 1 (ipv4)"]}`)
	})
	t.Run("ipvs-sync.json", func(t *testing.T) {
		roundTrip[kernel.OwnedSync](t, flat, `{
  "version": 1,
  "master": {
    "interface": "eth0",
    "id": 51
  }
}
`, `{"master":{"interface":"eth0","id":51}}`)
	})
	t.Run("sysctls.json", func(t *testing.T) {
		roundTrip[kernel.FormerSysctls](t, flat, `{
  "version": 1,
  "former": {
    "expire_nodest_conn": "0",
    "sync_threshold": "3 50"
  }
}
`, `{"former":{"expire_nodest_conn":"0","sync_threshold":"3 50"}}`)
	})
	t.Run("ingress.json", func(t *testing.T) {
		roundTrip[map[string]lvs.ChangedSetting](t, state.Options{}, `{
  "version": 1,
  "value": {
    "net/ipv4/conf/eth0/accept_local": {
      "former": "0",
      "ours": "1"
    }
  }
}
`, `{"net/ipv4/conf/eth0/accept_local":{"former":"0","ours":"1"}}`)
	})
	t.Run("timeouts.json", func(t *testing.T) {
		roundTrip[map[string]lvs.ChangedSetting](t, state.Options{}, `{
  "version": 1,
  "value": {
    "lvs/timeouts/tcp": {
      "former": "15m0s",
      "ours": "1h0m0s"
    }
  }
}
`, `{"lvs/timeouts/tcp":{"former":"15m0s","ours":"1h0m0s"}}`)
	})
	t.Run("realserver.json", func(t *testing.T) {
		roundTrip[realserver.Saved](t, flat, `{
  "version": 1,
  "record": {
    "boot": "0d9d\n",
    "sysctls": {
      "net/ipv4/conf/all/arp_ignore": "0\n"
    },
    "added": [
      {
        "interface": "lo",
        "prefix": "192.0.2.100/32"
      }
    ]
  }
}
`, `{"record":{"boot":"0d9d\n","sysctls":{"net/ipv4/conf/all/arp_ignore":"0\n"},"added":[{"interface":"lo","prefix":"192.0.2.100/32"}]}}`)
	})
	t.Run("hooks.json", func(t *testing.T) {
		roundTrip[hooks.Records](t, state.Options{}, `{
  "version": 1,
  "value": {
    "router web": {
      "state": "master",
      "told": {
        "web/notify": ""
      }
    }
  }
}
`, `{"router web":{"state":"master","told":{"web/notify":""}}}`)
	})
	t.Run(drill.ReportsFile, func(t *testing.T) {
		roundTrip[[]drill.Report](t, state.Options{}, `{
  "version": 1,
  "value": [
    {
      "kind": "freeze",
      "director": "lb1",
      "peer": "lb2",
      "began": "2026-11-22T04:00:00Z",
      "ended": "2026-11-22T04:00:20Z",
      "passed": true,
      "did": [],
      "routers": [],
      "outage_seconds": 3.6,
      "compared": 9,
      "changed": [],
      "failures": []
    }
  ]
}
`, `[{"kind":"freeze","director":"lb1","peer":"lb2","began":"2026-11-22T04:00:00Z","ended":"2026-11-22T04:00:20Z","passed":true,"did":[],`+
			`"routers":[],"outage_seconds":3.6,"compared":9,"changed":[],"failures":[]}]`)
	})
	t.Run("revisions.json", func(t *testing.T) {
		roundTrip[revision.State](t, state.Options{}, `{
  "version": 1,
  "value": {
    "revisions": [
      {
        "number": 7,
        "at": "2026-11-22T12:00:00Z",
        "file": "/etc/tandem/tandem.toml",
        "sha256": "9c1f",
        "size": 100,
        "how": "start"
      },
      {
        "number": 8,
        "at": "2026-11-22T12:05:00Z",
        "file": "/etc/tandem/tandem.toml",
        "sha256": "a0b1",
        "size": 100,
        "how": "rollback",
        "of": 6,
        "lines": [
          "~ virtual router web: priority 150 → 90"
        ],
        "changes": 1
      }
    ],
    "own": "a0b1",
    "waiting": {
      "former": 7,
      "until": "2026-11-22T12:10:00Z",
      "end": {
        "id": "0d9d",
        "clock_ns": 3600000000000
      }
    }
  }
}
`, `{"revisions":[{"number":7,"at":"2026-11-22T12:00:00Z","file":"/etc/tandem/tandem.toml","sha256":"9c1f","size":100,"how":"start"},`+
			`{"number":8,"at":"2026-11-22T12:05:00Z","file":"/etc/tandem/tandem.toml","sha256":"a0b1","size":100,"how":"rollback","of":6,`+
			`"lines":["~ virtual router web: priority 150 → 90"],"changes":1}],"own":"a0b1",`+
			`"waiting":{"former":7,"until":"2026-11-22T12:10:00Z","end":{"id":"0d9d","clock_ns":3600000000000}}}`)
	})
	t.Run("revisions/9c1f.json", func(t *testing.T) {
		roundTrip[revision.Files](t, state.Options{}, `{
  "version": 1,
  "value": {
    "file": "/etc/tandem/tandem.toml",
    "text": "include = [\"*.inc\"]\n",
    "matches": {
      "/etc/tandem/*.inc": [
        "/etc/tandem/a.inc"
      ]
    },
    "included": {
      "/etc/tandem/a.inc": "\n"
    }
  }
}
`, `{"file":"/etc/tandem/tandem.toml","text":"include = [\"*.inc\"]\n","matches":{"/etc/tandem/*.inc":["/etc/tandem/a.inc"]},"included":{"/etc/tandem/a.inc":"\n"}}`)
	})
	t.Run("standby.json", func(t *testing.T) {
		roundTrip[[]string](t, state.Options{}, "{\n  \"version\": 1,\n  \"value\": [\n    \"web\"\n  ]\n}\n", `["web"]`)
	})
}

// TestValuesThatMakeNoSense: a file is damaged if it parses but names something that does not exist.
func TestValuesThatMakeNoSense(t *testing.T) {
	for text, load := range map[string]func(path string) error{
		`{"version":1,"services":["192.0.2.100:80"]}`:           loading[kernel.Owned](flat),
		`{"version":2,"services":[]}`:                           loading[kernel.Owned](flat),
		`{"version":1,"former":{"../x":"1"}}`:                   loading[kernel.FormerSysctls](flat),
		`{"version":1,"former":{"pmtu_disc":"9"}}`:              loading[kernel.FormerSysctls](flat),
		`{"version":1,"value":{"router web":{"state":"boss"}}}`: loading[hooks.Records](state.Options{}),
		`{"version":1,"value":{"web":{"state":"master"}}}`:      loading[hooks.Records](state.Options{}),
		`{"version":1,"value":{"revisions":[{"number":1}]}}`:    loading[revision.State](state.Options{}),
		`{"version":1,"value":{"waiting":{"former":1}}}`:        loading[revision.State](state.Options{}),
	} {
		path := filepath.Join(t.TempDir(), "file.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := load(path); !errors.Is(err, state.ErrDamaged) {
			t.Errorf("%s: %v", text, err)
		}
		aside, err := filepath.Glob(path + ".damaged-*")
		if err != nil || len(aside) != 1 {
			t.Fatalf("%s: set aside as %v, %v", text, aside, err)
		}
		if kept, err := os.ReadFile(aside[0]); err != nil || string(kept) != text {
			t.Errorf("%s: kept %s, %v", text, kept, err)
		}
	}
}

func loading[T any](o state.Options) func(path string) error {
	return func(path string) error {
		_, err := state.New[T](path, o).Load()
		return err
	}
}

func TestRealServersRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "realserver.json")
	f := state.New[realserver.Saved](path, state.Options{Flat: true, KeepDamaged: true, NoZero: true, Mode: 0o644})
	if err := f.Store(realserver.Saved{Record: realserver.Record{Boot: "x"}}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v", info, err)
	}
	for range 2 { // the second time there is none
		if err := f.Store(realserver.Saved{}); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("an empty record has a file: %v", err)
		}
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(); !errors.Is(err, state.ErrDamaged) || !strings.Contains(err.Error(), path) {
		t.Errorf("damaged: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the damaged record is gone: %v", err)
	}
}

// FuzzLoad: any file is either loaded or damaged.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"version":1,"services":["tcp 192.0.2.100:80","fwmark 1 (ipv4)"]}`))
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "file.json")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		file := state.New[kernel.Owned](path, state.Options{Flat: true})
		owned, err := file.Load()
		if err != nil && !errors.Is(err, state.ErrDamaged) {
			t.Fatal(err)
		}
		for _, s := range owned.Services {
			if id, err := lvs.ParseServiceID(s); err != nil || id.FWMark == 0 && !id.Addr.IsValid() {
				t.Errorf("%q holds %q: %v", data, s, err)
			}
		}
	})
}
