// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// pageLink is a link of a page to another file of the checkout, perhaps with a heading.
var pageLink = regexp.MustCompile(`\]\(([^)#:\s]+)(#[^)\s]*)?\)`)

// relink makes the links of the pages lead to where the package has the files. What it does not have is read at the homepage.
func (c *collecting) relink() {
	installed := make(map[string]string)
	for _, f := range c.files {
		if f.from != "" {
			installed[f.from] = f.path
		}
	}
	for i, f := range c.files {
		if path.Ext(f.from) == ".md" {
			c.files[i].text = relinked(f, installed)
		}
	}
}

// relinked returns the text of a page in the package. installed has the path there of each file of the checkout.
func relinked(page file, installed map[string]string) []byte {
	return pageLink.ReplaceAllFunc(page.text, func(link []byte) []byte {
		parts := pageLink.FindSubmatch(link)
		name, heading := path.Join(path.Dir(page.from), string(parts[1])), string(parts[2])
		to, is := installed[name]
		switch {
		case !is:
			to = homepage + "/blob/main/" + name
		case strings.HasPrefix(to, docs):
			// Both paths are relative to the same root, so there is no error.
			to, _ = filepath.Rel(path.Dir(page.path), to)
		default:
			to = "/" + to
		}
		return []byte("](" + to + heading + ")")
	})
}
