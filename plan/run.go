package plan

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"hapair/plan/pair"
	"hapair/remote"
)

// run carries out a step that concerns the running pair.
func (w *work) run(ctx context.Context) error {
	one := w.plan.pairs[w.step.At.Pair]
	if one == nil {
		return fmt.Errorf("pair %s is not in this plan: it was read from a file", w.step.At.Pair)
	}
	var hosts [2]remote.Host
	for i, h := range one.Hosts {
		var err error
		if hosts[i], err = w.hosts.get(w.ref(h.Name)); err != nil {
			return err
		}
	}
	p := pair.New(one, hosts)
	switch ev := (&pairEvents{work: w}); w.step.Pair.Do {
	case TaskStart:
		return p.Start(ctx, ev)
	case TaskRoll:
		return p.Roll(ctx, ev, w.step.Pair.Changes)
	case TaskRecover:
		if err := p.Recover(ctx, ev); err != nil {
			return err
		}
		return p.Roll(ctx, ev, w.step.Pair.Changes)
	}
	return fmt.Errorf("%q is nothing that a pair can do", w.step.Pair.Do)
}

// pairEvents turns what plan/pair does into steps of its own, within the step
// that asked for it.
type pairEvents struct {
	*work
	count atomic.Int64
}

// Step implements pair.Events.
func (e *pairEvents) Step(host, what string) pair.Step {
	s := Step{ID: fmt.Sprintf("%s/%d", e.step.ID, e.count.Add(1)), At: e.ref(host), Title: what, Within: e.step.ID}
	e.started(s)
	return &pairStep{work: e.work, step: s, began: time.Now()}
}

type pairStep struct {
	*work
	step  Step
	began time.Time
}

// Progress implements pair.Step.
func (s *pairStep) Progress(seen string) { s.progress(s.step, Progress{Text: seen}) }

// Done implements pair.Step.
func (s *pairStep) Done(result string, err error) {
	if err == nil && result != "" {
		s.progress(s.step, Progress{Text: result})
	}
	s.done(s.step, time.Since(s.began), err)
}
