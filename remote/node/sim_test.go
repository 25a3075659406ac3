package node

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// world is two hosts, their Redis, the part of keepalived and systemd that hooks
// see, and clients that write through the VIP. Whatever can happen happens in
// any order, between any two things that a hook does.
type world struct {
	draw   func(what string, n int) int // what happens: a number below n
	fatal  func(format string, args ...any)
	decide func(Config, Seen) Decision
	hosts  [2]*simHost
	cut    bool // the hosts can't reach each other
	deaf   bool // VRRP does not get through
	// parted: the hosts have been so, and what came of it is not settled: both are
	// primary or have the VIP, or a hook is at work that has seen it.
	parted bool
	now    time.Duration
	led    map[int]string        // which host led an epoch, as its disk says,
	since  map[int]time.Duration // and since when
	writes int                   // number of the last one
	acked  map[int]time.Duration // when each was acknowledged
	trace  []string
}

type simHost struct {
	*world
	name, addr string
	peer       *simHost

	alive      bool // Redis runs
	primary    bool
	follows    string
	linked     bool
	streams    bool // writes come over the link: after a full sync, somewhat later
	syncing    bool
	broke      time.Duration // when the link broke; negative: it never was up
	heard      time.Duration // when it was last up
	paused     bool
	floor      int   // min-replicas-to-write
	rank       Rank  // live
	data       []int // writes, in their order, in memory
	starts     int   // how often Redis has been started
	disk       []int
	kept       Rank
	aside      [][]int
	keepalived bool
	stopping   bool // keepalived is being stopped: the VIP leaves when the hook is done
	vip        bool
	marks      Marks
	hook       *simHook
}

// hook is a run of one.
type simHook struct {
	leaving bool
	began   time.Duration
	me      *Redis // looked at already
	queue   []Action
	again   bool
	blocked [2]Rank       // of the primaries whose writes it stopped: me, the peer
	seen    Redis         // me
	touched time.Duration // when it looked, or did something, last

	// Both when they were looked at last.
	looked     time.Duration
	starts     int
	peerStarts int
	peerCut    bool
	peerKept   Rank
}

// syncTimeout of the hooks, in the world's time.
const syncTimeout = 10 * time.Second

var config = Config{PeerName: "the peer", StaleAfter: 5 * time.Second}

func newWorld(decide func(Config, Seen) Decision, draw func(string, int) int, fatal func(string, ...any)) *world {
	w := &world{draw: draw, fatal: fatal, decide: decide, led: map[int]string{}, since: map[int]time.Duration{}, acked: map[int]time.Duration{}}
	for i := range w.hosts {
		w.hosts[i] = &simHost{world: w, name: string(rune('a' + i)), addr: string(rune('1' + i)), broke: -1}
	}
	w.hosts[0].peer, w.hosts[1].peer = w.hosts[1], w.hosts[0]
	for _, h := range w.hosts {
		h.start()
		h.keepalived = true
	}
	return w
}

func (w *world) say(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%4.1fs ", w.now.Seconds())+fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	for _, h := range w.hosts {
		w.say("%s: %+v", h.name, h)
	}
	w.fatal("%s\n%s", fmt.Sprintf(format, args...), strings.Join(w.trace, "\n"))
}

func (h *simHost) String() string {
	role := "dead"
	if h.alive {
		role = "replica of " + h.follows
		if h.primary {
			role = "primary"
		}
	}
	return fmt.Sprintf("%s rank %d (kept %d) data %v disk %v vip %t linked %t syncing %t marks %+v", role, h.rank, h.kept, h.data, h.disk, h.vip, h.linked, h.syncing, h.marks)
}

// event is one thing that happens.
func (w *world) event() {
	h := w.hosts[w.draw("host", 2)]
	w.now += 100 * time.Millisecond
	switch w.draw("event", 43) {
	default: // 0 to 14
		h.hookStep()
	case 15, 16, 17:
		h.begin(false)
	case 18:
		if h.hook != nil {
			w.say("%s: the hook is killed", h.name)
			h.end()
		}
	case 19, 20, 21, 22:
		w.client(h)
	case 23, 24, 25, 26:
		h.replicate()
	case 27, 28:
		h.vrrp()
	case 29:
		h.crash()
	case 30, 31:
		h.start()
	case 32:
		h.stopKeepalived()
	case 33, 34:
		if !h.keepalived {
			w.say("%s: start keepalived", h.name)
			h.keepalived = true
		}
	case 35:
		w.cut = !w.cut
		w.say("cut: %t", w.cut)
		w.linksBreak()
	case 36:
		w.deaf = !w.deaf
		w.say("VRRP does not get through: %t", w.deaf)
	case 37:
		h.reboot()
	case 38:
		h.disk = slices.Clone(h.data)
	case 39:
		w.now += 3 * time.Second
	case 40:
		h.expire()
	case 41, 42:
		for range 10 {
			w.routine()
		}
	}
	w.invariants()
}

func (h *simHost) reaches() bool { return !h.cut }

func (h *simHost) crash() {
	if !h.alive {
		return
	}
	h.say("%s: Redis dies", h.name)
	h.alive, h.primary, h.linked, h.streams, h.syncing, h.paused = false, false, false, false, false, false
	h.data = nil
	h.linksBreak()
}

// start does what the start script does: fenced, with the rank of a restart.
func (h *simHost) start() {
	if h.alive {
		return
	}
	h.say("%s: start Redis", h.name)
	h.alive, h.follows, h.broke, h.floor = true, "", -1, 0
	h.starts++
	h.data = slices.Clone(h.disk)
	h.kept = h.kept.Restarted()
	h.rank = h.kept
}

func (h *simHost) reboot() {
	h.say("%s: reboot", h.name)
	h.crash()
	h.keepalived, h.stopping, h.vip, h.hook, h.marks = false, false, false, nil, Marks{}
	h.linksBreak()
}

func (h *simHost) stopKeepalived() {
	if !h.keepalived || h.stopping || h.hook != nil {
		return
	}
	h.say("%s: stop keepalived", h.name)
	h.stopping = true
	h.begin(true)
}

// expire ends what ends by itself, once whoever began it is gone.
func (h *simHost) expire() {
	if h.paused && (h.hook == nil || h.hook.blocked[0] == 0) && (h.peer.hook == nil || h.peer.hook.blocked[1] == 0) {
		h.say("%s: the pause of writes is over", h.name)
		h.paused = false
	}
	if h.marks.Ousted && h.hook == nil {
		h.say("%s: ousted long enough", h.name)
		h.marks.Ousted, h.marks.Holding = false, ""
	}
}

// linksBreak ends replication links that have nobody at their other end.
func (w *world) linksBreak() {
	for _, h := range w.hosts {
		if (h.linked || h.syncing) && (!h.reaches() || !h.alive || !h.peer.alive || !h.peer.primary || h.follows != h.peer.addr) {
			if h.linked {
				h.broke = h.now
			}
			if h.streams {
				h.heard = h.now
			}
			h.linked, h.streams, h.syncing = false, false, false
		}
	}
}

// replicate brings the replication of h one step on: a link, a write, the end
// of a sync.
func (h *simHost) replicate() {
	p := h.peer
	if !h.alive || h.primary || h.follows != p.addr || !h.reaches() || !p.alive || !p.primary {
		return
	}
	switch {
	case h.linked && !h.streams:
		h.streams = true
	case h.linked:
		if len(h.data) < len(p.data) {
			h.data = append(h.data, p.data[len(h.data)])
		}
	case h.syncing:
		h.say("%s: full sync is done", h.name)
		for _, n := range h.data {
			if !slices.Contains(p.data, n) && !h.hasAside(n) {
				h.fail("%s throws away write %d", h.name, n)
			}
		}
		if len(p.data) == 0 && len(h.data) > 0 {
			h.fail("%s is emptied", h.name)
		}
		h.data, h.disk = slices.Clone(p.data), slices.Clone(p.data)
		h.linked, h.syncing, h.broke = true, false, -1
	case len(h.data) <= len(p.data) && slices.Equal(h.data, p.data[:len(h.data)]):
		h.say("%s: linked", h.name)
		h.linked, h.streams = true, true
	default:
		h.say("%s: full sync begins", h.name)
		h.syncing = true
	}
}

func (h *simHost) hasAside(n int) bool {
	return slices.ContainsFunc(h.aside, func(copied []int) bool { return slices.Contains(copied, n) })
}

// client writes through the VIP, if that is on h.
func (w *world) client(h *simHost) {
	if !h.vip || !h.alive || !h.primary || h.paused || h.marks.Gated || h.floor > 1 || h.floor == 1 && !h.peer.streams {
		return
	}
	w.writes++
	h.data = append(h.data, w.writes)
	w.acked[w.writes] = w.now
	w.say("%s: write %d", h.name, w.writes)
}

// eligible: keepalived's check says that h may have the VIP.
func (h *simHost) eligible() bool { return h.keepalived && h.alive && h.marks.Holding == "" }

// priority is h's in VRRP: the first host's is the higher one, but a claim counts
// more.
func (h *simHost) priority() int {
	base := 0
	if h.name == "a" {
		base = 1
	}
	return base + 2*h.marks.Claim
}

// vrrp is the next thing that keepalived on h does about the VIP.
func (h *simHost) vrrp() {
	apart := h.cut || h.deaf
	switch {
	case h.vip && !h.eligible(), h.vip && h.peer.vip && !apart && h.priority() < h.peer.priority():
		h.say("%s: the VIP leaves", h.name)
		h.vip = false
	case !h.vip && h.eligible() && !h.stopping && (apart || !h.peer.vip):
		h.say("%s: the VIP comes", h.name)
		h.vip = true
	}
}

// begin starts a hook, unless one is at work: they have a lock.
func (h *simHost) begin(leaving bool) {
	if h.hook != nil || h.stopping && !leaving {
		return
	}
	h.hook = &simHook{leaving: leaving, began: h.now}
}

// hookStep is the next thing that the hook on h does: look at its own Redis, at
// the peer's and decide, or one action.
func (h *simHost) hookStep() {
	k := h.hook
	switch {
	case k == nil:
	case len(k.queue) > 0:
		if h.now-k.touched > 4*freshFor { // it looks again; time is coarse here
			k.queue, k.again = nil, false
			return
		}
		a := k.queue[0]
		k.queue, k.touched = k.queue[1:], h.now
		h.act(k, a)
		if len(k.queue) == 0 && !k.again {
			h.end()
		}
	case k.me == nil:
		me := h.look()
		k.me, k.starts, k.touched = &me, h.starts, h.now
	default:
		k.looked, k.peerStarts, k.peerCut, k.peerKept = h.now, h.peer.starts, h.cut, h.peer.kept
		peer := Redis{}
		if h.reaches() {
			peer = h.peer.look()
		}
		s := Seen{
			VIP: h.vip, Leaving: k.leaving, Me: *k.me, Peer: peer, Kept: h.kept, Marks: h.marks,
			Past: h.now-k.began > syncTimeout, Mine: h.now-k.began > 2*time.Second,
			BlockedMe:   k.blocked[0] != 0 && k.me.Primary && k.me.Rank == k.blocked[0],
			BlockedPeer: k.blocked[1] != 0 && peer.Primary && peer.Rank == k.blocked[1],
		}
		k.seen, k.me = *k.me, nil
		c := config
		c.SelfAddr, c.PeerAddr = h.addr, h.peer.addr
		d := h.decide(c, s)
		k.queue, k.again = d.Actions, d.Again
		if len(d.Actions) > 0 {
			h.say("%s: %s", h.name, d.Why)
		}
		if len(d.Actions) == 0 && !d.Again {
			h.end()
		}
	}
}

// end is that of a hook. After release.sh keepalived is stopped.
func (h *simHost) end() {
	h.hook = nil
	if h.stopping {
		h.stopping, h.keepalived, h.vip = false, false, false
	}
}

func (h *simHost) look() Redis {
	if !h.alive {
		return Redis{Health: Dead}
	}
	r := Redis{Health: Up, Primary: h.primary, Offset: int64(len(h.data)), Rank: h.rank, Floor: h.floor, Empty: len(h.data) == 0}
	if h.primary {
		if h.peer.streams {
			r.Online = 1
		}
		return r
	}
	r.Follows, r.Linked, r.Syncing, r.Down = h.follows, h.linked, h.syncing, -1
	if !h.linked && h.broke >= 0 {
		r.Down = h.now - h.broke
	}
	return r
}

func (h *simHost) act(k *simHook, a Action) {
	// A hook acts over the connections it looked through: they end with the Redis.
	on, same := h, h.starts == k.starts
	switch a.Do {
	case BlockPeer, UnblockPeer, RankPeer, FencePeer:
		on, same = h.peer, h.reaches() && h.peer.starts == k.peerStarts
	}
	redis := same && on.alive
	switch a.Do {
	case BlockMe, BlockPeer:
		if redis {
			on.paused = true
			k.blocked[btoi(on != h)] = on.rank
		}
	case UnblockMe, UnblockPeer:
		if redis {
			on.paused = false
		}
		k.blocked[btoi(on != h)] = 0
	case RankMe, RankPeer:
		if redis {
			on.rank = a.Rank
		}
	case FenceMe, FencePeer:
		if redis {
			on.primary, on.follows, on.paused, on.broke = false, "", false, -1
			k.blocked[btoi(on != h)] = 0
			if a.Rank != 0 {
				on.rank = a.Rank
			}
			if on == h {
				h.marks.Claim = claimNone
			}
			h.linksBreak()
		}
	case Promote:
		if redis {
			h.say("%s: promoted, rank %d", h.name, a.Rank)
			h.promoting(k)
			h.rank, h.primary, h.follows, h.linked, h.streams, h.syncing, h.paused, h.floor = a.Rank, true, "", false, false, false, false, 99999
			h.marks.Forced, h.marks.Synced, h.marks.LetGo, h.marks.Ousted, h.marks.Claim = false, false, false, false, claimNewest
		}
	case SetAside:
		h.aside = append(h.aside, slices.Clone(h.data))
	case Follow:
		if redis {
			h.primary, h.follows, h.linked, h.streams, h.syncing, h.paused, h.broke = false, h.peer.addr, false, false, false, false, -1
			h.marks.Synced, h.marks.Claim = false, claimNone
			h.linksBreak()
		}
	case KeepRank:
		switch {
		case !redis || !h.look().is(k.seen): // what comes after it is not done either
			k.queue, k.again = nil, true
		case h.kept != a.Rank:
			h.kept = a.Rank
			if h.primary {
				h.leads(a.Rank.Epoch())
			}
			k.queue = slices.Insert(k.queue, 0, a) // and then live
		default:
			h.rank = a.Rank
		}
	case Floor:
		if redis {
			h.floor = a.N
		}
	case Claim:
		h.marks.Claim = a.N
	case OpenGate, CloseGate:
		h.marks.Gated = a.Do == CloseGate
	case MarkSynced:
		h.marks.Synced = true
	case MarkLetGo:
		h.marks.LetGo = true
	case MarkOusted:
		h.marks.Ousted = true
	case Hold:
		h.marks.Holding = a.Text
	case Unhold:
		h.marks.Holding = ""
	case KillRedis:
		h.crash()
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// promoting: h is about to be promoted.
func (h *simHost) promoting(k *simHook) {
	p := h.peer
	switch {
	case h.primary:
		// Both led the same epoch, in a partition: one of them goes on, in the next.
	case !p.alive || h.cut:
		if h.streams {
			h.heard = h.now
		}
		// Nobody goes back in time: the newest epoch that there was goes on, and of
		// its writes only those are missing that came last.
		if k.peerKept.Epoch() > h.rank.Epoch() && h.led[k.peerKept.Epoch()] == p.name && h.heard < h.since[k.peerKept.Epoch()] {
			h.fail("%s is promoted after epoch %d; %s led epoch %d", h.name, h.rank.Epoch(), p.name, k.peerKept.Epoch())
		}
		for _, n := range p.disk {
			if at := h.acked[n]; !slices.Contains(h.data, n) && at > h.heard+config.StaleAfter && at < k.looked && p.kept.class() >= restarted {
				h.fail("%s is promoted without write %d of %s, which it has heard nothing of since %v", h.name, n, p.name, h.heard)
			}
		}
	case h.parted, k.peerCut, p.starts != k.peerStarts, p.rank.Epoch() < h.rank.Epoch():
	case p.rank < h.rank && p.rank.class() <= restarted:
		// The primary died: what h had not received, or its own disk, is lost to the
		// pair. But h has had all that was there when it began to follow.
		if epoch := p.kept.Epoch(); h.led[epoch] == p.name && h.heard < h.since[epoch] && !h.streams {
			h.missesNone(p)
		}
	default:
		h.missesNone(p)
	}
}

// missesNone fails if h, which is about to be promoted, lacks a write that p has.
func (h *simHost) missesNone(p *simHost) {
	for _, n := range p.data {
		if !slices.Contains(h.data, n) {
			h.fail("%s is promoted without write %d, which %s has, alive and in reach", h.name, n, p.name)
		}
	}
}

// leads: h is the primary of an epoch, and its disk says so.
func (h *simHost) leads(epoch int) {
	if other := h.led[epoch]; other != "" && other != h.name && !h.parted {
		h.fail("%s leads epoch %d, which %s led", h.name, epoch, other)
	}
	if h.led[epoch] == "" {
		h.since[epoch] = h.now
	}
	h.led[epoch] = h.name
}

func (w *world) invariants() {
	a, b := w.hosts[0], w.hosts[1]
	switch {
	case w.cut || w.deaf:
		w.parted = true
	case (!a.primary || !b.primary) && (!a.vip || !b.vip) && a.hook == nil && b.hook == nil:
		w.parted = false
	}
	if a.primary && b.primary && !w.parted {
		w.fail("two primaries, and nothing is between them")
	}
}

// routine is what goes on when nothing happens.
func (w *world) routine() {
	w.now += 50 * time.Millisecond
	for _, h := range w.hosts {
		h.vrrp()
		h.begin(false)
		h.hookStep()
		h.replicate()
	}
}

// heal ends all that is wrong, lets the hooks work, and expects service, or a
// reason.
func (w *world) heal() {
	w.say("heal")
	w.cut, w.deaf = false, false
	for n := range 4000 {
		for _, h := range w.hosts {
			h.start()
			h.keepalived = h.keepalived || !h.stopping
			h.expire()
			if n%100 == 99 {
				w.client(h)
			}
		}
		w.routine()
		w.invariants()
		if w.whole() {
			return
		}
	}
	w.fail("the healed pair does not serve, and does not say why")
}

// whole: one host serves and the other follows it. Or one holds, and is right to:
// it cannot tell whose data to keep, or it led an epoch that the other one never
// heard of.
func (w *world) whole() bool {
	cannotTell := false
	for _, h := range w.hosts {
		p := h.peer
		if h.vip && h.primary && !h.paused && h.floor == 0 && !h.marks.Gated && h.marks.Holding == "" && !p.vip {
			if p.linked && p.rank == rank(h.rank.Epoch(), inSync) && p.marks.Holding == "" {
				return true
			}
			if p.marks.Holding != "" && p.rank.Epoch() > h.rank.Epoch() && w.led[p.rank.Epoch()] == p.name {
				return true
			}
		}
		cannotTell = cannotTell || strings.Contains(h.marks.Holding, "cannot tell")
	}
	return cannotTell && w.hosts[0].marks.Holding != "" && w.hosts[1].marks.Holding != ""
}
