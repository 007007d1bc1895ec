// SPDX-License-Identifier: Apache-2.0

package configs

import "github.com/tandem-lvs/tandem/healthcheck"

// A Track is something besides an interface whose failure counts for a virtual router.
type Track struct {
	Router  string // the virtual router's name
	Kind    TrackKind
	Name    string              // unique among the router's: "script /usr/local/bin/check-uplink", "service www"
	Check   *healthcheck.Config // of a script: how it is run
	File    string              // of a file: its absolute path
	Service string              // of a service: its name
	// Weight is added to the priority while the track fails, -253 to -1; or while it does not, 1 to 253; at 0 its
	// failure is the virtual router's fault. The number in a file is multiplied with it.
	Weight int
}

// A TrackKind is what a Track looks at.
type TrackKind uint8

// The kinds, by the keys that files name them with: script, file, service.
const (
	TrackScript  TrackKind = iota + 1 // a program fails that does not exit with 0
	TrackFile                         // a file holds a number other than 0
	TrackService                      // too few servers of a service are healthy
)

// String returns the kind as files name it.
func (k TrackKind) String() string {
	switch k {
	case TrackScript:
		return "script"
	case TrackFile:
		return "file"
	case TrackService:
		return "service"
	}
	return "unknown"
}
