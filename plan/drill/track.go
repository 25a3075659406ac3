package drill

import (
	"sync"
	"time"

	"hapair/remote/redisctl"
)

// track is what is seen of one host, by its sampler and its watch, while a
// drill goes.
type track struct {
	host     string
	via      string // how its Redis is reached
	timeline *timeline

	mu    sync.Mutex
	redis bands
	vrrp  bands
	link  bands
	vip   bands
	// writable are the stretches in which every probing write was accepted.
	writable []stretch
	accepted bool // the latest probe was

	server redisctl.Info // the latest answer
	served Syncs         // by servers that have ended, and before the drill: negative
}

// bands are states with the times at which they began.
type bands []band

type band struct {
	from  time.Duration
	state string
}

func (b bands) state() string {
	if len(b) == 0 {
		return ""
	}
	return b[len(b)-1].state
}

// since is when the state as it is now began.
func (b bands) since() time.Duration {
	if len(b) == 0 {
		return 0
	}
	return b[len(b)-1].from
}

// set adds a state if it is a new one.
func (b *bands) set(at time.Duration, state string) (before string, changed bool) {
	before = b.state()
	if len(*b) > 0 && before == state {
		return before, false
	}
	*b = append(*b, band{at, state})
	return before, true
}

func (b bands) shown(zero time.Duration) []Band {
	out := make([]Band, len(b))
	for i, s := range b {
		out[i] = Band{Millis(s.from - zero), s.state}
	}
	return out
}

const (
	stateHeld    = "held"
	statePrimary = string(redisctl.Primary)
	stateReplica = string(redisctl.Replica)
)

// sawServer enters an answer of the host's Redis.
func (t *track) sawServer(at time.Duration, info redisctl.Info) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.server.RunID != info.RunID {
		// Counters begin anew with each process.
		t.served.Full += t.server.FullSyncs
		t.served.Partial += t.server.PartialSyncs
		if t.server.RunID == "" {
			t.served = Syncs{Host: t.host, Full: -info.FullSyncs, Partial: -info.PartialSyncs}
		}
	}
	t.server = info
	state := string(info.Role)
	if info.Loading {
		state = "loading"
	}
	t.setRedis(at, state, "")
	link := ""
	if info.Role == redisctl.Replica {
		link = "down"
		if info.LinkUp {
			link = "up"
		}
	}
	t.setLink(at, link)
}

// missedServer enters that the host's Redis has not answered, and why.
func (t *track) missedServer(at time.Duration, state, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.setRedis(at, state, why)
	t.setLink(at, "")
}

func (t *track) setRedis(at time.Duration, state, why string) {
	before, changed := t.redis.set(at, state)
	if !changed || before == "" {
		return
	}
	text := "Redis: " + before + " → " + state
	if why != "" {
		text += " (" + why + ")"
	}
	t.timeline.add(at, Event{Type: RoleChange, Host: t.host, From: before, To: state, Text: text})
}

func (t *track) setLink(at time.Duration, state string) {
	before, changed := t.link.set(at, state)
	if !changed || state == "" || len(t.link) == 1 {
		return
	}
	text := "link to the primary: " + state
	if before == "" && state == "down" {
		return // a replica begins without one
	}
	t.timeline.add(at, Event{Type: LinkChange, Host: t.host, From: before, To: state, Text: text})
}

// sawVIP enters whether the host has the VIP.
func (t *track) sawVIP(at time.Duration, held bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	state, text := "", "VIP: gone"
	if held {
		state, text = stateHeld, "VIP: here"
	}
	first := len(t.vip) == 0
	before, changed := t.vip.set(at, state)
	if changed && !first {
		t.timeline.add(at, Event{Type: VIPMove, Host: t.host, From: before, To: state, Text: text})
	}
}

// wasReset enters that the host has ended, and with it what it had.
func (t *track) wasReset(at time.Duration) {
	t.sawVIP(at, false)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.vrrp.set(max(at, t.vrrp.since()), "") // nobody knows, until its hooks say
}

// syncs are the synchronisations served since the drill began.
func (t *track) syncs() Syncs {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Syncs{
		Host:    t.host,
		Full:    t.served.Full + t.server.FullSyncs,
		Partial: t.served.Partial + t.server.PartialSyncs,
	}
}

// serving reports since when the host has been what clients need: the holder
// of the VIP with a primary behind it.
func (t *track) serving() (since time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.vip.state() != stateHeld || t.redis.state() != statePrimary {
		return 0, false
	}
	return max(t.vip.since(), t.redis.since()), true
}

// stretch is a run of probing writes that were all accepted.
type stretch struct{ first, last probe }

// probe is one write: it was carried out at some time between the two.
type probe struct{ sent, answered time.Duration }

// probed enters how a probing write ended.
func (t *track) probed(p probe, accepted bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case !accepted:
	case t.accepted:
		t.writable[len(t.writable)-1].last = p
	default:
		t.writable = append(t.writable, stretch{p, p})
	}
	t.accepted = accepted
}

func (t *track) isPrimary() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.redis.state() == statePrimary
}

// certain is when the host surely took writes: from the first answer to the
// last one sent. A single write tells of one moment only: then ok is false.
func (s stretch) certain() (w Window, ok bool) {
	w = Window{s.first.answered, s.last.sent}
	return w, w.From <= w.To
}

// bothWritable is how long two hosts took writes at the same time, as far as
// the probes prove it: a delay of the network or of the controller never adds
// to it, and what is shorter than a probing interval can escape it. One proved
// moment counts as long as its write took.
func bothWritable(a, b []stretch) time.Duration {
	var total time.Duration
	for _, s := range a {
		for _, o := range b {
			ws, long := s.certain()
			wo, otherLong := o.certain()
			switch {
			case long && otherLong:
				total += max(0, min(ws.To, wo.To)-max(ws.From, wo.From))
			case long && ws.contains(o.first.sent) && ws.contains(o.last.answered):
				total += o.last.answered - o.first.sent
			case otherLong && wo.contains(s.first.sent) && wo.contains(s.last.answered):
				total += s.last.answered - s.first.sent
			}
		}
	}
	return total
}

// history is the track, relative to the fault.
func (t *track) history(zero time.Duration) History {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := History{
		Host: t.host, Via: t.via,
		Redis: t.redis.shown(zero), VRRP: t.vrrp.shown(zero), Link: t.link.shown(zero), VIP: t.vip.shown(zero), Writable: []Band{},
	}
	for _, s := range t.writable {
		if w, ok := s.certain(); ok {
			h.Writable = append(h.Writable, Band{Millis(w.From - zero), "yes"}, Band{Millis(w.To - zero), ""})
		}
	}
	return h
}

// vipMoves is how often the VIP came to another host than the one that had it
// last.
func vipMoves(tracks [2]*track, w Window) int {
	moves, holder := 0, -1
	next := [2]int{}
	var of [2]bands
	for i, t := range tracks {
		t.mu.Lock()
		of[i] = t.vip
		t.mu.Unlock()
	}
	for {
		i := 0
		if next[0] == len(of[0]) || next[1] < len(of[1]) && of[1][next[1]].from < of[0][next[0]].from {
			i = 1
		}
		if next[i] == len(of[i]) {
			return moves
		}
		b := of[i][next[i]]
		next[i]++
		if b.state != stateHeld {
			continue
		}
		if holder >= 0 && holder != i && w.contains(b.from) {
			moves++
		}
		holder = i
	}
}
