// SPDX-License-Identifier: Apache-2.0

// Package configs reads and validates the configuration of a director.
//
// A file is read once, as a whole: with the files that it includes, the values of one director ([director.NAME]), and variables
// of the environment. Then it is one tree (toml.Document), in which each value has its place. The schema (tables of typed fields,
// see fileTable) turns it into the domain types of the other packages. Every mistake is reported together with its line. Nothing is
// clamped, rounded or ignored.
//
// To add a key, add one field with its documentation to its table, and its name to internal/reference/layout.toml. If the key
// depends on other keys, add a rule to the table's check. Then run go generate ./configs.
package configs

//go:generate go run ./internal/reference
//go:generate go test ../cmd/tandem -run ^TestManPages$ -update
