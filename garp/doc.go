// SPDX-License-Identifier: Apache-2.0

// Package garp announces that an address has moved.
package garp
