// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/control/api"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/drill"
	"github.com/tandem-lvs/tandem/cmd/tandem/internal/lock"
	"github.com/tandem-lvs/tandem/garp"
	"github.com/tandem-lvs/tandem/garp/wire"
)

// A Drill makes drills with the director at a control socket.
type Drill struct {
	Order            drill.Order
	Socket, StateDir string
	Settle           time.Duration // how long it may take until all is as before
	By               string        // the user
	Session          netip.Addr    // the address of this machine that the user is logged in at; the zero Addr: not known
	DryRun           bool
	SwitchArgs       []string      // the command line of the dead-man's switch
	Probes           []string      // where tandem probe --listen runs on machines of clients
	ProbeKey         []byte        // their key
	FirstAnswer      time.Duration // how long they may take for their first answer; 0: 10 s
	// Tell tells a person how it goes on.
	Tell func(format string, args ...any)

	client   *control.Client
	lock     *os.File
	underWay bool   // another drill holds the lock
	target   string // the full name of the real server that is taken out; empty: none is
	full     bool   // it has its full weight before the drill
	out      *drill.InForce
}

// Run makes one drill. The report says how it ended. The error says that there is no report, or that it is not kept.
func (d *Drill) Run(ctx context.Context) (r drill.Report, err error) {
	// The dead-man's switch runs in another folder.
	for _, path := range []*string{&d.Socket, &d.StateDir} {
		if *path, err = absolute(*path); err != nil {
			return r, err
		}
	}
	d.client = control.NewClient(d.Socket)
	if err := d.takeLock(); err != nil {
		return r, err
	}
	defer d.lock.Close()
	s, err := d.gather(ctx)
	if err != nil {
		return r, err
	}
	r = s.NewReport(time.Now(), d.By)
	r.Refused = s.Refusals()
	d.target, d.full, d.out = s.Target(), s.FullWeight(), nil
	plan := s.Plan()
	for _, note := range s.Notes() {
		d.Tell("note: %s", note)
	}
	if d.DryRun || len(r.Refused) > 0 {
		d.tellPlan(s, plan, &r)
		return r, nil
	}
	clients, refused := d.watch(ctx, s.Order.Max+d.Settle+tellSlack)
	defer clients.stop()
	if len(refused) > 0 {
		r.Refused = refused
		d.tellPlan(s, plan, &r)
		return r, nil
	}
	d.awaitConnections(ctx, s, clients)
	before := d.items(s.Here, s.There, s.Processes)
	orders := Orders{Limit: s.Order.Max, Undo: plan.Undo, Socket: d.Socket, StateDir: d.StateDir, Report: r}
	orders.Report.Did = append(orders.Report.Did, sentences(plan.Fault)...)
	ears := d.listen(ctx, s)
	w, err := StartSwitch(orders, d.lock, d.SwitchArgs...)
	if err != nil {
		ears.stop()
		return r, err
	}
	defer w.Dismiss()
	news := newHerald(d.Socket, time.Now(), s.Order.Max, d.Settle)
	d.tellDirector(ctx, news, api.DrillBegan, time.Now(), &r, sentences(plan.Fault))
	fault := d.make(ctx, &r, plan, w)
	d.Tell("undoing")
	undone := w.Undo()
	r.Did = append(r.Did, undone.Done...)
	for _, text := range undone.Failed {
		r.Failures = append(r.Failures, "not undone: "+text)
	}
	err = d.conclude(context.WithoutCancel(ctx), s, &r, watched{fault, undone, before, ears, clients, news})
	return r, err
}

// A watched is what a drill has done, and who watched it.
type watched struct {
	fault   time.Time
	undone  Undone
	before  []drill.Item
	ears    *ears
	clients *audience
	news    *herald
}

// conclude waits until all is as before, and completes and keeps the report. An interrupt has ended the fault: the comparison is made all
// the same.
func (d *Drill) conclude(ctx context.Context, s *drill.Situation, r *drill.Report, w watched) error {
	o := drill.Observed{Fault: w.fault, Undone: time.Now(), Out: d.out, Back: w.undone.InForce}
	d.Tell("waiting until all is as before")
	_ = w.news.tell(ctx, api.DrillUndone, o.Undone, r, slices.Concat(w.undone.Done, w.undone.Failed)) // else with the end
	o.Differences, o.Compared = d.settled(ctx, s, w.before), len(w.before)
	o.Announced, o.Listened = w.ears.stop()
	o.Seen = w.clients.stop()
	seen := d.histories(ctx, w.fault.Add(-time.Second))
	if d.target != "" {
		if here, there, lacking, err := statuses(ctx, d.client); err == nil && lacking == "" {
			o.HereAfter, o.ThereAfter = &here, &there
		}
	}
	o.Here, o.There, o.ClockError, o.Missing = seen.Here, seen.There, seen.ClockError, seen.Missing
	s.Judge(r, o)
	r.Ended = time.Now()
	err := Keep(d.StateDir, *r)
	d.tellDirector(ctx, w.news, api.DrillEnded, r.Ended, r, nil)
	return err
}

// tellDirector tells the director a step. The drill goes on if the director cannot hear it.
func (d *Drill) tellDirector(ctx context.Context, news *herald, step api.DrillStep, at time.Time, r *drill.Report, done []string) {
	if err := news.tell(ctx, step, at, r, done); err != nil {
		d.Tell("the director was not told that the drill has %s: %v", step, err)
	}
}

// sentences are actions in words.
func sentences(actions []drill.Action) (all []string) {
	for _, a := range actions {
		all = append(all, a.String())
	}
	return all
}

// absolute returns a path from the root. An empty one stays empty: it is not known.
func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	return filepath.Abs(path)
}

// takeLock takes the lock of drills. If another drill has it, underWay is set.
func (d *Drill) takeLock() error {
	dir := lock.Dir(d.Socket)
	err := lock.MakeDir(dir)
	var f *os.File
	if err == nil {
		f, err = lock.Open(filepath.Join(dir, "drill"))
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("run the drill as root: %w", err)
	case err != nil:
		return fmt.Errorf("failed to open the lock of drills: %w", err)
	}
	d.lock = f
	err = lock.Take(f)
	if d.underWay = errors.Is(err, lock.ErrHeld); d.underWay {
		return nil
	}
	return err
}

// make makes the fault, and waits. It returns when the fault was made. What fails is in the report.
func (d *Drill) make(ctx context.Context, r *drill.Report, plan drill.Plan, w *Switch) (fault time.Time) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case undone := <-w.Acted():
			w.result <- undone // for Undo
			cancel(errTooLong)
		case <-w.failed:
			cancel(errSwitchDied)
		case <-over:
		}
	}()
	for _, a := range plan.Fault {
		d.Tell("%s", a)
		if fault.IsZero() && a.Do != drill.RefuseWrites {
			fault = time.Now()
		}
		err := context.Cause(ctx) // most actions do not look at it themselves
		if err == nil {
			err = act(ctx, a, d.Socket, &d.out)
		}
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			r.Failures = append(r.Failures, fmt.Sprintf("%s: %v", a, err))
			if fault.IsZero() {
				fault = time.Now()
			}
			return fault
		}
		if a.Do != drill.Wait {
			r.Did = append(r.Did, a.String())
		}
	}
	return fault
}

var (
	errTooLong    = errors.New("the dead-man's switch has acted: the drill took too long, or the session ended")
	errSwitchDied = errors.New("the dead-man's switch has died")
)

// tellPlan says why the drill is refused, and with --dry-run what would be done.
func (d *Drill) tellPlan(s *drill.Situation, plan drill.Plan, r *drill.Report) {
	for _, text := range r.Refused {
		d.Tell("refused: %s", text)
	}
	if !d.DryRun {
		return
	}
	r.Would = sentences(plan.Fault)
	for _, text := range sentences(plan.Undo) {
		r.Would = append(r.Would, "undo: "+text)
	}
	switch {
	case len(r.Refused) > 0: // nothing would be done, and a backup has nothing to name
		return
	case d.target != "":
		d.Tell("pre-checks: %s and %s can do without %s", s.Here.Name, s.There.Name, d.target)
	default:
		d.Tell("pre-checks: %s can take over from %s", s.There.Name, s.Here.Name)
	}
	for _, text := range r.Would {
		d.Tell("would %s", text)
	}
	d.Tell("would undo all of it after %s in any case", s.Order.Max)
}

// ears hear the announcements of the other director.
type ears struct {
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu       sync.Mutex
	heard    []drill.Announced
	listened bool
}

// maxHeard is the maximum number of announcements that are kept.
const maxHeard = 100_000

// listen begins to hear announcements of the addresses of the virtual routers.
func (d *Drill) listen(ctx context.Context, s *drill.Situation) *ears {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	e := &ears{cancel: cancel}
	var names []string
	for _, r := range s.Here.VRRP {
		if name := r.Interface; s.Order.Kind.Moves() && r.State == "master" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	e.listened = len(names) > 0
	for _, name := range names {
		l, err := wire.Listen(name)
		if err != nil {
			e.mu.Lock()
			e.listened = false
			e.mu.Unlock()
			d.Tell("announcements on %s cannot be heard: %v", name, err)
			continue
		}
		e.all.Go(func() {
			err := l.Run(ctx, func(o garp.Observation) {
				if !o.Announced {
					return
				}
				e.mu.Lock()
				defer e.mu.Unlock()
				if len(e.heard) < maxHeard {
					e.heard = append(e.heard, drill.Announced{At: time.Now(), Address: o.Claimed})
				}
			})
			if err != nil {
				e.mu.Lock()
				defer e.mu.Unlock()
				e.listened = false
			}
		})
	}
	return e
}

// stop returns what was heard.
func (e *ears) stop() ([]drill.Announced, bool) {
	e.cancel()
	e.all.Wait()
	slices.SortStableFunc(e.heard, func(a, b drill.Announced) int { return a.At.Compare(b.At) })
	return e.heard, e.listened
}
