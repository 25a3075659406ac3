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
	"context"
	"net"
	"time"

	"hapair/plan/pair"
	"hapair/plan/spec"
	"hapair/remote"
	"hapair/templates"
)

// Drill is one experiment. The host that it strikes is the one whose Redis is
// the primary at the time, whatever its name.
type Drill struct {
	Name    string
	Summary string // what it does, in a line
	Case    int    // of the document; 0: none
	Fault   Fault
	// MaxLost is its objective for acknowledged writes that are lost; nil:
	// they are counted only.
	MaxLost *int
	// Expect is what should come of it, in words, for people.
	Expect string
	// judge adds what is not so. The invariants, which hold for all drills,
	// are not its concern.
	judge func(*findings, *Result)
}

// Catalogue is every drill there is, in the order of the documentation.
func Catalogue() []Drill {
	none := 0
	return []Drill{
		{
			Name: "initial-state", Case: 4, Fault: NoFault, MaxLost: &none,
			Summary: "watch the pair and do nothing to it",
			Expect:  "the primary holds the VIP, the replica follows in sync, nothing moves",
			judge:   judgeUntouched,
		},
		{
			Name: "kill-redis", Case: 3, Fault: KillRedis,
			Summary: "SIGKILL the primary's Redis",
			Expect:  "the VIP moves, the peer is promoted; recovered, the host is a replica and the VIP stays",
			judge:   judgeFailover,
		},
		{
			Name: "stop-keepalived", Case: 2, Fault: StopKeepalived, MaxLost: &none,
			Summary: "stop keepalived on the primary's host",
			Expect:  "the roles flip and nothing is lost; recovered, the host is BACKUP and the VIP stays",
			judge:   judgeFailover,
		},
		{
			Name: "kill-both", Case: 1, Fault: KillBoth,
			Summary: "SIGKILL Redis and keepalived on the primary's host, at once",
			Expect:  "the VIP moves, the peer is promoted; recovered, the host is a replica and the VIP stays",
			judge:   judgeFailover,
		},
	}
}

// Documented is the suite of the document's own drills, in its order. Each one
// includes its recovery, so every drill finds a whole pair; after an odd number
// of failovers the primary is on the other host than in the document.
func Documented() []Drill { return Catalogue()[:4] }

// ByName finds a drill of the catalogue.
func ByName(name string) (Drill, bool) {
	for _, d := range Catalogue() {
		if d.Name == name {
			return d, true
		}
	}
	return Drill{}, false
}

// Pair is what a drill needs of the pair that it runs on; *pair.Pair is one.
type Pair interface {
	Spec() *spec.Pair
	Layout() templates.Layout
	Host(i int) remote.Host // with root's rights
	Observe(ctx context.Context) pair.State
	Recover(ctx context.Context, ev pair.Events, hosts ...string) error
}

// Bench is where drills are run: the pair and what measures it.
type Bench struct {
	Pair   Pair
	Events Events // nil: nobody listens
	Load   Load   // zero: DefaultLoad
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

// objective is the default for a drill. The outage may be a quarter longer than
// the longest one predicted, and on top of it what an eager client's own
// deadlines can add: it dials for 50 ms and waits 100 ms for a reply.
func objective(d Drill, p *Prediction) Objective {
	o := Objective{MaxLost: d.MaxLost}
	own := patience[Eager].dial + patience[Eager].io
	switch {
	case d.Fault == NoFault:
		o.MaxOutage = Millis(untouchedOutage)
	case p == nil:
		o.MaxOutage = Millis(defaultOutage)
	default:
		o.MaxOutage = p.Max + p.Max/4 + Millis(own)
	}
	return o
}
