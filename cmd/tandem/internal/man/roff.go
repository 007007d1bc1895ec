// SPDX-License-Identifier: Apache-2.0

// Package man writes the manual pages: tandem(8) from the commands and their help texts, and tandem.toml(5) from the schema of the
// configuration. The pages are in the language of man(7), which mandoc and groff read.
package man

import (
	"fmt"
	"strings"
	"unicode"
)

// A page is a manual page.
type page struct{ strings.Builder }

// newPage begins a page with its NAME. The page has no date, because it depends on its sources only.
func newPage(name, section, manual, what string) *page {
	p := new(page)
	p.WriteString(".\\\" SPDX-License-Identifier: Apache-2.0\n.\\\" This file is generated: go generate ./cmd/tandem\n")
	fmt.Fprintf(p, ".TH %s %s \"\" tandem \"%s\"\n", strings.ToUpper(name), section, manual)
	p.section("NAME")
	fmt.Fprintf(p, "%s \\- %s\n", escape(name), escape(what))
	return p
}

func (p *page) section(title string)    { p.macro("SH", title) }
func (p *page) subsection(title string) { p.macro("SS", title) }

// macro writes a macro with one argument.
func (p *page) macro(name, argument string) {
	fmt.Fprintf(p, ".%s \"%s\"\n", name, strings.ReplaceAll(escape(argument), `"`, `\(dq`))
}

// text writes paragraphs. An empty line ends a paragraph, and indented lines are printed as they are.
func (p *page) text(text string) { p.paragraphs(text, ".PP") }

// item writes a term, and then what it means.
func (p *page) item(term, text string) {
	p.WriteString(".TP\n")
	p.macro("B", term)
	p.paragraphs(text, ".IP")
}

// paragraphs writes paragraphs with a macro between them.
func (p *page) paragraphs(text, between string) {
	for i, part := range blocks(text) {
		if i > 0 {
			p.WriteString(between + "\n")
		}
		if part.verbatim {
			p.verbatim(part.text)
		} else {
			p.lines(part.text)
		}
	}
}

// verbatim writes lines that are printed as they are.
func (p *page) verbatim(text string) {
	p.WriteString(".nf\n.RS 4\n")
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		p.WriteString(atStart(escape(line)) + "\n")
	}
	p.WriteString(".RE\n.fi\n")
}

// width is where the lines of the source are broken, so that a change of a text is a small change of the page.
const width = 100

// Marks of bold text, which escape replaces.
const bold, roman = '\x01', '\x02'

// lines writes words in lines of the source. What is in backquotes is bold.
func (p *page) lines(text string) {
	line := ""
	if parts := strings.Split(text, "`"); len(parts)%2 == 1 {
		for i := 1; i < len(parts); i += 2 {
			parts[i] = string(bold) + parts[i] + string(roman)
		}
		text = strings.Join(parts, "")
	}
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			p.WriteString(atStart(line) + "\n")
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += escape(word)
	}
	p.WriteString(atStart(line) + "\n")
}

// A block is a paragraph, or lines that are printed as they are.
type block struct {
	text     string
	verbatim bool
}

// blocks splits a text at empty lines, and where the indentation begins or ends.
func blocks(text string) (all []block) {
	open := false // the last block may continue
	for line := range strings.SplitSeq(text, "\n") {
		if strings.TrimSpace(line) == "" {
			open = false
			continue
		}
		verbatim := line[0] == ' ' || line[0] == '\t'
		if last := len(all) - 1; open && all[last].verbatim == verbatim {
			all[last].text += "\n" + line
		} else {
			all = append(all, block{line, verbatim})
		}
		open = true
	}
	for i, b := range all {
		if b.verbatim {
			all[i].text = undent(b.text)
		}
	}
	return all
}

// undent removes the indentation of the first line from all lines that have it.
func undent(text string) string {
	indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, indent)
	}
	return strings.Join(lines, "\n")
}

// escape makes a text mean itself.
func escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == bold:
			b.WriteString(`\fB`)
		case r == roman:
			b.WriteString(`\fR`)
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`) // a minus, which can be copied into a shell: "-" alone may become a hyphen
		case r == '\'':
			b.WriteString(`\(aq`)
		case r == '`':
			b.WriteString(`\(ga`)
		case r == '~':
			b.WriteString(`\(ti`)
		case r == '^':
			b.WriteString(`\(ha`)
		case r > unicode.MaxASCII:
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// atStart protects a line that would be a request.
func atStart(line string) string {
	if strings.HasPrefix(line, ".") {
		return `\&` + line
	}
	return line
}
