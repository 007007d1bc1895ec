// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/history"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
)

// answerTime is how long a director may take to tell its status.
const answerTime = 10 * time.Second

// statuses returns the states of both directors. lacking is why that of the other one is not there.
func statuses(ctx context.Context, c *control.Client) (here, there api.Status, lacking string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if here, err = c.Status(ctx); err != nil || here.Peer == nil {
		return here, there, "", err
	}
	if there, err = c.PeerStatus(ctx); err != nil {
		lacking = err.Error()
	}
	return here, there, lacking, nil
}

// gather returns what is known before a drill.
func (d *Drill) gather(ctx context.Context) (*drill.Situation, error) {
	s := &drill.Situation{Order: d.Order, StateDir: d.StateDir, UnderWay: d.underWay, Links: make(map[string]drill.Link)}
	var err error
	if s.Here, s.There, s.Lacking, err = statuses(ctx, d.client); err != nil {
		return nil, err
	}
	if s.Processes, err = processes(d.Socket); err != nil {
		return nil, err
	}
	s.Probers = d.probers(ctx)
	switch d.Order.Kind {
	case drill.Crash, drill.Freeze:
		if len(s.Processes) > 0 {
			s.Unit, s.Watchdog = unitProperties(ctx, unitOf(s.Processes[0].PID))
		}
	case drill.Cable, drill.Flap:
		s.SessionOn = interfaceOf(d.Session)
		var own []string // the director brings them back
		for _, r := range s.Here.VRRP {
			own = append(own, r.AddressInterface)
		}
		for _, r := range s.Here.VRRP {
			is, err := lookAt(r.Interface, addressesOf(s.Here), own)
			if err != nil && r.State == "master" {
				s.Unfit = err.Error()
			}
			s.Links[r.Interface] = is
		}
	case drill.Disk:
		if d.StateDir != "" {
			s.Unfit = unfitForRefusal(d.StateDir)
		}
	case drill.Silence:
		if len(tableItems()) > 0 {
			s.Unfit = "the nftables table inet " + drill.TableName + " is there already: remove it with nft delete table inet " + drill.TableName
		}
	}
	return s, nil
}

// interfaceOf returns the interface that has an address, or "".
func interfaceOf(addr netip.Addr) string {
	all, err := net.Interfaces()
	if err != nil || !addr.IsValid() {
		return ""
	}
	for _, ifi := range all {
		addrs, err := ifi.Addrs()
		if err != nil {
			continue // it has gone
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(addr.AsSlice()) {
				return ifi.Name
			}
		}
	}
	return ""
}

// addressesOf are the addresses that come and go with the virtual routers.
func addressesOf(is api.Status) (all []netip.Prefix) {
	for _, r := range is.VRRP {
		all = slices.Concat(all, r.VIPs, r.ExcludedVIPs)
	}
	return all
}

// unitProperties returns the unit if systemd starts it again when it dies, and how long its director may be silent.
func unitProperties(ctx context.Context, unit string) (name string, watchdog time.Duration) {
	if unit == "" {
		return "", 0
	}
	out, err := exec.CommandContext(ctx, "systemctl", "show", unit, "--property=Restart,WatchdogUSec", "--timestamp=unix").Output()
	if err != nil {
		return "", 0
	}
	return parseUnit(unit, string(out))
}

// parseUnit reads what systemctl show says.
func parseUnit(unit, text string) (name string, watchdog time.Duration) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch {
		case key == "Restart" && (value == "always" || value == "on-failure" || value == "on-abnormal" || value == "on-abort"):
			name = unit
		case key == "WatchdogUSec":
			watchdog = span(value)
		}
	}
	return name, watchdog
}

// span reads a time span of systemd: "1min 30s". What it cannot read is 0.
func span(text string) (sum time.Duration) {
	for _, word := range strings.Fields(text) {
		i := strings.IndexFunc(word, func(c rune) bool { return c < '0' || c > '9' })
		if i <= 0 {
			return 0
		}
		n, err := strconv.Atoi(word[:i])
		unit, known := map[string]time.Duration{"us": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "min": time.Minute, "h": time.Hour}[word[i:]]
		if err != nil || !known {
			return 0
		}
		sum += time.Duration(n) * unit
	}
	return sum
}

// items are what the drill must leave as it was.
func (d *Drill) items(here, there api.Status, processes []drill.Process) []drill.Item {
	all := append(processItems(processes), tableItems()...)
	var names []string
	for _, r := range here.VRRP {
		for _, name := range append([]string{r.Interface, r.AddressInterface}, interfacesOf(r)...) {
			if name != "" && !slices.Contains(names, name) {
				names = append(names, name)
				all = append(all, linkItems(name)...)
			}
		}
	}
	if d.StateDir != "" {
		all = append(all, writeItems(d.StateDir)...)
	}
	if d.target != "" {
		all = append(all, drill.ServerItems(d.target, d.full, &here, &there)...)
	}
	return drill.Items(here, there, all)
}

func interfacesOf(r api.Router) (all []string) {
	for _, name := range r.VIPInterfaces {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// now returns what is so now. It fails if a director does not answer.
func (d *Drill) now(ctx context.Context) ([]drill.Item, error) {
	here, there, lacking, err := statuses(ctx, d.client)
	if err == nil && lacking != "" {
		err = fmt.Errorf("the other director cannot be asked: %s", lacking)
	}
	if err != nil {
		return nil, err
	}
	found, err := processes(d.Socket)
	if err != nil {
		return nil, err
	}
	return d.items(here, there, found), nil
}

// settled waits until all is as before at two looks, one after the other. It returns what differs when it gives up.
func (d *Drill) settled(ctx context.Context, s *drill.Situation, before []drill.Item) []drill.Difference {
	for limit, same := time.Now().Add(d.Settle), 0; ; {
		after, err := d.now(ctx)
		differences := s.Expected(drill.Compare(before, after))
		if err != nil {
			differences = []drill.Difference{{What: "the pair", Before: "answering", After: "not answering: " + err.Error()}}
		}
		if same++; len(differences) > 0 {
			same = 0
		}
		if same == 2 || time.Now().After(limit) {
			return differences
		}
		if rest(ctx, settlePause) != nil {
			return differences
		}
	}
}

// settlePause is between two looks whether all is as before.
const settlePause = 250 * time.Millisecond

// histories returns the events of both directors, by the clock of this one.
func (d *Drill) histories(ctx context.Context, since time.Time) (o drill.Observed) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	is, err := d.client.Status(ctx)
	if err == nil && (is.Peer == nil || is.Peer.Clock == nil) {
		err = errors.New("the clocks of the directors have not been compared")
	}
	if err != nil {
		o.Missing = err.Error()
		return o
	}
	ahead := time.Duration(is.Peer.Clock.AheadSeconds * float64(time.Second))
	o.ClockError = time.Duration(is.Peer.Clock.ErrorSeconds * float64(time.Second))
	if o.Here, err = d.client.History(ctx, control.HistoryQuery{Since: since}); err == nil {
		o.There, err = d.client.PeerHistory(ctx, control.HistoryQuery{Since: since.Add(ahead)})
	}
	if err != nil {
		o.Missing = err.Error()
	}
	o.There = history.Shift(o.There, ahead)
	byTime := func(a, b api.Event) int { return a.Time.Compare(b.Time) }
	slices.SortStableFunc(o.Here, byTime)
	slices.SortStableFunc(o.There, byTime)
	return o
}
