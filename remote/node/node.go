// Package node knows what a hook does on its host: from what is so (where the
// VIP is, what both Redis are, whose data is newer) to what is to be done about
// it. It holds no state of its own: what must outlive a hook lies on the host,
// as marks, and beside the data, as the rank.
//
// It is what the handlers "node" run, as hapair-node.
//
// Decide is pure. Whoever calls it looks, does what it says, one action after
// the other, and looks again: so a hook that is killed anywhere leaves a state
// that the next one takes from there.
package node

import (
	"fmt"
	"time"
)

// Rank says how new a host's data is: 4 × epoch + class. The epoch rises with
// each promotion. A host never follows a peer of lower rank, and is never
// promoted below one of higher rank. 0 is a host that never was part of a pair.
// It lies in a file beside the data and, for the peer to see, in Redis' own
// replica-priority, a number that only Sentinel would read.
type Rank int

// Classes of data within an epoch.
const (
	// stale: Redis restarted since, or the link broke long ago; it was a
	// replica's.
	stale = iota
	// restarted: Redis restarted since; it was the primary's.
	restarted
	// inSync: it is a live replica's, in sync; or a primary's that was drained.
	inSync
	// leading: it is the primary's, in this run of Redis, or was until now.
	leading
)

// Epoch is how many promotions the data has lived through.
func (r Rank) Epoch() int { return int(r) / 4 }

func (r Rank) class() int { return int(r) % 4 }

func rank(epoch, class int) Rank { return Rank(4*epoch + class) }

// Restarted is the rank of the data once its Redis has been started anew.
func (r Rank) Restarted() Rank { return r &^ inSync }

// Health is what comes of asking a Redis.
type Health int

const (
	Unreachable Health = iota // no answer, and no refusal either
	Dead                      // its port refuses: nobody is there
	Hung                      // it takes a connection and says nothing
	Loading
	Busy   // with a script
	Denied // it refuses our password
	Sick   // it refuses writes: its disk fails
	Up
)

// Redis is one of the two, as it was when it was asked.
type Redis struct {
	Health  Health
	Primary bool
	// Of a replica.
	Follows string        // the address of its primary; "" for the placeholder
	Linked  bool          // its link to the primary is up
	Down    time.Duration // since the link broke; negative: it never was up
	Syncing bool          // a full sync is under way

	Offset int64 // how much of the replication stream it has
	Online int   // replicas in sync with it
	Floor  int   // min-replicas-to-write
	Rank   Rank
	Empty  bool // it holds no key
}

// Seen is what a hook sees when it looks.
type Seen struct {
	VIP      bool // the address is here
	Leaving  bool // and is about to leave: keepalived stops
	Me, Peer Redis
	Kept     Rank // in the file beside the data

	// Past: this hook has looked for as long as the sync timeout.
	Past bool
	// Mine: for so long the peer has had its turn to take what it was handed.
	Mine bool
	// Blocked: this hook has stopped the writes of the host's own Redis, or of
	// the peer's.
	BlockedMe, BlockedPeer bool
	// Cut: neither the peer nor the gateway answers.
	Cut bool

	Marks
}

// Marks are what hooks leave for each other in a folder that a boot empties.
type Marks struct {
	Synced bool // this Redis has had all of the peer's data since it began to follow it
	LetGo  bool // this host gave its role up, by itself
	Ousted bool // the peer took over while the VIP was here
	Forced bool // the operator decided that this host's data is to be kept
	Gated  bool // the gate is closed
	Claim  int  // to the VIP, see there
	// Holding is why this host waits; "": it does not.
	Holding string
}

// What a primary adds to this host's VRRP priority, so that of two MASTERs, after a
// partition, the newest promotion keeps the VIP. One that lost its replica to a
// partition has had it since it was promoted; the one that was promoted then has
// not.
const (
	claimNone   = iota // it is no primary, or has had a replica in sync since it was promoted
	claimNewest        // it has had none
)

// Config is what the spec says of the pair.
type Config struct {
	SelfAddr, PeerAddr string
	PeerName           string // for whoever reads why
	// Paired: a primary that has a replica takes no writes without one, until it
	// is sure that the network is there. Strict: nor then.
	Paired, Strict bool
	// StaleAfter is for how long after its link broke a replica may be promoted:
	// the longest time in which this pair notices a dead primary, and some.
	StaleAfter time.Duration
}

// Do is one thing to do.
type Do int

const (
	BlockMe     Do = iota // writes wait, reads and replication go on
	BlockPeer             //
	UnblockMe             //
	UnblockPeer           //
	RankMe                // the live rank is Rank; the file keeps what it has
	RankPeer              //
	FenceMe               // not writable, no role; the live rank is Rank, unless that is 0; its clients are let go
	FencePeer             //
	Promote               // to primary, of live rank Rank, which takes no write yet; the marks go
	SetAside              // a copy of the data that the peer may lack; no room: hold
	Follow                // the peer; it is not Synced any more
	KeepRank              // Rank to disk, if Redis is still what was seen, in the same run, and live
	Floor                 // min-replicas-to-write is N
	OpenGate              // clients get through to the VIP
	CloseGate             // they are refused
	LetClientsGo
	KillRedis
	MarkSynced
	MarkLetGo
	MarkOusted
	Claim  // to the VIP, of N
	Hold   // Text says why
	Unhold // Text says why not any more
)

// Action is a thing to do, with what it needs.
type Action struct {
	Do   Do
	Rank Rank
	N    int
	Text string
}

// Decision is what to do now, in this order, and whether to look again soon.
type Decision struct {
	Actions []Action
	Again   bool
	Why     string
}

var doing = [...]string{
	"block our writes", "block the peer's writes", "unblock our writes", "unblock the peer's writes",
	"rank our data", "rank the peer's data", "fence us", "fence the peer", "promote us", "set our data aside",
	"follow the peer", "keep the rank", "set the floor", "open the gate", "close the gate", "let our clients go",
	"kill Redis", "note that we are in sync", "note that we let go", "note that we were ousted",
	"claim the VIP", "hold", "no longer hold",
}

func (d Do) String() string { return doing[d] }

func (a Action) String() string {
	switch a.Do {
	case RankMe, RankPeer, FenceMe, FencePeer, Promote, KeepRank:
		if a.Rank != 0 {
			return fmt.Sprintf("%v: %d", a.Do, a.Rank)
		}
	case Floor, Claim:
		return fmt.Sprintf("%v: %d", a.Do, a.N)
	}
	return a.Do.String()
}

// is reports whether it has the same part in replication.
func (r Redis) is(as Redis) bool {
	return r.Primary == as.Primary && r.Follows == as.Follows && r.Linked == as.Linked
}

func (r Redis) role() string {
	switch {
	case r.Health != Up && r.Health != Sick:
		return "unknown"
	case r.Primary:
		return "primary"
	}
	return "replica"
}

func (r Redis) String() string {
	if r.Health != Up && r.Health != Sick {
		return r.Health.String()
	}
	text := "primary"
	if !r.Primary {
		text = "fenced"
		if r.Follows != "" {
			text = "replica of " + r.Follows
			switch {
			case r.Syncing:
				text += ", syncing"
			case !r.Linked:
				text += ", without a link"
			}
		}
	} else if r.Online > 0 {
		text += " with a replica"
	}
	if r.Health == Sick {
		text += ", refusing writes"
	}
	return fmt.Sprintf("%s, rank %d, offset %d", text, r.Rank, r.Offset)
}

func (h Health) String() string {
	return [...]string{"unreachable", "dead", "hung", "loading its data", "busy", "refusing our password", "refusing writes", "up"}[h]
}
