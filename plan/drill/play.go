package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"hapair/plan/pair"
	"hapair/remote"
)

const (
	// lookEvery is how often the pair is observed while a step waits for it.
	lookEvery = 200 * time.Millisecond
)

// play does the steps, and mends the pair afterwards. From the first fault on,
// it is mended whatever happens.
func (r *run) play(ctx context.Context) error {
	if !r.drill.strikes() {
		r.strikeAt(r.clock.now())
	}
	err := r.acts(ctx)
	if err == nil && r.res.After == nil {
		r.res.After = r.observe(ctx)
		err = context.Cause(ctx)
	}
	if !r.drill.strikes() {
		return err
	}
	if err := r.mend(ctx, err); err != nil {
		return err
	}
	if err := sleep(ctx, aftermath); err != nil {
		return err
	}
	r.res.Recovered = r.observe(ctx)
	return context.Cause(ctx)
}

// strikeAt says when the first fault was: all times are since then.
func (r *run) strikeAt(at time.Duration) {
	r.fault = at
	r.timeline.setZero(at)
}

// acts does the steps, until one fails or expects what does not come.
func (r *run) acts(ctx context.Context) error {
	for _, s := range r.drill.Steps {
		if err := r.act(ctx, s); err != nil || len(r.res.unmet) > 0 {
			return err
		}
	}
	return nil
}

func (r *run) act(ctx context.Context, s Step) error {
	switch {
	case s.Fault != NoFault:
		return r.strike(ctx, s)
	case s.Switchover:
		return r.switchOver(ctx)
	case s.Start:
		return r.rigs[r.targets(s.On)[0]].start(ctx)
	case s.Wait > 0:
		return sleep(ctx, s.Wait)
	case s.Undo:
		if r.drill.heals {
			if err := r.beforeHeal(ctx); err != nil {
				return err
			}
		}
		return r.undo(ctx)
	case s.Recover:
		return r.heal(ctx)
	}
	return r.await(ctx, s)
}

// targets are the hosts that a step is about.
func (r *run) targets(on Target) []int {
	switch on {
	case "", OnPrimary:
		return []int{r.primary()}
	case OnReplica:
		return []int{1 - r.primary()}
	case OnBoth:
		return []int{0, 1}
	case onStruck:
		return []int{r.struck}
	}
	for i, t := range r.tracks {
		if t.host == string(on) {
			return []int{i}
		}
	}
	panic("drill: no host is called " + string(on)) // the spec was checked
}

// primary is the host that serves, or else the one that did when the drill
// began.
func (r *run) primary() int {
	for i, t := range r.tracks {
		if _, ok := t.serving(); ok {
			return i
		}
	}
	return r.before
}

// strike injects a fault, and returns once it is proved that it landed. That of
// a reset is proved when the host is back.
func (r *run) strike(ctx context.Context, s Step) error {
	hosts := r.targets(s.On)
	if len(r.res.Faults) == 0 {
		r.struck = hosts[0]
	}
	var all errgroup.Group
	for _, i := range hosts {
		r.hit[i] = true
		entry := r.faultOn(i, s.Fault)
		all.Go(func() error {
			if s.Fault.resets() {
				return r.reset(ctx, i, s.Fault, entry)
			}
			return r.rigs[i].inject(ctx, s.Fault, entry)
		})
	}
	err := all.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var u *unproven
	if errors.As(err, &u) {
		return &inconclusive{u.Error()}
	}
	return err
}

// faultOn enters a fault on a host as its script reports it.
func (r *run) faultOn(i int, fault Fault) func(report) {
	name := r.tracks[i].host
	sent := r.clock.now()
	// The host's clock says when; not before it was asked, nor after it has
	// told.
	on := func(t time.Time) time.Duration { return min(max(sent, r.watches[i].local(t)), r.clock.now()) }
	entry := -1
	return func(told report) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if entry < 0 && !told.injected.IsZero() {
			at := on(told.injected)
			if len(r.res.Faults) == 0 {
				r.strikeAt(at)
			}
			entry = len(r.res.Faults)
			r.res.Faults = append(r.res.Faults, Injected{Fault: fault, Host: name, At: Millis(at - r.fault), What: told.what})
			r.timeline.add(at, Event{Type: FaultInjected, Host: name, Text: told.what})
		}
		if entry < 0 || told.verified.IsZero() || r.res.Faults[entry].Evidence != "" {
			return
		}
		f := &r.res.Faults[entry]
		at := max(r.fault+f.At.Duration(), on(told.verified))
		f.Evidence, f.VerifiedAfter = told.evidence, Millis(at-r.fault)-f.At
		r.timeline.add(at, Event{Type: FaultVerified, Host: name, Text: told.evidence})
	}
}

// switchOver is planned work in place of a fault. Its proof is that it ended.
func (r *run) switchOver(ctx context.Context) error {
	from := r.primary()
	name, to := r.tracks[from].host, r.tracks[1-from].host
	r.struck, r.hit[from] = from, true
	at := r.clock.now()
	r.strikeAt(at)
	r.timeline.add(at, Event{Type: FaultInjected, Host: name, Text: "hand over to " + to})
	if err := r.Pair.Switchover(ctx, recovery{r}, to); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("hand over from %s to %s: %w", name, to, err)
	}
	done := r.clock.now()
	r.res.Faults = []Injected{{Fault: "switchover", Host: name, What: "hand over to " + to, Evidence: "it has ended", VerifiedAfter: Millis(done - at)}}
	r.timeline.add(done, Event{Type: FaultVerified, Host: name, Text: "handed over"})
	return nil
}

// await waits for what a step expects. What has not come by then is for the
// verdict to say: at once where the step says how long it may take, and else
// by the objectives.
func (r *run) await(ctx context.Context, s Step) error {
	limit := s.Within
	if limit == 0 {
		limit = min(2*r.res.Objective.MaxOutage.Duration()+awaitExtra, awaitMost)
	}
	began := r.clock.now()
	met, seen, err := r.meets(ctx, s, began+limit)
	if err != nil || met {
		return err
	}
	if s.Within > 0 {
		r.res.unmet = append(r.res.unmet, Deviation{"expect", fmt.Sprintf("%s within %v", conditions[s.Expect], s.Within), seen})
	}
	return nil
}

// meets waits until a condition holds (or, for Stayed, as long as it does), and
// says what is so instead when it does not.
func (r *run) meets(ctx context.Context, s Step, until time.Duration) (met bool, seen string, err error) {
	switch s.Expect {
	case Moved:
		return r.serves(ctx, until, 1-r.struck)
	case Served:
		return r.serves(ctx, until, 0, 1)
	case Stayed:
		for r.clock.now() < until {
			if _, ok := r.tracks[r.before].serving(); !ok {
				return false, r.tracks[r.before].host + " no longer serves", nil
			}
			if err := sleep(ctx, pollEvery); err != nil {
				return false, "", err
			}
		}
		return true, "", nil
	}
	for {
		state := r.Pair.Observe(ctx)
		if err := context.Cause(ctx); err != nil {
			return false, "", err
		}
		if met, seen = r.like(standing(state), s); met || r.clock.now() >= until {
			return met, seen, nil
		}
		if err := sleep(ctx, lookEvery); err != nil {
			return false, "", err
		}
	}
}

// like tells whether the pair stands as a step expects, and how it does stand.
func (r *run) like(st *Standing, s Step) (bool, string) {
	switch s.Expect {
	case Healthy:
		return st.Healthy, strings.Join(st.Problems, "; ")
	case InSync:
		for i, h := range st.Hosts {
			if h.Redis == stateReplica && h.Link && st.Primary == r.tracks[1-i].host {
				return true, ""
			}
		}
		return false, "no replica has its link up"
	}
	for _, i := range r.targets(s.On) {
		h := st.Hosts[i]
		if h.Hold == "" || h.Redis == statePrimary || h.VIP {
			return false, fmt.Sprintf("%s is %s, VIP: %t, holds: %t", h.Host, orNone(h.Redis), h.VIP, h.Hold != "")
		}
	}
	return true, ""
}

// serves waits until one of the hosts serves and every client has noticed.
func (r *run) serves(ctx context.Context, until time.Duration, hosts ...int) (met bool, seen string, err error) {
	told := false
	for r.clock.now() < until {
		for _, i := range hosts {
			since, ok := r.tracks[i].serving()
			if !ok {
				continue
			}
			if r.served == 0 && i != r.struck {
				r.served = since
			}
			if !told && i != r.struck && r.ledger.anyAck(Eager, since) {
				told = true
				eager, _ := gap(r.ledger.of(Eager), Window{r.fault, r.clock.now()})
				r.timeline.add(eager.To, Event{Type: FirstAck, Host: r.tracks[i].host,
					Text: fmt.Sprintf("writes are acknowledged again, after %s without", Millis(eager.Len()))})
			}
			if r.ledger.allAck(max(since, r.fault)) {
				return true, "", sleep(ctx, aftermath)
			}
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return false, "", err
		}
	}
	return false, "no such host serves all clients", nil
}

// clearLeft ends what an earlier drill has left behind, whose hapair was
// killed.
func (r *run) clearLeft(ctx context.Context) error {
	var all errgroup.Group
	var left [2][]undone
	for i := range r.rigs {
		all.Go(func() (err error) {
			left[i], err = r.rigs[i].disarm(ctx)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	for i, faults := range left {
		for _, f := range faults {
			r.note("%s of an earlier drill was still on %s: it has been ended", f.fault, r.tracks[i].host)
		}
	}
	return nil
}

// undo ends the faults that last, on all hosts that have any, and waits for the
// hosts that were reset.
func (r *run) undo(ctx context.Context) error {
	var all errgroup.Group
	for i := range r.rigs {
		if !r.hit[i] {
			continue
		}
		all.Go(func() error {
			if err := r.comeBack(ctx, i); err != nil {
				return err
			}
			sent := r.clock.now()
			ended, err := r.rigs[i].undo(ctx)
			for _, f := range ended {
				r.timeline.add(min(max(sent, r.watches[i].local(f.at)), r.clock.now()),
					Event{Type: FaultUndone, Host: r.tracks[i].host, Text: string(f.fault) + " has ended"})
			}
			if err != nil {
				return fmt.Errorf("end the faults of %s: %w; the host does it by itself within %v", r.drill.Name, err, remote.LockLease)
			}
			return nil
		})
	}
	return all.Wait()
}

// mend leaves a whole pair behind, also when ctx has ended: it ends the faults,
// brings back what was struck, and takes from the hosts what would have done so
// in its place. The error is the drill's own, or else what could not be mended.
func (r *run) mend(ctx context.Context, failure error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healTimeout)
	defer cancel()
	if r.healing == 0 && slices.Contains(r.hit[:], true) {
		if err := r.heal(ctx); err != nil {
			return err
		}
	}
	var all errgroup.Group
	for i := range r.rigs {
		if r.hit[i] && r.resets[i] == nil { // or nothing is left there
			all.Go(func() error { _, err := r.rigs[i].disarm(ctx); return err })
		}
	}
	if err := all.Wait(); err != nil {
		return fmt.Errorf("clear up after %s: %w; the host does it by itself within %v", r.drill.Name, err, remote.LockLease)
	}
	return failure
}

// heal ends the faults that last and brings the struck hosts back.
func (r *run) heal(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healTimeout)
	defer cancel()
	if r.res.After == nil {
		r.res.After = r.observe(ctx)
	}
	var hosts []string
	for i, t := range r.tracks {
		if r.hit[i] {
			hosts = append(hosts, t.host)
		}
	}
	name := strings.Join(hosts, " and ")
	one := name // of an event: there is none for two
	if len(hosts) == 2 {
		one = ""
	}
	at := r.clock.now()
	if r.healing == 0 {
		r.healing = at
	}
	r.timeline.add(at, Event{Type: RecoveryStart, Host: one, Text: "recovery: Redis, then keepalived"})
	if err := r.undo(ctx); err != nil {
		return err
	}
	if one == "" {
		hosts = nil // whichever need it
	}
	if err := r.Pair.Recover(ctx, recovery{r}, hosts...); err != nil {
		return fmt.Errorf("recover %s after %s: %w; the pair is left without it: `hapair status` shows how it stands, `hapair recover` tries again",
			name, r.drill.Name, err)
	}
	r.timeline.add(r.clock.now(), Event{Type: Recovered, Host: one, Text: "back in the pair"})
	return nil
}

// recovery turns the steps of a recovery into events.
type recovery struct{ run *run }

func (e recovery) Step(host, what string) pair.Step { return recoveryStep{e.run, host, what} }

type recoveryStep struct {
	run        *run
	host, what string
}

func (recoveryStep) Progress(string) {}

func (s recoveryStep) Done(result string, err error) {
	if err != nil {
		result = err.Error()
	}
	s.run.timeline.add(s.run.clock.now(), Event{Type: RecoveryStep, Host: s.host, Text: s.what + ": " + result})
}
