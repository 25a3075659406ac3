package plan

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hapair/plan/facts"
	"hapair/plan/spec"
	"hapair/remote"
)

// Hosts are the connected hosts of a plan, with root's rights.
type Hosts map[facts.Ref]remote.Host

// Hooks is told what Apply does while it does it. Calls come from several
// goroutines, but never two at the same time.
type Hooks interface {
	StepStarted(s Step)
	// StepProgress may come often: many times a second for a download.
	StepProgress(s Step, p Progress)
	StepDone(s Step, took time.Duration, err error)
}

// Progress is how far a step has come. Any field may be empty.
type Progress struct {
	Text        string // what it does now: "compile", "wait for the replica's link"
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

// Observe looks at all hosts of s, at the same time: one command each.
func Observe(ctx context.Context, s *spec.Spec, hosts Hosts) (facts.ByHost, error) {
	return nil, errors.New("observe: not built yet")
}

// Local is what the controller has that a plan depends on.
type Local struct {
	Patches   map[string][]byte // by path, as in the spec
	Artifacts map[string]bool   // the keys of the builds in the cache
}

// ReadLocal reads the patches that s names, and what is in the cache (empty:
// hapair's folder under $XDG_CACHE_HOME).
func ReadLocal(s *spec.Spec, cache string) (Local, error) {
	return Local{}, errors.New("read local: not built yet")
}

// Build compares. It is pure: the same input gives the same plan. An error is
// a Conflicts when a host is such that nothing should be applied to it.
func Build(s *spec.Spec, seen facts.ByHost, have Local) (*Plan, error) {
	return nil, errors.New("build: not built yet")
}

// Compare is Observe, ReadLocal and Build.
func Compare(ctx context.Context, s *spec.Spec, hosts Hosts, cache string) (*Plan, error) {
	return nil, errors.New("compare: not built yet")
}

// Apply executes the steps of p. It fails with a *StepError for the first step
// that failed of each pair (joined), or with a *Stopped when it was told to
// stop.
func Apply(ctx context.Context, p *Plan, o Options) error {
	return errors.New("apply: not built yet")
}

// Conflicts is why there is no plan: what was seen on the hosts that hapair
// must not touch, in a stable order.
type Conflicts []Conflict

// Conflict is one of them.
type Conflict struct {
	At   facts.Ref `json:"at"`
	What string    `json:"what"` // "port 6379 is taken"
	Saw  string    `json:"saw"`  // the evidence: "redis-server (pid 812, user redis) listens on 0.0.0.0:6379"
	Do   string    `json:"do"`   // what to do about it
}

// StepError is a step that failed.
type StepError struct {
	Step Step
	Err  error
	// Output is the last lines of what the step printed, without secrets.
	Output []string
	Log    string // the whole output, a file on the controller; may be empty
	State  string // what state the host is in now
	Next   string // what to do
}

func (e *StepError) Error() string { return fmt.Sprintf("%s: %s: %v", e.Step.At, e.Step.Title, e.Err) }
func (e *StepError) Unwrap() error { return e.Err }

// Stopped is an Apply that was told to stop and did, between two steps.
type Stopped struct {
	Done, Left []Step
}

func (e *Stopped) Error() string {
	return fmt.Sprintf("stopped after %d of %d steps", len(e.Done), len(e.Done)+len(e.Left))
}

func (c Conflicts) Error() string {
	if len(c) == 1 {
		return fmt.Sprintf("%s: %s: %s", c[0].At, c[0].What, c[0].Saw)
	}
	return fmt.Sprintf("%s: %s: %s (and %d more conflicts)", c[0].At, c[0].What, c[0].Saw, len(c)-1)
}
