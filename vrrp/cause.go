// SPDX-License-Identifier: Apache-2.0

package vrrp

import (
	"fmt"
	"net/netip"
	"time"
)

// A CauseKind says why a virtual router changed its state, or did not.
type CauseKind uint8

// The causes, each with the fields of Cause that it uses.
const (
	CauseStartup        CauseKind = iota + 1
	CauseResumed                  // it was master a moment ago, and its process was killed
	CauseFaultOver                // Fault, and the fields of that fault
	CauseStayed                   // ordered to stay before a peer took over
	CauseFaultPassed              // the fault ended before a peer took over
	CauseSuccessor                // the successor has the VIPs
	CauseUnannounced              // the successor was not heard to announce the VIPs: Peer
	CauseSilence                  // no advertisement: Wait, Peer (invalid: no master was known)
	CauseMasterLeft               // priority 0: Peer
	CausePreempts                 // the master has a lower priority: Own, Priority, Peer
	CauseHigherPriority           // Priority, Peer
	CauseHigherAddress            // equal priorities: Priority, Peer
	CauseStalled                  // another router took over while this one stood still: Peer
	CauseStoodStill               // it stood still, and has heard of no successor since
	CauseListens                  // it stood still for Wait, and waits for the advertisement of a successor
	CauseNoWitness                // no master was heard, and no witness answers: Wait
	CauseHeardAgain               // a master is heard again, after the router stood back or fenced: Peer
	CauseFences                   // no master was heard, and the one that was must be fenced first: Wait
	CauseLastResort               // no master was heard, and the router is master in spite of the fault Text
	CauseTookOver                 // a peer accepted the offer: Peer
	CauseNobody                   // no peer accepted the offer
	CauseStandby                  // by command
	CauseShutdown                 // the process ends
	CauseRemoved                  // from the configuration
	CauseRenamed                  // Text is the new name
	CauseGroupReady               // every member of the sync group can be master: Group
	CauseGroupBackup              // a member of the sync group is backup: Group, Text is its name
	FaultConfig                   // the configuration cannot work on the wire: Text says why
	FaultLinkMissing              // Text is the interface's name
	FaultLinkDown                 // Text is the interface's name
	FaultLinkCarrier              // Text is the interface's name
	FaultSocket                   // Text is the error
	FaultSource                   // the interface lacks an address to send from: Text says which
	FaultTracked                  // what the router tracks fails: Text says what
	FaultGroup                    // another member of the sync group is at fault: Text says which and why
)

// A Cause is why a virtual router changed its state, or did not. Decisions compare it; people read its String.
type Cause struct {
	Kind     CauseKind
	Fault    CauseKind // of CauseFaultOver and CauseLastResort: that fault
	Priority uint8     // of the peer
	Own      uint8     // our own priority
	Peer     netip.Addr
	Wait     time.Duration
	Group    string
	Text     string
}

// String returns the cause in words, "" for the zero Cause.
func (c Cause) String() string {
	switch c.Kind {
	case CauseStartup:
		return "startup"
	case CauseResumed:
		return "resumed"
	case CauseFaultOver:
		c.Kind, c.Fault = c.Fault, 0
		return "fault is over: " + c.String()
	case CauseStayed:
		return "told to stay before anybody took over"
	case CauseFaultPassed:
		return "fault was over before anybody took over"
	case CauseSuccessor:
		return "the successor has them"
	case CauseNobody:
		return "nobody took over"
	case CauseStoodStill:
		return "it stood still, and no other master is heard"
	case CauseListens:
		return fmt.Sprintf("it stood still for %s: listening for another master before it has the addresses again", c.Wait)
	case CauseNoWitness:
		return fmt.Sprintf("stands back: no advertisement for %s, but no witness answers: this machine itself may be cut off", c.Wait)
	case CauseFences:
		return fmt.Sprintf("no advertisement for %s: the other director must be fenced before this one takes over", c.Wait)
	case CauseLastResort:
		return "no other master is heard, so this router is master at priority 1 in spite of its fault: " + c.Text
	case CauseStandby:
		return "standby"
	case CauseShutdown:
		return "shutdown"
	case CauseRemoved:
		return "removed from the configuration"
	case CauseRenamed:
		return "it is called " + c.Text + " now"
	case CauseGroupReady:
		return fmt.Sprintf("sync group %q: every member can be master", c.Group)
	case CauseGroupBackup:
		return fmt.Sprintf("sync group %q: %s is backup", c.Group, c.Text)
	case FaultLinkMissing:
		return "interface " + c.Text + " is missing"
	case FaultLinkDown:
		return "interface " + c.Text + " is down"
	case FaultLinkCarrier:
		return "interface " + c.Text + " has no carrier"
	case FaultConfig, FaultSocket, FaultSource, FaultTracked, FaultGroup:
		return c.Text
	}
	return c.peerString()
}

// peerString returns the causes that are another router's doing.
func (c Cause) peerString() string {
	switch c.Kind {
	case CauseSilence:
		if !c.Peer.IsValid() {
			return fmt.Sprintf("no advertisement for %s", c.Wait)
		}
		return fmt.Sprintf("no advertisement for %s from %s", c.Wait, c.Peer)
	case CauseHeardAgain:
		return fmt.Sprintf("%s is heard again", c.Peer)
	case CauseMasterLeft:
		return fmt.Sprintf("priority 0 heard from %s", c.Peer)
	case CausePreempts:
		return fmt.Sprintf("own priority %d is higher than %d of %s", c.Own, c.Priority, c.Peer)
	case CauseHigherPriority:
		return fmt.Sprintf("higher priority %d heard from %s", c.Priority, c.Peer)
	case CauseHigherAddress:
		return fmt.Sprintf("equal priority %d and higher address heard from %s", c.Priority, c.Peer)
	case CauseStalled:
		return fmt.Sprintf("%s took over while this router stood still", c.Peer)
	case CauseUnannounced:
		return fmt.Sprintf("%s took over, and was not heard to announce them", c.Peer)
	case CauseTookOver:
		return fmt.Sprintf("%s took over", c.Peer)
	}
	return ""
}
