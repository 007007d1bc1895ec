// SPDX-License-Identifier: Apache-2.0

package lvs

// RefusesForWeightless tells whether a scheduler refuses clients while another server could serve them: those whose bucket
// belongs to a server of weight 0. The schedulers sh and mh do so too, but not with the flag Fallback.
func RefusesForWeightless(scheduler string) bool { return scheduler == "dh" }

// NeededFlags are the flags without which a service with that scheduler breaks the rule in the package comment.
func NeededFlags(scheduler string) Flags {
	if scheduler == "sh" || scheduler == "mh" {
		return Fallback
	}
	return 0
}

// NeededSysctls are the kernel's settings without which these services break the rule in the package comment, by name.
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

// WithoutSysctl says what clients get without a setting that NeededSysctls returns.
func WithoutSysctl(name string) string {
	switch name {
	case "expire_nodest_conn":
		return "clients of a server that was removed get silence instead of a reset"
	case "expire_quiescent_template":
		return "persistent clients stay with a server that is drained or has weight 0, even if it is dead"
	}
	return ""
}
