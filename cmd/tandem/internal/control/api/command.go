// SPDX-License-Identifier: Apache-2.0

package api

// An Action is a command about a real server.
type Action string

// The actions, in pairs: the second of a pair undoes the first.
const (
	Drain     Action = "drain" // weight 0: no new connections
	Undrain   Action = "undrain"
	Disable   Action = "disable" // out of the IPVS table, which ends its connections
	Enable    Action = "enable"
	SetWeight Action = "weight" // instead of the configured weight
	Reset     Action = "reset"
)

// Actions returns the names of all actions.
func Actions() []string {
	return []string{string(Drain), string(Undrain), string(Disable), string(Enable), string(SetWeight), string(Reset)}
}

// A ServerCommand is the body of a request about a real server.
type ServerCommand struct {
	Server string `json:"server"` // SERVICE/ADDRESS or SERVICE/ADDRESS:PORT
	Action Action `json:"action"`
	Weight int    `json:"weight,omitempty"` // for SetWeight: 0 to 65535
	Local  bool   `json:"local,omitempty"`  // not on the other director of the pair
	// Drill is for Disable and Enable. A drill disables only a server that is neither drained nor disabled. It enables only a server
	// that a drill has disabled, if nobody else has disabled it since; else nothing is done, and the answer has no Peer.
	Drill bool `json:"drill,omitempty"`
}

// A ServerState is the state of a real server.
type ServerState struct {
	Name string `json:"name"` // SERVICE/ADDRESS:PORT
	// Connections are those that a drain waits for. With TCP and SCTP these are the active ones, otherwise all that the kernel knows.
	// TCP connections that have waited for their client's ACK for 3 s are left out: there is no client to lose them.
	Connections int `json:"connections"`
	// PersistentClients are the clients whose next connection would go to the server although it is drained. A drain waits
	// for them too. It is 0 while expire_quiescent_template is 1, which is the default.
	PersistentClients int    `json:"persistent_clients,omitempty"`
	EffectiveWeight   int    `json:"effective_weight"`
	Note              string `json:"note"` // as in Server
	// NotRemembered is set if the command is in force but its file could not be written: a restart would forget the command.
	// It is the cause alone: "write /var/lib/tandem/orders.json: read-only file system".
	NotRemembered string `json:"not_remembered,omitempty"`
	// Peer says whether a command is in force on the other director of the pair. It is absent without [peer], and with Local.
	Peer *PeerReply `json:"peer,omitempty"`
}

// A PeerReply says whether a command is in force on the other director of the pair.
type PeerReply struct {
	Name    string `json:"name"`
	InForce bool   `json:"in_force"`
	Problem string `json:"problem,omitempty"` // why it is not, or why this is not known; the command is sent again
}

// A Selection is the body of a request about virtual routers.
type Selection struct {
	Routers []string `json:"routers"` // empty: all
}

// A RoutersDone is the answer to a request about virtual routers.
type RoutersDone struct {
	Routers       []string `json:"routers"`                  // those for which the command was carried out
	NotRemembered string   `json:"not_remembered,omitempty"` // as in ServerState
	Notes         []string `json:"notes,omitempty"`          // what the user of a failover should know: connections that end
}
