// SPDX-License-Identifier: Apache-2.0

// Package configs reads and validates the configuration of a director.
package configs
