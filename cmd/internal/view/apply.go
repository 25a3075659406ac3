package view

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hapair/plan"
	"hapair/plan/facts"
	"hapair/plan/pair"
)

// Apply implements View.
func (h *Human) Apply(p *plan.Plan) (plan.Hooks, func()) {
	names := placeNames(p)
	s, done := h.showSteps(slices.Collect(maps.Values(names)), len(p.Steps))
	return &applySteps{steps: s, names: names, open: map[string]*step{}}, done
}

// applySteps shows an apply as steps.
type applySteps struct {
	steps *steps
	names map[facts.Ref]string
	open  map[string]*step // by ID; calls of Hooks never overlap
}

// StepStarted implements plan.Hooks.
func (a *applySteps) StepStarted(s plan.Step) { a.open[s.ID] = a.steps.begin(a.names[s.At], s.Title) }

// StepProgress implements plan.Hooks.
func (a *applySteps) StepProgress(s plan.Step, p plan.Progress) {
	if one := a.open[s.ID]; one != nil {
		a.steps.progress(one, progressText(p), p.Log)
	}
}

// StepDone implements plan.Hooks.
func (a *applySteps) StepDone(s plan.Step, _ time.Duration, err error) {
	if one := a.open[s.ID]; one != nil {
		a.steps.end(one, "", err)
		delete(a.open, s.ID)
	}
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

// placeNames are short names of all places in a plan: the host alone where
// there is one pair.
func placeNames(p *plan.Plan) map[facts.Ref]string {
	pairs := map[string]bool{}
	for _, s := range p.Steps {
		if s.At.Pair != "" {
			pairs[s.At.Pair] = true
		}
	}
	names := map[facts.Ref]string{}
	for _, s := range p.Steps {
		switch {
		case s.At.Pair == "":
			names[s.At] = "here"
		case s.At.Host == "":
			names[s.At] = s.At.Pair
		case len(pairs) == 1:
			names[s.At] = s.At.Host
		default:
			names[s.At] = s.At.String()
		}
	}
	return names
}

// Applied implements View.
func (h *Human) Applied(p *plan.Plan, took time.Duration) {
	add, change, destroy := p.Counts()
	h.print(&h.out, "\n"+h.out.styles.good.Bold(true).Render(
		fmt.Sprintf("Apply complete: %d added, %d changed, %d destroyed, in %s.", add, change, destroy, elapsed(took))))
}

// Lifecycle implements View.
func (h *Human) Lifecycle(pairName string, hosts [2]string) (pair.Events, func()) {
	s, done := h.showSteps([]string{pairName, hosts[0], hosts[1]}, 0)
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
	return &lifecycleStep{l.steps, l.steps.begin(host, what)}
}

type lifecycleStep struct {
	steps *steps
	one   *step
}

// Progress implements pair.Step.
func (l *lifecycleStep) Progress(seen string) { l.steps.progress(l.one, seen, "") }

// Done implements pair.Step.
func (l *lifecycleStep) Done(result string, err error) { l.steps.end(l.one, result, err) }
