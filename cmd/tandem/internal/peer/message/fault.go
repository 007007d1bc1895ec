// SPDX-License-Identifier: Apache-2.0

package message

// A Fault is a known cause why a direction of the channel does not work. Empty: none of these.
type Fault string

// The faults.
const (
	FaultKey         Fault = "other key"
	FaultRefused     Fault = "refused"        // the other director refuses our key or certificate
	FaultCertificate Fault = "certificate"    // a certificate does not fit, has ended, or cannot be read
	FaultNobody      Fault = "nobody listens" // at the other director
	FaultSilent      Fault = "no answer"      // from the other director
	FaultPort        Fault = "no port"        // this director cannot listen
	FaultName        Fault = "same name"      // both directors have it
	FaultItself      Fault = "itself"         // the director is connected to itself
)
