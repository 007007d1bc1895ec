// SPDX-License-Identifier: Apache-2.0

package director

import (
	"context"
	"maps"
	"time"

	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/vrrp"
)

// trackFileInterval is the pause between two looks at the tracked files.
const trackFileInterval = time.Second

// keepTracking tells the election whenever what the virtual routers track makes something else of them, until ctx ends.
func (d *Director) keepTracking(ctx context.Context) error {
	tick := time.NewTicker(trackFileInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.retrack:
			d.followTracks(false)
		case <-tick.C:
			d.followTracks(true)
		}
	}
}

// readTrackFiles reads the tracked files and logs each problem once. The caller holds d.ordering, so that the files of
// an earlier configuration cannot come after those of a later.
func (d *Director) readTrackFiles() {
	d.mu.Lock()
	tracks := d.config.Tracks
	d.mu.Unlock()
	numbers := readNumbers(tracks)
	d.mu.Lock()
	before := d.files
	d.files = numbers
	d.mu.Unlock()
	for path, is := range numbers {
		if is.problem != "" && is.problem != before[path].problem {
			d.log.Warn("a tracked file holds no number", "file", path, "problem", is.problem)
		}
	}
}

// followTracks sends the election's order again if tracking has changed since it was sent. It reads the tracked files
// anew if that is asked for.
func (d *Director) followTracks(files bool) {
	d.ordering.Lock()
	defer d.ordering.Unlock()
	if files {
		d.readTrackFiles()
	}
	now := d.tracking()
	if maps.Equal(now, d.tracked) {
		return
	}
	for name, is := range now {
		if was := d.tracked[name]; was != is {
			d.log.Info("tracking changed", "router", name, "priority-delta", is.Delta, "unclear", is.Unclear, "fault", is.Fault)
		}
	}
	d.sendOrder(now)
}

// cutOffDelta brings any priority down to 1, except that of an owner.
const cutOffDelta = -254

// tracking is what scripts, files and services make of each virtual router that tracks any, now. A director that is cut
// off from all its real servers stands back whatever it tracks: as master it would serve nobody, and one whose cable
// was just plugged in again must not take its place before it can.
func (d *Director) tracking() map[string]vrrp.Tracking {
	tracks, standings := d.standings()
	all := combine(tracks, standings)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.view().isolated(d.config.Services) {
		for _, r := range d.config.Routers {
			t := all[r.Name]
			t.Delta += cutOffDelta
			all[r.Name] = t
		}
	}
	return all
}

// standings are the tracks of the configuration and how they stand now.
func (d *Director) standings() ([]configs.Track, []standing) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.config.Tracks) == 0 {
		return nil, nil
	}
	return d.config.Tracks, assess(d.config.Tracks, world{view: d.view(), services: d.config.Services, files: d.files})
}
