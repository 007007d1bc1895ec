// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"os"
	"strings"
)

// bootID returns an id of the present boot of the machine. If it is not known, the id is empty.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// anotherBoot reports whether a value was stored in another boot than the present one. If one of the two is not known, they
// count as the same.
func anotherBoot(stored, present string) bool {
	return stored != "" && present != "" && stored != present
}
