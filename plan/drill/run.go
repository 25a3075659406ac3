package drill

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"hapair/remote"
	"hapair/remote/redisctl"
)

const (
	// examineTimeout is for a pair that is just settling to be healthy.
	examineTimeout = 5 * time.Second
	// warmUp is for clocks to be compared and writers to find their rhythm;
	// steadyFor is how long the steady state is then measured.
	warmUp    = 500 * time.Millisecond
	steadyFor = 2 * time.Second
	// steadyTimeout is for a hiccup of the disk or the controller to pass.
	steadyTimeout = 10 * time.Second
	// untouchedFor is how long a drill without a fault watches.
	untouchedFor = 3 * time.Second
	// aftermath is how long a drill goes on watching when all is as expected:
	// for what comes late.
	aftermath = time.Second
	// The writers wait for the service twice as long as they may, and a bit.
	awaitExtra, awaitMost = 10 * time.Second, 20 * time.Minute
	// healTimeout bounds recovery, which may have to copy all the data.
	healTimeout = 30 * time.Minute
	// settleTimeout is for the replica to receive the last writes.
	settleTimeout = 10 * time.Second
	cleanTimeout  = 10 * time.Second

	pollEvery = 10 * time.Millisecond
)

// inconclusive is why a drill can tell nothing.
type inconclusive struct{ reason string }

func (e *inconclusive) Error() string { return e.reason }

// run is one drill under way.
type run struct {
	*Bench
	drill    Drill
	res      *Result
	clock    clock
	keys     keys
	ledger   Ledger
	timeline *timeline
	vips     []netip.Addr
	tracks   [2]*track
	watches  [2]*watch
	runIDs   [2]string // of each host's Redis, before the fault
	dial     [2]dialer // to each host's own address
	vip      dialer
	rigs     [2]rig
	resets   [2]*reset               // hosts that are not back yet
	fail     context.CancelCauseFunc // ends the drill early

	mu     sync.Mutex // for Result.Faults while a fault is reported
	before int        // the host that was the primary when the drill began
	struck int        // the host that the first fault hit, or is about to hit
	hit    [2]bool    // hosts on which a fault may have landed

	// Times on the drill's clock; 0: not come to.
	steady, fault, served, healing, ended time.Duration
}

// Run does one drill. It returns when the pair is whole again, or when that
// could not be brought about, which is then the result's error. Ending ctx
// ends the drill early, and recovers the pair first.
func (b *Bench) Run(ctx context.Context, d Drill) *Result {
	bench := *b
	if bench.Events == nil {
		bench.Events = Quiet{}
	}
	if bench.Load == (Load{}) {
		bench.Load = DefaultLoad
	}
	bench.Load.Rate = cmp.Or(bench.Load.Rate, DefaultLoad.Rate)
	if bench.Dial == nil {
		bench.Dial = (&net.Dialer{}).DialContext
	}
	s := b.Pair.Spec()
	r := &run{
		Bench:    &bench,
		drill:    d,
		clock:    clock{time.Now()},
		keys:     keys{strings.ToLower(rand.Text()[:10])},
		timeline: &timeline{events: bench.Events},
	}
	for _, p := range s.VIPs {
		r.vips = append(r.vips, p.Addr())
	}
	for i := range r.tracks {
		r.tracks[i] = &track{host: s.Hosts[i].Name, timeline: r.timeline}
		r.watches[i] = newWatch(b.Pair.Host(i), pairLock{b.Pair.Layout().LockFile(), remote.LockLease, b.Holder}, b.Pair.Layout().Run(), r.vips, r.tracks[i], r.clock)
		r.rigs[i] = rig{host: b.Pair.Host(i), layout: b.Pair.Layout(), drill: d.Name + "-" + r.keys.id, lock: b.Pair.Layout().LockFile()}
	}
	r.res = &Result{
		Format: Format, ID: r.keys.id, Pair: s.Name, Drill: d.Name, Summary: d.Summary, Case: d.Case,
		Started: r.clock.start, Load: bench.Load, Predicted: predicted(s, d.Name),
		Setting: Setting{VIP: s.VIPs[0].String(), Timing: []Figure{}, Hosts: []HostSetting{}},
	}
	r.res.Objective = objective(d, r.res.Predicted)
	bench.Events.Started(s.Name, d)
	err := r.perform(ctx)
	if ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
		err = &inconclusive{fmt.Sprintf("ended early: %v", context.Cause(ctx))}
	}
	r.conclude(err)
	bench.Events.Finished(r.res)
	return r.res
}

// perform is the drill, step by step.
func (r *run) perform(ctx context.Context) error {
	asked := ctx
	ctx, r.fail = context.WithCancelCause(ctx)
	defer r.fail(nil)
	stopWatching := r.watch(ctx)
	defer stopWatching()
	if err := r.watched(ctx); err != nil {
		// What is wrong with the pair is the better answer, if anything is.
		var why *inconclusive
		if !errors.As(err, &why) && errors.As(r.examine(asked), &why) {
			return why
		}
		return err
	}
	// What is left of an earlier drill is ours to end only now: no other one is
	// under way.
	if err := r.clearLeft(ctx); err != nil {
		return err
	}
	if err := r.examine(ctx); err != nil {
		return err
	}
	if err := r.reach(ctx); err != nil {
		return err
	}
	defer r.clean(ctx)
	stopSampling := r.sample(ctx)
	defer stopSampling()
	stopWriting := r.write(ctx)
	defer stopWriting()

	if err := r.settleIn(ctx); err != nil {
		return err
	}
	if err := r.play(ctx); err != nil {
		return err
	}
	stopWriting()
	stopSampling()
	stopWatching()
	return r.balance(ctx)
}

// examine refuses a pair that is not whole, and finds out who is who.
func (r *run) examine(ctx context.Context) error {
	s := r.Pair.Spec()
	deadline := time.Now().Add(examineTimeout)
	for {
		state := r.Pair.Observe(ctx)
		if err := context.Cause(ctx); err != nil {
			return err
		}
		for i, h := range state.Hosts {
			if h.Redis.Info != nil {
				r.runIDs[i] = h.Redis.Info.RunID
			}
		}
		st := standing(state)
		r.res.Before = st
		r.res.Setting = setting(s, state)
		if st.Healthy && st.Primary != "" && st.Primary == st.Holder {
			break
		}
		if time.Now().After(deadline) {
			return &inconclusive{"a drill begins on a healthy pair only: " + unwell(st)}
		}
		if err := sleep(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
	if r.res.Before.Primary == s.Hosts[1].Name {
		r.before, r.struck = 1, 1
		r.note("%s is the primary now; in the document it is the preferred host, %s", s.Hosts[1].Name, s.Hosts[0].Name)
	}
	return nil
}

func unwell(st *Standing) string {
	switch {
	case len(st.Problems) > 0:
		return strings.Join(st.Problems, "; ")
	case st.Primary == "":
		return "there is not exactly one primary"
	case st.Holder == "":
		return "there is not exactly one host with the VIP"
	}
	return fmt.Sprintf("%s is the primary, but %s has the VIP", st.Primary, st.Holder)
}

func (r *run) observe(ctx context.Context) *Standing { return standing(r.Pair.Observe(ctx)) }

func (r *run) note(format string, args ...any) {
	r.res.Notes = append(r.res.Notes, fmt.Sprintf(format, args...))
}

// dialer is a way to a Redis.
type dialer struct {
	addr string
	via  string // "direct", "ssh b"
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Where it is not direct: why not, and what the way costs. Clients are that
	// much more patient.
	refusal error
	trip    time.Duration
}

// reach finds a way to the VIP and to each host's own address: from here, or
// else through SSH: to the VIP through the peer of its holder, as the holder
// is about to be struck.
func (r *run) reach(ctx context.Context) error {
	s := r.Pair.Spec()
	port := strconv.Itoa(s.Redis.Port)
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() (err error) {
		r.vip, err = r.way(ctx, net.JoinHostPort(r.vips[0].String(), port), r.before, 1-r.before, false)
		return err
	})
	for i, h := range s.Hosts {
		all.Go(func() (err error) {
			r.dial[i], err = r.way(ctx, net.JoinHostPort(h.Address.String(), port), i, i, r.drill.cuts())
			r.tracks[i].via = r.dial[i].via
			return err
		})
	}
	err := all.Wait()
	if err != nil {
		return err
	}
	r.res.Via = r.vip.via
	var around []string
	for _, w := range []dialer{r.vip, r.dial[0], r.dial[1]} {
		if w.refusal != nil {
			around = append(around, fmt.Sprintf("%s through %s (%s)", w.addr, w.via, w.trip.Round(100*time.Microsecond)))
			err = cmp.Or(err, w.refusal)
		}
	}
	if len(around) > 0 {
		r.note("probed through SSH, with deadlines longer by the way: %s; from here: %v", strings.Join(around, ", "), err)
	}
	return nil
}

// way finds a way to the Redis of host at addr: one that lasts although the
// host's own network is about to be cut, or else any.
func (r *run) way(ctx context.Context, addr string, host, through int, cut bool) (dialer, error) {
	hop := r.Pair.Host(through)
	direct := dialer{addr: addr, via: "direct", dial: r.Dial}
	err := errCut
	if !cut {
		if _, err = r.try(ctx, direct, host); err == nil || ctx.Err() != nil {
			return direct, context.Cause(ctx)
		}
	}
	hopping := dialer{addr: addr, via: "ssh " + hop.String(), dial: hop.Dial, refusal: err}
	if hopping.trip, err = r.try(ctx, hopping, host); err == nil || ctx.Err() != nil {
		return hopping, context.Cause(ctx)
	}
	return dialer{}, &inconclusive{fmt.Sprintf("no way to %s: direct: %v; %s: %v", addr, hopping.refusal, hopping.via, err)}
}

var errCut = errors.New("the drill is about to cut it off")

// try connects, and measures how long that and an answer take. What answers
// must be the host's own Redis. The controller's network may well have another
// machine at the same private address: it gets the password only if it is a
// Redis too, and never a write.
func (r *run) try(ctx context.Context, w dialer, host int) (time.Duration, error) {
	const limit = 2 * time.Second
	stranger := redisctl.New(redisctl.Options{Addr: w.addr, DialTimeout: limit, IOTimeout: limit, Dialer: w.dial})
	defer stranger.Close()
	sent := r.clock.now()
	if err := stranger.Ping(ctx); err != nil && !errors.Is(err, redisctl.NoAuth) {
		return 0, err
	}
	trip := r.clock.now() - sent
	c := r.client(w, deadlines{limit, limit})
	defer c.Close()
	info, err := c.Info(ctx)
	if err != nil {
		return 0, err
	}
	if info.RunID != r.runIDs[host] {
		return 0, fmt.Errorf("what answers at %s is not the Redis of %s", w.addr, r.tracks[host].host)
	}
	return trip, nil
}

func (r *run) client(w dialer, d deadlines) *redisctl.Client {
	return redisctl.New(redisctl.Options{
		Addr:        w.addr,
		Password:    r.Pair.Spec().Redis.Password.Reveal(),
		DialTimeout: d.dial + w.trip,
		IOTimeout:   d.io + w.trip,
		Dialer:      w.dial,
	})
}

// watch starts what looks from inside the hosts, and keeps other drills off
// them. What it returns stops it, and may be called again. A watch that breaks
// fails the drill.
func (r *run) watch(ctx context.Context) (stop func()) {
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var all sync.WaitGroup
	for _, w := range r.watches {
		all.Go(func() {
			if err := w.run(watching); err != nil {
				r.fail(err)
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

// watched waits until both hosts are.
func (r *run) watched(ctx context.Context) error {
	for _, w := range r.watches {
		select {
		case <-w.ready:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(examineTimeout):
			return fmt.Errorf("watch the VIP on %s: no answer within %v", w.host, examineTimeout)
		}
	}
	return nil
}

// sample starts to ask both Redis what they are. What it returns stops it, and
// may be called again.
func (r *run) sample(ctx context.Context) (stop func()) {
	sampling, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var all sync.WaitGroup
	for i := range r.tracks {
		s := &sampler{
			track: r.tracks[i], clock: r.clock, keys: r.keys,
			connect: func(c Client) *redisctl.Client { return r.client(r.dial[i], patience[c]) },
		}
		all.Go(func() { s.look(sampling) })
		all.Go(func() { s.write(sampling) })
	}
	return func() { cancel(); all.Wait() }
}

// write starts the writers. What it returns stops them, and may be called
// again.
func (r *run) write(ctx context.Context) (stop func()) {
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxRun-r.clock.now())
	var all sync.WaitGroup
	add := func(n int, c Client) {
		for range n {
			w := &writer{
				index: len(r.ledger.accounts), account: r.ledger.open(c), client: r.client(r.vip, patience[c]),
				keys: r.keys, interval: time.Second / time.Duration(r.Load.Rate), clock: r.clock,
			}
			all.Go(func() { w.run(writing) })
		}
	}
	add(r.Load.Eager, Eager)
	add(r.Load.Ordinary, Ordinary)
	return func() {
		if r.ended == 0 {
			r.ended = r.clock.now() // what is answered later counts no more
		}
		cancel()
		all.Wait()
	}
}

// settleIn waits until everything is measured and the writers write steadily.
func (r *run) settleIn(ctx context.Context) error {
	if err := sleep(ctx, warmUp); err != nil {
		return err
	}
	for deadline := r.clock.now() + steadyTimeout; ; {
		r.steady = r.clock.now()
		if err := sleep(ctx, steadyFor); err != nil {
			return err
		}
		eager, unsteady := r.unsteady(Window{r.steady, r.clock.now()})
		if unsteady == "" {
			r.timeline.add(r.clock.now(), Event{Type: SteadyState,
				Text: fmt.Sprintf("%d eager and %d ordinary clients write through the VIP; eager ones %.0f/s, p99 %s", r.Load.Eager, r.Load.Ordinary, eager.Rate, eager.P99)})
			return nil
		}
		if r.clock.now() > deadline {
			return &inconclusive{"no steady state: " + unsteady}
		}
	}
}

// unsteady says why the time before the fault is no ground to judge it on;
// empty when it is.
func (r *run) unsteady(w Window) (eager Tally, why string) {
	for _, c := range []Client{Ordinary, Eager} {
		t := r.ledger.tally(c, w)
		if len(t.Errors) > 0 {
			return t, "writes through the VIP fail before there is a fault: " + counted(t.Errors)
		}
		if limit := cmp.Or(r.res.Objective.MaxOutage, Millis(untouchedOutage)) / 2; t.Outage > limit && t.Clients > 0 {
			return t, fmt.Sprintf("%s without an acknowledged write before there is a fault; to judge an outage of %s it must be %s at most",
				t.Outage, 2*limit, limit)
		}
		eager = t
	}
	if since, ok := r.tracks[r.before].serving(); !ok || since > w.From {
		why = r.tracks[r.before].host + " has not been the primary with the VIP all the time"
	}
	return eager, why
}

// balance reads both hosts back, once the replica has all that the primary has.
func (r *run) balance(ctx context.Context) error {
	primary := r.struck
	if st := r.res.Recovered; st != nil && st.Primary == r.tracks[1-r.struck].host {
		primary = 1 - r.struck
	}
	var clients [2]*redisctl.Client
	for i := range clients {
		clients[i] = r.client(r.dial[i], patience[Ordinary])
		defer clients[i].Close()
	}
	if err := r.settleDown(ctx, clients[primary], clients[1-primary]); err != nil {
		return err
	}
	var held [2][]bitmap
	for i, c := range clients {
		var err error
		if held[i], err = r.keys.readBack(ctx, c, &r.ledger); err != nil {
			return fmt.Errorf("read the writes back from %s: %w", r.tracks[i].host, err)
		}
	}
	b := r.ledger.balance(held[primary], held[1-primary], r.served, r.fault)
	r.res.Ledger = &b
	r.timeline.add(r.clock.now(), Event{Type: ReadBack,
		Text: fmt.Sprintf("%d of %d acknowledged writes are lost", b.Lost, b.Acknowledged)})
	if h := r.res.healed; h != nil {
		h.lost = r.ledger.missing(h.held, held[primary])
		return r.afterHeal(h)
	}
	return nil
}

// settleDown waits until the replica has received what the primary has now. A
// replica that does not is found by the read back.
func (r *run) settleDown(ctx context.Context, primary, replica *redisctl.Client) error {
	wrote, err := primary.Info(ctx)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(settleTimeout); time.Now().Before(deadline); {
		got, err := replica.Info(ctx)
		if err != nil {
			return err
		}
		if got.Offset >= wrote.Offset {
			return nil
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return err
		}
	}
	r.note("the replica had not received the last writes %v after they stopped", settleTimeout)
	return nil
}

// clean removes every key of the drill. What it cannot remove expires.
func (r *run) clean(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	hosts := []string{r.tracks[0].host, r.tracks[1].host}
	for i := range r.dial {
		c := r.client(r.dial[i], deadlines{cleanTimeout, cleanTimeout})
		err := r.keys.remove(ctx, c, &r.ledger, hosts)
		c.Close()
		if err != nil && !errors.Is(err, redisctl.ReadOnly) { // a replica learns it from its primary
			r.note("the drill's keys on %s could not be removed (%v): they expire within %v", hosts[i], err, keyTTL)
		}
	}
}

// conclude turns what was seen into the result.
func (r *run) conclude(err error) {
	res := r.res
	res.Took = Millis(r.clock.now())
	res.Timeline = r.timeline.sorted()
	if r.steady > 0 {
		switch {
		case r.fault == 0:
			res.Steady = r.phase(Window{r.steady, r.ended})
		case r.healing == 0:
			res.Steady, res.Faulted = r.phase(Window{r.steady, r.fault}), r.phase(Window{r.fault, r.ended})
		default:
			res.Steady, res.Faulted = r.phase(Window{r.steady, r.fault}), r.phase(Window{r.fault, r.healing})
			res.Recovery = r.phase(Window{r.healing, r.ended})
		}
		res.Series = r.ledger.series(Window{r.steady, r.ended}, r.fault)
		res.DualWritable = Millis(bothWritable(r.tracks[0].writable, r.tracks[1].writable))
		for i, t := range r.tracks {
			res.Syncs = append(res.Syncs, t.syncs())
			h := t.history(r.fault)
			h.ClockOffset, h.RoundTrip = r.watches[i].clocks()
			res.Tracks = append(res.Tracks, h)
		}
	}
	var nothing *inconclusive
	switch {
	case errors.As(err, &nothing):
		res.Verdict, res.Reason = Inconclusive, nothing.reason
	case err != nil:
		res.Verdict, res.Reason, res.Err = Failed, err.Error(), err
	default:
		res.Mismatch = compared(res)
		res.Deviations = judge(r.drill, res)
		res.Verdict = Passed
		if len(res.Deviations) > 0 {
			res.Verdict = Deviated
		}
	}
}

func (r *run) phase(w Window) *Phase {
	p := &Phase{
		From: Millis(w.From - r.fault), To: Millis(w.To - r.fault),
		Eager: r.ledger.tally(Eager, w), Ordinary: r.ledger.tally(Ordinary, w),
		VIPMoves: vipMoves(r.tracks, w),
	}
	p.Eager.OutageFrom -= Millis(r.fault)
	p.Ordinary.OutageFrom -= Millis(r.fault)
	return p
}

// sleep waits, and returns why ctx has ended if it has.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
