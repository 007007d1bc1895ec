// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/vrrp"
)

// TestSigning: the steps that are safe in their order say what the peer must have already. A step that cannot be safe interrupts.
// No secret is shown.
func TestSigning(t *testing.T) {
	key := func(id uint8) vrrp.Key {
		return vrrp.Key{ID: id, Secret: vrrp.NewSecret([]byte(strings.Repeat(string(rune('a'+id)), 32)))}
	}
	with := func(mode vrrp.HMACMode, active uint8, keys ...vrrp.Key) vrrp.HMAC {
		return vrrp.HMAC{Mode: mode, AntiReplay: vrrp.AntiReplayTime, Window: 5 * time.Second, ActiveKey: active, Keys: keys}
	}
	none := vrrp.HMAC{}
	other := key(1)
	other.Secret = key(3).Secret
	slow := with(vrrp.HMACEnforce, 1, key(1))
	slow.AntiReplay, slow.Window = vrrp.AntiReplayMonotonic, 0
	for _, tt := range []struct {
		was, is      vrrp.HMAC
		change, cost string
		harm         api.Harm
	}{
		{none, none, "", "", ""},
		{none, with(vrrp.HMACReceiveOnly, 1, key(1)), "hmac none → receive-only", "", ""},
		{with(vrrp.HMACReceiveOnly, 1, key(1)), none, "hmac receive-only → none", "", ""},
		{none, with(vrrp.HMACPermissive, 1, key(1)), "hmac none → permissive", "until the peer has the same keys", api.Interrupts},
		{with(vrrp.HMACPermissive, 1, key(1)), none, "hmac permissive → none", "while the peer signs", api.Interrupts},
		{with(vrrp.HMACReceiveOnly, 1, key(1)), with(vrrp.HMACPermissive, 1, key(1)), "hmac.mode receive-only → permissive", "the peer must have key 1 already", ""},
		{with(vrrp.HMACPermissive, 1, key(1)), with(vrrp.HMACEnforce, 1, key(1)), "hmac.mode permissive → enforce", "the peer must sign already", ""},
		{with(vrrp.HMACEnforce, 1, key(1)), with(vrrp.HMACPermissive, 1, key(1)), "hmac.mode enforce → permissive", "", ""},
		{with(vrrp.HMACEnforce, 1, key(1)), with(vrrp.HMACEnforce, 1, key(1), key(2)), "hmac.key [1] → [1 2]", "", ""},
		{with(vrrp.HMACEnforce, 1, key(1), key(2)), with(vrrp.HMACEnforce, 2, key(1), key(2)), "hmac.active_key 1 → 2", "the peer must have key 2 already", ""},
		{with(vrrp.HMACEnforce, 2, key(1), key(2)), with(vrrp.HMACEnforce, 2, key(2)), "hmac.key [1 2] → [2]", "the peer must not sign with key 1", ""},
		{with(vrrp.HMACEnforce, 1, key(1)), with(vrrp.HMACEnforce, 1, other), "hmac.key 1 one secret → another", "give a new key a new id", api.Interrupts},
		{with(vrrp.HMACEnforce, 1, key(1)), slow, "hmac.anti_replay time → monotonic, hmac.time_window 5s → 0s", "", ""},
	} {
		change := written(signing(tt.was, tt.is))
		harm, cost := signingCost(tt.was, tt.is)
		if change != tt.change || harm != tt.harm || !strings.HasPrefix(cost, tt.cost) && !strings.HasSuffix(cost, tt.cost) || (cost == "") != (tt.cost == "") {
			t.Errorf("%q, %q, %q; want %q, %q, %q", change, harm, cost, tt.change, tt.harm, tt.cost)
		}
	}
}
