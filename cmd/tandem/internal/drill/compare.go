// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
)

// An Item is something that a drill must leave as it was.
type Item struct {
	What string `json:"what"` // "virtual router web of lb1"
	Is   string `json:"is"`   // "master, priority 150"
}

// Items are those of two directors. those that the machine has besides, such as its addresses, are appended.
func Items(here, there api.Status, machine []Item) (all []Item) {
	for _, is := range []api.Status{here, there} {
		all = append(all, routerItems(is)...)
		all = append(all, serviceItems(is)...)
		all = append(all, Item{"configuration of " + is.Name, fmt.Sprintf("%.12s", is.Config.SHA256)})
		if is.Table != nil {
			all = append(all, Item{"IPVS table of " + is.Name, is.Table.Warning})
		}
	}
	if p := here.Peer; p != nil {
		all = append(all, Item{"channel", fmt.Sprintf("to the peer %s, from the peer %s", upDown(p.To.Up), upDown(p.From.Up))})
		for _, o := range p.Orders {
			all = append(all, Item{"order about " + o.Name, o.Here + " here, " + o.There + " there"})
		}
	}
	return append(all, machine...)
}

func upDown(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

func routerItems(is api.Status) (all []Item) {
	for _, r := range is.VRRP {
		text := fmt.Sprintf("%s, priority %d", r.State, r.EffectivePriority)
		if r.Standby {
			text += ", standby"
		}
		if r.TwoMasters.Since != nil {
			text += ", hears another master"
		}
		all = append(all, Item{fmt.Sprintf("virtual router %s (IPv%d) of %s", r.Name, r.Family, is.Name), text})
	}
	return all
}

func serviceItems(is api.Status) (all []Item) {
	for _, svc := range is.Services {
		var down []string
		for _, server := range svc.Servers {
			if server.Health == "unhealthy" || server.Note != "" {
				down = append(down, strings.TrimSpace(fmt.Sprintf("%s:%d %s %s", server.Address, server.Port, server.Health, server.Note)))
			}
		}
		slices.Sort(down)
		text := fmt.Sprintf("%d servers up", svc.Up)
		if len(down) > 0 {
			text += "; " + strings.Join(down, ", ")
		}
		all = append(all, Item{"service " + svc.Name + " of " + is.Name, text})
	}
	return all
}

// A Difference is something that is not as it was before the drill.
type Difference struct {
	What   string `json:"what"`
	Before string `json:"before"` // empty: it was not there
	After  string `json:"after"`  // empty: it is gone
}

func (d Difference) String() string {
	switch {
	case d.Before == "":
		return fmt.Sprintf("%s was not there, and is %s", d.What, d.After)
	case d.After == "":
		return fmt.Sprintf("%s was %s, and is gone", d.What, d.Before)
	}
	return fmt.Sprintf("%s was %s, and is %s", d.What, d.Before, d.After)
}

// Compare returns what differs. Several items can have the same What: a machine can have one address on two interfaces.
func Compare(before, after []Item) (all []Difference) {
	left := slices.Clone(after)
	take := func(good func(Item) bool) (Item, bool) {
		i := slices.IndexFunc(left, good)
		if i < 0 {
			return Item{}, false
		}
		is := left[i]
		left = slices.Delete(left, i, i+1)
		return is, true
	}
	changed := slices.DeleteFunc(slices.Clone(before), func(was Item) bool {
		_, there := take(func(i Item) bool { return i == was })
		return there
	})
	for _, was := range changed {
		is, _ := take(func(i Item) bool { return i.What == was.What })
		all = append(all, Difference{was.What, was.Is, is.Is})
	}
	for _, i := range left {
		all = append(all, Difference{i.What, "", i.Is})
	}
	return all
}

// Expected removes the differences that the operator has allowed: the peer stays master.
func (s *Situation) Expected(differences []Difference) []Difference {
	if !s.Order.Stay {
		return differences
	}
	stays := make(map[string]bool)
	for _, r := range s.mastered() {
		for _, name := range []string{s.Here.Name, s.There.Name} {
			stays[fmt.Sprintf("virtual router %s (IPv%d) of %s", r.Name, r.Family, name)] = true
		}
		for _, vip := range slices.Concat(r.VIPs, r.ExcludedVIPs) {
			stays["address "+vip.String()] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(differences), func(d Difference) bool {
		role := strings.HasPrefix(d.After, "master") || strings.HasPrefix(d.After, "backup") || strings.HasPrefix(d.What, "address ")
		return stays[d.What] && role
	})
}
