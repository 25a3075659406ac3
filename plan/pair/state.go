package pair

import (
	"cmp"
	"encoding/json"
	"net"
	"net/netip"
	"slices"
	"strconv"
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
	// Err says why the host could not be observed. All that follows is then
	// empty.
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
	Active    string // "active", "inactive", "failed", "activating", …
	PID       int    // of the main process; 0: none
}

// Running reports whether the unit is up.
func (u Unit) Running() bool { return u.Active == "active" }

// Down reports whether the unit is stopped, for whatever reason, and no longer
// about to.
func (u Unit) Down() bool { return u.Active == "inactive" || u.Active == "failed" }

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
	Rank    Rank // of the data; NoRank without Info
}

// Role is the server's role; empty when it does not answer.
func (r Redis) Role() redisctl.Role {
	if r.Info == nil {
		return ""
	}
	return r.Info.Role
}

// Rank orders the data of two hosts: the higher one is the newer. It is
// 4 x epoch + class; hooks/pair.sh says what the classes are.
type Rank int

// NoRank is that of a server which publishes none.
const NoRank Rank = -1

// The classes of data within its epoch that matter here.
const inSync = 2 // a replica's that has all of its primary's, or a drained primary's

// Epoch counts the promotions that the data has lived through.
func (r Rank) Epoch() int { return int(r) / 4 }

// InSync reports whether the data is a replica's that has all of its
// primary's, or a primary's that was drained to the last byte.
func (r Rank) InSync() bool { return r > 0 && r%4 == inSync }

// Primary is the index of the host whose Redis is the primary, and whether
// there is exactly one.
func (s State) Primary() (i int, ok bool) {
	return s.only(func(h HostState) bool { return h.Redis.Role() == redisctl.Primary })
}

// Holder is the index of the host that holds every VIP while the other holds
// none, and whether there is one.
func (s State) Holder() (i int, ok bool) {
	i, ok = s.only(func(h HostState) bool { return len(h.VIPs) > 0 })
	return i, ok && len(s.Hosts[i].VIPs) == len(s.VIPs)
}

// only is the index of the one host that is like this.
func (s State) only(like func(HostState) bool) (i int, ok bool) {
	switch a, b := like(s.Hosts[0]), like(s.Hosts[1]); {
	case a && !b:
		return 0, true
	case b && !a:
		return 1, true
	}
	return 0, false
}

// Serving is the index of the host that clients reach and can write to: VRRP
// MASTER, all VIPs, the only primary. False when there is none.
func (s State) Serving() (i int, ok bool) {
	holder, held := s.Holder()
	primary, one := s.Primary()
	return primary, held && one && holder == primary && s.Hosts[primary].Keepalived.Running()
}

// Index is the index of the host called name, or -1.
func (s State) Index(name string) int {
	return slices.IndexFunc(s.Hosts[:], func(h HostState) bool { return h.Name == name })
}

// Replicates reports whether host i is a replica of the other one, with the
// link up or not.
func (s State) Replicates(i int) bool {
	info := s.Hosts[i].Redis.Info
	return info != nil && info.Role == redisctl.Replica &&
		info.Primary == net.JoinHostPort(s.Hosts[1-i].Address.String(), strconv.Itoa(s.Port))
}

// Lag is how many bytes of the other host's writes the replica i has not
// received, as far as two looks at slightly different moments can tell. False
// when it is not a replica of a primary there.
func (s State) Lag(i int) (bytes int64, ok bool) {
	if !s.Replicates(i) || s.Hosts[1-i].Redis.Role() != redisctl.Primary {
		return 0, false
	}
	return max(0, s.Hosts[1-i].Redis.Info.Offset-s.Hosts[i].Redis.Info.Offset), true
}

// Status is what `hapair status --json` prints.
type Status struct {
	Format string  `json:"format"`
	Pairs  []State `json:"pairs"`
}

// NewStatus is the status of pairs.
func NewStatus(pairs ...State) Status { return Status{Format: "1.0", Pairs: pairs} }

// MarshalJSON is the pair's element of `hapair status --json`. What could not
// be seen is null.
func (s State) MarshalJSON() ([]byte, error) {
	type vip struct {
		Address string  `json:"address"`
		Holder  *string `json:"holder"`
	}
	type keepalived struct {
		Running bool    `json:"running"`
		State   *string `json:"state"`
		Version *string `json:"version"`
	}
	type redis struct {
		Running bool    `json:"running"`
		Role    *string `json:"role"`
		Link    *string `json:"link"`
		Offset  *int64  `json:"offset"`
		Lag     *int64  `json:"lag_bytes"`
		Version *string `json:"version"`
	}
	type host struct {
		Name       string     `json:"name"`
		Address    string     `json:"address"`
		Reachable  bool       `json:"reachable"`
		Keepalived keepalived `json:"keepalived"`
		Redis      redis      `json:"redis"`
		Hold       *string    `json:"hold"`
	}
	doc := struct {
		Name    string `json:"name"`
		Healthy bool   `json:"healthy"`
		VIP     []vip  `json:"vip"`
		Hosts   []host `json:"hosts"`
	}{Name: s.Name, Healthy: Assess(s).Level == Healthy}

	for _, addr := range s.VIPs {
		held := false
		for _, h := range s.Hosts {
			if slices.Contains(h.VIPs, addr) { // one entry for each of two holders
				doc.VIP = append(doc.VIP, vip{addr.String(), orNull(h.Name)})
				held = true
			}
		}
		if !held {
			doc.VIP = append(doc.VIP, vip{Address: addr.String()})
		}
	}
	for i, h := range s.Hosts {
		out := host{
			Name:      h.Name,
			Address:   h.Address.String(),
			Reachable: h.Reachable(),
			Keepalived: keepalived{
				Running: h.Keepalived.Running(),
				State:   orNull(string(h.Keepalived.VRRP)),
				Version: orNull(h.Keepalived.Version),
			},
			Redis: redis{Running: h.Redis.Running()},
			Hold:  orNull(h.Hold),
		}
		if info := h.Redis.Info; info != nil {
			out.Redis.Running = true
			out.Redis.Role = orNull(string(info.Role))
			out.Redis.Version = orNull(info.Version)
			out.Redis.Offset = &info.Offset
			if info.Role == redisctl.Replica {
				out.Redis.Link = orNull(linkName(info.LinkUp))
			}
			if lag, ok := s.Lag(i); ok {
				out.Redis.Lag = &lag
			}
		}
		doc.Hosts = append(doc.Hosts, out)
	}
	return json.Marshal(doc)
}

func orNull[T cmp.Ordered](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func linkName(up bool) string {
	if up {
		return "up"
	}
	return "down"
}
