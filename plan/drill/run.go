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

	"hapair/plan/pair"
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

	struck int // the host that has the fault

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
		r.watches[i] = newWatch(b.Pair.Host(i), r.vips, r.tracks[i], r.clock)
	}
	r.res = &Result{
		Format: Format, ID: r.keys.id, Pair: s.Name, Drill: d.Name, Summary: d.Summary, Case: d.Case,
		Started: r.clock.start, Load: bench.Load, Predicted: predicted(s, d.Name),
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
	if err := r.examine(ctx); err != nil {
		return err
	}
	if err := r.reach(ctx); err != nil {
		return err
	}
	defer r.clean(ctx)
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	stopWatching := r.watch(ctx, fail)
	defer stopWatching()
	stopWriting := r.write(ctx)
	defer stopWriting()

	if err := r.settleIn(ctx); err != nil {
		return err
	}
	if err := r.strike(ctx); err != nil {
		return err
	}
	stopWriting()
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
		r.struck = 1
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
		r.vip, err = r.way(ctx, net.JoinHostPort(r.vips[0].String(), port), r.struck, 1-r.struck)
		return err
	})
	for i, h := range s.Hosts {
		all.Go(func() (err error) {
			r.dial[i], err = r.way(ctx, net.JoinHostPort(h.Address.String(), port), i, i)
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

// way finds a way to the Redis of host at addr.
func (r *run) way(ctx context.Context, addr string, host, through int) (dialer, error) {
	hop := r.Pair.Host(through)
	direct := dialer{addr: addr, via: "direct", dial: r.Dial}
	_, err := r.try(ctx, direct, host)
	if err == nil || ctx.Err() != nil {
		return direct, context.Cause(ctx)
	}
	hopping := dialer{addr: addr, via: "ssh " + hop.String(), dial: hop.Dial, refusal: err}
	if hopping.trip, err = r.try(ctx, hopping, host); err == nil || ctx.Err() != nil {
		return hopping, context.Cause(ctx)
	}
	return dialer{}, &inconclusive{fmt.Sprintf("no way to %s: direct: %v; %s: %v", addr, hopping.refusal, hopping.via, err)}
}

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

// watch starts all that looks at the hosts. What it returns stops it, and may
// be called again. A watch that breaks fails the drill.
func (r *run) watch(ctx context.Context, fail context.CancelCauseFunc) (stop func()) {
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var all sync.WaitGroup
	for i := range r.tracks {
		s := &sampler{
			track: r.tracks[i], clock: r.clock, keys: r.keys,
			connect: func(c Client) *redisctl.Client { return r.client(r.dial[i], patience[c]) },
		}
		all.Go(func() { s.look(watching) })
		all.Go(func() { s.write(watching) })
		all.Go(func() {
			if err := r.watches[i].run(watching); err != nil {
				fail(err)
			}
		})
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
	for _, w := range r.watches {
		select {
		case <-w.ready:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(examineTimeout):
			return fmt.Errorf("watch the VIP on %s: no answer within %v", w.host, examineTimeout)
		}
	}
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
		if limit := r.res.Objective.MaxOutage / 2; t.Outage > limit && t.Clients > 0 {
			return t, fmt.Sprintf("%s without an acknowledged write before there is a fault; to judge an outage of %s it must be %s at most",
				t.Outage, r.res.Objective.MaxOutage, limit)
		}
		eager = t
	}
	if since, ok := r.tracks[r.struck].serving(); !ok || since > w.From {
		why = r.tracks[r.struck].host + " has not been the primary with the VIP all the time"
	}
	return eager, why
}

// strike injects the fault, sees what comes of it, and heals the pair. From
// the fault on, healing is done whatever happens.
func (r *run) strike(ctx context.Context) error {
	if r.drill.Fault == NoFault {
		r.fault = r.clock.now()
		r.timeline.setZero(r.fault)
		if err := sleep(ctx, untouchedFor); err != nil {
			return err
		}
		r.res.After = r.observe(ctx)
		return context.Cause(ctx)
	}
	err := r.inject(ctx)
	if err == nil {
		r.res.After = r.observe(ctx)
	}
	if err := r.heal(ctx); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	if err := sleep(ctx, aftermath); err != nil {
		return err
	}
	r.res.Recovered = r.observe(ctx)
	return context.Cause(ctx)
}

// inject does the fault, and returns once it is proved and all that is to come
// of it has come.
func (r *run) inject(ctx context.Context) error {
	host := r.Pair.Host(r.struck)
	name := r.tracks[r.struck].host
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	come := make(chan error, 1)
	sent := r.clock.now()
	err := inject(ctx, host, r.Pair.Layout(), r.drill.Fault, func(told report) {
		// The host's clock says when; not before it was asked, nor after it
		// has told.
		on := func(t time.Time) time.Duration { return min(max(sent, r.watches[r.struck].local(t)), r.clock.now()) }
		switch {
		case len(r.res.Faults) == 0 && !told.injected.IsZero():
			r.fault = on(told.injected)
			r.timeline.setZero(r.fault)
			r.res.Faults = append(r.res.Faults, Injected{Fault: r.drill.Fault, Host: name, What: told.what})
			r.timeline.add(r.fault, Event{Type: FaultInjected, Host: name, Text: told.what})
			// The proof of a fault may take longer than what comes of it.
			go func() { come <- r.await(waiting) }()
		case len(r.res.Faults) > 0 && r.res.Faults[0].Evidence == "" && !told.verified.IsZero():
			at := max(r.fault, on(told.verified))
			r.res.Faults[0].Evidence, r.res.Faults[0].VerifiedAfter = told.evidence, Millis(at-r.fault)
			r.timeline.add(at, Event{Type: FaultVerified, Host: name, Text: told.evidence})
		}
	})
	if err != nil {
		cancel()
	}
	if len(r.res.Faults) > 0 {
		if late := <-come; err == nil {
			err = late
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var u *unproven
	if errors.As(err, &u) {
		return &inconclusive{u.Error()}
	}
	return err
}

// await waits until the peer serves and every client has noticed, or until it
// has taken far too long, which is for the verdict to say.
func (r *run) await(ctx context.Context) error {
	peer := r.tracks[1-r.struck]
	limit := r.fault + min(2*r.res.Objective.MaxOutage.Duration()+awaitExtra, awaitMost)
	told := false
	for r.clock.now() < limit {
		if since, ok := peer.serving(); ok {
			if r.served == 0 {
				r.served = since
			}
			if !told && r.ledger.anyAck(Eager, since) {
				told = true
				eager, _ := gap(r.ledger.of(Eager), Window{r.fault, r.clock.now()})
				r.timeline.add(eager.To, Event{Type: FirstAck, Host: peer.host,
					Text: fmt.Sprintf("writes are acknowledged again, after %s without", Millis(eager.Len()))})
			}
			if r.ledger.allAck(since) {
				return sleep(ctx, aftermath)
			}
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return err
		}
	}
	return nil
}

// heal brings the struck host back, also when ctx has ended.
func (r *run) heal(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healTimeout)
	defer cancel()
	name := r.tracks[r.struck].host
	r.healing = r.clock.now()
	r.timeline.add(r.healing, Event{Type: RecoveryStart, Host: name, Text: "recovery: Redis, then keepalived"})
	if err := r.Pair.Recover(ctx, recovery{r}, name); err != nil {
		return fmt.Errorf("recover %s after %s: %w; the pair is left without it: `hapair status` shows how it stands, `hapair recover --host %s` tries again",
			name, r.drill.Name, err, name)
	}
	r.timeline.add(r.clock.now(), Event{Type: Recovered, Host: name, Text: "back in the pair"})
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
