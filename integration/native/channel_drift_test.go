// SPDX-License-Identifier: Apache-2.0

package native

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// drifts is a disturbance in which the file of the backup says something else, until it is mended. Both directors say what differs.
func drifts(old, new, says string) func(*channelScene) func() {
	load := func(c *channelScene, text string) {
		c.B.Configure(text)
		wantRun(c.t, c.B, "reload")
	}
	differ := func(c *channelScene, what string, want bool) {
		c.Eventually(5*time.Second, what, func() error {
			for _, d := range c.both() {
				out, err := tandem(d, "status", "--pair")
				if err != nil || strings.Contains(out, says) != want || strings.Contains(out, "and orders: no difference") == want {
					return fmt.Errorf("%s: %v\n%s", d.Name, err, out)
				}
			}
			return nil
		})
	}
	return func(c *channelScene) func() {
		right, began := c.config(c.B), time.Now()
		load(c, strings.Replace(right, old, new, 1))
		differ(c, "both directors say what differs", true)
		c.Logf("both directors say %q after %s", says, time.Since(began).Round(time.Millisecond))
		return func() {
			load(c, right)
			differ(c, "nothing differs any more", false)
		}
	}
}

// TestChannelDrift: the configurations of the directors drift apart, and back.
func TestChannelDrift(t *testing.T) {
	t.Parallel()
	c := newChannelScene(t, direct)
	for _, d := range []disturbance{
		{name: "only the backup has another address", begin: drifts(ownVRID, ownVRID+"\nexcluded_vips = [\"192.0.2.150/24\"]", "has excluded_vips")},
		{name: "the backup has another interval", long: true, begin: drifts("\"300ms\"", "\"400ms\"", "has advert_interval")},
	} {
		c.play(d)
	}
}
