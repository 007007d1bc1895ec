// SPDX-License-Identifier: Apache-2.0

// Package toml reads a TOML file by a schema. It gives typed values, and reports every mistake with its line.
//
// A schema is made of tables. Each field of a table has a SchemaType, which says how a value is read, written and described.
// A Node is one place in a file. Nothing is clamped, rounded or ignored.
package toml
