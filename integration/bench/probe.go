// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
	"github.com/tandem-lvs/tandem/integration/lab/report"
)

// vegeta is a load generator that asks at a constant rate, as tandem probe does. It has a module file of its own.
var vegeta = lab.Cargo{Name: "vegeta", Package: "github.com/tsenart/vegeta/v12", ModFile: "integration/bench/tools.mod"}

const (
	// pauseLength is how long the server stands still, once, and pauseFrom is when, after its first question.
	pauseLength, pauseFrom = 500 * time.Millisecond, time.Second
	// pauseSpan is how long each client asks.
	pauseSpan = 3 * time.Second
	// pauseTolerance is the most by which tandem probe may be wrong. A try in which the machine stood still for longer is no measure.
	pauseTolerance = 2 * time.Millisecond
	// pauseTries is how many tries count, and maxTries how many there are at most.
	pauseTries, maxTries = 5, 60
	// cadence is the time between two questions.
	cadence = time.Millisecond
)

// A sight is what a client says about the server that paused.
type sight struct {
	asked        int
	outage       time.Duration // negative: it does not say
	p99, slowest time.Duration
	stood        time.Duration // how long it says that it stood still itself at the outage's start or end
}

func (s sight) String() string {
	text := fmt.Sprintf("%d questions, 99 %% within %.2f ms, slowest %.2f ms", s.asked, milliseconds(s.p99), milliseconds(s.slowest))
	if s.outage >= 0 {
		text += fmt.Sprintf(", an outage of %.2f ms", milliseconds(s.outage))
	}
	return text
}

// measureProbes measures tandem probe beside a load generator with a constant rate, and beside a client in a closed loop, which waits
// for each answer before it asks again.
func measureProbes(b *bench) {
	measurePauses(b)
	measureProbeCost(b)
}

// measurePauses lets a server pause once, and compares what clients say about it.
func measurePauses(b *bench) {
	what := fmt.Sprintf("a server pauses for %s, a question every %s for %s", pauseLength, cadence, pauseSpan)
	for _, c := range []struct {
		name  string
		tries int
		look  func(*probeScene) sight
	}{
		{tandem.name, pauseTries, (*probeScene).tandem},
		{vegeta.Name, 1, (*probeScene).vegeta},
		{"closed loop", 1, (*probeScene).closedLoop},
	} {
		b.measure(what, c.name, func(t *lab.Attempt) {
			s := newProbeScene(b, t)
			all, excluded := s.tries(c.name, c.tries, c.look)
			note := fmt.Sprintf("%s; %d excluded", tried(len(all)), len(excluded))
			if len(excluded) > 0 {
				note += ": " + strings.Join(excluded, "; ")
			}
			if all[0].outage >= 0 {
				wrong, each := 0.0, []string(nil)
				for _, one := range all {
					wrong = max(wrong, math.Abs(milliseconds(one.outage-pauseLength)))
					each = append(each, fmt.Sprintf("%.2f", milliseconds(one.outage)))
				}
				b.judge(what+": the outage that it reports, off by", c.name, wrong, "ms", "worst of "+strings.Join(each, ", ")+" ms; "+note,
					report.AtMost(milliseconds(pauseTolerance)).Firmly())
			}
			last := all[len(all)-1]
			b.report(what+": 99 % of the answers within", c.name, milliseconds(last.p99), "ms", note)
			b.report(what+": slowest answer", c.name, milliseconds(last.slowest), "ms", note)
			b.report(what+": questions", c.name, float64(last.asked), "", note)
		})
	}
}

func tried(n int) string {
	if n == 1 {
		return "1 try"
	}
	return fmt.Sprintf("%d tries", n)
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// A probeScene is a client and a server that can pause.
type probeScene struct {
	*lab.Lab
	bench   *bench
	attempt *lab.Attempt
	client  *lab.Host
	server  *pausing
}

// The server's addresses.
const (
	probedHost = "192.0.2.2"
	probedHTTP = probedHost + ":80"
	probedEcho = probedHost + ":7"
)

func newProbeScene(b *bench, t *lab.Attempt) *probeScene {
	s := &probeScene{Lab: lab.New(t), bench: b, attempt: t}
	s.client = s.Host("client", "192.0.2.1/24")
	host := s.Host("server", probedHost+"/24")
	s.server = startPausing(t, host, probedHTTP)
	host.EchoServer(probedEcho)
	return s
}

// tries lets a client look at a pause until that many tries count. A try does not count if the machine stood still, if the server did
// not pause for as long as it should, or if the client reports that it stood still itself when the pause began or ended.
func (s *probeScene) tries(name string, wanted int, look func(*probeScene) sight) (all []sight, excluded []string) {
	for range maxTries {
		watch := s.WatchStalls()
		paused := s.server.pauseOnce(pauseFrom, pauseLength)
		one := look(s)
		length, stall := <-paused, watch.Stop()
		switch off := (length - pauseLength).Abs(); {
		case stall > pauseTolerance:
			excluded = append(excluded, fmt.Sprintf("the machine stood still for %.1f ms", milliseconds(stall)))
		case off > pauseTolerance/10:
			excluded = append(excluded, fmt.Sprintf("the server paused for %.1f ms", milliseconds(length)))
		case one.stood > pauseTolerance:
			excluded = append(excluded, fmt.Sprintf("by its own report it stood still for %.1f ms", milliseconds(one.stood)))
		default:
			s.bench.progress("%s: %s; the server paused for %.2f ms, the machine for %.2f ms", name, one, milliseconds(length), milliseconds(stall))
			if all = append(all, one); len(all) == wanted {
				return all, excluded
			}
			continue
		}
		s.bench.progress("%s: excluded: %s; it saw %s", name, excluded[len(excluded)-1], one)
	}
	s.attempt.Fatalf("only %d of %d tries count, want %d: %s", len(all), maxTries, wanted, strings.Join(excluded, "; "))
	return nil, nil
}

// probeReport is what tandem probe writes with --json.
type probeReport struct {
	Asked       int
	Longest     float64 `json:"longest_outage_seconds"`
	Outages     []interval
	Slowest     float64 `json:"slowest_seconds"`
	Seconds     float64
	Percentiles []struct {
		Percent float64
		Seconds *float64
	}
	Prober struct {
		CPU    float64 `json:"cpu_seconds"`
		Pauses []interval
	}
}

// An interval is a time in a report.
type interval struct {
	Start  float64 `json:"start_seconds"`
	Length float64 `json:"length_seconds"`
}

// stood returns the longest time in which the prober stood still, by its own report, while an outage began or ended.
func (r probeReport) stood() (longest time.Duration) {
	const near = 5 * float64(cadence) / float64(time.Second)
	for _, p := range r.Prober.Pauses {
		for _, o := range r.Outages {
			for _, edge := range []float64{o.Start, o.Start + o.Length} {
				if edge > p.Start-near && edge < p.Start+p.Length+near {
					longest = max(longest, seconds(p.Length))
				}
			}
		}
	}
	return longest
}

// probe runs tandem probe until it ends by itself.
func (s *probeScene) probe(program lab.Cargo, span time.Duration, args ...string) (probeReport, *lab.Process) {
	args = append([]string{"probe", "--every", cadence.String(), "--for", span.String(), "--json"}, args...)
	// The report is long: a failure must not print all of it.
	p := s.client.Start("busybox", append([]string{"sh", "-c", `exec "$0" "$@" >report.json`, program.Path()}, args...)...)
	if code := p.Wait(span + 20*time.Second); code != 0 && code != 2 {
		s.attempt.Fatalf("tandem probe ended with code %d: %s", code, p.Output())
	}
	var r probeReport
	text, err := os.ReadFile(filepath.Join(s.client.Dir(), "report.json"))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil || r.Asked == 0 {
		s.attempt.Fatalf("the report of tandem probe: %v, %d questions", err, r.Asked)
	}
	return r, p
}

func (s *probeScene) tandem() sight {
	r, _ := s.probe(lab.Tandem, pauseSpan, probedHTTP, "--http", "/")
	if len(r.Outages) != 1 {
		s.bench.progress("tandem probe reports %d outages", len(r.Outages))
	}
	one := sight{asked: r.Asked, outage: seconds(r.Longest), slowest: seconds(r.Slowest), stood: r.stood()}
	for _, p := range r.Percentiles {
		if p.Percent == 99 && p.Seconds != nil {
			one.p99 = seconds(*p.Seconds)
		}
	}
	return one
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// attack lets vegeta ask, each time on a new connection.
func (s *probeScene) attack(span time.Duration) *lab.Process {
	targets := s.client.WriteFile("targets", "GET http://"+probedHTTP+"/\n")
	p := s.client.Start(vegeta.Path(), "attack", "-targets", targets, "-rate", fmt.Sprintf("%d/s", time.Second/cadence),
		"-duration", span.String(), "-keepalive=false", "-output", "results")
	if code := p.Wait(span + 20*time.Second); code != 0 {
		s.attempt.Fatalf("vegeta ended with code %d: %s", code, p.Output())
	}
	return p
}

// attacked reads what vegeta saw.
func (s *probeScene) attacked() sight {
	var r struct {
		Requests  int
		Latencies struct {
			P99 time.Duration `json:"99th"`
			Max time.Duration
		}
		Success float64
	}
	text := s.client.Run(vegeta.Path(), "report", "-type", "json", "results")
	if err := json.Unmarshal([]byte(text), &r); err != nil || r.Success != 1 {
		s.attempt.Fatalf("the report of vegeta: %v: %s", err, text)
	}
	return sight{asked: r.Requests, outage: -1, p99: r.Latencies.P99, slowest: r.Latencies.Max}
}

func (s *probeScene) vegeta() sight {
	s.attack(pauseSpan)
	return s.attacked()
}

func (s *probeScene) closedLoop() sight {
	var took []time.Duration
	end := time.Now().Add(pauseSpan)
	for due := time.Now(); due.Before(end); due = later(due.Add(cadence), time.Now()) {
		time.Sleep(time.Until(due))
		began := time.Now()
		if err := askOnce(s.client, probedHTTP); err != nil {
			s.attempt.Fatalf("the closed loop: %v", err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return sight{asked: len(took), outage: -1, p99: took[len(took)*99/100], slowest: took[len(took)-1]}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
