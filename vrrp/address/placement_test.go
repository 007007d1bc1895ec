// SPDX-License-Identifier: Apache-2.0

package address

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/tandem-lvs/tandem/vrrp"
	"github.com/tandem-lvs/tandem/vrrp/internal/nstest"
)

// placed has VIPs on its own interface and on lo, and a route.
func placed() vrrp.Config {
	return vrrp.Config{
		Name: "web", Interface: "eth0", VRID: 51, Priority: 100,
		VIPs: prefixes("192.0.2.100/24", "192.0.2.101/32"), ExcludedVIPs: prefixes("192.0.2.102/32", "192.0.2.103/24"),
		VIPInterfaces: map[netip.Addr]string{netip.MustParseAddr("192.0.2.101"): "lo", netip.MustParseAddr("192.0.2.102"): "lo"},
		Routes:        []vrrp.Route{route("198.51.100.0/24", via("192.0.2.2"))},
	}
}

func TestPlacements(t *testing.T) {
	list := func(texts ...string) (all []Address) {
		for _, p := range prefixes(texts...) {
			all = append(all, Address{Prefix: p})
		}
		return all
	}
	want := []Placement{
		{Interface: "eth0", Resources: Resources{Addresses: list("192.0.2.100/24", "192.0.2.103/24"), Routes: placed().Routes}},
		{Interface: "lo", Resources: Resources{Addresses: list("192.0.2.101/32", "192.0.2.102/32")}},
	}
	if got := PlacementsOf(placed()); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	labelled := placed()
	labelled.VIPLabels = map[netip.Addr]string{netip.MustParseAddr("192.0.2.103"): "eth0:web"}
	if got := PlacementsOf(labelled)[0].Addresses; got[0].Label != "" || got[1].Label != "eth0:web" {
		t.Errorf("labels: %+v", got)
	}
	bare := PlacementsOf(vrrp.Config{Interface: "eth0"})
	if !reflect.DeepEqual(bare, []Placement{{Interface: "eth0"}}) {
		t.Errorf("without VIPs: %+v", bare)
	}
}

func TestRemoveResourcesOfTwoInterfaces(t *testing.T) {
	ns := newSegment(t, "192.0.2.1/24")
	for _, at := range PlacementsOf(placed()) {
		k := New(at.Interface, Options{Log: hclog.NewNullLogger()})
		k.Set(Resources{}, at.Resources)
		if err := checkOnce(ns, k); err != nil {
			t.Fatal(err)
		}
	}
	has := func(iface, prefix string) bool { return slices.Contains(onDevice(t, ns, iface), prefix) }
	if !has("eth0", "192.0.2.100/24") || !has("lo", "192.0.2.101/32") || has("eth0", "192.0.2.101/32") {
		t.Fatalf("before: %v and %v", onDevice(t, ns, "eth0"), onDevice(t, ns, "lo"))
	}
	nstest.Command(t, ns, func() error { return RemoveResources([]vrrp.Config{placed()}) })
	if got := onDevice(t, ns, "eth0"); !slices.Equal(got, []string{"192.0.2.1/24"}) || has("lo", "192.0.2.101/32") || has("lo", "192.0.2.102/32") {
		t.Errorf("left %v and %v", got, onDevice(t, ns, "lo"))
	}
}
