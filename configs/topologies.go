// SPDX-License-Identifier: Apache-2.0

package configs

import "embed"

// Topologies holds complete examples. Each has a directory with director-a.toml and director-b.toml, and realserver.toml.
// Where a router or the directors need sysctls, a file has them.
//
//go:embed topologies
var Topologies embed.FS
