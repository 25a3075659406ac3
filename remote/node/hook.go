package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// hook is one run of this program that may change something. It has the lock.
type hook struct {
	*host
	me, peer *server
	leaving  bool      // keepalived is about to stop
	began    time.Time // its time counts from here
	limit    time.Duration
}

// errHeld ends a hook that has found that it can only hold.
var errHeld = errors.New("holding")

// lockTimeout is for another hook to end: it may set data aside.
const lockTimeout = time.Minute

// turn is how long a peer that was handed this host's data has to become primary
// before this host takes its role back.
const turn = 2 * time.Second

// naps are how long a hook waits before it looks again: first briefly, as most
// often another host is about to do something.
const firstNap, longestNap = time.Millisecond, 32 * time.Millisecond

func (h *host) newHook() (*hook, error) {
	secret, err := password(h.Auth)
	if err != nil {
		return nil, err
	}
	port := strconv.Itoa(h.Port)
	return &hook{
		host: h,
		me:   newServer(net.JoinHostPort("127.0.0.1", port), secret, time.Duration(h.Check.Timeout)),
		peer: newServer(net.JoinHostPort(h.Peer.String(), port), secret, peerTimeout),
	}, nil
}

func (h *hook) close() {
	_ = h.me.client.Close()
	_ = h.peer.client.Close()
}

// see looks at both Redis and at this host. A busy primary is looked at first:
// the peer's offset is never newer than ours seems.
func (h *hook) see(ctx context.Context) Seen {
	h.me.seen = h.me.look(ctx)
	h.peer.seen = h.peer.look(ctx)
	s := Seen{Me: h.me.seen, Peer: h.peer.seen}
	s.VIP, s.Leaving, s.Kept, s.Marks = h.hasVIP(), h.leaving, h.keptRank(), h.marks()
	s.Past = time.Since(h.began) > h.limit
	s.Mine = time.Since(h.began) > turn
	s.BlockedMe, s.BlockedPeer = h.me.isBlocked(), h.peer.isBlocked()
	s.Cut = h.cut(ctx, s)
	return s
}

// cut: is this a primary that can reach neither its peer nor the gateway? Its
// replica counts as in sync for a while yet.
func (h *hook) cut(ctx context.Context, s Seen) bool {
	if !h.Gateway.IsValid() || !s.Me.Primary || s.Peer.Health != Unreachable && s.Peer.Health != Hung {
		return false
	}
	there, err := pings(ctx, h.Gateway)
	return err == nil && !there
}

// work looks, decides and acts until there is nothing more to do.
func (h *hook) work(ctx context.Context, limit time.Duration) error {
	h.began, h.limit = time.Now(), limit
	h.expire()
	nap := firstNap
	for {
		before := time.Now()
		seen := h.see(ctx)
		d := Decide(h.config(), seen)
		err := h.carryOut(ctx, d, before)
		if len(d.Actions) > 0 {
			h.tell(seen, d, time.Since(before), err)
			nap = firstNap
		}
		switch {
		case errors.Is(err, errHeld), err == nil && !d.Again, err != nil && seen.Past:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		time.Sleep(nap)
		nap = min(2*nap, longestNap)
	}
}

// freshFor is how long after a look began, or after the action before, something is done
// about what was seen: a process that was stopped for longer, or its host, looks
// again.
const freshFor = time.Second

var errStalled = errors.New("this hook stood still, and what it saw is old")

// carryOut does what was decided after a look that began at last, until something
// does not succeed.
func (h *hook) carryOut(ctx context.Context, d Decision, last time.Time) error {
	for _, a := range d.Actions {
		if time.Since(last) > freshFor {
			return errStalled
		}
		if err := h.act(ctx, a); err != nil {
			return fmt.Errorf("%v: %w", a.Do, err)
		}
		last = time.Now()
	}
	return nil
}

// tell logs a decision: what was seen, what was decided and why, what became of
// it, how long it took.
func (h *hook) tell(s Seen, d Decision, took time.Duration, err error) {
	l, msg, did := info, d.Why, make([]string, len(d.Actions))
	for i, a := range d.Actions {
		did[i] = a.String()
		switch a.Do {
		case Promote:
			l, msg = notice, fmt.Sprintf("promoted to primary, epoch %d: %s", a.Rank.Epoch(), d.Why)
		case FenceMe, FencePeer, Follow, SetAside:
			l = notice
		}
	}
	if err != nil {
		l = warning
	}
	fields := []string{
		"vip=" + yesNo(s.VIP), "role=" + s.Me.role(),
		fmt.Sprintf("me=%q", s.Me), fmt.Sprintf("peer=%q", s.Peer), fmt.Sprintf("kept=%d", s.Kept),
		fmt.Sprintf("did=%q", strings.Join(did, ", ")), "took=" + took.Round(100*time.Microsecond).String(),
	}
	if err != nil {
		fields = append(fields, fmt.Sprintf("failed=%q", err))
	}
	h.log(l, msg, fields...)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// expire ends what ends by itself: a host that was ousted while VRRP did not get
// through waits no longer than that.
func (h *host) expire() {
	if age, ok := h.since(markOusted); ok && age > oustedFor {
		h.unmark(markOusted, markHold)
		h.log(info, "no longer holding: VRRP has had time to get through again")
	}
}
