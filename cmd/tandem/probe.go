// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/net/http/httpguts"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober/ask"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/prober/page"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/screen"
	"github.com/tandem-lvs/tandem/configs"
)

// errNotServed is the error of a probe that has found and told something. The exit code is 2.
var errNotServed = planned("")

// probeFlags are the flags of tandem probe.
type probeFlags struct {
	socketFlags
	server string

	http, https, send, host, namedBy string
	udp, insecure                    bool
	every, lasts, timeout, slow      time.Duration
	flows                            int
	flowEvery, budget                time.Duration
	page, listen, drive, key         string
	asJSON                           bool
}

func newProbe() *cobra.Command {
	var f probeFlags
	cmd := &cobra.Command{
		Use:   "probe ADDRESS[:PORT]",
		Short: "Measure outages of a service as its clients see them, or check one real server now",
		Long: `Ask a virtual service again and again, each time on a new connection, and report what clients see: outages,
failed and slow questions, resets, percentiles. It runs on any machine that can be a client, and needs no
configuration.

Each question has its time. If answers stop, the questions go on: so a pause of the service is seen by every
question in it. A client that waits for each answer would ask once, and hide the pause.

Without --http and --https it connects by TCP. With --send it also sends a text, and waits for an answer. With
--udp it sends the text in a datagram. An HTTP status from 200 to 399 is a good answer. With --flows there are
also connections that stay open and exchange data: the report says how many broke.

An outage begins when the first question was sent that failed, or that took longer than --slow. It ends when the
service answers again. Both times are exact to the time between two questions. For the percentiles, a question
without an answer is slower than any answer. Ctrl-C ends the probe with its report.

IPVS remembers the sender of each datagram for minutes: do not use --udp with a short --every for long.

With --server, tandem checks one real server of a configuration file once, by each of its checks, and prints what
each answered. The file need not be live. Only a check through the VIP that IPVS must lead to the server needs a
director on this machine that runs with the file. The program of a check is run.

With --listen, it waits until a machine with the same key file drives it by --drive, for example a director before
a failover. What is asked is up to the machine that listens; --for is the longest time that it asks. Make a key
with: ` + configs.MakeKey("probe.key") + `

The exit code is 0 if every question was answered in time or every check passed, 2 if not, and 1 if the probe
could not run. With --budget it is 2 only if an outage was longer, or if there was no answer at all.`,
		Example: `  tandem probe 192.0.2.100:80 --http /health --every 10ms --for 30s
  tandem probe 192.0.2.100:80 --http / --named-by X-Served-By --flows 50 --page report.html
  tandem probe www.example.org --https / --for 1m --budget 500ms
  tandem probe 192.0.2.100:53 --udp --send '\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01'
  tandem probe --server www/192.0.2.12
  tandem probe --server www/192.0.2.12 -c new.toml
  tandem probe 192.0.2.100:80 --http / --every 5ms --listen :8475 --key probe.key    # on a client's machine
  tandem probe --drive 192.0.2.1:8475 --key probe.key --for 20s                      # on a director`,
		Args: arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case f.server != "" && f.drive == "" && len(args) == 0:
				return probeServer(cmd, &f)
			case f.drive != "" && f.server == "" && len(args) == 0:
				return f.driveOther(cmd)
			case f.server != "" || f.drive != "" || len(args) == 0:
				return errors.New("give either an ADDRESS, or --server SERVICE/ADDRESS, or --drive ADDRESS:PORT: see tandem probe --help")
			case f.listen != "":
				return f.wait(cmd, args[0])
			case f.key != "":
				return errors.New("--key is for --listen and --drive")
			}
			return f.run(cmd, args[0])
		},
	}
	f.register(cmd)
	return cmd
}

func (f *probeFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.http, "http", "", "ask for this `PATH` by HTTP")
	flags.StringVar(&f.https, "https", "", "ask for this `PATH` by HTTPS")
	flags.BoolVar(&f.udp, "udp", false, "send a datagram with the text of --send")
	flags.StringVar(&f.send, "send", "", `send this `+"`TEXT`"+` and wait for an answer; \r, \n and \x00 are as in Go and C`)
	flags.StringVar(&f.host, "host", "", "`NAME` of the service for HTTP and TLS (default: ADDRESS)")
	flags.BoolVar(&f.insecure, "insecure", false, "do not verify the certificate")
	flags.StringVar(&f.namedBy, "named-by", "", "what names the real server: `body`, its first line, or a field of the HTTP header")
	flags.DurationVar(&f.every, "every", 100*time.Millisecond, "`DURATION` between two questions, at least 1ms")
	flags.DurationVar(&f.lasts, "for", 0, "`DURATION` of the probe (default: until Ctrl-C)")
	flags.DurationVar(&f.timeout, "timeout", 2*time.Second, "`DURATION` after which a question has failed")
	flags.DurationVar(&f.slow, "slow", 200*time.Millisecond, "`DURATION` after which an answer is not in time")
	flags.IntVar(&f.flows, "flows", 0, "`NUMBER` of connections that stay open and exchange data")
	flags.DurationVar(&f.flowEvery, "flow-every", time.Second, "`DURATION` between two questions on each of these connections")
	flags.DurationVar(&f.budget, "budget", 0, "longest outage that is still good, a `DURATION`")
	flags.StringVar(&f.page, "page", "", "write the report as an HTML page to `FILE`")
	registerJSON(cmd, &f.asJSON, "the report")
	flags.StringVar(&f.listen, "listen", "", "wait at `[ADDRESS]:PORT` until another machine drives the probe")
	flags.StringVar(&f.drive, "drive", "", "drive the probe that listens at `ADDRESS:PORT`, and report what it saw")
	flags.StringVar(&f.key, "key", "", "key `FILE` that both machines have")
	flags.StringVar(&f.server, "server", "", "check the real server `SERVICE/ADDRESS[:PORT]` once")
	f.socketFlags.register(cmd)
	cmd.Flag("config").Usage = "configuration `FILE` that has the real server of --server"
	_ = flags.MarkHidden("socket") // for the completion of names
	f.completeFlag(cmd, "server", serverNames)
}

// run probes a service.
func (f *probeFlags) run(cmd *cobra.Command, address string) error {
	p, err := f.probe(cmd.Context(), address)
	if err != nil {
		return err
	}
	return f.report(cmd, func(ctx context.Context, show func(prober.Live)) (prober.Report, error) {
		p.Show, p.ShowEvery = show, 200*time.Millisecond
		r, err := ask.Run(ctx, p)
		if err != nil {
			return r, fmt.Errorf("failed to probe %s: %w", p.Target, err)
		}
		return r, nil
	})
}

// report runs a probe until it ends or Ctrl-C, shows it on a terminal, and prints its report.
func (f *probeFlags) report(cmd *cobra.Command, probe func(ctx context.Context, show func(prober.Live)) (prober.Report, error)) error {
	file, err := f.open()
	if err != nil {
		return err
	}
	defer file.Close()
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	show, done := liveDisplay(cmd)
	r, err := probe(ctx, show)
	done()
	if err != nil {
		return err
	}
	return f.tell(cmd, r, file)
}

// liveDisplay returns what shows a probe under way, and what ends the display. Only a terminal has one.
func liveDisplay(cmd *cobra.Command) (show func(prober.Live), done func()) {
	progress := newProgress(cmd.ErrOrStderr())
	if !progress.terminal {
		return nil, func() {}
	}
	device := screen.Detect(cmd.ErrOrStderr())
	return func(v prober.Live) { progress.show(liveLine(v, device)) }, func() {
		progress.show("")
		fmt.Fprint(progress.w, "\r")
	}
}

// open opens the file of the page. If that is not possible, the user learns it before the probe. A page that is there stays until
// the probe has ended.
func (f *probeFlags) open() (*os.File, error) {
	if f.page == "" {
		return nil, nil
	}
	file, err := os.OpenFile(f.page, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("failed to open the file for the page: %w", err)
	}
	return file, nil
}

// tell prints the report, and writes the page.
func (f *probeFlags) tell(cmd *cobra.Command, r prober.Report, file *os.File) (err error) {
	if f.asJSON {
		err = writeJSON(cmd.OutOrStdout(), r)
	} else {
		device := screen.Detect(cmd.OutOrStdout())
		err = device.Write(cmd.OutOrStdout(), probeText(r, device))
	}
	if err != nil {
		return err
	}
	if file != nil {
		var text bytes.Buffer
		if err = page.Write(&text, r); err == nil {
			err = file.Truncate(0)
		}
		if err == nil {
			_, err = file.Write(text.Bytes())
		}
		if err != nil {
			return fmt.Errorf("failed to write the page: %w", err)
		}
	}
	return f.judge(cmd.Flags().Changed("budget"), r)
}

// judge returns the error that sets the exit code.
func (f *probeFlags) judge(budget bool, r prober.Report) error {
	switch {
	case r.Asked == 0:
		return errors.New("no question was asked, so nothing is known about the service")
	case budget && r.Answered > 0 && time.Duration(r.Longest) <= f.budget:
		return nil
	case !budget && r.Clean():
		return nil
	}
	return errNotServed
}

// probe returns the probe that the flags ask for.
func (f *probeFlags) probe(ctx context.Context, address string) (p ask.Probe, err error) {
	p = ask.Probe{
		Target:  ask.Target{Protocol: ask.TCP, NamedBy: f.namedBy, Insecure: f.insecure},
		Options: prober.Options{Every: f.every, For: f.lasts, Timeout: f.timeout, Slow: f.slow},
		Flows:   f.flows, FlowEvery: f.flowEvery,
	}
	if err := errors.Join(f.protocol(&p.Target), f.checkTimes(), f.checkData(p.Target)); err != nil {
		return p, err
	}
	if p.Data, err = unescape(f.send); err != nil {
		return p, err
	}
	return p, f.address(ctx, &p.Target, address)
}

// protocol finds out how to ask.
func (f *probeFlags) protocol(t *ask.Target) error {
	chosen := 0
	for _, one := range []struct {
		is       bool
		protocol ask.Protocol
		path     string
	}{{f.http != "", ask.HTTP, f.http}, {f.https != "", ask.HTTPS, f.https}, {f.udp, ask.UDP, ""}} {
		if one.is {
			chosen++
			t.Protocol, t.Path = one.protocol, one.path
		}
	}
	if chosen > 1 {
		return errors.New("give only one of --http, --https and --udp")
	}
	web := t.Protocol == ask.HTTP || t.Protocol == ask.HTTPS
	switch {
	case web && (!strings.HasPrefix(t.Path, "/") || strings.ContainsFunc(t.Path, func(r rune) bool { return r <= ' ' || r > '~' })):
		return fmt.Errorf("path %q: it must begin with / and have no spaces; write other characters as %%XX", t.Path)
	case web && f.send != "":
		return errors.New("--send is for TCP and UDP, not for --http and --https")
	case f.host != "" && !web:
		return errors.New("--host is for --http and --https")
	case f.host != "" && !httpguts.ValidHostHeader(f.host):
		return fmt.Errorf("--host %q is not a host name", f.host)
	case f.insecure && t.Protocol != ask.HTTPS:
		return errors.New("--insecure is for --https")
	}
	return nil
}

// checkData checks that there is something to send, where that is needed.
func (f *probeFlags) checkData(t ask.Target) error {
	switch {
	case t.Protocol == ask.UDP && f.send == "":
		return errors.New("--udp needs --send: a service answers only a datagram that it understands")
	case t.Protocol == ask.TCP && f.send == "" && f.flows > 0:
		return errors.New("--flows exchange data: give --http, --https or --send")
	case t.Protocol == ask.TCP && f.send == "" && f.namedBy != "":
		return errors.New("--named-by needs an answer: give --http, --https or --send")
	case t.Protocol != ask.HTTP && t.Protocol != ask.HTTPS && f.namedBy != "" && f.namedBy != ask.Body:
		return fmt.Errorf("--named-by %s is for --http and --https; TCP and UDP have only body", f.namedBy)
	case f.namedBy != "" && !httpguts.ValidHeaderFieldName(f.namedBy):
		return fmt.Errorf("--named-by %q is not the name of a header field", f.namedBy)
	}
	return nil
}

// maxTimeout is the longest time to wait for an answer.
const maxTimeout = 10 * time.Minute

// checkTimes checks durations and numbers.
func (f *probeFlags) checkTimes() error {
	switch {
	case f.every < prober.MinEvery:
		return fmt.Errorf("--every %s is too short: want at least %s", f.every, prober.MinEvery)
	case f.lasts < 0:
		return fmt.Errorf("--for %s is negative", f.lasts)
	case f.timeout <= 0 || f.timeout > maxTimeout:
		return fmt.Errorf("--timeout %s: want more than 0 and at most %s", f.timeout, maxTimeout)
	case f.slow <= 0:
		return fmt.Errorf("--slow %s: want more than 0", f.slow)
	case f.flows < 0 || f.flows > 10_000:
		return fmt.Errorf("--flows %d: want 0 to 10000", f.flows)
	case f.flowEvery < 10*time.Millisecond:
		return fmt.Errorf("--flow-every %s is too short: want at least 10ms", f.flowEvery)
	case f.budget < 0:
		return fmt.Errorf("--budget %s is negative", f.budget)
	}
	return nil
}

// unescape returns the bytes of --send.
func unescape(text string) ([]byte, error) {
	var all []byte
	for text := text; text != ""; {
		r, several, rest, err := strconv.UnquoteChar(text, 0)
		switch {
		case err != nil:
			return nil, fmt.Errorf(`--send %s: \ begins a sequence such as \r, \n or \x00; write \\ for \ itself`, text)
		case several:
			all = utf8.AppendRune(all, r)
		default:
			all = append(all, byte(r))
		}
		text = rest
	}
	return all, nil
}

// resolveTime is how long the name of a service may take to be resolved.
const resolveTime = 10 * time.Second

// address resolves the service's address, once: a probe asks one address.
func (f *probeFlags) address(ctx context.Context, t *ask.Target, text string) error {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
		switch t.Protocol {
		case ask.HTTP:
			port = "80"
		case ask.HTTPS:
			port = "443"
		default:
			return fmt.Errorf("%s: want ADDRESS:PORT, such as 192.0.2.100:80 or [2001:db8::100]:80", text)
		}
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return fmt.Errorf("%s: port %q: want 1 to 65535", text, port)
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		ctx, cancel := context.WithTimeout(ctx, resolveTime)
		defer cancel()
		all, lookErr := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if lookErr != nil || len(all) == 0 {
			return fmt.Errorf("failed to resolve %s: %w", host, lookErr)
		}
		addr = all[0]
	}
	if addr.Zone() != "" {
		return fmt.Errorf("%s: addresses with a zone cannot be probed", host)
	}
	t.Addr = netip.AddrPortFrom(addr.Unmap(), uint16(number))
	if t.Host = f.host; t.Host == "" {
		t.Host = text
	}
	if !httpguts.ValidHostHeader(t.Host) {
		return fmt.Errorf("%s: it is not a host name", t.Host)
	}
	return nil
}
