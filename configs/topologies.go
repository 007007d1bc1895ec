// SPDX-License-Identifier: Apache-2.0

package configs

import "embed"

// Topologies are complete examples, a directory for each: director-a.toml and director-b.toml, and realserver.toml where
// the real servers need it.
//
//go:embed topologies
var Topologies embed.FS
