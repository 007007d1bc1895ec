// SPDX-License-Identifier: Apache-2.0

package lvs

import (
	"fmt"
	"strings"
)

// flagNames are the flags as the log names them.
var flagNames = []struct {
	flag Flags
	name string
}{{Persistent, "persistent"}, {OnePacket, "one-packet"}, {Fallback, "fallback"}, {SourcePort, "port"}}

// schedulerFlags are the flags of schedulers, by their names in ipvsadm.
var schedulerFlags = []struct {
	name, scheduler string
	flag            Flags
}{
	{"sh-fallback", "sh", Fallback},
	{"sh-port", "sh", SourcePort},
	{"mh-fallback", "mh", Fallback},
	{"mh-port", "mh", SourcePort},
}

// SchedulerFlags returns the names that ParseSchedulerFlag knows.
func SchedulerFlags() []string {
	names := make([]string, len(schedulerFlags))
	for i, f := range schedulerFlags {
		names[i] = f.name
	}
	return names
}

// ParseSchedulerFlag returns the flag that sh-fallback, sh-port, mh-fallback or mh-port stands for, and its scheduler.
func ParseSchedulerFlag(name string) (flag Flags, scheduler string, err error) {
	for _, f := range schedulerFlags {
		if f.name == name {
			return f.flag, f.scheduler, nil
		}
	}
	return 0, "", fmt.Errorf("unknown scheduler flag %q: want one of %s", name, strings.Join(SchedulerFlags(), ", "))
}

// String lists the flags for the log: "none", "persistent", "one-packet, 0x20".
func (f Flags) String() string {
	var names []string
	for _, n := range flagNames {
		if f&n.flag != 0 {
			names = append(names, n.name)
			f &^= n.flag
		}
	}
	if f != 0 {
		names = append(names, fmt.Sprintf("%#x", uint32(f)))
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ", ")
}
