// SPDX-License-Identifier: Apache-2.0

package page

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A markup writes HTML. Its methods escape texts and the values of attributes, so that no text of a check, a script or the other
// director can become an element.
type markup struct{ b []byte }

// open begins an element. attributes are names and values by turns.
func (m *markup) open(tag string, attributes ...string) {
	m.b = append(append(m.b, '<'), tag...)
	for i := 0; i+1 < len(attributes); i += 2 {
		m.b = append(append(append(m.b, ' '), attributes[i]...), '=', '"')
		m.escape(attributes[i+1])
		m.b = append(m.b, '"')
	}
	m.b = append(m.b, '>')
}

// end ends elements, the innermost first.
func (m *markup) end(tags ...string) {
	for _, tag := range tags {
		m.b = append(append(append(m.b, '<', '/'), tag...), '>')
	}
}

// text writes a text. URLs lose what may be a secret.
func (m *markup) text(s string) { m.escape(hideURLs(s)) }

// element writes an element that has only a text.
func (m *markup) element(tag, text string, attributes ...string) {
	m.open(tag, attributes...)
	m.text(text)
	m.end(tag)
}

// number writes an element that has only a number.
func (m *markup) number(tag string, n int, attributes ...string) {
	m.open(tag, attributes...)
	m.b = strconv.AppendInt(m.b, int64(n), 10)
	m.end(tag)
}

// line ends a line of the source. It is never in an element whose white space counts.
func (m *markup) line() { m.b = append(m.b, '\n') }

// escapes are what stands for the characters that have a meaning.
var escapes = [utf8.RuneSelf]string{'&': "&amp;", '<': "&lt;", '>': "&gt;", '"': "&#34;", '\'': "&#39;"}

// escape writes a text. A character that is not printable becomes "?": it could hide what stands beside it, or turn its direction.
func (m *markup) escape(s string) {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(s[i:])
			if !unicode.IsPrint(r) || r == utf8.RuneError {
				r = '?'
			}
			m.b = utf8.AppendRune(m.b, r)
			i += n
			continue
		case c == '\n' || c == '\t':
			m.b = append(m.b, c)
		case c < ' ' || c == 0x7f:
			m.b = append(m.b, '?')
		case escapes[c] != "":
			m.b = append(m.b, escapes[c]...)
		default:
			m.b = append(m.b, c)
		}
		i++
	}
}

// hideURLs cuts off the user and the path of each URL in a text: the URL of a hook can be a secret, and errors quote it.
func hideURLs(s string) string {
	const mark = "://"
	if !strings.Contains(s, mark) {
		return s
	}
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, mark)
		out.WriteString(before)
		if !found {
			return out.String()
		}
		out.WriteString(mark)
		url := rest
		if i := strings.IndexFunc(rest, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("\"'<>`", r) }); i >= 0 {
			url = rest[:i]
		}
		s = rest[len(url):]
		host := url
		if i := strings.IndexAny(url, "/?#"); i >= 0 {
			host = url[:i]
		}
		path := url[len(host):]
		out.WriteString(host[strings.LastIndexByte(host, '@')+1:])
		if strings.Trim(path, "/:;,.)]") != "" {
			path = "/…"
		}
		out.WriteString(path)
	}
}

// since writes a time in the time zone of now. A time of the same day has no date.
func since(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	t = t.In(now.Location())
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// moment writes a time as an element that programs can read too.
func (m *markup) moment(now, t time.Time) {
	if t.IsZero() {
		m.text("-")
		return
	}
	m.element("time", since(now, t), "datetime", t.UTC().Format(time.RFC3339))
}
