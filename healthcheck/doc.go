// SPDX-License-Identifier: Apache-2.0

// Package healthcheck finds out whether real servers work.
package healthcheck
