package view

import (
	"fmt"
	"strings"
	"time"

	"hapair/plan"
	"hapair/plan/facts"
	"hapair/plan/pair"
)

// Apply implements View.
func (h *Human) Apply(p *plan.Plan) (plan.Hooks, func()) {
	place, places := placeNames(p)
	titles := make([]string, len(p.Steps))
	for i, s := range p.Steps {
		titles[i] = s.Title
	}
	s, done := h.showSteps(places, titles)
	return &applySteps{steps: s, place: place, open: map[string]*step{}}, done
}

// applySteps shows an apply as steps.
type applySteps struct {
	steps *steps
	place func(facts.Ref) string
	open  map[string]*step // by ID; calls of Hooks never overlap
}

// StepStarted implements plan.Hooks.
func (a *applySteps) StepStarted(s plan.Step) {
	one := step{place: a.place(s.At), title: s.Title}
	if s.Within != "" {
		one.part, one.title = true, "· "+s.Title
	}
	a.open[s.ID] = a.steps.begin(one)
}

// StepProgress implements plan.Hooks.
func (a *applySteps) StepProgress(s plan.Step, p plan.Progress) {
	if one := a.open[s.ID]; one != nil {
		a.steps.progress(one, progressText(p), p.Log)
	}
}

// StepDone implements plan.Hooks. What a part of a step saw last is what came
// of it.
func (a *applySteps) StepDone(s plan.Step, _ time.Duration, err error) {
	one := a.open[s.ID]
	if one == nil {
		return
	}
	delete(a.open, s.ID)
	result := ""
	if s.Within != "" {
		result = one.progress
	}
	a.steps.end(one, result, err)
}

func progressText(p plan.Progress) string {
	var parts []string
	if p.Text != "" {
		parts = append(parts, p.Text)
	}
	switch {
	case p.Total > 0:
		parts = append(parts, fmt.Sprintf("%d%% of %s", 100*p.Done/p.Total, bytesize(p.Total)))
	case p.Done > 0:
		parts = append(parts, bytesize(p.Done))
	}
	return strings.Join(parts, ", ")
}

// placeNames gives the places of a plan short names, and lists those: the host
// alone where there is one pair.
func placeNames(p *plan.Plan) (name func(facts.Ref) string, all []string) {
	pairs := map[string]bool{}
	for _, s := range p.Steps {
		if s.At.Pair != "" {
			pairs[s.At.Pair] = true
		}
	}
	name = func(at facts.Ref) string {
		if len(pairs) == 1 && at.Host != "" {
			return at.Host
		}
		return refText(at)
	}
	for _, s := range p.Steps {
		all = append(all, name(s.At))
	}
	for _, c := range p.Changes {
		all = append(all, name(c.Addr.At()))
	}
	return name, all
}

// Applied implements View.
func (h *Human) Applied(p *plan.Plan, took time.Duration) {
	add, change, destroy := p.Counts()
	h.print(&h.out, "\n"+h.out.styles.good.Bold(true).Render(
		fmt.Sprintf("Apply complete: %d added, %d changed, %d destroyed, in %s.", add, change, destroy, elapsed(took))))
}

// Lifecycle implements View.
func (h *Human) Lifecycle(pairName string, hosts [2]string) (pair.Events, func()) {
	s, done := h.showSteps([]string{pairName, hosts[0], hosts[1]}, nil)
	return &lifecycleSteps{steps: s, pair: pairName}, done
}

// lifecycleSteps shows starting, stopping and recovering as steps.
type lifecycleSteps struct {
	steps *steps
	pair  string
}

// Step implements pair.Events.
func (l *lifecycleSteps) Step(host, what string) pair.Step {
	if host == "" {
		host = l.pair
	}
	return &lifecycleStep{l.steps, l.steps.begin(step{place: host, title: what})}
}

type lifecycleStep struct {
	steps *steps
	one   *step
}

// Progress implements pair.Step.
func (l *lifecycleStep) Progress(seen string) { l.steps.progress(l.one, seen, "") }

// Done implements pair.Step.
func (l *lifecycleStep) Done(result string, err error) { l.steps.end(l.one, result, err) }
