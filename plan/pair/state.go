package pair

import (
	"context"
	"net/netip"
	"time"

	"hapair/remote/redisctl"
)

// State is a pair at one moment.
type State struct {
	Name  string
	VIPs  []netip.Addr
	Port  int // Redis'
	Hosts [2]HostState
}

// HostState is one host of a pair at one moment.
type HostState struct {
	Name    string
	Address netip.Addr
	// Err says why the host could not be observed. All else is then empty.
	Err        error
	Clock      time.Time    // the host's own
	VIPs       []netip.Addr // those of the pair that are on its interfaces
	Keepalived Keepalived
	Redis      Redis
	Hold       string   // why the host holds; empty when it does not
	Log        []string // the end of the state log, oldest first
}

// Reachable reports whether the host could be observed.
func (h HostState) Reachable() bool { return h.Err == nil }

// Unit is systemd's view of a service.
type Unit struct {
	Installed bool
	Active    string // ActiveState: "active", "inactive", "failed", "activating", …
	PID       int    // of the main process; 0: none
}

// Running reports whether the unit is up.
func (u Unit) Running() bool { return u.Active == "active" }

// VRRP is keepalived's state for the VIP. It has none while it is stopped.
type VRRP string

const (
	Master VRRP = "MASTER"
	Backup VRRP = "BACKUP"
	Fault  VRRP = "FAULT"
)

// Keepalived is the VRRP daemon of a host.
type Keepalived struct {
	Unit
	Version string
	VRRP    VRRP
}

// Redis is the data server of a host.
type Redis struct {
	Unit
	// Info is what the server says of itself; nil when it does not answer,
	// and then Trouble says why.
	Info    *redisctl.Info
	Trouble string
	Rank    Rank // of the data; only with Info
}

// Role is the server's role; empty when it does not answer.
func (r Redis) Role() redisctl.Role {
	if r.Info == nil {
		return ""
	}
	return r.Info.Role
}

// Rank orders the data of two hosts: the higher one is the newer. It is
// 4*epoch + class; see the hooks.
type Rank int

// NoRank is that of a server which publishes none.
const NoRank Rank = -1

// Epoch counts the promotions that the data has lived through.
func (r Rank) Epoch() int { return int(r) >> 2 }

// InSync reports whether the data is a replica's that has all of its
// primary's, or a primary's that was drained to the last byte.
func (r Rank) InSync() bool { return r > 0 && r&3 == 2 }

// Observe looks at both hosts at once, with one command each. A host that
// cannot be reached is part of the result.
func (p *Pair) Observe(ctx context.Context) State {
	return State{}
}

// Primary is the index of the host whose Redis is the primary, and whether
// there is exactly one such host.
func (s State) Primary() (i int, ok bool) { return 0, false }

// Holder is the index of the host that holds every VIP, alone, and whether
// there is one.
func (s State) Holder() (i int, ok bool) { return 0, false }

// Index is the index of the host called name, or -1.
func (s State) Index(name string) int { return -1 }

// Lag is how many bytes of the primary's writes host i has not received; 0
// for the primary itself, and false when it cannot be told.
func (s State) Lag(i int) (bytes int64, ok bool) { return 0, false }

// MarshalJSON is the pair's element of `hapair status --json`.
func (s State) MarshalJSON() ([]byte, error) { return nil, errSkeleton }

// Status is what `hapair status --json` prints.
type Status struct {
	Format string  `json:"format"`
	Pairs  []State `json:"pairs"`
}

// NewStatus is the status of pairs.
func NewStatus(pairs ...State) Status { return Status{Format: "1.0", Pairs: pairs} }
