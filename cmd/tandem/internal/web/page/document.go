// SPDX-License-Identifier: Apache-2.0

package page

import "strconv"

const (
	documentHead = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="style.css">
<noscript><meta http-equiv="refresh" content="5"></noscript>
<script src="script.js" defer></script>
`
	// The links come before the page, and skip what a keyboard need not pass. The paragraphs are for the script: a reader of a screen
	// reads them aloud when they change.
	documentTop = `<nav aria-label="Parts of the page">
<ul>
<li><a href="#wrong">What is wrong</a></li>
<li><a href="#routers">Virtual routers</a></li>
<li><a href="#other">The other director</a></li>
<li><a href="#all-services">Services</a></li>
<li><a href="#timeline">What has happened</a></li>
</ul>
</nav>
<p id="silent" class="critical" role="alert"></p>
<p id="said" class="quiet" role="status"></p>
`
	documentServices = `<section id="all-services" aria-labelledby="services-title">
<h2 id="services-title">Services</h2>
<form id="filter" role="search" hidden>
<label for="wanted">Show only servers and services with</label> <input id="wanted" type="search" autocomplete="off">
</form>
<p id="nothing" hidden>No service and no server has this text.</p>
<div id="services">
`
	documentEnd = `</footer>
</body>
</html>
`
)

// Document writes a whole page.
func (e *Edition) Document(instance string) []byte {
	size := 4096
	for _, p := range e.parts() {
		size += len(p.HTML) + 1
	}
	m := markup{b: make([]byte, 0, size)}
	m.b = append(m.b, documentHead...)
	m.element("title", e.Title)
	m.line()
	m.end("head")
	m.line()
	m.open("body", "data-instance", instance, "data-edition", strconv.FormatUint(e.Number, 10))
	m.line()
	part := func(p Part) {
		m.b = append(append(m.b, p.HTML...), '\n')
	}
	part(e.Overview)
	m.b = append(m.b, documentTop...)
	m.open("main")
	m.line()
	for _, p := range []Part{e.Wrong, e.Routers, e.Other} {
		part(p)
	}
	m.b = append(m.b, documentServices...)
	if len(e.Services) == 0 {
		m.element("p", "The configuration has no service.")
	}
	for _, p := range e.Services {
		part(p)
	}
	m.end("div", "section")
	m.line()
	part(e.Timeline)
	m.end("main")
	m.line()
	m.open("footer")
	m.open("p")
	m.text("As of ")
	m.element("span", e.At, "id", "as-of")
	m.text(". All times are in " + e.Zone + ". This page changes nothing: it only shows.")
	m.end("p")
	m.b = append(m.b, documentEnd...)
	return m.b
}
