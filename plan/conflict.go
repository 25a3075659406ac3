package plan

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"hapair/plan/facts"
	"hapair/plan/spec"
)

// Conflicts is why there is no plan: what was seen on the hosts that hapair
// must not touch, in a stable order.
type Conflicts []Conflict

// Conflict is one of them.
type Conflict struct {
	At   facts.Ref `json:"at"`
	What string    `json:"what"` // "port 6379 is taken"
	Saw  string    `json:"saw"`  // the evidence: "redis-server (pid 812, redis.service) listens on 0.0.0.0:6379"
	Do   string    `json:"do"`   // what to do about it
}

func (c Conflict) Error() string { return fmt.Sprintf("%s: %s: %s", c.At, c.What, c.Saw) }

func (c Conflicts) Error() string {
	lines := make([]string, len(c))
	for i, one := range c {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

func (c *Conflicts) add(at facts.Ref, what, saw, do string) {
	*c = append(*c, Conflict{At: at, What: what, Saw: saw, Do: do})
}

// unfit is why host i of p cannot be planned for at all.
func (c *Conflicts) unfit(p *spec.Pair, i int, seen *facts.Host) {
	h := p.Hosts[i]
	at := facts.Ref{Pair: p.Name, Host: h.Name}
	if seen.UID != 0 {
		c.add(at, "no root rights", fmt.Sprintf("commands run there as user %d", seen.UID),
			`Log in as root, or say how to become root: ssh { become = "sudo" }.`)
	}
	if !seen.Systemd {
		c.add(at, "systemd does not run this host", "there is no /run/systemd/system on "+seen.OS.Name,
			"Use a host that boots with systemd.")
	}
	iface, network, ok := seen.HasAddr(h.Address)
	switch {
	case !ok:
		c.add(at, fmt.Sprintf("%s is not an address of this host", h.Address), "it has "+addresses(seen),
			"Correct `address` in the host block; `ssh { address = … }` is for a host that one connects to by another.")
		return
	case h.Interface != "" && h.Interface != iface:
		c.add(at, fmt.Sprintf("interface %s does not hold %s", h.Interface, h.Address), fmt.Sprintf("%s holds it", iface),
			"Correct `interface` in the host block, or leave it out: the interface that holds the address is taken.")
	}
	for _, vip := range p.VIPs {
		if !vip.IsSingleIP() && !network.Masked().Contains(vip.Addr()) && vip.Addr().Is4() == h.Address.Is4() {
			c.add(at, fmt.Sprintf("VIP %s lies outside of the network of %s", vip, iface), fmt.Sprintf("%s is in %s", iface, network.Masked()),
				fmt.Sprintf("Choose an address of that network, or write %s/%d if it is routed here.", vip.Addr(), vip.Addr().BitLen()))
		}
	}
}

func addresses(h *facts.Host) string {
	var all []string
	for _, i := range h.Interfaces {
		for _, a := range i.Addrs {
			if !a.Addr().IsLoopback() && !a.Addr().IsLinkLocalUnicast() {
				all = append(all, i.Name+" "+a.String())
			}
		}
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// foreign is what is in the way on one host, and not hapair's.
func (c *Conflicts) foreign(p *spec.Pair, s *side, peer *facts.Host) {
	c.otherPairs(s)
	if s.old == nil {
		c.occupied(s)
	}
	told := map[int]bool{}
	for _, l := range s.seen.Listeners {
		if l.Unit == s.layout.RedisUnit() || told[l.PID] && l.PID != 0 {
			continue
		}
		told[l.PID] = true // it listens on several addresses
		c.add(s.ref, fmt.Sprintf("port %d is taken", l.Port), fmt.Sprintf("%s listens on %s:%d", whose(l.Program, l.PID, l.Unit), l.Addr, l.Port),
			"Stop and disable it, after you have saved its data; or choose another port: redis { port = … }.")
	}
	iface, _, _ := s.seen.HasAddr(p.Hosts[s.index].Address)
	for _, k := range s.seen.Keepalived {
		if k.Unit == s.layout.KeepalivedUnit() {
			continue
		}
		for _, in := range k.Instances {
			if in.VirtualRouterID == p.Keepalived.VirtualRouterID && in.Interface == iface {
				c.add(s.ref, fmt.Sprintf("virtual_router_id %d is taken on %s", in.VirtualRouterID, iface),
					fmt.Sprintf("vrrp_instance %s of %s, %s", in.Name, k.Conf, whose("keepalived", k.PID, k.Unit)),
					"Stop that keepalived, or choose another number from 1 to 255: keepalived { virtual_router_id = … }.")
			}
		}
	}
	c.takenVIP(p, s, peer)
	const redisRoom, keepalivedRoom, buildRoom = 64 << 20, 16 << 20, 768 << 20
	c.room(s, s.layout.RedisPrefix, redisRoom)
	c.room(s, s.layout.KeepalivedPrefix, keepalivedRoom)
	if len(s.build) > 0 {
		c.room(s, buildDir, buildRoom)
	}
}

// takenVIP finds a VIP that belongs to somebody else.
func (c *Conflicts) takenVIP(p *spec.Pair, s *side, peer *facts.Host) {
	const do = "Find out whose it is: two machines with one address lose connections at random. Or choose another VIP."
	for _, vip := range p.VIPs {
		a := vip.Addr()
		if iface, _, held := s.seen.HasAddr(a); held && s.old == nil {
			c.add(s.ref, fmt.Sprintf("VIP %s is configured already", a), iface+" of this host holds it, and hapair did not put it there",
				fmt.Sprintf("Take it away (ip addr del %s dev %s) and out of the host's network configuration: keepalived is to own it.", a, iface))
		}
		// The two hosts are not seen at one moment: a peer whose keepalived runs
		// may have taken the VIP since.
		_, _, peers := peer.HasAddr(a)
		switch peer.Units[s.layout.KeepalivedUnit()].Active {
		case "active", "activating", "reloading":
			peers = true
		}
		if !peers && slices.Contains(s.seen.Answering, a) {
			c.add(s.ref, fmt.Sprintf("VIP %s answers already", a), "a machine that is neither of the two hosts answers for it", do)
		}
	}
}

// occupied finds things in the folders that are to be hapair's.
func (c *Conflicts) occupied(s *side) {
	for _, prefix := range []string{s.layout.RedisPrefix, s.layout.KeepalivedPrefix} {
		if inOtherPair(s.others, prefix) != "" {
			continue // said already
		}
		var found []string
		for _, e := range s.seen.Entries {
			if path.Dir(e) == prefix {
				found = append(found, path.Base(e))
			}
		}
		if len(found) > 0 {
			c.add(s.ref, prefix+" is not empty", "it holds "+brief(found)+", which hapair did not put there",
				"Move it away, or choose another folder: prefix = … in the redis or keepalived block.")
		}
	}
}

// otherPairs finds what another pair has on this host that this one wants too.
func (c *Conflicts) otherPairs(s *side) {
	for _, prefix := range []string{s.layout.RedisPrefix, s.layout.KeepalivedPrefix} {
		if name := inOtherPair(s.others, prefix); name != "" {
			c.add(s.ref, fmt.Sprintf("%s belongs to pair %s", prefix, name), "its manifest on this host says so",
				"Give each pair a prefix of its own. If the pair was renamed, give it its old name again, or remove the old one first, as docs/operations.md says.")
		}
	}
}

func inOtherPair(others []*Manifest, dir string) string {
	for _, m := range others {
		if _, taken := m.dir(dir); taken {
			return m.Pair
		}
	}
	return ""
}

func (c *Conflicts) room(s *side, dir string, need int64) {
	if free, known := s.seen.Free[dir]; known && free < need {
		c.add(s.ref, "too little room for "+dir, fmt.Sprintf("%d MiB are free, %d MiB are needed", free>>20, need>>20),
			"Make room, or mount a larger filesystem there.")
	}
}

// whose is a process in words.
func whose(program string, pid int, unit string) string {
	if program == "" {
		program = "a process"
	}
	var known []string
	if pid != 0 {
		known = append(known, fmt.Sprintf("pid %d", pid))
	}
	if unit != "" {
		known = append(known, unit)
	}
	if len(known) == 0 {
		return program
	}
	return fmt.Sprintf("%s (%s)", program, strings.Join(known, ", "))
}

// brief is a list that stays short.
func brief(names []string) string {
	const enough = 4
	if len(names) > enough {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:enough], ", "), len(names)-enough)
	}
	return strings.Join(names, ", ")
}

// holds reports whether a host holds every VIP of p.
func holds(h *facts.Host, vips []netip.Prefix) bool {
	for _, v := range vips {
		if _, _, ok := h.HasAddr(v.Addr()); !ok {
			return false
		}
	}
	return true
}
