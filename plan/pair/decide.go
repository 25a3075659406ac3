package pair

import (
	"fmt"

	"hapair/remote/redisctl"
)

// decision is which host goes first, and why.
type decision struct {
	first int
	why   string
}

// decideFirst says which host becomes the primary when the pair starts. Both
// Redis answer. Where one serves already there is nothing to decide. It refuses
// what the hooks would refuse too, before anything is at stake.
func decideFirst(s State) (decision, error) {
	a, b := s.Hosts[0], s.Hosts[1]
	if serving, ok := s.Serving(); ok {
		return decision{serving, s.Hosts[serving].Name + " serves already"}, nil
	}
	if a.Redis.Role() == redisctl.Primary && b.Redis.Role() == redisctl.Primary {
		return decision{}, &Error{
			Step: "compare data", Err: fmt.Errorf("%s and %s are both primaries", a.Name, b.Name),
			Hint: "Stop the one whose data is not to be kept with `systemctl stop` of its keepalived and Redis units, then run `hapair recover`.",
		}
	}
	return compareData(dataOf(a), dataOf(b))
}

// data is what is known of a host's data without reading it.
type data struct {
	host string
	rank Rank
	keys int64
}

func dataOf(h HostState) data { return data{h.Name, h.Redis.Rank, h.Redis.Info.Keys} }

// compareData says which of two hosts holds the newer data. The hooks judge by the same ranks; on top of that, this never lets an
// empty host go before one that has data: the operator is there to ask.
func compareData(a, b data) (decision, error) {
	refuse := func(format string, args ...any) (decision, error) {
		return decision{}, &Error{
			Step: "compare data", Err: fmt.Errorf(format, args...),
			Seen: fmt.Sprintf("%s; %s", a, b),
			Hint: "Decide whose data to keep. Then either move the other host's data files away (Redis stopped), or run `hapair promote --host HOST --force` for the one to keep, and start again.",
		}
	}
	for _, d := range []data{a, b} {
		if d.rank == NoRank {
			return decision{}, &Error{
				Host: d.host, Step: "compare data", Err: fmt.Errorf("its Redis publishes no rank of its data: CONFIG GET slave-priority gave nothing"),
				Hint: "hapair's hooks need the command CONFIG. Take `rename-command CONFIG` out of the spec, if it is there.",
			}
		}
	}

	first, newer, older := 0, a, b
	if b.rank > a.rank || a.rank == b.rank && a.keys == 0 && b.keys > 0 {
		first, newer, older = 1, b, a
	}
	switch {
	case newer.rank > older.rank && newer.keys == 0 && older.keys > 0:
		return refuse("%s has newer data by its rank, but holds no key, and %s holds %d", newer.host, older.host, older.keys)
	case newer.rank > older.rank:
		return decision{first, fmt.Sprintf("%s has the newer data (rank %d, %s has %d)", newer.host, newer.rank, older.host, older.rank)}, nil
	case a.keys == 0 && b.keys == 0 && a.rank == 0:
		return decision{first, "both are empty"}, nil
	case a.rank.InSync() && (older.keys > 0 || newer.keys == 0):
		return decision{first, fmt.Sprintf("both have the same data (rank %d)", a.rank)}, nil
	case a.rank == 0 && older.keys == 0:
		return decision{first, fmt.Sprintf("%s has data, %s is empty", newer.host, older.host)}, nil
	case a.rank == 0:
		return refuse("both hosts have data that never was in this pair")
	default:
		return refuse("both hosts have data of rank %d: nobody can tell which is newer", a.rank)
	}
}

func (d data) String() string { return fmt.Sprintf("%s: rank %d, %d keys", d.host, d.rank, d.keys) }

// servingAt reports whether clients are served by host i, and says how far it
// has come.
func (s State) servingAt(i int) (seen string, ok bool) {
	h, peer := s.Hosts[i], s.Hosts[1-i]
	switch {
	case !h.Reachable():
		seen = unreachableError{h}.Error()
	case !h.Keepalived.Running():
		seen = "keepalived is " + h.Keepalived.Active
	case len(peer.VIPs) > 0:
		seen = "the VIP is on " + peer.Name
	case len(h.VIPs) < len(s.VIPs) && h.Keepalived.VRRP == "":
		seen = "keepalived has no VRRP state yet"
	case len(h.VIPs) < len(s.VIPs):
		seen = fmt.Sprintf("VRRP %s, no VIP", h.Keepalived.VRRP)
	case h.Redis.Info == nil:
		seen = "VIP here, but Redis does not answer: " + h.Redis.Trouble
	case h.Redis.Info.Loading:
		seen = "VIP here, Redis is loading its data, " + size(h.Redis.Info.LoadingBytes) + " so far"
	case h.Redis.Role() != redisctl.Primary:
		seen = "VIP here, Redis is not the primary yet"
	case peer.Redis.Role() == redisctl.Primary:
		seen = peer.Name + " is a primary too"
	default:
		return "MASTER, VIP, primary", true
	}
	if h.Hold != "" {
		seen += "; it holds: " + h.Hold
	}
	return seen, false
}

// answering reports whether Redis is up with all its data.
func (h HostState) answering() (seen string, ok bool) {
	switch {
	case !h.Reachable():
		return unreachableError{h}.Error(), false
	case h.Redis.Info == nil:
		return h.Redis.Trouble, false
	case h.Redis.Info.Loading:
		return "loading its data, " + size(h.Redis.Info.LoadingBytes) + " so far", false
	}
	return "running, " + plural(h.Redis.Info.Keys, "key"), true
}

// needsRecovery are the hosts that are not what they should be while the other
// one serves.
func needsRecovery(s State) (hosts []int) {
	serving, ok := s.Serving()
	for i, h := range s.Hosts {
		if ok && i == serving {
			continue
		}
		if _, synced := s.replicaInSync(i); !ok || !synced || !h.Keepalived.Running() || h.Hold != "" {
			hosts = append(hosts, i)
		}
	}
	return hosts
}

// canTakeOver says why host i cannot take over the service, if it cannot: now,
// with its keepalived running, or as soon as that is started.
func canTakeOver(s State, i int, now bool) error {
	h := s.Hosts[i]
	switch seen, ok := s.replicaInSync(i); {
	case !ok:
		return fmt.Errorf("%s is not in sync: %s", h.Name, seen)
	case h.Hold != "":
		return fmt.Errorf("%s holds: %s", h.Name, h.Hold)
	case now && !h.Keepalived.Running():
		return fmt.Errorf("keepalived on %s is %s", h.Name, h.Keepalived.Active)
	case now && h.Keepalived.VRRP == Fault:
		return fmt.Errorf("%s is in VRRP FAULT", h.Name)
	}
	return nil
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
