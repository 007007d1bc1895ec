// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"
	"testing"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/configs"
)

// TestSplitNATAndSilentSegment: both are warnings of the status, in the words of the doctor's findings.
func TestSplitNATAndSilentSegment(t *testing.T) {
	split := configs.NATSplit{Services: []string{"www"}, Outside: "outside", Inside: "inside"}
	s := Status(Input{State: &core.Snapshot{Config: &configs.Config{NATSplits: []configs.NATSplit{split}}, Isolated: []string{"eth0"}}})
	want := []string{
		"eth0: no other machine answers there, although the interface is up: this director steps back at priority 1, " +
			"so that the peer serves if it reaches somebody; look at the cable, the switch and the VLAN of eth0",
		diagnosis.SplitNAT(split).Advice(),
	}
	if !slices.Equal(s.Warnings, want) || !slices.Equal(s.Isolated, []string{"eth0"}) {
		t.Errorf("warnings %q, isolated %q", s.Warnings, s.Isolated)
	}
}
