// SPDX-License-Identifier: Apache-2.0

package runner

import "golang.org/x/sys/unix"

// spareFiles is how many file descriptors the rest of the director may need beside the probes.
const spareFiles = 1024

// raiseLimit raises the limit of open files to what the probes can need. If the kernel refuses, fewer probes run at the same
// time: a probe that waits is better than a probe that fails because there is no file descriptor.
func (r *Runner) raiseLimit() {
	need := uint64(r.maxInFlight + spareFiles)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur >= need {
		return
	}
	err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: need, Max: max(need, limit.Max)})
	if err == nil {
		return
	}
	if limit.Max > limit.Cur { // only root may have more
		limit.Cur = limit.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	}
	r.maxInFlight = min(r.maxInFlight, max(int(limit.Cur)-spareFiles, int(limit.Cur)/2))
	r.log.Warn("the limit of open files is low: fewer checks can run at the same time",
		"limit", limit.Cur, "checks", r.maxInFlight, "error", err)
}
