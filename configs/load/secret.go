// SPDX-License-Identifier: Apache-2.0

package load

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tandem-lvs/tandem/configs"
)

// maxSecret is the maximum size of a secret text in bytes.
const maxSecret = 4096

// secrets reads secret texts for a loader.
type secrets struct{ of Loader }

// File implements toml.Secrets.
func (s secrets) File(path string) (text string, no *configs.Refusal, elsewhere bool) {
	if !filepath.IsAbs(path) {
		return "", &configs.Refusal{Problem: fmt.Sprintf("%q is not an absolute path", path)}, false
	}
	octets, refused := readPrivate(path, maxSecret+1, "put the text there: (umask 077; printf %s 'TEXT' > "+path+")")
	switch {
	case refused != nil:
		return "", &configs.Refusal{Problem: path + " " + refused.problem, Hint: refused.hint}, refused.absent && s.of.review
	case len(octets) > maxSecret:
		return "", &configs.Refusal{Problem: fmt.Sprintf("%s is larger than %d bytes", path, maxSecret)}, false
	}
	return strings.TrimRight(string(octets), "\r\n"), nil, false
}

// Credential implements toml.Secrets.
func (s secrets) Credential(name string) (text string, no *configs.Refusal, elsewhere bool) {
	if name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return "", &configs.Refusal{Problem: fmt.Sprintf("%q is not the name of a credential", name)}, false
	}
	dir, set := s.of.variable("CREDENTIALS_DIRECTORY")
	if !set {
		return "", &configs.Refusal{
			Problem: fmt.Sprintf("systemd has given no credentials, so %s is missing", name),
			Hint:    "write LoadCredential=" + name + ":/PATH in the unit",
		}, s.of.review
	}
	text, no, elsewhere = s.File(filepath.Join(dir, name))
	if _, err := os.Stat(dir); no != nil && elsewhere && err == nil {
		no.Hint = "write LoadCredential=" + name + ":/PATH in the unit"
	}
	return text, no, elsewhere
}
