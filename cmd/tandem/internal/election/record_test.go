// SPDX-License-Identifier: Apache-2.0

package election

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/state"
	"github.com/tandem-lvs/tandem/vrrp"
)

// TestDamagedRecordCountsAsAll: neighbours may have this machine's address for what a record says. If a record is damaged, that is
// for every address of the first order: a backup announces them for the first master that it hears. Without the file, as on a new
// machine, it announces nothing.
func TestDamagedRecordCountsAsAll(t *testing.T) {
	const damaged = "{\"version\": 1, \"val"
	web, mail := routers("192.0.2.100/24")[0].Config, routers("192.0.2.101/24")[0].Config
	web.Name, mail.Name, mail.VRID = "web", "mail", 52
	for name, tt := range map[string]struct {
		addresses, givenUp string // "": there is no file; "web": it has that router
		want               []string
	}{
		"no files":                           {"", "", nil},
		"a killed election had one":          {"web", "", []string{"web"}},
		"one was given up":                   {"", "web", []string{"web"}},
		"the addresses cannot be read":       {damaged, "", []string{"mail", "web"}},
		"those given up cannot be read":      {"", damaged, []string{"mail", "web"}},
		"only one of the files can be read":  {damaged, "web", []string{"mail", "web"}},
		"only the other file can be read":    {"web", damaged, []string{"mail", "web"}},
		"neither of the files can be read":   {damaged, damaged, []string{"mail", "web"}},
		"a clean end, everything was handed": {"none", "none", nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, content := range map[string]string{"election.json": tt.addresses, "given-up.json": tt.givenUp} {
				path, err := filepath.Join(dir, file), error(nil)
				switch content {
				case "":
				case "web":
					err = state.New[[]vrrp.Config](path, state.Options{}).Store([]vrrp.Config{web})
				case "none":
					err = state.New[[]vrrp.Config](path, state.Options{}).Store(nil)
				default:
					err = os.WriteFile(path, []byte(content), 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			p := NewProcess(nil, Options{Log: hclog.NewNullLogger()})
			defer p.life.Stop()
			p.record = openRecord[vrrp.Config](dir, "election.json", ownAddresses, p.log)
			p.givenUpRecord = openRecord[vrrp.Config](dir, "given-up.json", ownAddresses, p.log)
			p.setFormer(<-p.record.former)
			p.setFormerlyGivenUp(<-p.givenUpRecord.former)
			p.recordAddresses([]vrrp.Config{web, mail})
			if got := namesOf(p.newlyGivenUp); !slices.Equal(got, tt.want) {
				t.Errorf("may be known to neighbours: %q, want %q", got, tt.want)
			}
			p.newlyGivenUp = nil
			p.recordAddresses([]vrrp.Config{web, mail})
			if got := namesOf(p.newlyGivenUp); len(got) > 0 {
				t.Errorf("after a further order: %q", got)
			}
			p.record.close()
			p.givenUpRecord.close()
		})
	}
}

// namesOf returns the names of the routers, sorted, each once.
func namesOf(routers []vrrp.Config) (names []string) {
	for _, c := range routers {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
