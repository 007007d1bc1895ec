// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"slices"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
)

// splitNAT judges whether the virtual routers that method nat needs on the same director belong together.
func (e *examination) splitNAT() {
	for _, split := range e.config.NATSplits {
		e.add(diagnosis.SplitNAT(split))
	}
}

// isSplitNAT reports whether a warning of the director is one of these findings.
func (e *examination) isSplitNAT(warning string) bool {
	for _, split := range e.config.NATSplits {
		if diagnosis.SplitNAT(split).Advice() == warning {
			return true
		}
	}
	return false
}

// segments reports the interfaces on which the running director reaches no other machine.
func (e *examination) segments() {
	if e.snapshot.Status == nil {
		return
	}
	for _, iface := range e.snapshot.Status.Isolated {
		e.add(diagnosis.SilentSegment(iface))
	}
}

// isIsolated reports whether the running director reaches no other machine on an interface: what is not heard there has that cause.
func (e *examination) isIsolated(iface string) bool {
	return e.snapshot.Status != nil && slices.Contains(e.snapshot.Status.Isolated, iface)
}

// isSilentSegment reports whether a warning of the director is about such an interface.
func (e *examination) isSilentSegment(warning string) bool {
	return slices.ContainsFunc(e.snapshot.Status.Isolated, func(iface string) bool {
		return diagnosis.SilentSegment(iface).Advice() == warning
	})
}
