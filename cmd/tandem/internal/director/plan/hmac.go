// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/vrrp"
)

// signing returns what differs in how advertisements are signed. It shows no secret.
func signing(was, is vrrp.HMAC) (all []field) {
	add := func(key, before, after string) {
		if before != after {
			all = append(all, field{key, before, after})
		}
	}
	if was.On() != is.On() {
		add("hmac", modeOf(was), modeOf(is))
		return all
	}
	add("hmac.mode", modeOf(was), modeOf(is))
	add("hmac.anti_replay", text(was.AntiReplay), text(is.AntiReplay))
	add("hmac.time_window", text(was.Window), text(is.Window))
	add("hmac.active_key", fmt.Sprint(was.ActiveKey), fmt.Sprint(is.ActiveKey))
	add("hmac.key", fmt.Sprint(was.IDs()), fmt.Sprint(is.IDs()))
	for _, id := range otherSecrets(was, is) {
		add(fmt.Sprintf("hmac.key %d", id), "one secret", "another")
	}
	return all
}

func modeOf(c vrrp.HMAC) string {
	if !c.On() {
		return "none"
	}
	return c.Mode.String()
}

// otherSecrets returns the ids that have another secret.
func otherSecrets(was, is vrrp.HMAC) (ids []uint8) {
	for _, k := range is.Keys {
		if slices.ContainsFunc(was.Keys, func(o vrrp.Key) bool { return o.ID == k.ID && o.Secret != k.Secret }) {
			ids = append(ids, k.ID)
		}
	}
	return ids
}

// signingCost says what a change of signatures costs, and what the peer must have before.
func signingCost(was, is vrrp.HMAC) (harm api.Harm, cost string) {
	signed, signs := was.Mode > vrrp.HMACReceiveOnly, is.Mode > vrrp.HMACReceiveOnly
	other := otherSecrets(was, is)
	gone := slices.DeleteFunc(was.IDs(), func(id uint8) bool { return slices.Contains(is.IDs(), id) })
	switch {
	case !was.On() && signs:
		return api.Interrupts, "until the peer has the same keys, it drops our advertisements, and both directors are master: " +
			`set mode = "receive-only" on both first`
	case signed && !is.On():
		return api.Interrupts, "while the peer signs, we drop its advertisements, and both directors are master: " +
			`set mode = "receive-only" on both first`
	case len(other) > 0:
		return api.Interrupts, fmt.Sprintf("until the peer has the same key %d, each drops the other's advertisements, and both directors are "+
			"master: give a new key a new id", other[0])
	case !signed && signs, signs && was.ActiveKey != is.ActiveKey:
		return "", fmt.Sprintf("the peer must have key %d already: otherwise it drops our advertisements, and both directors are master", is.ActiveKey)
	case was.Mode != is.Mode && is.Mode == vrrp.HMACEnforce:
		return "", "the peer must sign already: otherwise we drop its advertisements, and both directors are master"
	case is.On() && len(gone) > 0:
		return "", fmt.Sprintf("the peer must not sign with key %d any more: otherwise we drop its advertisements, and both directors are master", gone[0])
	}
	return "", ""
}
