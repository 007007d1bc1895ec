// SPDX-License-Identifier: Apache-2.0

package load

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/configs"
)

// TestKeys: a file that another user could read or replace is refused, and what is in it is never shown.
func TestKeys(t *testing.T) {
	const secret = "Geheimnis-Geheimnis-Geheimnis-Geheimnis"
	digits := "hex:" + strings.Repeat("a5", 32)
	for _, tt := range []struct {
		name   string
		text   string
		mode   os.FileMode
		octets int
		want   string // of the mistake
		absent bool   // only a warning in a review
	}{
		{"digits", digits, 0o600, 32, "", false},
		{"digits and the end of a line", digits + "\n", 0o400, 32, "", false},
		{"octets", secret + "\n", 0o600, len(secret), "", false},
		{"for the group", secret, 0o640, 0, "has mode 0640: other users have access to it; run: chmod 0600 ", false},
		{"for all", secret, 0o604, 0, "has mode 0604: other users have access to it", false},
		{"short", secret[:31], 0o600, 0, "has a key of 31 octets: want 32 to 64; make a key with: ", false},
		{"long", strings.Repeat(secret, 2), 0o600, 0, "has a key of more than 64 octets", false},
		{"very long", strings.Repeat(secret, 100), 0o600, 0, "has a key of more than 64 octets", false},
		{"no digits", "hex:" + secret, 0o600, 0, "has something other than pairs of hexadecimal digits after hex:", false},
		{"half a pair", digits[:len(digits)-1], 0o600, 0, "has something other than pairs of hexadecimal digits after hex:", false},
		{"missing", "", 0, 0, "does not exist; make a key with: ", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			key, file := filepath.Join(dir, "1.key"), filepath.Join(dir, "tandem.toml")
			var err error
			if tt.mode != 0 {
				err = errors.Join(os.WriteFile(key, []byte(tt.text), 0o600), os.Chmod(key, tt.mode))
			}
			text := "name = \"lb1\"\n[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvips = [\"192.0.2.100\", \"2001:db8::1\"]\nhmac.key = [{ id = 1, file = \"" + key + "\" }]\n"
			if err := errors.Join(err, os.WriteFile(file, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
			c, err := As("").File(file)
			said := fmt.Sprintf("%v %+v", err, c)
			if strings.Contains(said, "Geheimnis") || strings.Contains(said, "a5a5a5") {
				t.Errorf("the key is shown: %s", said)
			}
			if tt.want == "" {
				if err != nil || c.Routers[0].HMAC.Keys[0].Secret.Len() != tt.octets || c.Routers[1].HMAC.Keys[0].Secret.Len() != tt.octets {
					t.Errorf("%v, %+v", err, c)
				}
				return
			}
			var ms configs.Mistakes
			if !errors.As(err, &ms) || len(ms) != 1 || ms[0].Line != 6 || !strings.Contains(ms[0].Error(), "vrrp[0].hmac.key[0].file: "+key+" "+tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			c, err = As("").ForReview().File(file)
			if tt.absent != (err == nil) || tt.absent && (len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0].Error(), tt.want)) {
				t.Errorf("in a review: %v, %+v", err, c)
			}
		})
	}
}

func TestOwner(t *testing.T) {
	for _, tt := range []struct {
		mode        os.FileMode
		owner, user uint32
		want        string
	}{
		{0o600, 0, 0, ""}, {0o400, 0, 1000, ""}, {0o600, 1000, 1000, ""},
		{0o600, 1000, 0, "belongs to user 1000, who can replace the key"}, {0o600, 1000, 1001, "belongs to user 1000, who can replace the key"},
		{0o601, 0, 0, "has mode 0601: other users have access to it"}, {os.ModeNamedPipe | 0o600, 0, 0, "is not a regular file"},
	} {
		got := ""
		if no := exposed("/k", tt.mode, tt.owner, tt.user); no != nil {
			got = no.problem
		}
		if got != tt.want {
			t.Errorf("%s of %d for %d: %q, want %q", tt.mode, tt.owner, tt.user, got, tt.want)
		}
	}
}

// TestNewIDNeedsNewKey: rotating to the same key is a mistake; another virtual router may have it.
func TestNewIDNeedsNewKey(t *testing.T) {
	dir := t.TempDir()
	var names [2]string
	for i := range names {
		names[i] = filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(names[i], []byte(strings.Repeat("k", 32)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	vr := func(vrid, keys string) string {
		return "[[vrrp]]\ninterface = \"eth0\"\nvrid = " + vrid + "\nvips = [\"192.0.2." + vrid + "\"]\nhmac.active_key = 1\nhmac.key = [" + keys + "]\n"
	}
	key := func(id, i int) string { return fmt.Sprintf("{ id = %d, file = %q }", id, names[i]) }
	file := filepath.Join(dir, "tandem.toml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(vr("51", key(1, 0)) + vr("52", key(1, 1)))
	if _, err := As("").File(file); err != nil {
		t.Error(err)
	}
	write(vr("51", key(1, 0)+", "+key(2, 1)))
	if _, err := As("").File(file); err == nil || !strings.Contains(err.Error(), names[1]+" has the same key as "+names[0]+"; a new id needs a new key") {
		t.Error(err)
	}
}
