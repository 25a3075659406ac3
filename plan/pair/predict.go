package pair

import (
	"fmt"
	"time"

	"hapair/plan/spec"
	"hapair/templates"
)

// Prediction is the outage to expect of one documented case, as an eager
// client sees it: from the spec's own timing, while the preferred host serves
// and the other one is a replica in sync.
type Prediction struct {
	Case string `json:"case"` // the drill that tries it: "kill-redis", "stop-keepalived", …
	What string `json:"what"` // "the primary's Redis dies"
	// The longest interval without an acknowledged write: at best, on average,
	// and at worst.
	Min     time.Duration `json:"min_ns"`
	Typical time.Duration `json:"typical_ns"`
	Max     time.Duration `json:"max_ns"`
	// LosesTail: writes that the replica has not received yet are lost.
	LosesTail bool   `json:"loses_tail"`
	Because   string `json:"because"` // the arithmetic, in words
}

// span is how long something takes: at best, on average, at worst.
type span struct{ min, typical, max time.Duration }

func exactly(d time.Duration) span { return span{d, d, d} }

func (s span) plus(t span) span { return span{s.min + t.min, s.typical + t.typical, s.max + t.max} }

func (s span) String() string {
	if s.min == s.max {
		return brief(s.min)
	}
	return brief(s.min) + " to " + brief(s.max)
}

// pace is what the handlers take, on a small host.
type pace struct {
	check    span // the check finds Redis dead, or frozen
	takeover span // the MASTER's hook promotes
	handover span // the last hook before keepalived stops: drained, fenced
	silence  span // what a peer is waited for that does not even refuse
}

var (
	// Shell hooks: each some calls of redis-cli.
	scripts = pace{
		check:    span{20 * time.Millisecond, 40 * time.Millisecond, 150 * time.Millisecond},
		takeover: span{40 * time.Millisecond, 80 * time.Millisecond, 300 * time.Millisecond},
		handover: span{60 * time.Millisecond, 120 * time.Millisecond, 500 * time.Millisecond},
		silence:  exactly(500 * time.Millisecond),
	}
	// hapair-node: mostly what a disk takes to keep a rank.
	program = pace{
		check:    span{10 * time.Millisecond, 15 * time.Millisecond, 60 * time.Millisecond},
		takeover: span{10 * time.Millisecond, 20 * time.Millisecond, 120 * time.Millisecond},
		handover: span{10 * time.Millisecond, 20 * time.Millisecond, 120 * time.Millisecond},
		silence:  exactly(50 * time.Millisecond),
	}
	// told is systemd's word that a process has ended, on its way to keepalived.
	told = span{8 * time.Millisecond, 15 * time.Millisecond, 60 * time.Millisecond}
	// stopped is how long the check of hapair-node sees that a process is stopped
	// before it counts.
	stopped = exactly(100 * time.Millisecond)
)

// Predict is the outage to expect of each documented case.
func Predict(p *spec.Pair) []Prediction {
	t := timingOf(p)
	h := scripts
	if p.Failover.Handlers == spec.HandlersNode {
		h = program
	}
	noticed := span{2*t.advert + t.skew, 2*t.advert + t.advert/2 + t.skew, 3*t.advert + t.skew}.plus(exactly(t.linger))
	released := exactly(t.skew).plus(exactly(t.linger))
	afterRelease := fmt.Sprintf("VRRP after a release %s, promotion %s", released, h.takeover)

	predict := func(name, what string, losesTail bool, because string, parts ...span) Prediction {
		var sum span
		for _, part := range parts {
			sum = sum.plus(part)
		}
		return Prediction{name, what, sum.min, sum.typical, sum.max, losesTail, because}
	}
	dead, deadBecause := t.foundDead(p, h)
	frozen, frozenBecause := t.foundFrozen(p, h)
	return []Prediction{
		predict("kill-redis", "the primary's Redis dies", true, deadBecause+", "+afterRelease, dead, released, h.takeover),
		predict("stop-keepalived", "keepalived stops on the primary, Redis lives", false,
			fmt.Sprintf("drain and fence %s, %s; and the replica's lag, up to %s", h.handover, afterRelease, brief(p.Failover.SyncTimeout)),
			h.handover, released, h.takeover),
		predict("kill-both", "keepalived and Redis die on the primary", true,
			fmt.Sprintf("three adverts missed %s, promotion %s", noticed, h.takeover),
			noticed, h.takeover),
		predict("switchover", "planned work hands over to the peer", false,
			fmt.Sprintf("drain and fence %s, %s", h.handover, afterRelease),
			h.handover, released, h.takeover),
		predict("power-off", "the primary's host loses power", true,
			fmt.Sprintf("three adverts missed %s, promotion %s, and %s until the silent peer counts as dead", noticed, h.takeover, h.silence),
			noticed, h.takeover, h.silence),
		predict("freeze-redis", "the primary's Redis freezes", true, frozenBecause+", "+afterRelease, frozen, released, h.takeover),
	}
}

// foundDead is how long it takes to find out that Redis has died, and why.
func (t timing) foundDead(p *spec.Pair, h pace) (span, string) {
	if p.Failover.Handlers == spec.HandlersNode {
		return told, fmt.Sprintf("systemd tells keepalived %s", told)
	}
	next, tries := t.nextCheck(), h.check
	for range p.Check.Retries {
		tries = tries.plus(exactly(p.Check.RetryDelay)).plus(h.check)
	}
	return next.plus(tries), fmt.Sprintf("the next check after %s, its tries %s", next, tries)
}

// foundFrozen is how long it takes to find out that Redis is stopped.
func (t timing) foundFrozen(p *spec.Pair, h pace) (span, string) {
	next := t.nextCheck()
	if p.Failover.Handlers == spec.HandlersNode {
		seen := h.check.plus(stopped)
		return next.plus(seen).plus(told), fmt.Sprintf("the next check after %s, which sees for a while that the process is stopped %s, and ends it; systemd tells keepalived %s", next, seen, told)
	}
	waits := exactly(p.Check.Timeout)
	for range p.Check.Retries {
		waits = waits.plus(exactly(p.Check.RetryDelay)).plus(exactly(p.Check.Timeout))
	}
	return next.plus(waits), fmt.Sprintf("the next check after %s, its tries without an answer %s", next, waits)
}

func (t timing) nextCheck() span { return span{0, t.check / 2, t.check} }

// timing is what a spec's VRRP and check come to on its keepalived.
type timing struct {
	advert time.Duration
	// skew is what the other host waits longer the lower its priority is:
	// (256 − priority)/256 of a second in VRRP version 2 (RFC 3768, 6.1), of an
	// advert interval in version 3 (RFC 5798, 6.1).
	skew time.Duration
	// linger: before keepalived 2.0, a host that becomes MASTER first sends one
	// advert and takes the VIP with the next.
	linger time.Duration
	check  time.Duration // interval, as this keepalived can keep it
}

func timingOf(p *spec.Pair) timing {
	t := timing{advert: p.Keepalived.AdvertInterval, check: p.Check.Interval}
	unit := t.advert
	if t.advert%time.Second == 0 && p.Hosts[1].Address.Is4() {
		unit = time.Second
	}
	t.skew = time.Duration(256-p.Hosts[1].Priority) * unit / 256

	if src := p.Keepalived.Install.Source; src != nil {
		if v, err := templates.ParseVersion(src.Version); err == nil {
			if !v.AtLeast(2, 0, 0) {
				t.linger = t.advert
			}
			if !v.Has(templates.FractionalCheck) {
				t.check = (t.check + time.Second - 1).Truncate(time.Second)
			}
		}
	}
	return t
}

// brief is a duration as people say it: three figures at most.
func brief(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(100 * time.Millisecond).String()
	}
}
