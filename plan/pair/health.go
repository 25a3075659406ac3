package pair

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"hapair/remote/redisctl"
)

// Level is how well a pair is. Its value is the exit code of `hapair status`,
// by the convention of monitoring systems.
type Level int

const (
	Healthy  Level = iota
	Warning        // it serves; the next failure may not be survived
	Critical       // it does not serve, or not safely
	Unknown        // nobody can tell from here
)

func (l Level) String() string {
	return [...]string{"healthy", "warning", "critical", "unknown"}[l]
}

// Health is what to think of a State.
type Health struct {
	Level    Level
	Problems []Problem // the worst first
}

// Problem is one thing that is not as it should be.
type Problem struct {
	Level   Level
	Host    string // empty: the pair as a whole
	Summary string // what is so
	Hint    string // what to do now
}

// lagLimit is how far a replica may be behind before that is worth a warning,
// in bytes: what a busy primary writes between two looks is less.
const lagLimit = 8 << 20

// Assess judges a State.
func Assess(s State) Health {
	var a assessment
	a.state = s
	if !a.whole() {
		a.service()
		for i := range s.Hosts {
			a.host(i)
		}
		a.replica()
		a.versions()
	}
	slices.SortStableFunc(a.problems, func(p, q Problem) int { return cmp.Compare(q.Level, p.Level) })
	h := Health{Problems: a.problems}
	if len(a.problems) > 0 {
		h.Level = a.problems[0].Level
	}
	return h
}

type assessment struct {
	state    State
	problems []Problem
}

func (a *assessment) add(level Level, host, summary, hint string) {
	a.problems = append(a.problems, Problem{level, host, summary, hint})
}

// whole judges what makes all details beside the point.
func (a *assessment) whole() bool {
	both := func(like func(HostState) bool) bool { return like(a.state.Hosts[0]) && like(a.state.Hosts[1]) }
	switch {
	case both(func(h HostState) bool { return !h.Reachable() }):
		for _, h := range a.state.Hosts {
			a.unreachable(h, Unknown)
		}
	case both(func(h HostState) bool {
		return h.Reachable() && !h.Redis.Installed && !h.Keepalived.Installed && h.Redis.Info == nil && len(h.VIPs) == 0
	}):
		a.add(Critical, "", "the pair is not installed", "Run `hapair apply`.")
	case both(func(h HostState) bool {
		return h.Reachable() && h.Redis.Down() && h.Keepalived.Down() && h.Redis.Info == nil && len(h.VIPs) == 0
	}):
		a.add(Critical, "", "the pair is stopped", "Run `hapair start`.")
	default:
		return false
	}
	return true
}

func (a *assessment) unreachable(h HostState, level Level) {
	a.add(level, h.Name, unreachableError{h}.Error(),
		hintOf(h.Err, "If the host is down, bring it back: it comes up as the replica."))
}

// service judges what clients see: one writable primary behind the VIP.
func (a *assessment) service() {
	s := a.state
	serves, ok := s.Serving()
	blind := false // whether an unreachable host could be the missing one
	for _, h := range s.Hosts {
		if !h.Reachable() {
			level := Unknown
			if ok {
				level = Warning
			}
			blind = true
			a.unreachable(h, level)
		}
	}
	if ok && !s.Hosts[serves].Redis.Info.AOFLastWriteOK {
		a.add(Critical, s.Hosts[serves].Name, "Redis cannot write its append-only file and refuses writes",
			"See Redis' log for why: no room in its directory, most often.")
	}

	primaries := a.names(func(h HostState) bool { return h.Redis.Role() == redisctl.Primary })
	switch {
	case len(primaries) == 2:
		a.add(Critical, "", fmt.Sprintf("two primaries: %s and %s both accept writes", primaries[0], primaries[1]),
			"The host without the VIP has to step down by itself within one check. If it does not, stop it: `hapair stop --host "+a.withoutVIP()+"`, then `hapair recover`.")
	case len(primaries) == 0 && !blind:
		a.add(Critical, "", "no primary: nothing accepts writes",
			"See why each host holds or is down, below. `hapair start` brings both up, the newer data first; `hapair promote --host HOST --force` decides for one.")
	}

	holders := a.names(func(h HostState) bool { return len(h.VIPs) > 0 })
	switch {
	case len(holders) == 2:
		a.add(Critical, "", fmt.Sprintf("two VIP holders: %s and %s", holders[0], holders[1]),
			"They do not hear each other's adverts: let VRRP (IP protocol 112) through between them, and see that both use the same virtual_router_id and password.")
	case len(holders) == 0 && !blind:
		a.add(Critical, "", "no host holds the VIP: clients reach nothing",
			"keepalived is stopped, in FAULT or holding on both hosts: see below.")
	case len(holders) == 1:
		i := s.Index(holders[0])
		h := s.Hosts[i]
		if missing := len(s.VIPs) - len(h.VIPs); missing > 0 {
			a.add(Critical, h.Name, fmt.Sprintf("holds only %d of %d VIPs", len(h.VIPs), len(s.VIPs)),
				"Someone removed an address by hand, or keepalived's configuration is old: run `hapair apply`.")
		}
		if h.Redis.Role() != redisctl.Primary {
			a.add(Critical, h.Name, "holds the VIP, but its Redis is not the primary"+because(h.Redis.Trouble),
				"The hooks mend this within a few seconds, or say why not: see the state log, below.")
		}
		if !h.Keepalived.Running() {
			a.add(Critical, h.Name, "the VIP was left behind by a keepalived that is gone",
				"Run `hapair recover --host "+h.Name+"`.")
		}
	}
}

func (a *assessment) names(like func(HostState) bool) (names []string) {
	for _, h := range a.state.Hosts {
		if like(h) {
			names = append(names, h.Name)
		}
	}
	return names
}

// withoutVIP is the host to take out of service when there are two primaries.
func (a *assessment) withoutVIP() string {
	if holder, ok := a.state.Holder(); ok {
		return a.state.Hosts[1-holder].Name
	}
	return "HOST"
}

// host judges one host by itself.
func (a *assessment) host(i int) {
	h := a.state.Hosts[i]
	if !h.Reachable() {
		return
	}
	back := "Run `hapair recover --host " + h.Name + "`."
	if !h.Redis.Installed || !h.Keepalived.Installed {
		a.add(Warning, h.Name, "not installed", "Run `hapair apply`.")
		return
	}
	switch r := h.Redis; {
	case r.Info == nil && !r.Running():
		a.add(Warning, h.Name, "Redis is stopped ("+r.Active+")", back)
	case r.Info == nil:
		a.add(Warning, h.Name, "Redis does not answer: "+r.Trouble,
			"See Redis' log and `systemctl status` on the host.")
	case r.Info.Loading:
		a.add(Warning, h.Name, "Redis is loading its data ("+size(r.Info.LoadingBytes)+" so far)", "Wait until it has.")
	case !r.Info.LastSaveOK:
		a.add(Warning, h.Name, "the last save of Redis' data failed", "See Redis' log for why: no room in its directory or no memory to fork, most often.")
	}
	if h.Hold != "" {
		a.add(Warning, h.Name, "holds: "+h.Hold, a.afterHold(h))
	}
	switch k := h.Keepalived; {
	case !k.Running():
		if len(h.VIPs) == 0 {
			a.add(Warning, h.Name, "keepalived is stopped ("+k.Active+")", back)
		}
	case k.VRRP == Fault && h.Hold == "":
		a.add(Warning, h.Name, "VRRP FAULT: the check of Redis fails, or the interface is down", "See the state log, below, and keepalived's log on the host.")
	}
}

// replica judges whether the other host could take over without loss.
func (a *assessment) replica() {
	primary, ok := a.state.Primary()
	if !ok {
		return
	}
	i := 1 - primary
	h := a.state.Hosts[i]
	if h.Redis.Info == nil || h.Redis.Info.Loading || h.Hold != "" || !h.Keepalived.Running() {
		return // judged as a host already
	}
	if seen, ok := a.state.replicaInSync(i); !ok {
		a.add(Warning, h.Name, seen, "A sync ends by itself; `hapair recover --host "+h.Name+"` waits for it and says what is in its way.")
	} else if lag, _ := a.state.Lag(i); lag > lagLimit {
		a.add(Warning, h.Name, size(lag)+" behind the primary", "The network or this host is slower than the writes. They would be lost if the primary died now.")
	}
}

func (a *assessment) versions() {
	x, y := a.state.Hosts[0], a.state.Hosts[1]
	differ := func(what, v, w string) {
		if v != "" && w != "" && v != w {
			a.add(Warning, "", fmt.Sprintf("%s differs: %s on %s, %s on %s", what, v, x.Name, w, y.Name),
				"Run `hapair apply`, which renews the replica first.")
		}
	}
	if x.Redis.Info != nil && y.Redis.Info != nil {
		differ("Redis", product(x.Redis.Info), product(y.Redis.Info))
	}
	differ("keepalived", x.Keepalived.Version, y.Keepalived.Version)
}

func product(info *redisctl.Info) string { return info.Product + " " + info.Version }

func because(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}

// replicaInSync reports whether host i is a replica that could take over with
// all data, and says how far it has come.
func (s State) replicaInSync(i int) (seen string, ok bool) {
	h, peer := s.Hosts[i], s.Hosts[1-i]
	switch info := h.Redis.Info; {
	case !h.Reachable():
		seen = unreachableError{h}.Error()
	case info == nil:
		seen = "Redis does not answer: " + h.Redis.Trouble
	case info.Loading:
		seen = "loading its data, " + size(info.LoadingBytes) + " so far"
	case info.Role == redisctl.Primary:
		seen = "still a primary"
	case peer.Redis.Role() != redisctl.Primary:
		seen = peer.Name + " is not the primary"
	case strings.HasPrefix(info.Primary, "127.0.0.1:"):
		seen = "fenced: follows nobody"
	case !s.Replicates(i):
		seen = "follows " + info.Primary + " instead of " + peer.Name
	case info.Syncing && info.SyncLeft > 0:
		seen = "full sync, " + size(info.SyncLeft) + " left"
	case info.Syncing && peer.Redis.Info.Saving:
		seen = fmt.Sprintf("full sync, %s has been saving for %s", peer.Name, peer.Redis.Info.SavingFor)
	case info.Syncing:
		seen = "full sync"
	case !info.LinkUp:
		seen = "the link to " + peer.Name + " is down"
	case h.Redis.Rank != Rank(peer.Redis.Rank.Epoch()*4+inSync):
		seen = fmt.Sprintf("the link is up, the hooks have not noted that it is in sync (rank %d, %s has %d)",
			h.Redis.Rank, peer.Name, peer.Redis.Rank)
	default:
		return "in sync", true
	}
	if h.Hold != "" {
		seen += "; it holds: " + h.Hold
	}
	return seen, false
}

// size is a number of bytes for people.
func size(bytes int64) string {
	switch n := float64(bytes); {
	case bytes < 10_000:
		return fmt.Sprintf("%d bytes", bytes)
	case bytes < 10_000_000:
		return fmt.Sprintf("%.0f kB", n/1e3)
	default:
		return fmt.Sprintf("%.0f MB", n/1e6)
	}
}

// afterHold is what ends a hold. A host that holds while the other one serves is
// not promoted over it: there are two histories, and one has to go.
func (a *assessment) afterHold(h HostState) string {
	if serving, ok := a.state.Serving(); ok && a.state.Hosts[serving].Name != h.Name {
		other := a.state.Hosts[serving].Name
		return "To keep what " + other + " serves, run `hapair stop --host " + h.Name + "`, move " + h.Name +
			"'s data files out of Redis' folder, and run `hapair recover --host " + h.Name + "`."
	}
	return "Bring the other host back, or, if this host's data is the one to keep, run `hapair promote --host " + h.Name + " --force`."
}
