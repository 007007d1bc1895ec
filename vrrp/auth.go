// SPDX-License-Identifier: Apache-2.0

package vrrp

import "fmt"

const authLen = 8 // octets, in every packet of version 2 (RFC 3768, section 5.3.10)

// An AuthType is how a version 2 advertisement is authenticated; its values are those on the wire.
type AuthType uint8

// The types that were ever defined (RFC 2338, section 5.3.6; RFC 3768 keeps none of them but AuthNone).
const (
	AuthNone AuthType = iota
	AuthText          // a password in clear
	AuthAH            // the IP authentication header; not supported
)

// String returns the type in words.
func (t AuthType) String() string {
	switch t {
	case AuthNone:
		return "no authentication"
	case AuthText:
		return "a simple text password"
	case AuthAH:
		return "an IP authentication header"
	}
	return fmt.Sprintf("authentication type %d", uint8(t))
}

// An Auth is the authentication of a version 2 advertisement. The zero Auth is none. Data is a password in clear, padded with
// zeros. It protects against mistakes, not against attackers.
type Auth struct {
	Type AuthType
	Data [authLen]byte
}

// textAuth returns the authentication by a password of up to 8 octets. Without a password it returns none.
func textAuth(password string) (a Auth) {
	if password != "" {
		a.Type = AuthText
		copy(a.Data[:], password)
	}
	return a
}

// check compares a with the authentication of a received advertisement.
func (a Auth) check(theirs Auth) Drop {
	switch {
	case theirs.Type == AuthAH:
		return DropAuthHeader
	case theirs.Type != a.Type:
		return DropWrongAuthType
	case theirs.Data != a.Data:
		return DropWrongPassword
	}
	return 0
}
