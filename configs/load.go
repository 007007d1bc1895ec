// SPDX-License-Identifier: Apache-2.0

package configs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

const (
	// MaxSize is the most bytes that a file may have: some 20,000 services of ten servers.
	MaxSize = 16 << 20

	// maxNesting is far above what the schema has, and far below what the stack holds.
	maxNesting = 1000
)

// Load reads and validates a file. The error is Mistakes, or says why the file could not be read.
func Load(path string) (*Config, error) {
	text, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return Parse(path, text)
}

// read returns the bytes of a file; of one that is too large, enough to tell.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	return text, errors.Join(err, f.Close())
}

// Parse validates the text of a file; the name is for the mistakes only. The error is always Mistakes.
func Parse(name string, text []byte) (*Config, error) {
	schema := fileTable()
	r := &report{file: name, text: string(text), keys: schema.keys}
	tree, ok := r.decode()
	if !ok {
		return nil, r.mistakes
	}
	f := schema.read(place{report: r, value: tree})
	if len(r.mistakes) > 0 {
		r.mistakes.sort()
		return nil, r.mistakes
	}
	r.warnings.sort()
	sum := sha256.Sum256(text)
	c := &f.Config
	c.File, c.SHA256, c.Warnings = name, hex.EncodeToString(sum[:]), r.warnings
	return c, nil
}

// decode returns the tree of the file, or notes why there is none.
func (r *report) decode() (tree map[string]any, ok bool) {
	if i := invalidUTF8(r.text); i >= 0 {
		hint := ""
		if strings.HasPrefix(r.text, "\xff\xfe") || strings.HasPrefix(r.text, "\xfe\xff") {
			hint = "it looks like UTF-16, save it as UTF-8"
		}
		r.spoilt(1+strings.Count(r.text[:i], "\n"), "", hint,
			fmt.Sprintf("is not a text file in UTF-8: it has the byte 0x%02x", r.text[i]))
		return nil, false
	}
	if len(r.text) > MaxSize {
		r.spoilt(1, "", "", fmt.Sprintf("is larger than %d MiB", MaxSize>>20))
		return nil, false
	}
	if n := nesting(r.text); n > maxNesting {
		r.spoilt(1, "", "", fmt.Sprintf("has arrays or tables nested %d deep: want at most %d", n, maxNesting))
		return nil, false
	}
	tree, err := decode(r.text)
	if err == nil {
		return tree, true
	}
	line, key, problem := 1, "", oneLine(err.Error())
	if syntax := (toml.ParseError{}); errors.As(err, &syntax) {
		line, key, problem = max(1, syntax.Position.Line), oneLine(syntax.LastKey), oneLine(syntax.Message)
	}
	r.spoilt(line, key, "", "not TOML: "+strings.TrimSuffix(problem, "."))
	return nil, false
}

// decode is the TOML parser. Its own assertions panic; what trips one is a syntax error that it does not know.
func decode(text string) (tree map[string]any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the parser gave up: %s", strings.TrimSpace(fmt.Sprint(p)))
		}
	}()
	_, err = toml.Decode(text, &tree)
	return tree, err
}

// oneLine keeps the parser's words printable: keys may have any character.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}

// spoilt notes what makes the file unreadable as a whole.
func (r *report) spoilt(line int, key, hint, problem string) {
	r.mistakes = append(r.mistakes, Mistake{File: r.file, Line: line, Key: key, Problem: problem, Hint: hint})
}

// invalidUTF8 returns the index of the first byte that is not UTF-8, or -1.
func invalidUTF8(s string) int {
	if utf8.ValidString(s) {
		return -1
	}
	for i := 0; ; {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
}

// SocketOf returns the control socket that a file names, whatever mistakes there are in the rest of it; DefaultSocket
// where it names none. The error is that of reading the file, or that it is no TOML.
func SocketOf(file string) (string, error) {
	text, err := read(file)
	if err != nil {
		return "", err
	}
	var c struct {
		Control struct{ Socket any }
	}
	if _, err := toml.Decode(string(text), &c); err != nil {
		return "", fmt.Errorf("read configuration %s: %w", file, err)
	}
	if socket, ok := c.Control.Socket.(string); ok && socket != "" {
		return socket, nil
	}
	return DefaultSocket, nil
}
