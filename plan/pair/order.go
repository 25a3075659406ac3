package pair

import "context"

// Start brings the pair, or only the named hosts, up in the documented order:
// Redis on both; their data comparable; keepalived on the host whose data is
// newer (the preferred one when they are equal), until it is MASTER, holds the
// VIP and its Redis is the primary; then the other, until it is a replica in
// sync. What runs already is left alone.
func (p *Pair) Start(ctx context.Context, ev Events, hosts ...string) error { return errSkeleton }

// Stop is Start in reverse: keepalived on the replica, keepalived on the
// primary, which is drained and fenced, then both Redis, the primary's last.
// With one host named, its peer takes over first.
func (p *Pair) Stop(ctx context.Context, ev Events, hosts ...string) error { return errSkeleton }

// Recover brings the named hosts, or those that need it, back into a pair
// whose other host serves: Redis, then keepalived, until it is a replica in
// sync. The VIP does not move. When no host serves, it is Start.
func (p *Pair) Recover(ctx context.Context, ev Events, hosts ...string) error { return errSkeleton }

// Promote makes host the primary on the operator's word, although it holds.
func (p *Pair) Promote(ctx context.Context, ev Events, host string) error { return errSkeleton }

// Change is what has to happen on a host for changed files to count.
type Change struct {
	Redis      bool // restart it
	Keepalived Renewal
}

// Renewal is how keepalived takes over a change.
type Renewal int

const (
	Keep    Renewal = iota // nothing changed
	Reload                 // its configuration did
	Restart                // its program or unit did
)

// Roll carries out changes on both hosts, replica first, without two
// primaries and with at most one handover. Units that do not run stay so.
func (p *Pair) Roll(ctx context.Context, ev Events, changes [2]Change) error { return errSkeleton }

// Switchover hands the VIP and the primary's role over to the other host, or
// to the named one, with nothing lost.
func (p *Pair) Switchover(ctx context.Context, ev Events, to string) error { return errSkeleton }
