// SPDX-License-Identifier: Apache-2.0

package realserver

import (
	"fmt"
	"strings"

	"github.com/tandem-lvs/tandem/lvs"
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
	SetRoute                        // set route
	DeleteRoute                     // delete route
)

// A Step is one change to the machine.
type Step struct {
	Action  Action
	Name    string  // of the module, sysctl (its path below /proc/sys), file or interface
	Value   string  // of the sysctl or file, byte for byte
	Address Address // to add, to delete, or to give its local route
	Rules   []Rule  // of the filter
	Path    Path    // to set or to delete
}

// String returns a shell command that does the same.
func (s Step) String() string {
	switch s.Action {
	case LoadModule:
		return "modprobe " + s.Name
	case UnloadModule:
		return "modprobe --remove " + s.Name
	case SetSysctl:
		return fmt.Sprintf("sysctl -w %s=%s", lvs.SettingName(s.Name), strings.TrimSpace(s.Value))
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
	case SetRoute:
		return s.Path.command("replace")
	case DeleteRoute:
		return s.Path.command("del")
	}
	return "unknown"
}
