// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/diagnosis"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/peer/message"
)

// certificateEnds is how long before its end a certificate is a finding.
const certificateEnds = 30 * 24 * time.Hour

// channelEffect is what is missing without the channel.
const channelEffect = "orders about real servers reach one director only, and nobody compares the directors; the election is not affected"

// channel judges the channel to the other director.
func (e *examination) channel() {
	if !e.config.Peer.On() {
		return
	}
	e.certificates()
	if e.snapshot.Status == nil || e.snapshot.Status.Peer == nil {
		return // a director that does not run is a finding of its own, and one without the channel has not read the file yet
	}
	p := e.snapshot.Status.Peer
	name := p.Name
	if name == "" {
		name = p.Address
	}
	e.channelLost(p, name)
	e.drift(p)
	if lacks := p.Lacks(); p.Name != "" && (p.Version != e.snapshot.Status.Version || len(lacks) > 0) {
		f := diagnosis.Finding{ID: "channel-version", Severity: diagnosis.Note,
			What: fmt.Sprintf("%s runs tandem %s, and this director %s", name, p.Version, e.snapshot.Status.Version),
			Why:  "what only one of them knows is not compared", Mend: "install the same version on both directors"}
		if len(lacks) > 0 {
			f.Why = fmt.Sprintf("%s cannot answer: %s; tandem apply --pair, history --pair and why --pair need that", name, strings.Join(lacks, ", "))
		}
		e.add(f)
	}
	if c := p.Clock; c != nil && time.Duration((max(c.AheadSeconds, -c.AheadSeconds)-c.ErrorSeconds)*float64(time.Second)) > core.MaxSkew {
		which := "ahead of"
		if c.AheadSeconds < 0 {
			which = "behind"
		}
		e.add(diagnosis.Finding{ID: "channel-clock", Severity: diagnosis.Warning,
			What: fmt.Sprintf("the clock of %s is %.1f s %s that of this machine", name, max(c.AheadSeconds, -c.AheadSeconds), which),
			Why:  "orders that are given on both directors while the channel is lost are put in a wrong order, and logs cannot be compared",
			Mend: "run chrony or systemd-timesyncd on both directors"})
	}
}

// isChannel reports whether a warning of the director is about the channel or the configurations, which have findings of their own.
func (e *examination) isChannel(warning string) bool {
	p := e.snapshot.Status.Peer
	return p != nil && e.config.Peer.On() && slices.Contains(p.Warnings, warning)
}

// driftOfServices returns what the directors tell each other that differs in their services, and the pair does not work with.
func (e *examination) driftOfServices() (texts []string) {
	if e.snapshot.Status == nil || e.snapshot.Status.Peer == nil || !e.config.Peer.On() {
		return nil
	}
	for _, d := range e.snapshot.Status.Peer.Drift {
		if d.Wrong && strings.HasPrefix(d.Text, "service ") {
			texts = append(texts, d.Text)
		}
	}
	return texts
}

// drift reports what the directors tell each other that differs in their configurations, and the pair does not work with. What the
// advertisements or the connection sync have shown is a finding already.
func (e *examination) drift(p *control.Peer) {
	say := func(f diagnosis.Finding, texts []string) {
		const most = 3
		if len(texts) == 0 {
			return
		}
		f.Severity, f.What = diagnosis.Warning, strings.Join(texts[:min(len(texts), most)], "; ")
		if more := len(texts) - most; more > 0 {
			f.What += fmt.Sprintf("; %d more: see tandem status --pair", more)
		}
		e.add(f)
	}
	services := e.driftOfServices()
	say(diagnosis.Finding{ID: "services-differ", Why: "after a failover, other servers or none serve the clients",
		Mend: "make the services of both directors the same, and run `tandem reload`"}, services)
	var others []string
	for _, d := range p.Drift {
		if d.Wrong && !slices.Contains(services, d.Text) && !e.isOnTheWire(d.Text) {
			others = append(others, d.Text)
		}
	}
	say(diagnosis.Finding{ID: "configurations-differ", Why: "the pair does not work as it should with this difference",
		Mend: "make the two configurations agree, and run `tandem reload`"}, others)
}

// isOnTheWire reports whether a difference is a finding already: of the advertisements of its virtual router, or of the connection sync.
func (e *examination) isOnTheWire(difference string) bool {
	for _, r := range e.config.Routers {
		rest, ok := strings.CutPrefix(difference, "virtual router "+r.Name)
		if ok && (rest == "" || strings.ContainsAny(rest[:1], " :")) && (e.isSplit(r) || slices.Contains(e.differ, r.Name)) {
			return true
		}
	}
	return strings.HasPrefix(difference, "lvs.sync") && slices.ContainsFunc(e.findings, func(f Finding) bool { return f.ID == "sync-id-differs" })
}

// channelLost reports a channel that does not work in a direction.
func (e *examination) channelLost(p *control.Peer, name string) {
	if p.To.Up && p.From.Up {
		return
	}
	half, what := p.To, "this director has no connection to %s: %s"
	if p.To.Up || p.To.Fault == "" && p.From.Fault != "" {
		half, what = p.From, "this director does not hear %s: %s"
	}
	f := diagnosis.Finding{ID: "channel-lost", Severity: diagnosis.Warning, What: fmt.Sprintf(what, name, half.Problem), Why: channelEffect}
	switch message.Fault(half.Fault) {
	case message.FaultKey, message.FaultRefused:
		f.ID = "channel-key"
		f.Mend = "copy the file of the key in [peer] from one director to the other, and run `tandem reload` on both"
		if e.config.Peer.TLS.CertFile != "" {
			f.Mend = "let each tls_ca have signed the other director's tls_cert, give both the same key or none, and run `tandem reload` on both"
		}
	case message.FaultCertificate:
		f.ID = "channel-certificate"
		f.Mend = "give each director a tls_cert that is for its tls_name there, not expired, and signed by tls_ca of the other one"
	case message.FaultNobody:
		f.Mend = "systemctl start tandem on the other director; its file needs [peer], whose listen is " + e.config.Peer.Address.String() + " or all addresses"
	case message.FaultSilent:
		f.Mend = fmt.Sprintf("look at the network, and let TCP port %d through the firewalls between the directors", e.config.Peer.Address.Port())
	case message.FaultPort:
		f.Mend = "stop what listens on " + e.config.Peer.Listen + ": ss -ltnp shows it; or change listen in [peer]" + afterwards
	case message.FaultItself:
		f.Mend = "write the other director's own address into [peer]" + afterwards
	case message.FaultName:
		f.Mend = "give the directors different names" + afterwards
	default:
		f.Mend = fmt.Sprintf("look at [peer], at the log of %s, and for a firewall that drops TCP port %s here", name, portOf(e.config.Peer.Listen))
	}
	e.add(f)
}

// portOf returns the port of host:port.
func portOf(listen string) string { return listen[strings.LastIndex(listen, ":")+1:] }

// certificates reports certificates of the channel that end soon, or that cannot be read.
func (e *examination) certificates() {
	for _, c := range e.snapshot.Certificates {
		f := diagnosis.Finding{ID: "channel-certificate", Severity: diagnosis.Warning, Why: "the channel to the other director ends with it: " + channelEffect,
			Mend: "replace " + c.File + ": the director reads it for each new connection"}
		switch left := c.Ends.Sub(e.snapshot.Asked); {
		case c.Problem != "":
			f.What = fmt.Sprintf("%s %s cannot be used: %s", c.Key, c.File, c.Problem)
		case left <= 0:
			f.What = fmt.Sprintf("%s %s ended on %s", c.Key, c.File, c.Ends.Format(time.DateOnly))
		case left <= certificateEnds:
			f.What = fmt.Sprintf("%s %s ends on %s, in %d days", c.Key, c.File, c.Ends.Format(time.DateOnly), int(left/(24*time.Hour)))
		default:
			continue
		}
		e.add(f)
	}
}
