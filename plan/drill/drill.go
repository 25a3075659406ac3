// Package drill runs experiments on a real pair and says what came of them:
// steady state, fault, proof that the fault landed, what clients and hosts saw,
// recovery, verdict. It knows how to measure an outage and how to find every
// acknowledged write that is lost; what a report looks like it does not know.
//
// A drill never begins on an unhealthy pair, and never leaves one behind: once
// a fault may have landed, the pair is recovered, whatever happens to the
// drill.
package drill

import (
	"cmp"
	"context"
	"net"
	"slices"
	"strings"
	"time"

	"hapair/plan/pair"
	"hapair/plan/spec"
	"hapair/remote"
	"hapair/templates"
)

// Drill is one experiment: what is done to a pair, step by step, and what may
// come of it.
type Drill struct {
	Name    string
	Summary string // what it does, in a line
	Case    int    // of the document; 0: none
	Steps   []Step
	// Expect is what should come of it, in words, for people.
	Expect string
	// Danger is what it may cost that nobody gets back; empty when nothing but
	// what its fault itself costs.
	Danger string
	// MaxLost is its objective for acknowledged writes that are lost; nil:
	// they are counted only.
	MaxLost *int
	// MaxOutage is its objective for the outage of all clients. 0 is the
	// default, which follows from the prediction; Unbounded: whatever it takes.
	MaxOutage time.Duration
	// heals: the drill is about what comes of a partition when it ends. What is
	// so while it lasts is measured, and other drills judge it.
	heals bool
	// judge adds what is not so. The invariants, which hold for all drills,
	// are not its concern.
	judge func(*findings, *Result)
}

// Unbounded is the MaxOutage of a drill in which nobody may serve for a while.
const Unbounded time.Duration = -1

// Of returns the drills that a pair has: those of the catalogue, with the
// objectives of its spec, and the scenarios of its own.
func Of(s *spec.Pair) []Drill {
	all := Catalogue()
	for _, own := range s.Drills {
		i := slices.IndexFunc(all, func(d Drill) bool { return d.Name == own.Name })
		if i < 0 {
			all = append(all, scenario(own))
			i = len(all) - 1
		}
		if own.MaxOutage > 0 {
			all[i].MaxOutage = own.MaxOutage
		}
		if own.MaxLostWrites != nil {
			all[i].MaxLost = own.MaxLostWrites
		}
	}
	return all
}

// scenario is a drill of the spec's own.
func scenario(own spec.Drill) Drill {
	d := Drill{Name: own.Name, Summary: cmp.Or(own.Summary, "a scenario of the spec"), judge: judgeScenario}
	var words []string
	for _, s := range own.Steps {
		step := Step{
			Fault: Fault(s.Fault), On: Target(s.On), Expect: Condition(s.Expect), Within: s.Within, Wait: s.Wait,
			Undo: s.Undo, Recover: s.Recover,
		}
		d.Steps = append(d.Steps, step)
		if step.Expect != "" {
			words = append(words, step.String())
		}
	}
	d.Expect = cmp.Or(strings.Join(words, "; "), "the pair is healthy in the end")
	return d
}

// ByName finds a drill among all.
func ByName(all []Drill, name string) (Drill, bool) {
	i := slices.IndexFunc(all, func(d Drill) bool { return d.Name == name })
	if i < 0 {
		return Drill{}, false
	}
	return all[i], true
}

// Documented is the suite of the document's own drills, in its order. Each one
// includes its recovery, so every drill finds a whole pair; after an odd number
// of failovers the primary is on the other host than in the document.
func Documented(all []Drill) []Drill {
	return slices.DeleteFunc(slices.Clone(all), func(d Drill) bool { return d.Case == 0 })
}

// Safe are those without danger.
func Safe(all []Drill) []Drill {
	return slices.DeleteFunc(slices.Clone(all), func(d Drill) bool { return d.Danger != "" })
}

// Pair is what a drill needs of the pair that it runs on; *pair.Pair is one.
type Pair interface {
	Spec() *spec.Pair
	Layout() templates.Layout
	Host(i int) remote.Host // with root's rights
	Observe(ctx context.Context) pair.State
	Recover(ctx context.Context, ev pair.Events, hosts ...string) error
	Switchover(ctx context.Context, ev pair.Events, to string) error
}

// Bench is where drills are run: the pair and what measures it.
type Bench struct {
	Pair   Pair
	Events Events // nil: nobody listens
	Load   Load   // zero: DefaultLoad
	Holder string // who runs the drills: of the pair's lock, for others to read
	// Dial opens a connection from the controller; nil is its own network.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Suite runs drills one after the other. It ends early with one that failed or
// was inconclusive: what comes after would start from an unknown state.
func (b *Bench) Suite(ctx context.Context, drills []Drill) []*Result {
	var results []*Result
	for _, d := range drills {
		r := b.Run(ctx, d)
		results = append(results, r)
		if r.Verdict == Failed || r.Verdict == Inconclusive {
			break
		}
	}
	return results
}

// predicted is what the spec's timing gives for a drill; nil when it says
// nothing about it.
func predicted(s *spec.Pair, drill string) *Prediction {
	for _, p := range pair.Predict(s) {
		if p.Case == drill {
			return &Prediction{Min: Millis(p.Min), Typical: Millis(p.Typical), Max: Millis(p.Max), Because: p.Because}
		}
	}
	return nil
}

const (
	// untouchedOutage is what clients may miss while nothing happens. A slow
	// disk under the append-only file alone costs some 100 ms.
	untouchedOutage = time.Second
	// defaultOutage is the objective where nothing is predicted.
	defaultOutage = 30 * time.Second
)

// synAgain is when TCP asks again for a connection that nobody has refused (RFC
// 6298, 2.1): an ordinary client that turned to a silent host waits for that long,
// wherever the VIP is by then.
const synAgain = time.Second

// objective is the default for a drill. The outage may be a quarter longer than
// the longest one predicted, and on top of it what an eager client's own
// deadlines can add: it dials for 50 ms and waits 100 ms for a reply.
func objective(d Drill, p *Prediction) Objective {
	o := Objective{MaxLost: d.MaxLost}
	own := patience[Eager].dial + patience[Eager].io
	switch {
	case d.MaxOutage == Unbounded:
	case d.MaxOutage > 0:
		o.MaxOutage = Millis(d.MaxOutage)
	case !d.strikes():
		o.MaxOutage = Millis(untouchedOutage)
	case p == nil:
		o.MaxOutage = Millis(defaultOutage)
	default:
		o.MaxOutage = p.Max + p.Max/4 + Millis(own)
	}
	if d.resets() && o.MaxOutage > 0 {
		o.MaxOutage = max(o.MaxOutage, Millis(synAgain+own))
	}
	return o
}
