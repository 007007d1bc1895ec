// SPDX-License-Identifier: Apache-2.0

// Package configs reads and validates the configuration of a director.
//
// A file is read once, as a whole: TOML gives a tree, the schema (tables of typed fields, see schema.go) turns the tree
// into the domain types of the other packages, and every mistake found on the way is reported together with its line.
// Nothing is clamped, rounded or ignored.
//
// A new key is one field in its table, a line in reference.toml, and a rule in the table's check where it depends on
// other keys.
package configs
