// SPDX-License-Identifier: Apache-2.0

package native

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/integration/lab"
)

const metricsTable = "[metrics]\nlisten = \"127.0.0.1:9100\"\n"

// TestReplayAfterRestart: a third machine has recorded what the master said, also its farewell, and repeats it without a pause while
// the backup is restarted, or its election killed. The backup refuses all of it, by name and in the metrics, and nothing moves. Only an
// election that was killed, and knows nothing, may take recorded advertisements for true ones until it has heard the master.
func TestReplayAfterRestart(t *testing.T) {
	orderly := func(d *lab.Duo) { startAgain(*d, d.B) }
	killed := func(d *lab.Duo) {
		before, err := d.B.ElectionPid()
		d.B.KillElection()
		d.Eventually(10*time.Second, "director-b has another election process", func() error {
			if now, again := d.B.ElectionPid(); again != nil || err == nil && now == before {
				return errors.Join(errNotYet, again)
			}
			return nil
		})
	}
	for _, tt := range []struct {
		name, more string
		restart    func(*lab.Duo)
	}{
		{"time", `time_window = "60s",`, orderly}, // the record is not too old: it is refused because it was heard before
		{"monotonic", `anti_replay = "monotonic",`, orderly},
		{"time, killed", `time_window = "60s",`, killed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := lab.NewDuo(t, lab.DuoSettings{Advert: floodedAdvert})
			signed(t, d, tt.more, metricsTable)
			stranger := d.Host("stranger", "192.0.2.66/24")
			d.Launch()
			mac := d.A.MAC()
			heard := d.Client.Capture("eth0", func(f lab.Frame) bool { return f.IsVRRP() && f.Source().String() == mac })
			awaitAdverts(t, d, 2)
			startAgain(d, d.A) // says farewell, and comes back
			d.AwaitMaster(d.A)
			awaitAdverts(t, d, 2)
			// Nothing in the record is newer than the farewell, and would take it back.
			record := heard.Frames()
			for len(record) > 0 && record[len(record)-1].VRRPPriority() != 0 {
				record = record[:len(record)-1]
			}
			if len(record) < 2 {
				t.Fatal("no farewell was recorded")
			}

			d.Steady().Stop()
			probe := d.Client.Probe(echoVIP)
			d.Answers(probe)
			before, moves := states(t, d)[0], d.B.WatchAddress(vip)
			stop, repeated := make(chan struct{}), 0
			var attack sync.WaitGroup
			attack.Go(func() {
				frames := redirected(record, stranger.MAC(), d.B.MAC())
				for {
					select {
					case <-stop:
						return
					default:
						repeated += stranger.Flood(2000, 100*time.Millisecond, frames)
					}
				}
			})
			tt.restart(&d)
			d.Eventually(20*time.Second, "director-b hears the master", func() error {
				n, err := metric(d.B, "tandem_vrrp_adverts_received_total{")
				if err == nil && n < 8 {
					err = errNotYet
				}
				return err
			})
			close(stop)
			attack.Wait()

			d.Answers(probe)
			out, changes := probe.Stop(), moves.Changes()
			if out.Lost > 0 {
				t.Errorf("%d of %d questions have no answer: %s", out.Lost, out.Sent, out)
			}
			if len(changes) > 0 {
				t.Errorf("director-b: the VIP came or went: %v", changes)
			}
			if after := states(t, d)[0]; after != before {
				t.Errorf("it was %s and is %s", before, after)
			}
			d.B.AwaitState(time.Second, "backup")
			refused, err := metric(d.B, `tandem_vrrp_adverts_dropped_total{reason="replayed"`)
			if became, unread := metric(d.B, "tandem_vrrp_became_master_total{"); err != nil || unread != nil || refused == 0 || became > 0 {
				t.Errorf("director-b has refused %d replayed advertisements and became master %d times: %v, %v", refused, became, err, unread)
			}
			t.Logf("hmac: replay after a restart, anti_replay %s: %d recorded advertisements repeated, %d refused as replayed by the restarted director; VIP moved %d times; %d of %d questions unanswered",
				tt.name, repeated, refused, len(changes), out.Lost, out.Sent)
		})
	}
}

// startAgain stops a director as systemd does, and starts it again.
func startAgain(d lab.Duo, x *lab.Director) {
	x.Process().Signal(syscall.SIGTERM)
	x.Process().Wait(15 * time.Second)
	x.Launch()
	d.Eventually(10*time.Second, x.Name+" answers", func() error { _, err := x.Status(); return err })
}

// metric returns the value of the only metric whose line begins so.
func metric(x *lab.Director, begin string) (int, error) {
	text, err := x.Get("http://127.0.0.1:9100/metrics")
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(begin)+`.* (\S+)$`).FindAllStringSubmatch(text, -1)
	if len(m) != 1 {
		return 0, fmt.Errorf("%d metrics begin with %s", len(m), begin)
	}
	n, err := strconv.ParseFloat(m[0][1], 64)
	return int(n), err
}
