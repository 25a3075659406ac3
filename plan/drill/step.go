package drill

import (
	"fmt"
	"slices"
	"time"
)

// Step is one act of a drill. Exactly one of Fault, Switchover, Start, Wait,
// Expect, Undo and Recover is set.
type Step struct {
	Fault      Fault
	Switchover bool // hand over to the peer of the primary, as planned work does
	Start      bool // start Redis and keepalived On a host, and no more than that
	Wait       time.Duration
	Expect     Condition
	Undo       bool // end the faults that last; a host that was reset is waited for
	Recover    bool // Undo, then bring back what was struck

	On     Target        // of Fault, Start and Expect
	Within time.Duration // for Expect; 0: as long as the objectives allow, and some
}

// Target says which host a step is about.
type Target string

const (
	OnPrimary Target = "primary" // the primary when the step begins; the zero value, too
	OnReplica Target = "replica" // its peer
	OnBoth    Target = "both"
	// onStruck is the host that the first fault hit.
	onStruck Target = "struck"
)

// Condition is what a step waits for.
type Condition string

const (
	Moved   Condition = "moved"   // the peer of the host that was struck first serves all clients
	Served  Condition = "served"  // either host serves all clients
	Stayed  Condition = "stayed"  // the primary stays what it is, for as long as Within
	Holds   Condition = "holds"   // a host holds: it is not writable and says why
	InSync  Condition = "in-sync" // the replica has all that the primary has
	Healthy Condition = "healthy" // the pair is, as `hapair status` says
)

// conditions in words.
var conditions = map[Condition]string{
	Moved:   "the other host serves",
	Served:  "a host serves",
	Stayed:  "the primary stays",
	Holds:   "it holds",
	InSync:  "the replica is in sync",
	Healthy: "the pair is healthy",
}

func (s Step) String() string {
	on := string(s.On)
	if on == "" {
		on = string(OnPrimary)
	}
	switch on {
	case string(OnPrimary), string(OnReplica):
		on = "the " + on
	case string(OnBoth):
		on = "both hosts"
	case string(onStruck):
		on = "the host that was struck"
	}
	switch {
	case s.Fault != "":
		return string(s.Fault) + " on " + on
	case s.Switchover:
		return "hand over to the peer of the primary"
	case s.Start:
		return "start Redis and keepalived on " + on
	case s.Wait > 0:
		return "wait " + s.Wait.String()
	case s.Undo:
		return "end the faults that last"
	case s.Recover:
		return "recover: end the faults that last, then Redis and keepalived on what was struck"
	case s.Expect == Stayed:
		return fmt.Sprintf("see that the primary stays, for %v", s.Within)
	case s.Expect == Holds:
		return s.withinText("wait until " + on + " holds: not writable, and it says why")
	}
	return s.withinText("wait until " + conditions[s.Expect])
}

func (s Step) withinText(text string) string {
	if s.Within > 0 {
		text += fmt.Sprintf(", %v at most", s.Within)
	}
	return text
}

// strikes reports whether the drill does anything to the pair.
func (d Drill) strikes() bool {
	return slices.ContainsFunc(d.Steps, func(s Step) bool { return s.Fault != NoFault || s.Switchover })
}

// cuts reports whether one of its faults keeps the controller from a host's
// own address.
func (d Drill) cuts() bool {
	return slices.ContainsFunc(d.Steps, func(s Step) bool { return s.Fault.cuts() })
}

// resets reports whether it resets hosts.
func (d Drill) resets() bool {
	return slices.ContainsFunc(d.Steps, func(s Step) bool { return s.Fault.resets() })
}

// Plan is what a run of the drill does, step by step, in words.
func (d Drill) Plan() []string {
	plan := []string{
		"see that the pair is healthy, and who is who",
		"write through the VIP until the writes are steady; look at both hosts every " + sampleEvery.String(),
	}
	for _, s := range d.Steps {
		text := s.String()
		switch {
		case s.Undo && d.resets():
			text = "wait until the hosts are back"
		case s.Fault.resets():
			text += "; it boots again by itself, and the id of that boot proves that it landed"
		case s.Fault != NoFault:
			text += "; before it, the host gets a timer that ends it should nobody else; prove that it landed"
		}
		plan = append(plan, text)
	}
	if d.strikes() && !slices.ContainsFunc(d.Steps, func(s Step) bool { return s.Recover }) {
		plan = append(plan, Step{Recover: true}.String())
	}
	return append(plan, "ask both hosts for every write that was acknowledged; remove the drill's keys")
}
