// SPDX-License-Identifier: Apache-2.0

// Package client asks a running director, and gives it commands, over its control socket. It is what the tandem command itself uses.
//
//	c := client.New("/run/tandem/control.sock")
//	status, err := c.Status(ctx)
//
// Each method is one endpoint of the interface; tandem serves its description, OpenAPI 3.1, at /openapi.json of the socket. Members that
// this version does not know are ignored. A method that the director does not know is an error that says so. Errors carry the director's own
// sentences; errors.Is tells ErrNoDirector, ErrSilent, ErrBroken and ErrUnanswered.
//
// What a caller may do follows from its user and groups, by [control] group and admin_group of the configuration.
package client
