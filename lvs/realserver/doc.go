// SPDX-License-Identifier: Apache-2.0

// Package realserver makes a machine fit to be a real server of direct routing or of tunnels.
//
// Such a machine has the virtual addresses (VIPs) itself, so that it takes the packets that the director passes on
// unchanged, and answers the clients directly. It must not tell its neighbours so: one that answers ARP requests for a
// VIP, or gives the VIP as the sender of its own, takes the clients away from the director.
//
// What is to be done is a pure function of what is wanted and what is there (MakePlan). A Machine reads, plans, and
// carries out; what was there before is recorded, so that Remove leaves the machine as it was found.
package realserver
