// SPDX-License-Identifier: Apache-2.0

package control

// An Action is what an operator wants of a real server.
type Action string

// The actions. What one of them does the one beside it takes back.
const (
	Drain     Action = "drain" // no new connections
	Undrain   Action = "undrain"
	Disable   Action = "disable" // not in the table, so that its connections end too
	Enable    Action = "enable"
	SetWeight Action = "weight" // instead of the configured one
	Reset     Action = "reset"
)

// Actions returns their names.
func Actions() []string {
	return []string{string(Drain), string(Undrain), string(Disable), string(Enable), string(SetWeight), string(Reset)}
}

// A ServerCommand is the body of a request about a real server.
type ServerCommand struct {
	Server string `json:"server"` // SERVICE/ADDRESS or SERVICE/ADDRESS:PORT
	Action Action `json:"action"`
	Weight int    `json:"weight,omitempty"` // of SetWeight, 0 to 65535
}

// A ServerState is how a real server stands.
type ServerState struct {
	Name string `json:"name"` // SERVICE/ADDRESS:PORT
	// Connections are those that a drain waits for: the established ones of TCP and SCTP, all that the kernel knows of
	// other services.
	Connections     int    `json:"connections"`
	EffectiveWeight int    `json:"effective_weight"`
	Note            string `json:"note"` // as in Server
	// NotRemembered is set where the command is in force and its file could not be written: a restart would forget the
	// command. It is the cause alone: "write /var/lib/tandem/orders.json: read-only file system".
	NotRemembered string `json:"not_remembered,omitempty"`
}
