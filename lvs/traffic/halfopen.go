// SPDX-License-Identifier: Apache-2.0

package traffic

import "time"

// A HalfOpen finds the connections whose client's ACK has not come within Patience. The kernel counts them as active. No client has one:
// they are those of a SYN flood, or of a client that was not answered. They last a minute, and longer if the SYN comes again.
type HalfOpen struct {
	known map[flow]waiting
}

// A waiting is when a connection was first and last seen to wait.
type waiting struct{ since, seen time.Time }

// See takes a look at the table, and returns its connections that are half open. A connection that no look has shown for Patience is
// forgotten: a new one may have the same ports.
func (h *HalfOpen) See(now time.Time, look []Connection) (all []Connection) {
	if h.known == nil {
		h.known = make(map[flow]waiting)
	}
	for key, is := range h.known {
		if now.Sub(is.seen) > Patience {
			delete(h.known, key)
		}
	}
	for i := range look {
		c := &look[i]
		key := flowOf(c)
		if c.State != Waiting {
			delete(h.known, key)
			continue
		}
		is, known := h.known[key]
		if !known {
			is.since = now
		}
		twice := is.seen.Equal(now) // the kernel's text may repeat a row
		is.seen = now
		h.known[key] = is
		if !twice && now.Sub(is.since) >= Patience {
			all = append(all, *c)
		}
	}
	return all
}
