// SPDX-License-Identifier: Apache-2.0

package page

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
)

const ms = time.Millisecond

// report is that of a probe of 3 s. From 1 s to 1.5 s no question is answered; then the other server answers.
func report(t *testing.T) prober.Report {
	t.Helper()
	l := prober.New(prober.Options{Every: 10 * ms, For: 3 * time.Second, Timeout: 100 * ms, Slow: 50 * ms})
	f := prober.NewFlows(2, 50*ms)
	f.Connected(0, 0)
	f.Connected(1, 0)
	f.Broke(1, 1200*ms, prober.Reset, "")
	for now := time.Duration(0); now < 3*time.Second; now += 10 * ms {
		n, ok := l.Take(now)
		if !ok {
			t.Fatalf("no question at %s", now)
		}
		switch {
		case now < time.Second:
			l.Answer(n, now+ms, `<script>alert("1")</script>`)
		case now >= 1500*ms:
			l.Answer(n, now+ms, "web2")
		}
		l.Expire(now)
	}
	l.Expire(4 * time.Second)
	r := l.Report()
	r.Target, r.Began, r.Flows = "http://192.0.2.100:80/<b>", time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), f.Report(3*time.Second)
	return r
}

// svgs returns the charts of a page. They must be XML.
func svgs(t *testing.T, text string) []string {
	t.Helper()
	all := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1)
	for _, one := range all {
		for d := xml.NewDecoder(strings.NewReader(one)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("a chart is not XML: %v", err)
			}
		}
	}
	return all
}

// TestPage: the outage is at its place on the timeline, and nothing of the service's own text is code.
func TestPage(t *testing.T) {
	var b strings.Builder
	r := report(t)
	if err := Write(&b, r); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{
		"<b>1 outage of 501 ms</b>", "prefers-color-scheme: dark", "default-src 'none'", "no answer</span>",
		"10:00:01.000", "web2</span>", "&lt;script&gt;", "<td>1 s</td>", "1 of 2 connections lived", "http://192.0.2.100:80/&lt;b&gt;",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in the page", want)
		}
	}
	for _, never := range []string{"<script", "src=", "href=", "url(", "@import"} {
		if strings.Contains(text, never) {
			t.Errorf("%s in the page: it must need nothing else", never)
		}
	}
	charts := svgs(t, text)
	if len(charts) != 4 {
		t.Fatalf("%d charts, want those of latency, questions, servers and flows", len(charts))
	}
	c := newCanvas(r)
	place := fmt.Sprintf(`<rect class="outage" x="%.1f" y="0" width="%.1f"`, left+1124.0/3, c.x(1.501)-c.x(1))
	for i, chart := range charts {
		if !strings.Contains(chart, place) {
			t.Errorf("chart %d has no outage at 1 s: want %s", i, place)
		}
	}
}

// TestEmptyPage: there is a page also if nothing was asked or answered.
func TestEmptyPage(t *testing.T) {
	for asked := range 2 {
		l := prober.New(prober.Options{Every: ms, Timeout: time.Second, Slow: 200 * ms})
		if asked == 1 {
			l.Take(0)
			l.Expire(time.Minute)
		}
		var b strings.Builder
		if err := Write(&b, l.Report()); err != nil {
			t.Fatal(err)
		}
		if len(svgs(t, b.String())) != 2 || strings.Contains(b.String(), "NaN") {
			t.Errorf("asked %d: %s", asked, b.String())
		}
	}
}

// TestPageHasALimit: a probe of a week makes a page that a browser can show.
func TestPageHasALimit(t *testing.T) {
	l := prober.New(prober.Options{Every: time.Second, For: 7 * 24 * time.Hour, Timeout: time.Second, Slow: 200 * ms})
	for now := time.Duration(0); now < 7*24*time.Hour; now += time.Second {
		n, _ := l.Take(now)
		if now/time.Second%100 == 0 {
			l.Fail(n, now+ms, prober.Refused, "")
		} else {
			l.Answer(n, now+now%97*time.Millisecond+ms, "web1")
		}
	}
	var b strings.Builder
	if err := Write(&b, l.Report()); err != nil || b.Len() > 2<<20 {
		t.Errorf("%v, %d bytes", err, b.Len())
	}
	if !strings.Contains(b.String(), "and 5998 shorter ones") {
		t.Error("the number of outages that are left out is missing")
	}
}
