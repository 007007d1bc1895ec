// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"fmt"
	"strings"
)

// An Action is what a step does.
type Action uint8

// The actions.
const (
	LoadModule    Action = iota + 1 // load module
	SetSysctl                       // set sysctl
	InstallFilter                   // install ARP filter
	RemoveFilter                    // remove ARP filter
	WriteDropIn                     // write sysctl file
	RemoveDropIn                    // remove sysctl file
	LinkUp                          // bring link up
	LinkDown                        // take link down
	AddAddress                      // add address
	DeleteAddress                   // delete address
	AddLocalRoute                   // add local route
	UnloadModule                    // unload module
)

// A Step is one change to the machine.
type Step struct {
	Action  Action
	Name    string  // of the module, sysctl (its path below /proc/sys), file or interface
	Value   string  // of the sysctl or file, to the byte
	Address Address // to be added or deleted, or to have its local route
	Rules   []Rule  // of the filter
}

// String returns the command that does the same by hand.
func (s Step) String() string {
	switch s.Action {
	case LoadModule:
		return "modprobe " + s.Name
	case UnloadModule:
		return "modprobe --remove " + s.Name
	case SetSysctl:
		name := s.Name
		if !strings.Contains(name, ".") { // as the name of a VLAN interface has one
			name = strings.ReplaceAll(name, "/", ".")
		}
		return fmt.Sprintf("sysctl -w %s=%s", name, strings.TrimSpace(s.Value))
	case InstallFilter:
		return installCommand(s.Rules)
	case RemoveFilter:
		return "nft delete table arp " + filterTable
	case WriteDropIn:
		return fmt.Sprintf("printf %q > %s", s.Value, s.Name)
	case RemoveDropIn:
		return "rm " + s.Name
	case LinkUp:
		return "ip link set " + s.Name + " up"
	case LinkDown:
		return "ip link set " + s.Name + " down"
	case AddAddress:
		return fmt.Sprintf("ip address add %s dev %s", s.Address.Prefix, s.Address.Interface)
	case DeleteAddress:
		return fmt.Sprintf("ip address del %s dev %s", s.Address.Prefix, s.Address.Interface)
	case AddLocalRoute:
		return fmt.Sprintf("ip route add local %s dev %s table local", s.Address.Prefix.Addr(), s.Address.Interface)
	}
	return "unknown"
}
