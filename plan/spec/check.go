package spec

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// checkPair compares what stands in one pair.
func (d *decoder) checkPair(p *draft) {
	d.checkHosts(p)
	d.checkAddresses(p)
	d.checkPrefixes(p)
	d.checkVersions(p)
	if p.Keepalived.AuthPassword.IsSet() && p.Keepalived.AdvertInterval < time.Second {
		d.warnAt(p.keepalived.at("auth_password"), "auth_password without effect",
			"An advert interval below a second needs VRRP version 3, which has no authentication: keepalived ignores the password. Remove it, or write advert_interval = \"1s\".")
	}
	if p.Failover.SyncTimeout > time.Minute {
		d.warnAt(p.failover.at("sync_timeout"), "Long sync_timeout",
			"When the peer is slow or half dead, a role change may take this long. 10s suits most.")
	}
}

func (d *decoder) checkHosts(p *draft) {
	a, b := p.Hosts[0], p.Hosts[1]
	sa, sb := p.hosts[0], p.hosts[1]
	if a.Name == b.Name {
		d.errorAt(sb.labelRange(0), "Duplicate host", "Both hosts are called %q. Give each its own name.", a.Name)
	}
	if a.Address == b.Address {
		d.errorAt(sb.at("address"), "Same address twice", "Both hosts have the address %s. Each has its own.", a.Address)
	} else if a.Address.Is4() != b.Address.Is4() {
		d.errorAt(sb.at("address"), "IPv4 and IPv6 mixed", "One host has an IPv4 address, the other an IPv6 one, and one VRRP instance speaks only one of them. Take the same kind for both.")
	}
	switch {
	case a.Priority == b.Priority:
		d.errorAt(sb.at("priority"), "Same priority twice", "Both hosts have priority %d, so who wins when both start is left to chance. Give the first host the higher one.", a.Priority)
	case a.Priority < b.Priority:
		d.warnAt(sa.at("priority"), "Preferred host with the lower priority",
			"%q stands first and so is the preferred primary, but %q has the higher priority and wins when both start at once. Swap the priorities or the hosts.", a.Name, b.Name)
	}
	for i, h := range p.Hosts {
		if advert := p.Keepalived.AdvertInterval; h.Priority < 200 && advert < time.Second {
			d.warnAt(p.hosts[i].at("priority"), "Low priority makes failover slow",
				"When its peer stops, this host waits (256 - priority)/256 of an advert interval before it takes over: %s with priority %d, %s with 240.",
				skew(h.Priority, advert), h.Priority, skew(240, advert))
		}
	}
}

// skew is how long a BACKUP of this priority waits after its peer gave up
// (RFC 5798, 6.1: Skew_Time).
func skew(priority int, advert time.Duration) string {
	return durationText((advert * time.Duration(256-priority) / 256).Round(time.Millisecond))
}

func (d *decoder) checkAddresses(p *draft) {
	seen := map[netip.Addr]bool{}
	for i, vip := range p.VIPs {
		at := p.vips[i].at("address")
		addr := vip.Addr()
		if seen[addr] {
			d.errorAt(at, "Same VIP twice", "%s is a VIP of this pair already. Remove one of the two blocks.", addr)
		}
		seen[addr] = true
		for _, h := range p.Hosts {
			if addr == h.Address {
				d.errorAt(at, "VIP is a host's own address", "%s is the address of host %q, which always has it. The VIP is a third address, free in the hosts' network.", addr, h.Name)
			}
		}
		if addr.Is4() != p.Hosts[0].Address.Is4() {
			d.errorAt(at, "IPv4 and IPv6 mixed", "The VIP %s and the hosts' addresses are of different kinds, and one VRRP instance speaks only one of them.", addr)
		}
	}
	gateway := p.Failover.Gateway
	if !gateway.IsValid() {
		return
	}
	at := p.failover.at("gateway")
	for _, h := range p.Hosts {
		if gateway == h.Address {
			d.errorAt(at, "Gateway is one of the hosts", "%s is host %q itself, which says nothing about the network between them. Take the router, or another machine that is always on.", gateway, h.Name)
		}
	}
	if seen[gateway] {
		d.errorAt(at, "Gateway is the VIP", "%s is on whichever host is MASTER and says nothing about the network. Take the router, or another machine that is always on.", gateway)
	}
}

func (d *decoder) checkPrefixes(p *draft) {
	redis, keepalived := p.Redis.Prefix, p.Keepalived.Prefix
	if nested(redis, keepalived) || nested(keepalived, redis) {
		at := p.keepalived.at("prefix")
		if !p.keepalived.has("prefix") {
			at = p.redis.at("prefix")
		}
		d.errorAt(at, "One prefix inside the other", "Redis is in %s and keepalived in %s. Each needs a folder of its own, with its own owner and mode.", redis, keepalived)
	}
}

// checkVersions holds what the pair asks for against the versions it names.
func (d *decoder) checkVersions(p *draft) {
	d.checkNeeds(p, "keepalived", p.Keepalived.Install, p.KeepalivedNeeds())
	d.checkNeeds(p, p.product(), p.Redis.Install, p.RedisNeeds())
}

func (d *decoder) checkNeeds(p *draft, program string, install Install, needs []Need) {
	asked := install.Version()
	for _, need := range needs {
		if asked == "" || need.Met(asked) {
			continue
		}
		instead := ""
		if need.Instead != "" {
			instead = fmt.Sprintf(", or write %s", need.Instead)
		}
		d.errorAt(p.where(need), fmt.Sprintf("%s %s is too old for this", program, asked),
			"%s came with %s %s. Take that or a later version%s.", strings.ToUpper(need.Feature[:1])+need.Feature[1:], program, need.Since, instead)
		if need.attr == "" {
			return // older than the oldest: the rest follows
		}
	}
}

func (p *draft) where(need Need) hcl.Range {
	switch need.block {
	case "check":
		return p.check.at(need.attr)
	case "redis":
		if need.attr != "" {
			return p.redis.settingRange(need.attr).key
		}
		return p.redisSource.at("version")
	}
	if need.attr != "" {
		return p.keepalived.at(need.attr)
	}
	return p.keepalivedSource.at("version")
}

// checkPairs compares pairs with each other, those on the same hosts most of
// all. Its cost grows with the number of pairs on one host, not of all pairs.
func (d *decoder) checkPairs(drafts []*draft) {
	type owner struct {
		pair string
		what string
	}
	addresses := map[netip.Addr]owner{}
	byHost := map[netip.Addr][]*draft{}
	for _, p := range drafts {
		for _, h := range p.Hosts {
			addresses[h.Address] = owner{p.Name, "a host's address"}
			byHost[h.Address] = append(byHost[h.Address], p)
		}
	}
	for _, p := range drafts {
		for i, vip := range p.VIPs {
			addr := vip.Addr()
			if other, taken := addresses[addr]; taken && other.pair != p.Name {
				d.errorAt(p.vips[i].at("address"), "Address in use", "%s is %s of pair %q. A VIP belongs to one pair alone.", addr, other.what, other.pair)
			}
			addresses[addr] = owner{p.Name, "a VIP"}
		}
	}
	told := map[[2]*draft]bool{}
	for _, p := range drafts {
		for _, h := range p.Hosts {
			for _, other := range byHost[h.Address] {
				if other == p {
					break // the rest comes later and looks back at p
				}
				if pair := [2]*draft{other, p}; !told[pair] {
					told[pair] = true
					d.checkShared(other, p)
				}
			}
		}
	}
}

// checkShared compares two pairs that have a host in common.
func (d *decoder) checkShared(first, p *draft) {
	clash := func(at hcl.Range, what, value, instead string) {
		d.errorAt(at, what+" in use", "Pair %q is on the same host and has %s already. Give each pair its own: %s.", first.Name, value, instead)
	}
	if first.Redis.Port == p.Redis.Port {
		clash(p.redis.at("port"), "Port", fmt.Sprintf("port %d", p.Redis.Port), fmt.Sprintf("redis { port = %d }", p.Redis.Port+1))
	}
	if first.Keepalived.VirtualRouterID == p.Keepalived.VirtualRouterID {
		id := p.Keepalived.VirtualRouterID
		clash(p.keepalived.at("virtual_router_id"), "virtual_router_id", fmt.Sprintf("virtual_router_id %d", id), fmt.Sprintf("keepalived { virtual_router_id = %d }", id%255+1))
	}
	mine := []struct {
		s      *section
		prefix string
	}{{p.redis, p.Redis.Prefix}, {p.keepalived, p.Keepalived.Prefix}}
	for _, m := range mine {
		for _, theirs := range []string{first.Redis.Prefix, first.Keepalived.Prefix} {
			if nested(m.prefix, theirs) || nested(theirs, m.prefix) {
				clash(m.s.at("prefix"), "Prefix", "the folder "+theirs, fmt.Sprintf("%s { prefix = \"/usr/local/%s-%s\" }", m.s.kind, m.s.kind, p.Name))
			}
		}
	}
}
