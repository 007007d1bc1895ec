// SPDX-License-Identifier: Apache-2.0

// Package configs reads and validates the configuration of a director.
//
// A file is read once, as a whole. The schema (tables of typed fields, see fileTable) turns it into the domain types of the
// other packages. Every mistake is reported together with its line. Nothing is clamped, rounded or ignored.
//
// A new key is one field in its table, with its documentation; its name in internal/reference/layout.toml; and a rule in
// the table's check where it depends on other keys. Then run go generate ./configs.
package configs

//go:generate go run ./internal/reference
