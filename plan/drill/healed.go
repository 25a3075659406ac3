package drill

import (
	"context"
	"fmt"
	"time"
)

// healed is the end of a partition in which both hosts may have been primaries:
// what the newest promotion was when it ended, and what is left of that.
type healed struct {
	newest int // the host that was promoted last
	name   string
	held   []bitmap // the writes that it had just before

	lost    int    // acknowledged ones of them that are not on the primary in the end
	without Millis // how long the newest promotion has been without the VIP since
	demoted Millis // how long it has been a replica
	both    Millis // how long both took writes
}

// beforeHeal notes what the newest promotion has, just before the partition
// ends.
func (r *run) beforeHeal(ctx context.Context) error {
	newest := r.newest()
	h := &healed{newest: newest, name: r.tracks[newest].host}
	c := r.client(r.dial[newest], patience[Ordinary])
	defer c.Close()
	var err error
	if h.held, err = r.keys.readBack(ctx, c, &r.ledger); err != nil {
		return fmt.Errorf("read the writes back from %s before the partition ends: %w", h.name, err)
	}
	r.res.healed = h
	return nil
}

// newest is the host that became a primary last.
func (r *run) newest() int {
	if r.tracks[1-r.before].primarySince() > r.tracks[r.before].primarySince() {
		return 1 - r.before
	}
	return r.before
}

// primarySince is when the host last became a primary, and -1 when it is none.
func (t *track) primarySince() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.redis.state() != statePrimary {
		return -1
	}
	return t.redis.since()
}

// afterHeal finds what has become of it since the partition ended.
func (r *run) afterHeal(h *healed) error {
	at, ok := r.timeline.last(FaultUndone)
	if !ok {
		return &inconclusive{"the partition had ended before the drill ended it"}
	}
	since, t := Window{at, r.ended}, r.tracks[h.newest]
	h.without = Millis(since.Len() - t.vip.of(stateHeld, since))
	h.demoted = Millis(t.redis.of(stateReplica, since))
	h.both = Millis(bothWritable(later(r.tracks[0].writable, at), later(r.tracks[1].writable, at)))
	r.note("%s was the newest promotion when the partition ended; both hosts took writes for %s more", h.name, h.both)
	return nil
}

// of is how much of a window was spent in a state.
func (b bands) of(state string, w Window) (sum time.Duration) {
	for i, band := range b {
		to := w.To
		if i+1 < len(b) {
			to = min(to, b[i+1].from)
		}
		if band.state == state {
			sum += max(0, to-max(w.From, band.from))
		}
	}
	return sum
}

// later is what of the stretches comes after at.
func later(all []stretch, at time.Duration) (rest []stretch) {
	for _, s := range all {
		if s.last.sent < at {
			continue
		}
		if s.first.sent < at {
			s.first = probe{at, at}
		}
		rest = append(rest, s)
	}
	return rest
}

// missing counts the acknowledged writes that one server had and another has
// not.
func (l *Ledger) missing(had, has []bitmap) (n int) {
	for i, a := range l.accounts {
		a.each(func(number int, w write) {
			if w.outcome() == acknowledged && had[i].has(number) && !has[i].has(number) {
				n++
			}
		})
	}
	return n
}
