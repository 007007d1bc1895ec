// SPDX-License-Identifier: Apache-2.0

package director

import (
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/healthcheck"
)

func scriptTrack(router string, weight int) configs.Track {
	check := healthcheck.DefaultConfig(healthcheck.Exec)
	check.Command = []string{"/bin/uplink"}
	return configs.Track{Router: router, Kind: configs.TrackScript, Name: "script /bin/uplink", Check: &check, Weight: weight}
}

func fileTrack(router, file string, weight int) configs.Track {
	return configs.Track{Router: router, Kind: configs.TrackFile, Name: "file " + file, File: file, Weight: weight}
}
