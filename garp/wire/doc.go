// SPDX-License-Identifier: Apache-2.0

// Package wire announces addresses on an interface, and finds other machines that claim them: by gratuitous ARP for IPv4
// and by neighbour discovery for IPv6. Package garp decides when.
package wire
