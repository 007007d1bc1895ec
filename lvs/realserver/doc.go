// SPDX-License-Identifier: Apache-2.0

// Package realserver prepares a machine as a real server of direct routing, of tunnels, or of NAT.
//
// A real server of direct routing or of tunnels has the virtual addresses (VIPs) itself: it accepts the packets that the
// director forwards unchanged, and answers the clients directly. It must hide the VIPs from its neighbours. If it answers ARP
// requests for a VIP, or sends ARP requests from a VIP, it takes the clients away from the director.
//
// A real server of NAT sends its answers through the director: its default route leads to the directors' VIP on its side.
//
// MakePlan is pure: it returns the steps from what there is to what is wanted. A Machine reads the state, plans the steps and
// takes them. It records the state before the first step. So Remove leaves the machine as it was, whatever others have changed
// since. It refuses an address that the machine, or a director on it, uses.
package realserver
