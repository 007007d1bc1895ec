// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/director/core"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/screen"
	"github.com/tandem-lvs/tandem/configs"
	"github.com/tandem-lvs/tandem/configs/load"
	"github.com/tandem-lvs/tandem/healthcheck"
	"github.com/tandem-lvs/tandem/healthcheck/probe"
	"github.com/tandem-lvs/tandem/lvs"
	"github.com/tandem-lvs/tandem/lvs/kernel"
)

// A serverAnswer is what one check of a real server says.
type serverAnswer struct {
	Check  string         `json:"check"`           // its type
	Via    netip.Addr     `json:"via,omitzero"`    // the VIP that it asks through
	Peer   netip.AddrPort `json:"peer,omitzero"`   // the address that it asks
	Result string         `json:"result"`          // passed, failed, no word, not run
	Reason string         `json:"reason"`          // in words
	Took   prober.Seconds `json:"latency_seconds"` // until the answer
}

// serverAnswers are what all of them say.
type serverAnswers struct {
	Server  string         `json:"server"`
	File    string         `json:"file"`
	Health  string         `json:"health"` // that they mean together, if each result counts: unknown, healthy, unhealthy, unchecked
	Reason  string         `json:"reason"`
	Answers []serverAnswer `json:"checks"`
}

// probeServer checks one real server once by each of its checks, at the same time.
func probeServer(cmd *cobra.Command, f *probeFlags) error {
	const why = "the checks of the configuration say how the server is asked"
	if err := refuseFlags(cmd, "--server", why, "json", "config", "name", "socket", "server"); err != nil {
		return err
	}
	cfg, err := load.As(f.name.is()).ForReview().File(f.config)
	if err != nil {
		return err
	}
	svc, srv, err := findServer(cfg, f.server)
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings { // a secret that this user may not read changes what a check asks
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v\n", w)
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	all := askServer(ctx, cfg, svc, srv)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if f.asJSON {
		err = writeJSON(cmd.OutOrStdout(), all)
	} else {
		device := screen.Detect(cmd.OutOrStdout())
		err = device.Write(cmd.OutOrStdout(), serverText(all, device))
	}
	if err == nil && all.Health != "healthy" && len(all.Answers) > 0 {
		return errNotServed
	}
	return err
}

// findServer finds SERVICE/ADDRESS[:PORT] in a configuration.
func findServer(cfg *configs.Config, name string) (configs.Service, configs.Server, error) {
	service, address, ok := strings.Cut(name, "/")
	if !ok {
		return configs.Service{}, configs.Server{}, fmt.Errorf("--server %s: want SERVICE/ADDRESS, such as www/192.0.2.12", name)
	}
	var services, servers []string
	for _, svc := range cfg.Services {
		services = append(services, svc.Name)
		if svc.Name != service {
			continue
		}
		all := svc.Servers
		if svc.Sorry != nil {
			all = append(all[:len(all):len(all)], *svc.Sorry)
		}
		var found []configs.Server
		for _, srv := range all {
			id := strings.TrimPrefix(core.ServerID(svc, srv), svc.Name+"/")
			servers = append(servers, id)
			if address == id || address == srv.Addr.String() {
				found = append(found, srv)
			}
		}
		switch len(found) {
		case 1:
			return svc, found[0], nil
		case 0:
			return svc, configs.Server{}, fmt.Errorf("%s: the service %s has no real server %s; it has %s",
				cfg.File, service, address, strings.Join(servers, ", "))
		}
		return svc, configs.Server{}, fmt.Errorf("%s: the service %s has several real servers %s: give the port too", cfg.File, service, address)
	}
	if len(services) == 0 {
		return configs.Service{}, configs.Server{}, fmt.Errorf("%s: there are no services", cfg.File)
	}
	return configs.Service{}, configs.Server{}, fmt.Errorf("%s: there is no service %s; there are %s",
		cfg.File, service, strings.Join(services, ", "))
}

// askServer runs all checks of a server at the same time.
func askServer(ctx context.Context, cfg *configs.Config, svc configs.Service, srv configs.Server) serverAnswers {
	all := serverAnswers{Server: core.ServerID(svc, srv), File: cfg.File, Answers: make([]serverAnswer, len(srv.Checks))}
	results := make([]healthcheck.TargetStatus, len(srv.Checks))
	checker := probe.New()
	defer checker.Close()
	var running sync.WaitGroup
	for i, check := range srv.Checks {
		t := &healthcheck.Target{
			ID: fmt.Sprint(all.Server, "#", i), Addr: netip.AddrPortFrom(srv.Addr, srv.Port), Config: check, Part: len(srv.Checks) > 1,
		}
		a := &all.Answers[i]
		a.Check, a.Via = check.Type.String(), check.Via
		if t.Addr.IsValid() && t.Peer().Port() != 0 {
			a.Peer = t.Peer()
		}
		running.Go(func() {
			began := time.Now()
			res := askCheck(ctx, checker, cfg, srv, t)
			a.Took = prober.Seconds(time.Since(began))
			a.Reason = res.Reason
			results[i] = healthcheck.TargetStatus{Health: healthcheck.Unknown, Reason: res.Reason, Silent: res.Silent}
			switch res.Outcome {
			case healthcheck.Passed:
				a.Result, results[i].Health, results[i].Advice = "passed", healthcheck.Healthy, res.Advice
			case healthcheck.NoWord:
				a.Result, results[i].Health = "no word", healthcheck.Healthy
			case healthcheck.Failed:
				a.Result, results[i].Health = "failed", healthcheck.Unhealthy
			default:
				a.Result = "not run"
			}
		})
	}
	running.Wait()
	is := core.Combine(srv, results)
	all.Health, all.Reason = is.Health.String(), is.Reason
	if len(srv.Checks) == 0 {
		all.Health, all.Reason = "unchecked", "the server has no check, so it always gets clients"
	}
	return all
}

// askCheck runs one check. A panic is its failure.
func askCheck(
	ctx context.Context, checker *probe.Prober, cfg *configs.Config, srv configs.Server, t *healthcheck.Target,
) (res healthcheck.Result) {
	defer func() {
		if v := recover(); v != nil {
			res = healthcheck.Panicked(v, debug.Stack())
		}
	}()
	if route, marked := srv.ProbeRoute(t.Config); marked {
		mark, err := probeMark(ctx, cfg, route)
		if err != nil {
			return healthcheck.Result{Outcome: healthcheck.NotRun, Reason: err.Error()}
		}
		t.Config.Mark = mark
	}
	ctx, cancel := context.WithTimeout(ctx, t.Config.Timeout)
	defer cancel()
	return checker.Probe(ctx, t)
}

// probeMark returns the firewall mark by which this machine's kernel leads a check through the VIP to its real server.
func probeMark(ctx context.Context, cfg *configs.Config, route configs.ProbeRoute) (uint32, error) {
	table, err := kernel.New(hclog.NewNullLogger()).Read(ctx)
	if err != nil {
		return 0, fmt.Errorf("a check through the VIP needs the kernel's IPVS table: %w", err)
	}
	if mark, ok := markOf(table, cfg.LVS.ProbeMark, route); ok {
		return mark, nil
	}
	return 0, errors.New("a check through the VIP: IPVS leads it to the server only while a director with this file runs on this machine")
}

// markOf returns the mark of a route in a kernel's table, from the range of marks that begins with first.
func markOf(table []lvs.Entry, first uint32, route configs.ProbeRoute) (mark uint32, ok bool) {
	for _, e := range table {
		if e.FWMark < first || e.FWMark-first >= configs.ProbeMarks || e.Family != route.Family || len(e.Servers) != 1 {
			continue
		}
		if s := e.Servers[0]; s.Addr == route.Addr && s.Method == route.Method && s.Tunnel == route.Tunnel {
			return e.FWMark, true
		}
	}
	return 0, false
}

// serverText returns what the checks said, as lines.
func serverText(all serverAnswers, device screen.Device) []screen.Line {
	style := screen.Yellow
	switch all.Health {
	case "healthy":
		style = screen.Green
	case "unhealthy":
		style = screen.Red
	}
	lines := []screen.Line{{{Text: all.Server + ": ", Style: screen.Bold}, {Text: all.Health, Style: style}, {Text: ", by " + all.File}}}
	if len(all.Answers) == 0 {
		return append(lines, screen.Text(all.Reason))
	}
	table := screen.Table{Indent: 2, Header: []string{"CHECK", "ASKED", "RESULT", "TIME", "ANSWER"}}
	for _, a := range all.Answers {
		style := screen.Yellow
		switch a.Result {
		case "passed", "no word":
			style = screen.Green
		case "failed":
			style = screen.Red
		}
		asked := "-"
		switch {
		case a.Via.IsValid():
			asked = "through " + a.Via.String()
		case a.Peer.IsValid():
			asked = a.Peer.String()
		}
		table.Row(screen.Span{Text: a.Check}, screen.Span{Text: asked}, screen.Span{Text: a.Result, Style: style},
			screen.Span{Text: a.Took.String()}, screen.Span{Text: a.Reason})
	}
	return append(append(lines, screen.Line{}), table.Lines(device.Width)...)
}
