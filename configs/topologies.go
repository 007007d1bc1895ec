// SPDX-License-Identifier: Apache-2.0

package configs

import "embed"

// Topologies holds complete examples. Each has a directory with director-a.toml and director-b.toml, and realserver.toml if
// the real servers need it.
//
//go:embed topologies
var Topologies embed.FS
