// SPDX-License-Identifier: Apache-2.0

package configs

import "embed"

// Shipped holds the units for systemd, the manual pages, the guide, programs for hooks, and complete examples: below topologies, each has a directory
// with a README, which says how to set it up, director-a.toml and director-b.toml, and realserver.toml. Where a router or the
// directors need sysctls, a file has them.
//
//go:embed topologies guide hooks man *.service
var Shipped embed.FS

// Checks is the text of checks.toml, the checks of common servers.
//
//go:embed checks.toml
var Checks string
