// SPDX-License-Identifier: Apache-2.0

package api

import (
	"slices"
	"time"
)

// A Peer is the other director of the pair, as it tells about itself, and what differs. It has no part in the election.
type Peer struct {
	Address string `json:"address"` // of the configuration
	Name    string `json:"name"`    // empty: it was never connected
	Version string `json:"version"`
	// Can are the questions that it answers: status, history, plan, apply, confirm, rollback. An older version has fewer, or none.
	Can  []string `json:"can"`
	To   PeerHalf `json:"to"`   // the connection to it
	From PeerHalf `json:"from"` // the connection from it
	// Warnings are those of the status's Warnings that are about the channel, the clocks and the configurations.
	Warnings []string `json:"warnings,omitempty"`
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
	// Unanswered are the real servers that do not answer the clients of the other director; empty: none.
	Unanswered []Unanswered `json:"unanswered,omitempty"`
	// ServersNotTold counts its real servers whose health it does not tell, because they are too many.
	ServersNotTold int `json:"servers_not_told,omitempty"`
}

// Questions are all that a director of this version answers for the other one.
func Questions() []string {
	return []string{"status", "history", "plan", "apply", "confirm", "rollback"}
}

// Lacks returns the questions that the other director does not answer. A status of an older version does not say: then it is empty.
func (p *Peer) Lacks() (all []string) {
	if p.Can == nil {
		return nil
	}
	for _, q := range Questions() {
		if !slices.Contains(p.Can, q) {
			all = append(all, q)
		}
	}
	return all
}

// A PeerHalf is one direction of the channel.
type PeerHalf struct {
	Up      bool      `json:"up"`
	Since   time.Time `json:"since,omitzero"`
	Problem string    `json:"problem,omitempty"`
	// Fault is the cause, if it is a known one: other key, refused, certificate, nobody listens, no answer, no port, same name, itself.
	Fault string `json:"fault,omitempty"`
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

// A PeerView is what the other director says of a real server that does not answer the clients of this one.
type PeerView struct {
	Name       string `json:"name"`             // of the other director
	Health     string `json:"health"`           // by its checks: healthy, unhealthy, unknown or unchecked
	Reason     string `json:"reason,omitempty"` // with unhealthy
	Unanswered bool   `json:"unanswered"`       // the server does not answer its clients either
}

// Words says it in words; empty: the other director does not know either. Passes says that our own check passes.
func (v *PeerView) Words(passes bool) string {
	switch {
	case v == nil:
		return ""
	case v.Unanswered:
		return "the clients of " + v.Name + " get no answer either"
	case v.Health == "healthy" && passes:
		return "the check of " + v.Name + " passes too"
	case v.Health == "healthy":
		return "the check of " + v.Name + " passes"
	case v.Health == "unhealthy":
		return v.Name + "'s check fails: " + v.Reason
	}
	return ""
}
