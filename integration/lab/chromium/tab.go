// SPDX-License-Identifier: Apache-2.0

package chromium

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// A Theme is what the user of a browser prefers.
type Theme string

// The themes.
const (
	Light Theme = "light"
	Dark  Theme = "dark"
)

// Themes are all themes.
var Themes = []Theme{Light, Dark}

// The size of a tab's window.
const (
	Width  = 1280
	Height = 1000
)

// A Tab shows a page.
type Tab struct {
	b       *Browser
	session string
	loaded  chan struct{} // has room for one

	mu       sync.Mutex
	problems []string
}

// Open shows a page to a user with a theme, and waits until it is loaded.
func (b *Browser) Open(url string, theme Theme) *Tab {
	b.t.Helper()
	var target struct{ TargetID string }
	b.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	tab := &Tab{b: b, session: attached.SessionID, loaded: make(chan struct{}, 1)}
	b.mu.Lock()
	b.tabs[tab.session] = tab
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		tab.call(domain+".enable", struct{}{}, nil)
	}
	tab.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": Width, "height": Height, "deviceScaleFactor": 1, "mobile": false}, nil)
	tab.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": theme}}}, nil)
	tab.call("Emulation.setFocusEmulationEnabled", map[string]any{"enabled": true}, nil) // several tabs are visible at a time
	select {
	case <-tab.loaded: // of about:blank
	default:
	}
	var went struct{ ErrorText string }
	tab.call("Page.navigate", map[string]any{"url": url}, &went)
	if went.ErrorText != "" {
		b.t.Fatalf("failed to open %s: %s", url, went.ErrorText)
	}
	select {
	case <-tab.loaded:
	case <-time.After(patience):
		b.t.Fatalf("%s is not loaded after %s", url, patience)
	}
	return tab
}

func (tab *Tab) call(method string, params, result any) {
	tab.b.t.Helper()
	tab.b.call(tab.session, method, params, result)
}

// watched are the events that take knows.
var watched = []string{"Page.loadEventFired", "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Inspector.targetCrashed"}

// take takes an event.
func (tab *Tab) take(m message) {
	if !slices.Contains(watched, m.Method) {
		return
	}
	var p struct {
		ExceptionDetails struct {
			Text      string
			Exception struct{ Description string }
		}
		Entry struct{ Level, Source, Text, URL string }
		Type  string
		Args  []struct {
			Value       any
			Description string
		}
	}
	if err := json.Unmarshal(m.Params, &p); err != nil && len(m.Params) > 0 {
		tab.problem("an event that cannot be read: %s: %v", m.Params, err)
		return
	}
	switch m.Method {
	case "Page.loadEventFired":
		select {
		case tab.loaded <- struct{}{}:
		default:
		}
	case "Runtime.exceptionThrown":
		tab.problem("script error: %s %s", p.ExceptionDetails.Text, p.ExceptionDetails.Exception.Description)
	case "Runtime.consoleAPICalled":
		if p.Type == "error" || p.Type == "assert" {
			tab.problem("console: %v", p.Args)
		}
	case "Log.entryAdded": // what the page may not load or run, for example
		if p.Entry.Level == "error" {
			tab.problem("%s: %s %s", p.Entry.Source, p.Entry.Text, p.Entry.URL)
		}
	case "Inspector.targetCrashed":
		tab.problem("the page has crashed")
	}
}

func (tab *Tab) problem(format string, args ...any) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.problems = append(tab.problems, fmt.Sprintf(format, args...))
}

// Problems returns what went wrong so far: errors of scripts, and what the browser refused or could not load.
func (tab *Tab) Problems() []string {
	tab.b.t.Helper()
	tab.Ask("0", nil) // the events before the answer have come
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return slices.Clone(tab.problems)
}

// Ask evaluates an expression of JavaScript in the page, and decodes its value, which JSON can carry.
func (tab *Tab) Ask(expression string, value any) {
	tab.b.t.Helper()
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	tab.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &answer)
	if e := answer.ExceptionDetails; e != nil {
		tab.b.t.Fatalf("%s: %s", expression, cmp.Or(e.Exception.Description, e.Text))
	}
	if value == nil {
		return
	}
	if err := json.Unmarshal(answer.Result.Value, value); err != nil {
		tab.b.t.Fatalf("%s: %v: %s", expression, err, answer.Result.Value)
	}
}

// picturesVar names a directory for the pictures of Picture. Without it they are not kept.
const picturesVar = "TANDEM_PICTURES"

// Picture returns what the whole page looks like, one point for each of its pixels. The name is that of the file.
func (tab *Tab) Picture(name string) image.Image {
	tab.b.t.Helper()
	var shot struct{ Data []byte }
	tab.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &shot)
	if dir := os.Getenv(picturesVar); dir != "" {
		err := os.MkdirAll(dir, 0o755)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+".png"), shot.Data, 0o644)
		}
		if err != nil {
			tab.b.t.Fatalf("failed to keep a picture: %v", err)
		}
	}
	picture, err := png.Decode(bytes.NewReader(shot.Data))
	if err != nil {
		tab.b.t.Fatalf("the picture of the page: %v", err)
	}
	return picture
}

// Brightness returns how bright the page is behind its text, from 0 to 1: the most frequent colour of its picture's left edge.
func Brightness(picture image.Image) float64 {
	bounds := picture.Bounds()
	r, g, b, _ := Usual(picture, image.Rect(bounds.Min.X, bounds.Min.Y, bounds.Min.X+1, bounds.Max.Y)).RGBA()
	return (0.2126*float64(r) + 0.7152*float64(g) + 0.0722*float64(b)) / 0xffff
}
