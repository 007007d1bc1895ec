// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/election/message"
	"github.com/tandem-lvs/tandem/lvs"
)

// Each question is recorded once. An election that was started again counts its questions from 1 again.
func TestAnswersAreRecordedOnce(t *testing.T) {
	s := started(with(www(false, lvs.WeightZero)))
	asked := message.Asked{Interface: "eth0", Name: "web", Master: netip.MustParseAddr("192.0.2.3"), Count: 1, At: noon}
	asked.Answers = []message.Answer{{Address: netip.MustParseAddr("192.0.2.100"), Hardware: "02:00:00:00:00:09"}}
	for i, c := range []struct {
		at   time.Time
		want int
	}{{noon, 1}, {noon, 0}, {seconds(60), 1}, {seconds(60), 0}} {
		asked.At = c.at
		out, got := s.Step(c.at, Report{message.Report{Asked: []message.Asked{asked}}}), 0
		if out.History != nil {
			got = len(out.History.Events)
		}
		if got != c.want {
			t.Errorf("report %d: %d events, want %d", i+1, got, c.want)
		}
	}
}
