package plan

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"hapair/plan/facts"
	"hapair/plan/source"
	"hapair/remote"
)

// Hosts are the connected hosts of a plan, with root's rights.
type Hosts map[facts.Ref]remote.Host

func (h Hosts) get(at facts.Ref) (remote.Host, error) {
	if one := h[at]; one != nil {
		return one, nil
	}
	return nil, fmt.Errorf("%s: not connected", at)
}

// Hooks is told what Apply does while it does it. Calls come from several
// goroutines, but never two at the same time.
//
// A step that runs services reports each thing that it does as a step of its
// own, with Within set, between its own beginning and end.
type Hooks interface {
	StepStarted(s Step)
	// StepProgress may come often: many times a second for a download.
	StepProgress(s Step, p Progress)
	StepDone(s Step, took time.Duration, err error)
}

// Progress is how far a step has come. Any field may be empty.
type Progress struct {
	Text        string // what it does now, or at last: "compile", "wait for the replica's link"
	Done, Total int64  // bytes; Total is 0 when it is not known
	Log         string // where its output goes, on the controller
}

// NopHooks is for embedding: hooks that care for some of the events only.
type NopHooks struct{}

func (NopHooks) StepStarted(Step)                    {}
func (NopHooks) StepProgress(Step, Progress)         {}
func (NopHooks) StepDone(Step, time.Duration, error) {}

// Options are the surroundings of an Apply.
type Options struct {
	Hosts Hosts
	Hooks Hooks // nil: nobody listens
	// Stop, once closed, lets the steps under way end and begins no other: the
	// first Ctrl-C. The second one ends the context.
	Stop <-chan struct{}
	// Cache holds downloads and builds, Logs the output of builds. Empty:
	// hapair's folders under $XDG_CACHE_HOME and $XDG_STATE_HOME.
	Cache, Logs string
}

// Apply executes the steps of p, those that do not wait for each other at the
// same time. When a step fails, no other step of its pair begins; those under
// way end, and other pairs go on. The error joins a *StepError for each step
// that failed, and a *Stopped when it was told to stop.
//
// Apply can be interrupted anywhere, even by a kill: what is there then, and
// what is not, the next plan sees.
func Apply(ctx context.Context, p *Plan, o Options) error {
	a := &applying{plan: p, hosts: o.Hosts, hooks: o.Hooks, logs: o.Logs}
	if a.hooks == nil {
		a.hooks = NopHooks{}
	}
	var err error
	if a.cache, err = openCache(o.Cache); err != nil {
		return err
	}
	if a.logs == "" {
		if a.logs, err = defaultLogs(); err != nil {
			return err
		}
	}
	return a.all(ctx, o.Stop)
}

// applying is an Apply under way.
type applying struct {
	plan  *Plan
	hosts Hosts
	logs  string
	cache source.Cache
	locks keyed

	hearing sync.Mutex // one event at a time
	hooks   Hooks
}

// stepsAtOnce bounds how many steps are under way, over all pairs.
const stepsAtOnce = 20

// ended is a step that began, and how it ended.
type ended struct {
	step Step
	err  error
}

// all begins each step as soon as those before it are done, and waits until
// none is under way.
func (a *applying) all(ctx context.Context, stop <-chan struct{}) error {
	queue := newQueue(a.plan.Steps)
	results := make(chan ended)
	under := 0
	stopping := false
	wake, gone := stop, ctx.Done() // nil once they were heard
	broken := map[string]bool{}    // pairs of which a step failed
	stopped := &Stopped{}
	var errs []error
	for {
		// Asked for before a result came, so nothing more begins after it.
		stopping = stopping || isClosed(stop) || ctx.Err() != nil
		for !stopping && under < stepsAtOnce {
			s, ok := queue.next(broken)
			if !ok {
				break
			}
			under++
			go func() { results <- ended{s, a.one(ctx, s)} }()
		}
		if under == 0 {
			break
		}
		select {
		case <-wake:
			wake = nil
		case <-gone:
			gone = nil
		case e := <-results:
			under--
			switch {
			case e.err == nil:
				stopped.Done = append(stopped.Done, e.step)
				queue.done(e.step)
			case ctx.Err() != nil && errors.Is(e.err, ctx.Err()):
				stopped.Cut = append(stopped.Cut, e.step)
			default:
				broken[e.step.pair()] = true
				errs = append(errs, e.err)
			}
		}
	}
	stopped.Left = queue.left()
	if stopping && len(stopped.Left)+len(stopped.Cut) > 0 {
		errs = append(errs, stopped)
	}
	return errors.Join(errs...)
}

// queue knows which steps can begin.
type queue struct {
	steps  []Step
	begun  []bool
	waits  []int            // for how many others
	blocks map[string][]int // who waits for a step, by its ID
	ready  []int
}

func newQueue(steps []Step) *queue {
	q := &queue{steps: steps, begun: make([]bool, len(steps)), waits: make([]int, len(steps)), blocks: map[string][]int{}}
	for n, s := range steps {
		q.waits[n] = len(s.After)
		for _, id := range s.After {
			q.blocks[id] = append(q.blocks[id], n)
		}
		if len(s.After) == 0 {
			q.ready = append(q.ready, n)
		}
	}
	return q
}

// next takes a step that can begin, of a pair that is not broken.
func (q *queue) next(broken map[string]bool) (Step, bool) {
	for len(q.ready) > 0 {
		n := q.ready[0]
		q.ready = q.ready[1:]
		if !broken[q.steps[n].pair()] {
			q.begun[n] = true
			return q.steps[n], true
		}
	}
	return Step{}, false
}

// done lets those begin that waited for s alone.
func (q *queue) done(s Step) {
	for _, n := range q.blocks[s.ID] {
		if q.waits[n]--; q.waits[n] == 0 {
			q.ready = append(q.ready, n)
		}
	}
}

// left are the steps that have not begun.
func (q *queue) left() (left []Step) {
	for n, s := range q.steps {
		if !q.begun[n] {
			left = append(left, s)
		}
	}
	return left
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// one carries out one step.
func (a *applying) one(ctx context.Context, s Step) error {
	w := &work{applying: a, step: s, log: &logFile{}}
	defer w.log.Close()
	a.started(s)
	began := time.Now()
	err := w.do(ctx)
	if err != nil && !(ctx.Err() != nil && errors.Is(err, ctx.Err())) {
		err = w.explain(err)
	}
	a.done(s, time.Since(began), err)
	return err
}

func (a *applying) started(s Step) {
	a.hearing.Lock()
	defer a.hearing.Unlock()
	a.hooks.StepStarted(s)
}

func (a *applying) progress(s Step, p Progress) {
	a.hearing.Lock()
	defer a.hearing.Unlock()
	a.hooks.StepProgress(s, p)
}

func (a *applying) done(s Step, took time.Duration, err error) {
	a.hearing.Lock()
	defer a.hearing.Unlock()
	a.hooks.StepDone(s, took, err)
}

// keyed is a lock for each of many keys.
type keyed struct {
	mu   sync.Mutex
	held map[string]*sync.Mutex
}

// lock returns what unlocks.
func (k *keyed) lock(key string) func() {
	k.mu.Lock()
	if k.held == nil {
		k.held = map[string]*sync.Mutex{}
	}
	one := k.held[key]
	if one == nil {
		one = &sync.Mutex{}
		k.held[key] = one
	}
	k.mu.Unlock()
	one.Lock()
	return one.Unlock
}

// Stopped is an Apply that was told to stop and did.
type Stopped struct {
	Done []Step // in the order of their end
	Cut  []Step // were under way when the context ended: begun, not done
	Left []Step // not begun
}

func (e *Stopped) Error() string {
	all := len(e.Done) + len(e.Cut) + len(e.Left)
	if len(e.Cut) > 0 {
		return fmt.Sprintf("interrupted after %d of %d steps, in the middle of %d", len(e.Done), all, len(e.Cut))
	}
	return fmt.Sprintf("stopped after %d of %d steps", len(e.Done), all)
}
