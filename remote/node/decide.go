package node

import (
	"fmt"
	"strings"
)

// Decide says what to do about what was seen.
func Decide(c Config, s Seen) Decision {
	d := &decider{Config: c, Seen: s}
	switch {
	case !s.Me.Primary && s.Me.Rank.class() == leading && s.Me.Rank != s.Kept:
		// Fenced before its rank was on disk: it took no write in that epoch.
		d.because("a promotion to rank %d was not completed", s.Me.Rank)
		d.do(Action{Do: RankMe, Rank: s.Kept})
		d.Again = true
	case s.VIP && !s.Leaving:
		d.serve()
	case s.Me.Primary:
		d.yield()
	case s.Leaving:
		d.because("the VIP is about to leave, and this Redis is no primary")
		if !s.Gated {
			d.do(Action{Do: CloseGate})
		}
	default:
		d.follow()
	}
	return d.Decision
}

type decider struct {
	Config
	Seen
	Decision
}

func (d *decider) do(actions ...Action) { d.Actions = append(d.Actions, actions...) }

// because says why, and calls the peer by its name.
func (d *decider) because(format string, args ...any) {
	d.Why = strings.ReplaceAll(fmt.Sprintf(format, args...), "the peer", d.PeerName)
}

// wait looks again soon, for as long as the hook has time, and holds then.
func (d *decider) wait(format string, args ...any) {
	d.because(format, args...)
	if d.Past {
		d.hold()
		return
	}
	d.Again = true
}

// hold: not writable and no VIP until the peer, or the operator, tells more.
func (d *decider) hold() {
	if d.BlockedPeer {
		d.do(Action{Do: UnblockPeer})
	}
	if d.Holding != d.Why {
		d.do(Action{Do: Hold, Text: d.Why})
	}
}

func (d *decider) unhold() {
	if d.Holding != "" && !d.Ousted {
		d.do(Action{Do: Unhold, Text: d.Why})
	}
}

// promote raises the epoch over all that was seen. The new primary takes no
// write until its rank is on disk: newer data never lies under an old rank, nor
// a new rank over data that never was a primary's. A hook that is killed in
// between leaves a primary that lead completes.
func (d *decider) promote() {
	epoch := max(d.Me.Rank, d.Peer.Rank).Epoch() + 1
	if d.Forced {
		epoch++ // what the peer has is no subset, see there
	}
	if d.Peer.up() && !d.Peer.Primary && d.Peer.Follows == d.SelfAddr {
		// It followed this Redis in an earlier run of it, and would again by itself:
		// over writes that this one's disk did not have when it died.
		d.do(Action{Do: FencePeer})
	}
	d.do(Action{Do: Promote, Rank: rank(epoch, leading)})
	d.Again = true
}

// fence gives the role up, with this rank; 0 leaves it as it is. Clients are let
// go while their connections can still be answered, and none comes back.
func (d *decider) fence(r Rank) {
	d.do(Action{Do: CloseGate}, Action{Do: FenceMe, Rank: r})
}

// attach follows the peer, whose data is newer. What this host has and the peer
// may lack is set aside first.
func (d *decider) attach() {
	if d.Peer.Empty && !d.Me.Empty {
		d.because("the peer is primary with newer data by its rank (%d, ours is %d), but holds no key", d.Peer.Rank, d.Me.Rank)
		d.hold()
		return
	}
	if !d.Me.Empty && !d.subset() {
		d.do(Action{Do: SetAside})
	}
	d.do(Action{Do: CloseGate}, Action{Do: Follow})
	d.because("following the peer, whose data is newer (rank %d, ours %d)", d.Peer.Rank, d.Me.Rank)
	d.unhold()
	d.Again = !d.Past
}

// subset: the peer, a primary, has all of this host's data, and in the same run
// of its Redis: one that was restarted may have lost what its disk did not have
// yet. It takes a new epoch to lead again, and is only given one after this host,
// if that was in sync.
func (d *decider) subset() bool {
	since := d.Peer.Rank.Epoch() - d.Me.Rank.Epoch()
	switch d.Me.Rank.class() {
	case inSync:
		return since <= 1
	case stale:
		return since == 0 && d.Me.Rank != 0
	}
	return false
}

func (r Redis) up() bool { return r.Health == Up || r.Health == Sick }

func (d *decider) peerLeads() bool { return d.Peer.up() && d.Peer.Primary }

func (d *decider) followsPeer() bool { return !d.Me.Primary && d.Me.Follows == d.PeerAddr }

// drained: the data of this Redis, which was the primary until now, went to the
// peer to the last byte. Its file says what it was, its live rank what it is.
func (d *decider) drained() bool {
	return d.Kept.class() == leading && d.Me.Rank == d.Kept-1
}

// wasInSync: is this the live replica of a peer that cannot answer any more? One
// that has begun to follow it, and may not have all of its data yet, is not.
func (d *decider) wasInSync() bool {
	if d.Me.Rank.class() != inSync || !d.Synced || !d.followsPeer() || d.Me.Syncing {
		return false
	}
	return d.Me.Linked || d.Me.Down >= 0 && d.Me.Down <= d.StaleAfter
}

// newest: neither host is writable; is this one's data as new as the peer's?
func (d *decider) newest() bool {
	mine, theirs := d.Me.Rank, d.Peer.Rank
	switch {
	case mine > theirs && d.Me.Empty && !d.Peer.Empty:
		d.because("our data is newer by its rank (%d, the peer has %d), but this host holds no key: cannot tell which to keep", mine, theirs)
		return false
	case mine > theirs:
		d.because("our data is newer (rank %d, the peer has %d)", mine, theirs)
	case mine < theirs:
		d.because("the peer has newer data (rank %d, ours is %d)", theirs, mine)
		return false
	case mine.class() == inSync:
		d.because("the peer was drained to us")
	case mine != 0:
		d.because("both hosts have rank %d: cannot tell whose data is newer", mine)
		return false
	case d.Peer.Empty:
		d.because("a new pair")
	case d.Me.Empty:
		d.because("the peer has data and this host has none")
		return false
	default:
		d.because("both hosts have data that never was in this pair: cannot tell which to keep")
		return false
	}
	return true
}

// serve: the VIP is here. Behind it there is to be a primary, if that loses
// nothing.
func (d *decider) serve() {
	switch d.Me.Health {
	case Up, Sick:
	case Loading:
		d.wait("Redis is still loading its data")
		return
	default: // for the check to judge
		d.because("the VIP is here, but Redis is %v", d.Me.Health)
		return
	}
	if d.Me.Primary {
		d.lead()
		return
	}
	d.takeOver()
}

// lead: the VIP is here, and so is the primary.
func (d *decider) lead() {
	switch {
	case d.Cut:
		d.because("neither the peer nor the gateway answers: this host is cut off")
		d.fence(0)
		d.hold()
		return
	case d.Me.Online > 0:
	case d.peerLeads() && d.Peer.Rank > d.Me.Rank:
		d.because("the peer is primary with newer data (rank %d, ours is %d)", d.Peer.Rank, d.Me.Rank)
		d.fence(0)
		d.hold()
		return
	case d.peerLeads() && d.Peer.Rank == d.Me.Rank && d.SelfAddr > d.PeerAddr:
		d.because("the peer was promoted at the same time, to rank %d", d.Peer.Rank)
		d.fence(0)
		d.hold()
		return
	case d.Peer.up() && !d.Peer.Primary && d.Peer.Rank == d.Me.Rank:
		d.because("the peer was promoted at the same time and stepped down")
		d.promote()
		return
	}
	d.because("it is the primary, epoch %d", d.Me.Rank.Epoch())
	if d.Kept != d.Me.Rank {
		d.do(Action{Do: KeepRank, Rank: d.Me.Rank})
	}
	if floor := d.floor(); d.Me.Floor != floor {
		d.do(Action{Do: Floor, N: floor})
	}
	if d.Me.Online > 0 && d.Claim != claimNone {
		d.do(Action{Do: Claim, N: claimNone})
	}
	if d.Gated {
		d.do(Action{Do: OpenGate})
	}
	if d.Holding != "" {
		d.do(Action{Do: Unhold, Text: d.Why})
	}
}

// floor is min-replicas-to-write of this primary.
func (d *decider) floor() int {
	if d.Strict || d.Paired && d.Me.Online > 0 {
		return 1
	}
	return 0
}

// takeOver: the VIP is here, and Redis is a replica.
func (d *decider) takeOver() {
	if d.Forced {
		d.because("the operator forced it")
		if d.peerLeads() {
			d.do(Action{Do: FencePeer})
		}
		d.promote()
		return
	}
	switch {
	case d.peerLeads():
		d.takeFromPrimary()
	case d.Peer.up():
		if d.drained() && d.Me.Rank == d.Peer.Rank && !d.Mine {
			d.wait("the peer was handed our data: it is its turn to become primary")
			return
		}
		if d.newest() {
			d.promote()
			return
		}
		d.hold()
	case d.Peer.Health == Denied:
		d.because("the peer refuses our password")
		d.hold()
	case d.Peer.Health == Busy && d.Past && d.wasInSync():
		d.because("the peer is busy, and we were in sync")
		d.promote()
	case d.Peer.Health == Loading, d.Peer.Health == Busy:
		d.wait("the peer is %v: cannot tell whose data is newer", d.Peer.Health)
	case d.wasInSync():
		d.because("the peer is %v, and we were in sync", d.Peer.Health)
		d.promote()
	default:
		d.because("the peer is %v and this host was not in sync with it (rank %d): its data may be newer", d.Peer.Health, d.Me.Rank)
		d.hold()
	}
}

// takeFromPrimary: the peer is primary. Demote before promote: a crash in
// between leaves no primary, never two.
func (d *decider) takeFromPrimary() {
	switch {
	case d.drained() && !d.LetGo:
		// The peer took over, and the VIP is here all the same: it has one, too. To
		// take the role back would be to take turns.
		d.do(Action{Do: MarkOusted})
		d.attach()
		d.because("the peer took over while the VIP was here: VRRP does not get through")
		d.Again = false
		d.hold()
	case d.Me.Rank > d.Peer.Rank:
		// It never saw what we have. What it wrote alone is set aside when it
		// follows us.
		d.because("the peer is primary with older data (rank %d, ours is %d)", d.Peer.Rank, d.Me.Rank)
		d.do(Action{Do: FencePeer})
		d.Again = true
	case !d.followsPeer() && d.Me.Rank == d.Peer.Rank:
		d.because("both hosts were promoted to rank %d: cannot tell whose data is newer", d.Me.Rank)
		d.hold()
	case !d.followsPeer():
		d.attach()
		if d.Past {
			d.hold()
		}
	case !d.Me.Linked || d.Me.Syncing:
		d.wait("the peer is primary and we do not have all its data yet")
	case !d.BlockedPeer:
		d.because("taking over from the peer")
		d.do(Action{Do: BlockPeer})
		d.Again = true
	case d.Me.Offset < d.Peer.Offset:
		d.wait("the peer is primary and we do not have all its data yet")
	default:
		d.because("the peer's last write is here")
		r := rank(d.Peer.Rank.Epoch(), inSync)
		d.do(Action{Do: RankMe, Rank: r}, Action{Do: FencePeer, Rank: r})
		d.Again = true
	}
}

// yield: this Redis is primary, and the VIP is not here, or about to leave. See
// that nothing that was acknowledged here is lost, and that nothing more is
// accepted.
func (d *decider) yield() {
	switch {
	case d.peerLeads() && d.Peer.Rank > d.Me.Rank:
		d.because("the peer is primary with newer data (rank %d, ours is %d)", d.Peer.Rank, d.Me.Rank)
		d.fence(0)
		d.Again = true
	case d.peerLeads() && d.Peer.Rank == d.Me.Rank:
		// The VIP decides: it is there. What was written here is set aside once the
		// peer has an epoch of its own.
		d.because("the peer was promoted at the same time, to rank %d, and has the VIP", d.Peer.Rank)
		d.fence(0)
		d.hold()
	case d.peerLeads() && !d.Leaving:
		d.because("the peer is primary with older data (rank %d, ours is %d): it has to step down", d.Peer.Rank, d.Me.Rank)
		d.Again = !d.Past
	case d.Peer.up() && d.Peer.Linked && d.Peer.Follows == d.SelfAddr:
		d.drain()
	case d.Peer.Health == Dead:
		// This Redis stays primary, without clients: the VIP may return to it, and a
		// peer that comes back finds it.
		d.because("the peer is dead: nobody else has this data")
		if !d.Gated {
			d.do(Action{Do: CloseGate}, Action{Do: LetClientsGo})
		}
	default:
		d.because("the peer is %v and was not our replica", d.Peer.Health)
		if !d.LetGo {
			d.do(Action{Do: MarkLetGo})
		}
		d.fence(0)
	}
}

// drain: the peer gets the last write, then nobody writes here any more.
func (d *decider) drain() {
	switch {
	case !d.BlockedMe:
		d.because("handing over to the peer")
		d.do(Action{Do: MarkLetGo}, Action{Do: BlockMe})
		d.Again = true
	case d.Peer.Offset >= d.Me.Offset:
		d.because("handed over to the peer at offset %d", d.Me.Offset)
		r := rank(d.Me.Rank.Epoch(), inSync)
		d.do(Action{Do: RankPeer, Rank: r})
		d.fence(r)
		d.Again = true
	case d.Past:
		d.because("the peer did not catch up: it lacks data, so this Redis stays primary without the VIP")
		d.do(Action{Do: UnblockMe}, Action{Do: CloseGate}, Action{Do: LetClientsGo})
	default:
		d.because("handing over to the peer")
		d.Again = true
	}
}

// follow: this Redis is no primary, and the VIP is not here. Be the peer's
// replica, as soon as it is primary and its data is newer.
func (d *decider) follow() {
	if d.Me.Health != Up {
		d.because("Redis is %v", d.Me.Health)
		d.Again = d.Me.Health == Loading && !d.Past
		return
	}
	switch {
	case d.peerLeads() && d.followsPeer():
		d.noteSync()
	case d.peerLeads() && d.Peer.Rank > d.Me.Rank:
		d.attach()
	case d.peerLeads():
		d.because("the peer is primary with data that is not newer than ours (rank %d, ours is %d)", d.Peer.Rank, d.Me.Rank)
		d.hold()
	case d.followsPeer() && !d.Me.Linked && d.Me.Rank.class() == inSync && d.Me.Down > d.StaleAfter:
		d.because("the link to the peer has been down for %v: this data is old", d.Me.Down)
		d.do(Action{Do: KeepRank, Rank: d.Me.Rank - inSync})
	default:
		d.because("the peer is no primary")
		if d.Holding != "" && d.Peer.Health == Up {
			if d.newest() {
				d.unhold()
			} else {
				d.hold()
			}
		}
		d.Again = !d.Past
	}
}

// noteSync: once the link is up and the sync is done, this data is of the
// peer's epoch.
func (d *decider) noteSync() {
	d.because("in sync with the peer, epoch %d", d.Peer.Rank.Epoch())
	// After a full sync the stream begins up to a second later: when the primary
	// has heard that the copy is in place.
	if !d.Me.Linked || d.Me.Syncing || d.Peer.Online == 0 {
		d.because("the sync with the peer is not done")
		d.Again = !d.Past
		return
	}
	if r := rank(d.Peer.Rank.Epoch(), inSync); d.Me.Rank != r || d.Kept != r {
		d.do(Action{Do: KeepRank, Rank: r})
	}
	if !d.Synced {
		d.do(Action{Do: MarkSynced})
	}
	d.unhold()
}
