// SPDX-License-Identifier: Apache-2.0

package healthcheck

import "golang.org/x/sys/unix"

// spareFiles is how many file descriptors the rest of the director may need beside the probes.
const spareFiles = 1024

// makeRoom raises the limit of file descriptors to what the probes can need. Where it may not be raised so far, fewer
// probes run at the same time: waiting for each other is better than failing for want of one.
func (r *Runner) makeRoom() {
	need := uint64(r.maxInFlight + spareFiles)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur >= need {
		return
	}
	err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: need, Max: max(need, limit.Max)})
	if err == nil {
		return
	}
	if limit.Max > limit.Cur { // more than that only root may
		limit.Cur = limit.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	}
	r.maxInFlight = min(r.maxInFlight, max(int(limit.Cur)-spareFiles, int(limit.Cur)/2))
	r.log.Warn("the limit of open files is low: fewer checks can run at the same time",
		"limit", limit.Cur, "checks", r.maxInFlight, "error", err)
}
