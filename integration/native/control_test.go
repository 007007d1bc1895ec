// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

// The groups of TestControlSocket, which the lab has, and a user that is in none of them.
const (
	readers, admins       = "www-data", "adm"
	readersGID, adminsGID = 33, 4
	nobody                = 65534
)

// withGroups adds groups to a director's [control]; without names, it removes them.
func withGroups(t *testing.T, d *lab.Director, group, admin string) {
	t.Helper()
	text, err := os.ReadFile(d.File)
	if err != nil {
		t.Fatal(err)
	}
	head, tail, _ := strings.Cut(string(text), "[control]\n")
	_, tail, _ = strings.Cut(tail, "socket = ")
	keys := ""
	if group != "" {
		keys = fmt.Sprintf("group = %q\nadmin_group = %q\n", group, admin)
	}
	d.WriteFile("tandem.toml", head+"[control]\n"+keys+"socket = "+tail)
}

// asUser runs tandem as nobody with further groups.
func asUser(d *lab.Director, groups []uint32, args ...string) (string, error) {
	cmd := exec.Command(lab.Tandem.Path(), append(args, "--socket", d.Socket)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody, Groups: groups}}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestControlSocket: an unprivileged user reads only what the group may, and changes only with the other group; each change has
// the user's name. 100 statuses at once delay no advertisement. A reload takes the right away.
func TestControlSocket(t *testing.T) {
	t.Parallel()
	d := lab.NewDuo(t, lab.DuoSettings{})
	withGroups(t, d.A, readers, admins)
	openToAll(t, d.A.Dir(), filepath.Dir(lab.Tandem.Path()))
	d.Launch()
	reader, admin := []uint32{readersGID}, []uint32{adminsGID}
	d.Eventually(5*time.Second, "the groups are in force", func() error {
		_, err := asUser(d.A, reader, "status")
		return err
	})
	secret := d.A.WriteFile("other.toml", "name = \"lb1\"\n")
	if err := os.Chmod(secret, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		groups []uint32
		args   []string
		want   string // in the output
		fails  bool
	}{
		{nil, []string{"status"}, "no permission to use the control socket", true},
		{nil, []string{"status", "--check"}, "TANDEM UNKNOWN: no permission", true},
		{reader, []string{"status", "--check"}, "TANDEM OK: director-a: master of 1 of 1 virtual router | masters=1;", false},
		{reader, []string{"history"}, "web became master", false},
		{reader, []string{"why", "web"}, "director-a became master", false},
		{reader, []string{"plan"}, "a reload changes nothing", false},
		{reader, []string{"plan", "-c", secret}, "nobody may read, but not change: this is for root and the members of the group " + admins, true},
		{reader, []string{"failover"}, "nobody may read, but not change: this is for root and the members of the group " + admins, true},
		{reader, []string{"reload"}, "nobody may read, but not change", true},
		{admin, []string{"failover", "web"}, "web: handed over", false},
		{admin, []string{"history"}, "web must hand over: nobody", false},
		{admin, []string{"release"}, "web: takes part again", false},
	} {
		out, err := asUser(d.A, c.groups, c.args...)
		if (err != nil) != c.fails || !strings.Contains(out, c.want) {
			t.Errorf("groups %v, tandem %v: %v, %s; want %q", c.groups, c.args, err, out, c.want)
		}
	}
	d.A.Process().AwaitOutput(5*time.Second, "user=nobody")
	d.AwaitMaster(d.A)
	manyStatuses(t, d)

	withGroups(t, d.A, "", "")
	reload(d.Lab, d.A)
	d.Eventually(5*time.Second, "the group is no longer in force", func() error {
		if out, err := asUser(d.A, reader, "status"); err == nil || !strings.Contains(out, "no permission") {
			return fmt.Errorf("%s, %w", out, errNotYet)
		}
		return nil
	})
}

// manyStatuses asks the master 100 times at once, while a client asks the VIP, and checks its advertisements.
func manyStatuses(t *testing.T, d lab.Duo) {
	t.Helper()
	const atOnce = 100
	heard := d.Client.Capture("eth0", lab.Frame.IsVRRP)
	probe := d.Steady()
	awaitAdvert := func(after time.Time) {
		d.Eventually(5*time.Second, "director-a advertises itself", func() error {
			if len(from(heard.Frames(), d.A.Host, after)) == 0 {
				return errNotYet
			}
			return nil
		})
	}
	awaitAdvert(time.Time{})
	var failed sync.Map
	var all sync.WaitGroup
	began := time.Now()
	for range atOnce {
		all.Go(func() {
			if _, err := d.A.Status(); err != nil {
				failed.Store(err.Error(), true)
			}
		})
	}
	all.Wait()
	ended := time.Now()
	failed.Range(func(err, _ any) bool {
		t.Errorf("one of %d statuses at once: %v", atOnce, err)
		return true
	})
	// The status has the longest time since the start, with all the stalls that this prober does not see.
	awaitAdvert(ended)
	out := probe.Stop()
	longest := lab.LongestGap(from(heard.Frames(), d.A.Host, time.Time{}), began, ended)
	d.Logf("%d statuses at once took %s; longest time between two advertisements %s; the machine stalled for %dms",
		atOnce, ended.Sub(began), longest, out.Stalled())
	if limit := 150*time.Millisecond + time.Duration(out.Stalled())*time.Millisecond; longest > limit {
		t.Errorf("the longest time between two advertisements is %s, want at most %s: the interval is 100ms", longest, limit)
	}
	if d.B.State() != "backup" {
		t.Error("the backup has taken over")
	}
}
