// SPDX-License-Identifier: Apache-2.0

package lvs

// RefusesForWeightless reports whether a scheduler refuses clients while another server could serve them: it refuses the
// clients whose bucket belongs to a server of weight 0. The schedulers sh and mh do so only without the flag Fallback.
func RefusesForWeightless(scheduler string) bool { return scheduler == "dh" }

// NeededFlags returns the flags that a service with this scheduler needs to keep the rule in the package comment.
func NeededFlags(scheduler string) Flags {
	if scheduler == "sh" || scheduler == "mh" {
		return Fallback
	}
	return 0
}

// NeededSysctls returns the kernel's settings that these services need to keep the rule in the package comment, by name.
func NeededSysctls(services []Service) map[string]string {
	need := make(map[string]string)
	for _, s := range services {
		need["expire_nodest_conn"] = "1"
		if s.Flags&Persistent != 0 {
			need["expire_quiescent_template"] = "1"
		}
	}
	return need
}

// WithoutSysctl returns in words what happens to clients without a setting of NeededSysctls.
func WithoutSysctl(name string) string {
	switch name {
	case "expire_nodest_conn":
		return "clients of a server that was removed get silence instead of a reset"
	case "expire_quiescent_template":
		return "persistent clients stay with a server that is drained or has weight 0, even if it is dead"
	}
	return ""
}
