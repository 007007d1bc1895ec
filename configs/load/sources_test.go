// SPDX-License-Identifier: Apache-2.0

package load

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-lvs/tandem/configs"
)

const web = "[[vrrp]]\nname = \"web\"\ninterface = \"eth0\"\nvrid = 51\nvips = [\"192.0.2.100/24\"]\n"

// tree writes files below a new directory, with mode 0600, and returns it.
func tree(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func serviceNamed(name string) string {
	return "[[service]]\nname = \"" + name + "\"\nvirtual = { fwmark = " + name[1:] + " }\nserver = [{ address = \"192.0.2.11\" }]\n"
}

// TestGather: who has only what was gathered reads the same configuration as who has the disk, also with mistakes.
func TestGather(t *testing.T) {
	for _, tt := range []struct{ name, last, want string }{
		{"all is well", serviceNamed("s3"), "[s1 s2 s3] [director.lb1]"},
		{"a mistake", "weight = 3\n", "/more/3.toml:1: weight: unknown key; it is a key of "},
		{"a file that is missing", "include = [\"4.toml\"]\n", "/more/3.toml:1: include[0]: failed to read it: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t, map[string]string{
				"t.toml": "include = [\"services.d/*.toml\", \"none/*\"]\n" + web, "services.d/1.toml": serviceNamed("s1"),
				"services.d/2.toml": "include = [\"../more/3.toml\"]\n" + serviceNamed("s2"), "more/3.toml": tt.last,
			})
			path := filepath.Join(dir, "t.toml")
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			included := Gather(path, text)
			words := func(c *configs.Config, err error) string {
				if err != nil {
					return err.Error()
				}
				var names []string
				for _, s := range c.Services {
					names = append(names, s.Name)
				}
				return fmt.Sprint(names, c.SHA256, c.Warnings)
			}
			direct := words(As("lb1").File(path))
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			relayed := words(As("lb1").From(included).Text(path, text))
			if want := strings.Fields(tt.want)[0]; !strings.Contains(direct, want) {
				t.Errorf("from the disk: %s, want %s", direct, tt.want)
			}
			without := func(s string) string { // who has only what was gathered does not know why a file could not be read
				before, _, _ := strings.Cut(s, "failed to read it")
				return before
			}
			if without(relayed) != without(direct) {
				t.Errorf("gathered:\n%s\nfrom the disk:\n%s", relayed, direct)
			}
		})
	}
}

// TestDirectorsOfAFile: the names are known whatever mistakes there are, and each director has its own control socket.
func TestDirectorsOfAFile(t *testing.T) {
	dir := tree(t, map[string]string{
		"t.toml":   "include = [\"lb2.toml\"]\nmistake = 1\n[director.lb1]\n[control]\nsocket = \"/run/a\"\n",
		"lb2.toml": "[director.lb2]\ncontrol.socket = \"/run/b\"\n",
	})
	path := filepath.Join(dir, "t.toml")
	if names, err := Directors(path); err != nil || !slices.Equal(names, []string{"lb1", "lb2"}) {
		t.Errorf("%q, %v", names, err)
	}
	for name, want := range map[string]string{"lb1": "/run/a", "lb2": "/run/b", "nobody": "/run/a"} {
		if socket, err := As(name).Socket(path); err != nil || socket != want {
			t.Errorf("socket of %s: %s, %v", name, socket, err)
		}
	}
	if _, err := Directors(path + "x"); err == nil {
		t.Error("a missing file has directors")
	}
}

// TestLike: a reload reads the file for the same director.
func TestLike(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(tree(t, map[string]string{"t.toml": web + "[director.other]\nvrrp.web.priority = 7\n[director.\"" + host + "\"]\n"}), "t.toml")
	for name, priority := range map[string]uint8{"other": 7, "": 100} {
		first, err := As(name).File(path)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Like(first).File(path)
		if err != nil || again.Name != first.Name || again.Routers[0].Priority != priority {
			t.Errorf("%q: %v, %+v", name, err, again)
		}
	}
}

// TestSecrets: a password may be in a file that only its owner can read, or in a credential of systemd. It is never shown.
func TestSecrets(t *testing.T) {
	dir := tree(t, map[string]string{"good": "pass1234\n", "long": "Geheimnis-Geheimnis", "huge": strings.Repeat("Geheimnis", 1000), "open": "pass"})
	if err := os.Chmod(filepath.Join(dir, "open"), 0o644); err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return fmt.Sprintf("{ file = %q }", filepath.Join(dir, name)) }
	for _, tt := range []struct {
		name, value, credentials string
		want                     string // of the mistake
		review                   string // a warning instead
	}{
		{"a file", file("good"), "", "", ""},
		{"a credential", `{ credential = "good" }`, dir, "", ""},
		{"in a variable", `{ file = "${CREDENTIALS_DIRECTORY}/good" }`, dir, "", ""},
		{"a text", `"pass1234"`, "", "", ""},
		{"for all", file("open"), "", "auth_pass.file: DIR/open has mode 0644: other users have access to it; run: chmod 0600 DIR/open", ""},
		{"missing", file("none"), "", "auth_pass.file: DIR/none does not exist; put the text there: ", "auth_pass.file: DIR/none does not exist"},
		{"a credential that is missing", `{ credential = "none" }`, dir, "auth_pass.credential: DIR/none does not exist; ",
			"auth_pass.credential: DIR/none does not exist; write LoadCredential=none:/PATH in the unit"},
		{"no credentials", `{ credential = "good" }`, "", "auth_pass.credential: systemd has given no credentials, so good is missing; write LoadCredential=good:/PATH in the unit",
			"auth_pass.credential: /run/credentials/tandem.service/good does not exist"},
		{"no name of a credential", `{ credential = "../good" }`, dir, `auth_pass.credential: "../good" is not the name of a credential`, ""},
		{"a relative name", `{ file = "good" }`, dir, `auth_pass.file: "good" is not an absolute path`, ""},
		{"not valid", file("long"), "", "auth_pass.file: the text in DIR/long is not valid here: want 1 to 8 printable ASCII characters", ""},
		{"too large", file("huge"), "", "auth_pass.file: DIR/huge is larger than 4096 bytes", ""},
		{"both", `{ file = "/x", credential = "y" }`, "", "auth_pass: want a string, or a table with one of file and credential; ", ""},
		{"neither", `{ fil = "/x" }`, "", "auth_pass: want a string, or a table with one of file and credential; ", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("CREDENTIALS_DIRECTORY", tt.credentials)
			if tt.credentials == "" {
				if err := os.Unsetenv("CREDENTIALS_DIRECTORY"); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(dir, "t.toml")
			text := web + "version = 2\nauth_pass = " + tt.value + "\n"
			c, err := As("lb1").Text(path, []byte(text))
			r, review := As("lb1").ForReview().Text(path, []byte(text))
			said := strings.ReplaceAll(fmt.Sprint(err, review), dir, "DIR")
			if strings.Contains(said, "Geheimnis") {
				t.Errorf("the secret is shown: %s", said)
			}
			if tt.want == "" {
				if err != nil || review != nil || c.Routers[0].Password != "pass1234" || r.Routers[0].Password != "pass1234" {
					t.Errorf("%v, %v, %+v", err, review, c)
				}
				return
			}
			if !strings.HasPrefix(said, "DIR/t.toml:7: vrrp[0]."+tt.want) {
				t.Errorf("%s, want %s", said, tt.want)
			}
			if tt.review == "" {
				if review == nil {
					t.Error("accepted in a review")
				}
				return
			}
			if review != nil || !strings.Contains(strings.ReplaceAll(r.Warnings.Error(), dir, "DIR"), tt.review) {
				t.Errorf("in a review: %v, %+v, want %s", review, r, tt.review)
			}
		})
	}
}

// TestRecord: what was read is returned with the configuration, and its digest is that of the configuration. A file with mistakes
// has a digest too.
func TestRecord(t *testing.T) {
	dir := t.TempDir()
	file, part := filepath.Join(dir, "t.toml"), filepath.Join(dir, "part.inc")
	const text = "include = [\"*.inc\"]\n[[vrrp]]\ninterface = \"eth0\"\nvrid = 51\nvips = [\"192.0.2.100/24\"]\n"
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, text)
	write(part, "log.level = \"debug\"\n")
	c, was, sources, err := As("lb1").Record(file)
	if err != nil || string(was) != text || sources.Texts[part] != "log.level = \"debug\"\n" || len(sources.Matches) != 1 {
		t.Fatalf("%q, %+v, %v", was, sources, err)
	}
	if d := sources.Digest(file, was); d != c.SHA256 {
		t.Errorf("digest %s, want %s", d, c.SHA256)
	}
	if again, err := As("lb1").From(sources).Text(file, was); err != nil || again.SHA256 != c.SHA256 || again.Log.Level != "debug" {
		t.Errorf("from the record: %+v, %v", again, err)
	}
	write(part, "log.level = \"loud\"\n")
	_, was, broken, err := As("lb1").Record(file)
	if d := broken.Digest(file, was); err == nil || d == c.SHA256 || d == "" {
		t.Errorf("with a mistake: digest %s, %v", d, err)
	}
	write(file, "[")
	_, was, broken, err = As("lb1").Record(file)
	if d := broken.Digest(file, was); err == nil || d == "" {
		t.Errorf("not TOML: digest %s, %v", d, err)
	}
	if _, _, _, err = As("lb1").Record(file + "x"); err == nil {
		t.Error("a missing file")
	}
}
