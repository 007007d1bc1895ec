// SPDX-License-Identifier: Apache-2.0

package api

import "time"

// A Peer is the other director of the pair, as it tells about itself, and what differs. It has no part in the election.
type Peer struct {
	Address string   `json:"address"` // of the configuration
	Name    string   `json:"name"`    // empty: it was never connected
	Version string   `json:"version"`
	To      PeerHalf `json:"to"`   // the connection to it
	From    PeerHalf `json:"from"` // the connection from it
	// HeardAt is when it told something last. What follows is as old; the zero time: it never did.
	HeardAt time.Time `json:"heard_at,omitzero"`
	Clock   *Clock    `json:"clock"` // null: not measured
	// Refused counts connections from others. Refusal is the latest: address and reason.
	Refused uint64       `json:"refused"`
	Refusal string       `json:"refusal,omitempty"`
	Routers []PeerRouter `json:"routers"`
	Drift   []PeerDrift  `json:"drift"`   // what differs in the configurations and should not; empty: nothing
	Servers []PeerServer `json:"servers"` // real servers that the directors see differently; empty: none
	Orders  []PeerOrder  `json:"orders"`  // real servers about which the directors have different orders; empty: none
	// ServersNotTold counts its real servers whose health it does not tell, because they are too many.
	ServersNotTold int `json:"servers_not_told,omitempty"`
}

// A PeerHalf is one direction of the channel.
type PeerHalf struct {
	Up      bool      `json:"up"`
	Since   time.Time `json:"since,omitzero"`
	Problem string    `json:"problem,omitempty"`
}

// A Clock is how far the other director's wall clock is ahead of ours. The true value differs by the error at most.
type Clock struct {
	AheadSeconds float64 `json:"ahead_seconds"`
	ErrorSeconds float64 `json:"error_seconds"`
}

// A PeerRouter is a virtual router on the other director.
type PeerRouter struct {
	Name     string    `json:"name"`
	Family   uint8     `json:"family"`
	State    string    `json:"state"`
	Priority uint8     `json:"effective_priority"`
	Standby  bool      `json:"standby"`
	Since    time.Time `json:"since"`
}

// A PeerDrift is something that differs in the configurations.
type PeerDrift struct {
	Wrong bool   `json:"wrong"` // the pair does not work with it
	Text  string `json:"text"`
}

// A PeerServer is a real server that the directors see differently: "healthy", or "unhealthy: " and the reason.
type PeerServer struct {
	Name  string `json:"name"` // SERVICE/ADDRESS:PORT
	Here  string `json:"here"`
	There string `json:"there"`
	// Since is when the later of both verdicts came.
	Since time.Time `json:"since,omitzero"`
}

// A PeerOrder is a real server about which the directors have different orders, in words: "drained by command", "none".
type PeerOrder struct {
	Name  string `json:"name"` // SERVICE/ADDRESS:PORT
	Here  string `json:"here"`
	There string `json:"there"`
	Why   string `json:"why"`
	// Meant says that an operator wanted it so, with --local.
	Meant bool `json:"meant,omitempty"`
}
