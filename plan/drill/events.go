package drill

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Events hears a drill as it goes. Calls come one at a time.
type Events interface {
	// Started is a drill that begins: nothing has been looked at yet.
	Started(pair string, d Drill)
	// Happened is one more entry of the timeline. Entries come as they are
	// learnt: one may come some ms after another that happened later.
	Happened(e Event)
	// Finished is the end of the drill.
	Finished(r *Result)
}

// Quiet is an Events that hears nothing; embed it to hear a part.
type Quiet struct{}

func (Quiet) Started(string, Drill) {}
func (Quiet) Happened(Event)        {}
func (Quiet) Finished(*Result)      {}

// EventType is a kind of entry in the timeline. The values are those of the
// JSON output.
type EventType string

const (
	SteadyState   EventType = "steady_state" // the writers write; the fault comes next
	FaultInjected EventType = "fault_injected"
	FaultVerified EventType = "fault_verified"
	FaultUndone   EventType = "fault_undone"
	RoleChange    EventType = "role_change"    // of Redis: to another role, or to no answer
	LinkChange    EventType = "link_change"    // of a replica to its primary
	VRRPChange    EventType = "vrrp_change"    // of keepalived's state on a host
	VIPMove       EventType = "vip_move"       // on a host: it got the VIP, or lost it
	FirstAck      EventType = "first_ack"      // the first acknowledged write after the outage
	RecoveryStart EventType = "recovery_start" // on the host that had the fault
	RecoveryStep  EventType = "recovery_step"
	Recovered     EventType = "recovered"
	ReadBack      EventType = "read_back" // both hosts have been asked for every write
)

// Event is one entry of the timeline.
type Event struct {
	Type EventType `json:"type"`
	// At is since the fault, and negative before it. While a drill goes and has
	// not come to its fault, it is 0.
	At   Millis `json:"at_ms"`
	Host string `json:"host,omitempty"`
	From string `json:"from,omitempty"` // of a change
	To   string `json:"to,omitempty"`
	Text string `json:"text"` // what happened, for people, without the host's name
}

// timeline collects events and hands them on.
type timeline struct {
	events Events

	mu      sync.Mutex
	faulted bool
	zero    time.Duration // of the fault, on the drill's clock
	entries []Event       // At is on the drill's clock here
}

func (t *timeline) add(at time.Duration, e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.At = Millis(at)
	t.entries = append(t.entries, e)
	e.At -= Millis(t.zero)
	if !t.faulted {
		e.At = 0
	}
	t.events.Happened(e)
}

// setZero says when the fault was.
func (t *timeline) setZero(at time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.zero, t.faulted = at, true
}

// last is when the latest entry of a type was, on the drill's clock.
func (t *timeline) last(of EventType) (at time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.entries {
		if e.Type == of {
			at, ok = max(at, e.At.Duration()), true
		}
	}
	return at, ok
}

// sorted is the timeline so far, relative to the fault.
func (t *timeline) sorted() []Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := append([]Event{}, t.entries...) // none is [] in JSON
	for i := range out {
		out[i].At -= Millis(t.zero)
	}
	slices.SortStableFunc(out, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return out
}
