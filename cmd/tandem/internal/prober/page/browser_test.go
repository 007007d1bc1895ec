// SPDX-License-Identifier: Apache-2.0

//go:build browser

package page

import (
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
	"github.com/tandem-lvs/tandem/integration/lab/chromium"
)

// A silence is a time in which the service does not answer.
type silence struct{ from, to time.Duration }

// probed is the report of a probe that asks every 10 ms.
func probed(lasts time.Duration, silences ...silence) prober.Report {
	l := prober.New(prober.Options{Every: 10 * ms, For: lasts, Timeout: 400 * ms, Slow: 50 * ms})
	for now := time.Duration(0); now < lasts; now += 10 * ms {
		n, _ := l.Take(now)
		silent := false
		for _, s := range silences {
			silent = silent || now >= s.from && now < s.to
		}
		if !silent {
			l.Answer(n, now+ms, "web1")
		}
		l.Expire(now)
	}
	l.Expire(lasts + time.Second)
	r := l.Report()
	r.Target, r.Began = "http://192.0.2.100:80/", time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	return r
}

// A box is where a browser has drawn something.
type box struct{ Left, Right, Top, Bottom float64 }

// A chart is a timeline as a browser has drawn it.
type chart struct {
	Plot  box
	Bands []box // the outages
	Marks []struct {
		box
		Text string
	}
}

const readCharts = `[...document.querySelectorAll("svg")].map((svg) => {
	const box = (e) => {
		const r = e.getBoundingClientRect();
		return { left: r.left + scrollX, right: r.right + scrollX, top: r.top + scrollY, bottom: r.bottom + scrollY };
	};
	return {
		plot: box(svg.querySelector(".plot")),
		bands: [...svg.querySelectorAll(".outage, .disturbance")].map(box).sort((a, b) => a.left - b.left),
		marks: [...svg.querySelectorAll("text.axis[text-anchor=middle]")].map((e) => ({ ...box(e), text: e.textContent })),
	};
})`

// scale returns what a reader of the time axis sees: the place of time 0, and the points of a second.
func (c chart) scale(t *testing.T) (zero, second float64) {
	t.Helper()
	if len(c.Marks) < 3 {
		t.Fatalf("the time axis has %d marks", len(c.Marks))
	}
	when := func(i int) float64 {
		number, unit, _ := strings.Cut(c.Marks[i].Text, " ")
		at, err := strconv.ParseFloat(number, 64)
		if err != nil || unit != "s" && unit != "ms" {
			t.Fatalf("the mark %q is no time", c.Marks[i].Text)
		}
		if unit == "ms" {
			at /= 1000
		}
		return at
	}
	middle := func(i int) float64 { return (c.Marks[i].Left + c.Marks[i].Right) / 2 }
	last := len(c.Marks) - 1
	second = (middle(last) - middle(0)) / (when(last) - when(0))
	return middle(0) - when(0)*second, second
}

// TestBrowserReport: Chromium shows the outages where the time axis says that they were, in both themes, and finds nothing wrong with
// the page.
func TestBrowserReport(t *testing.T) {
	b := chromium.Start(t)
	for _, c := range []struct {
		name     string
		lasts    time.Duration
		silences []silence
	}{
		{"one", 10 * time.Second, []silence{{3200 * ms, 3700 * ms}}},
		{"short", 2 * time.Second, []silence{{700 * ms, 800 * ms}}},
		{"several", time.Minute, []silence{{0, time.Second}, {12 * time.Second, 12500 * ms}, {13 * time.Second, 13300 * ms}, {58 * time.Second, time.Minute}}},
		{"none", 10 * time.Second, nil},
	} {
		r := probed(c.lasts, c.silences...)
		file := filepath.Join(t.TempDir(), c.name+".html")
		f, err := os.Create(file)
		if err == nil {
			err = Write(f, r)
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		for _, theme := range chromium.Themes {
			t.Run(fmt.Sprintf("%s, %s", c.name, theme), func(t *testing.T) {
				checkReport(t, b.Open("file://"+file, theme), r, theme, c.name)
			})
		}
	}
}

func checkReport(t *testing.T, tab *chromium.Tab, r prober.Report, theme chromium.Theme, name string) {
	picture := tab.Picture("report-" + name + "-" + string(theme))
	if bright := chromium.Brightness(picture); bright > 0.8 != (theme == chromium.Light) || bright < 0.1 != (theme == chromium.Dark) {
		t.Errorf("the page's brightness is %.2f", bright)
	}
	var charts []chart
	tab.Ask(readCharts, &charts)
	if len(charts) != 3 { // latency, questions, real servers
		t.Fatalf("%d charts", len(charts))
	}
	for i, c := range charts {
		zero, second := c.scale(t)
		if off := math.Abs(zero - c.Plot.Left); off > 1 {
			t.Errorf("chart %d: time 0 is %.1f points from the plot's edge", i, off)
		}
		if len(c.Bands) != len(r.Disturbed) {
			t.Fatalf("chart %d: %d outages are drawn, want %d", i, len(c.Bands), len(r.Disturbed))
		}
		for j, d := range r.Disturbed {
			from, to := zero+seconds(d.Start)*second, zero+seconds(d.Start+d.Length)*second
			band := c.Bands[j]
			t.Logf("chart %d: the outage from %s for %s is drawn from %.1f to %.1f, want %.1f to %.1f", i, d.Start, d.Length, band.Left, band.Right, from, to)
			if math.Abs(band.Left-from) > 1 || math.Abs(band.Right-max(to, band.Left+2)) > 1.5 { // an outage is 2 units wide at least
				t.Errorf("chart %d: the outage is at the wrong place", i)
			}
			if band.Top > c.Plot.Top+1 || band.Bottom < c.Plot.Bottom-1 {
				t.Errorf("chart %d: the outage covers %+v of %+v", i, band, c.Plot)
			}
		}
	}
	if len(r.Disturbed) == 1 {
		checkVisible(t, picture, charts[0])
	}
	if wrong := tab.Problems(); len(wrong) > 0 {
		t.Errorf("Chromium finds %q", wrong)
	}
	var wide struct{ Page, Window float64 }
	tab.Ask(`({ page: document.documentElement.scrollWidth, window: innerWidth })`, &wide)
	if wide.Page > wide.Window {
		t.Errorf("the page is %.0f points wide, in a window of %.0f", wide.Page, wide.Window)
	}
}

// checkVisible: the columns of the picture with another colour behind them are those of the outage.
func checkVisible(t *testing.T, picture image.Image, c chart) {
	t.Helper()
	top, bottom := int(c.Plot.Top)+2, int(c.Plot.Bottom)-2
	column := func(x float64) image.Rectangle { return image.Rect(int(x), top, int(x)+1, bottom) }
	band := c.Bands[0]
	plain := chromium.Usual(picture, column(band.Left-20))
	for x := band.Left - 40; x < band.Right+40; x++ {
		if math.Abs(x-band.Left) < 3 || math.Abs(x-band.Right) < 3 {
			continue // edges
		}
		inside := x > band.Left && x < band.Right
		if got := chromium.Usual(picture, column(x)); (got == plain) == inside {
			t.Errorf("the column at %.0f has the colour %v; beside the outage from %.0f to %.0f it is %v", x, got, band.Left, band.Right, plain)
			return
		}
	}
}
