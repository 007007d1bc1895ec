// SPDX-License-Identifier: Apache-2.0

// Package toml reads a TOML file by a schema. It gives typed values, and reports every mistake with its line.
//
// A schema is made of tables, whose fields have a SchemaType each: how a value is read, written and described. A Node is
// one spot in a file. Nothing is clamped, rounded or ignored.
package toml
