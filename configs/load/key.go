// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/configs/account"
	"github.com/tandem-lvs/tandem/vrrp"
)

var makeKey = "make a key with: " + configs.MakeKey("FILE")

// keys reads the key files of a configuration. The error is configs.Mistakes, and never shows what is in a file. With elsewhere,
// a file that is not there or cannot be read is only a warning.
func keys(c *configs.Config, elsewhere bool) error {
	var wrong configs.Mistakes
	used := make(map[string]configs.KeyFile) // by router and secret
	read := make(map[string]vrrp.Secret)     // by path; an unreadable one is read again
	said := make(map[configs.Mistake]bool)
	for _, k := range c.KeyFiles {
		secret, ok := read[k.Path]
		if !ok {
			var no *refusal
			if secret, no = keyFile(k.Path); no != nil {
				m := k.Place
				m.Problem, m.Hint = fmt.Sprintf("%s %s", k.Path, no.problem), no.hint
				switch {
				case said[m]: // a router of both families names it twice
				case no.absent && elsewhere:
					c.Warnings = append(c.Warnings, m)
				default:
					wrong = append(wrong, m)
				}
				said[m] = true
				continue
			}
			read[k.Path] = secret
		}
		id := k.Router + "\x00" + string(secret.Octets())
		if other, same := used[id]; same {
			m := k.Place
			m.Problem, m.Hint = fmt.Sprintf("%s has the same key as %s", k.Path, other.Path), "a new id needs a new key"
			wrong = append(wrong, m)
			continue
		}
		used[id] = k
		c.SetSecret(k.Router, k.ID, secret)
	}
	c.Warnings.Sort()
	if len(wrong) == 0 {
		return nil
	}
	wrong.Sort()
	return wrong
}

// A refusal says what is wrong with a key file, and what to do.
type refusal struct {
	problem, hint string
	absent        bool // the file may be good on another machine
}

// Key reads a key file. The error never shows what is in it.
func Key(path string) ([]byte, error) {
	secret, no := keyFile(path)
	if no != nil {
		err := fmt.Errorf("%s %s", path, no.problem)
		if no.hint != "" {
			err = fmt.Errorf("%w; %s", err, no.hint)
		}
		return nil, err
	}
	return secret.Octets(), nil
}

// keyFile reads one key.
func keyFile(path string) (vrrp.Secret, *refusal) {
	// Enough for all digits and the prefix, and to tell that there is more.
	text, no := readPrivate(path, 4*vrrp.MaxSecret, makeKey)
	if no != nil {
		return vrrp.Secret{}, no
	}
	octets := bytes.TrimRight(text, "\r\n")
	if digits, found := bytes.CutPrefix(octets, []byte("hex:")); found {
		octets = make([]byte, hex.DecodedLen(len(digits)))
		if _, err := hex.Decode(octets, digits); err != nil {
			return vrrp.Secret{}, &refusal{problem: "has something other than pairs of hexadecimal digits after hex:", hint: makeKey}
		}
	}
	switch n := len(octets); {
	case n < vrrp.MinSecret:
		return vrrp.Secret{}, &refusal{problem: fmt.Sprintf("has a key of %d octets: want %d to %d", n, vrrp.MinSecret, vrrp.MaxSecret), hint: makeKey}
	case n > vrrp.MaxSecret:
		return vrrp.Secret{}, &refusal{problem: fmt.Sprintf("has a key of more than %d octets", vrrp.MaxSecret), hint: makeKey}
	}
	return vrrp.NewSecret(octets), nil
}

// readPrivate reads the first bytes of a file that only its owner may read: root, the user that runs this process, or, if this is
// root, the user of the director. The hint is for a file that is missing.
func readPrivate(path string, most int64, missing string) ([]byte, *refusal) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not block
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &refusal{"does not exist", missing, true}
	case errors.Is(err, fs.ErrPermission):
		return nil, &refusal{"cannot be read by this user", unreadableHint(path), true}
	case err != nil:
		return nil, unreadable(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, unreadable(err)
	}
	if no := exposed(path, info.Mode(), info.Sys().(*syscall.Stat_t).Uid, uint32(os.Geteuid())); no != nil {
		return nil, no
	}
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil, unreadable(err)
	}
	return text, nil
}

// exposed says who else could read or replace a key file, if user runs this process. It is nil if nobody could.
func exposed(path string, mode fs.FileMode, owner, user uint32) *refusal {
	switch {
	case !mode.IsRegular():
		return &refusal{problem: "is not a regular file"}
	case mode.Perm()&0o077 != 0:
		return &refusal{problem: fmt.Sprintf("has mode %04o: other users have access to it", mode.Perm()), hint: "run: chmod 0600 " + path}
	case owner != 0 && owner != user && !(user == 0 && account.Is(owner)): // root reads what the director reads
		return &refusal{problem: fmt.Sprintf("belongs to user %d, who can replace the key", owner), hint: "run: chown root " + path}
	}
	return nil
}

// unreadableHint says what to do about a file that this user may not read.
func unreadableHint(path string) string {
	if account.Is(uint32(os.Geteuid())) {
		return "run: chown " + account.Name + " " + path
	}
	return "run this command as root"
}

// unreadable is an error of reading, without the name of the file.
func unreadable(err error) *refusal {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return &refusal{problem: "cannot be read: " + err.Error()}
}
