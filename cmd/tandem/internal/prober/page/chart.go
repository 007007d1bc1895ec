// SPDX-License-Identifier: Apache-2.0

package page

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
)

// The size of a chart, in the units of its view box.
const (
	chartWidth = 1200.0
	left       = 64.0 // of the plot
	right      = 12.0
	axisHeight = 24.0
)

// maxColumns is the maximum number of columns of a timeline.
const maxColumns = 400

// A canvas draws charts above the same time axis.
type canvas struct {
	b         strings.Builder
	line      prober.Timeline
	span      float64              // of the time axis, in seconds
	disturbed []prober.Disturbance // that with the longest outage first
	pauses    []prober.Pause
}

func newCanvas(r prober.Report) *canvas {
	c := &canvas{line: r.Timeline.Join(maxColumns), span: seconds(r.Duration), disturbed: longest(r.Disturbed), pauses: r.Prober.Pauses}
	for _, d := range r.Disturbed {
		c.span = max(c.span, seconds(d.Start+d.Length))
	}
	c.span = max(c.span, 0.001)
	return c
}

func seconds(s prober.Seconds) float64 { return time.Duration(s).Seconds() }

// x returns where a time is.
func (c *canvas) x(at float64) float64 {
	return left + max(0, min(1, at/c.span))*(chartWidth-left-right)
}

// column returns where a column begins, and its width.
func (c *canvas) column(i int) (x, width float64) {
	w := seconds(c.line.Width)
	x = c.x(float64(i) * w)
	return x, max(0.5, c.x(float64(i+1)*w)-x)
}

func (c *canvas) printf(format string, args ...any) { fmt.Fprintf(&c.b, format, args...) }

// begin begins a chart of that height. The text describes it for those who cannot see it.
func (c *canvas) begin(height float64, text string) {
	c.b.Reset()
	c.printf(`<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, chartWidth, height+axisHeight, html.EscapeString(text))
	c.printf(`<rect class="plot" x="%g" y="0" width="%g" height="%g"/>`, left, chartWidth-left-right, height)
}

// end ends a chart with the time axis, the outages, and what the pointer shows.
func (c *canvas) end(height float64) template.HTML {
	for _, p := range c.pauses {
		c.band("pause", seconds(p.Start), seconds(p.Length), height)
	}
	for _, d := range c.disturbed[:min(len(c.disturbed), 500)] {
		class := "outage"
		if d.Outages > 1 {
			class = "disturbance"
		}
		c.band(class, seconds(d.Start), seconds(d.Length), height)
	}
	for at, step := 0.0, tick(c.span); at <= c.span*1.0001; at += step {
		c.printf(`<text class="axis" x="%.1f" y="%g" text-anchor="middle">%s</text>`, c.x(at), height+17, label(at))
	}
	for i, b := range c.line.Buckets {
		x, w := c.column(i)
		c.printf(`<rect class="at" x="%.1f" y="0" width="%.1f" height="%g"><title>%s</title></rect>`, x, w, height, c.tell(i, b))
	}
	c.b.WriteString("</svg>")
	return template.HTML(c.b.String()) // only numbers, own words and escaped text
}

// band draws a time, at least so wide that one sees it.
func (c *canvas) band(class string, start, length, height float64) {
	x := c.x(start)
	c.printf(`<rect class="%s" x="%.1f" y="0" width="%.1f" height="%g"/>`, class, x, max(2, c.x(start+length)-x), height)
}

// tell says in words what is in a column.
func (c *canvas) tell(i int, b prober.Bucket) string {
	from, to := float64(i)*seconds(c.line.Width), float64(i+1)*seconds(c.line.Width)
	text := fmt.Sprintf("%s to %s: %d asked, %d answered", label(from), label(to), b.Asked, b.Answered)
	for _, part := range []struct {
		n    int
		what string
	}{{b.Slow, "slow"}, {b.Failed, "failed"}, {b.NotAsked, "not asked"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	if b.Answered > 0 {
		text += ", slowest " + b.Longest.String()
	}
	return text
}

// tick returns the distance of the marks of an axis of time: 1, 2 or 5 of a unit, at most 12 of them.
func tick(span float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(span/12)))
	for _, f := range []float64{1, 2, 5, 10} {
		if span/(step*f) <= 12 {
			return step * f
		}
	}
	return span
}

// label writes a time of the axis.
func label(at float64) string {
	switch {
	case at >= 600:
		return (time.Duration(math.Round(at)) * time.Second).String()
	case at != 0 && at < 1:
		return fmt.Sprintf("%.4g ms", math.Round(at*1e6)/1000)
	}
	return fmt.Sprintf("%.5g s", at)
}

// shades is the number of shades of the latency chart.
const shades = 6

// latency draws how long answers took: time from left to right, latency upwards, the more answers the darker.
func (c *canvas) latency(r prober.Report) template.HTML {
	const height = 300.0
	low, high, most := prober.Rows, 0, uint32(1)
	for _, b := range c.line.Buckets {
		for row, n := range b.Rows {
			if n > 0 {
				low, high, most = min(low, row), max(high, row), max(most, n)
			}
		}
	}
	if low > high {
		low, high = 14, 14 // about 1 ms
	}
	low, high = max(0, low-3), min(prober.Rows-1, high+3)
	y := func(row float64) float64 { return height * (1 - (row-float64(low))/float64(high+1-low)) }
	c.begin(height, "latency of the answers over time: "+r.Verdict())
	for at := 10 * time.Microsecond; at <= 10*time.Second; at *= 10 {
		if row := rowOf(at); row > float64(low) && row < float64(high+1) {
			c.printf(`<path class="grid" d="M%g %.1fH%g"/><text class="axis" x="%g" y="%.1f" text-anchor="end">%s</text>`,
				left, y(row), chartWidth-right, left-8, y(row)+4, unit(at))
		}
	}
	paths := make([]strings.Builder, shades)
	for i, b := range c.line.Buckets {
		x, w := c.column(i)
		for row, n := range b.Rows {
			if n == 0 {
				continue
			}
			shade := int(math.Round(float64(shades-1) * math.Log1p(float64(n)) / math.Log1p(float64(most))))
			top := y(float64(row + 1))
			fmt.Fprintf(&paths[shade], "M%.1f %.1fh%.1fv%.1fh-%.1fz", x, top, w, y(float64(row))-top, w)
		}
	}
	for i := range paths {
		if paths[i].Len() > 0 {
			c.printf(`<path class="heat" opacity="%.2f" d="%s"/>`, 0.25+0.75*float64(i)/(shades-1), paths[i].String())
		}
	}
	if row := rowOf(time.Duration(r.SlowFrom)); row > float64(low) && row < float64(high+1) {
		c.printf(`<path class="limit" d="M%g %.1fH%g"/><text class="axis" x="%g" y="%.1f" text-anchor="end">slow</text>`,
			left, y(row), chartWidth-right, chartWidth-right-6, y(row)-5)
	}
	c.outageLabels()
	return c.end(height)
}

// outageLabels writes the lengths of the longest outages, where there is room.
func (c *canvas) outageLabels() {
	var taken []float64
	for _, d := range c.disturbed[:min(len(c.disturbed), 8)] {
		x := max(left+40, min(chartWidth-right-40, c.x(seconds(d.Start)+seconds(d.Length)/2)))
		if slices.ContainsFunc(taken, func(other float64) bool { return math.Abs(x-other) < 90 }) {
			continue
		}
		taken = append(taken, x)
		c.printf(`<text class="length" x="%.1f" y="18" text-anchor="middle">%s</text>`, x, d.Longest)
	}
}

// rowOf returns where a latency is among the rows.
func rowOf(d time.Duration) float64 {
	return 1 + 2*math.Log2(float64(d)/float64(prober.RowStart(1)))
}

func unit(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d/time.Microsecond)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d/time.Millisecond)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// A layer is a part of a stacked chart: a number for each column.
type layer struct {
	class string
	of    func(prober.Bucket) int
}

// stack draws layers on each other.
func (c *canvas) stack(height float64, layers []layer) {
	most := 1
	for _, b := range c.line.Buckets {
		sum := 0
		for _, l := range layers {
			sum += l.of(b)
		}
		most = max(most, sum)
	}
	paths := make([]strings.Builder, len(layers))
	for i, b := range c.line.Buckets {
		x, w := c.column(i)
		bottom := height
		for j, l := range layers {
			if n := l.of(b); n > 0 {
				h := max(1, height*float64(n)/float64(most))
				fmt.Fprintf(&paths[j], "M%.1f %.1fh%.1fv%.1fh-%.1fz", x, bottom-h, w, h, w)
				bottom -= h
			}
		}
	}
	for j, l := range layers {
		if paths[j].Len() > 0 {
			c.printf(`<path class="%s" d="%s"/>`, l.class, paths[j].String())
		}
	}
}

// questions draws how questions ended.
func (c *canvas) questions() template.HTML {
	const height = 80.0
	c.begin(height, "how the questions ended, over time")
	c.stack(height, []layer{
		{"good", func(b prober.Bucket) int { return b.Answered - b.Slow }}, {"slow", func(b prober.Bucket) int { return b.Slow }},
		{"bad", func(b prober.Bucket) int { return b.Failed }}, {"own", func(b prober.Bucket) int { return b.NotAsked }},
	})
	return c.end(height)
}

// who draws which real server answered.
func (c *canvas) who(servers []prober.Server) template.HTML {
	const height = 80.0
	c.begin(height, "which real server answered, over time")
	var layers []layer
	for i := range min(len(servers), len(prober.Bucket{}.Servers)) {
		layers = append(layers, layer{fmt.Sprintf("s%d", i), func(b prober.Bucket) int { return int(b.Servers[i]) }})
	}
	c.stack(height, layers)
	return c.end(height)
}

// flows draws when long-lived connections broke or waited. Each flow has its line.
func (c *canvas) flows(f *prober.FlowReport) template.HTML {
	const height = 80.0
	c.begin(height, "long-lived connections, over time")
	each := height / float64(max(1, f.Flows))
	c.printf(`<rect class="good faint" x="%g" y="0" width="%.1f" height="%g"/>`, left, c.x(c.span)-left, height)
	for _, s := range f.StallList {
		x := c.x(seconds(s.At))
		c.printf(`<rect class="slow" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`,
			x, float64(s.Flow)*each, max(1, c.x(seconds(s.At+s.Length))-x), max(1, each*0.8))
	}
	for _, b := range f.BreakList {
		c.printf(`<rect class="bad" x="%.1f" y="%.1f" width="3" height="%.1f"/>`, c.x(seconds(b.At))-1.5, float64(b.Flow)*each, max(2, each))
	}
	return c.end(height)
}
