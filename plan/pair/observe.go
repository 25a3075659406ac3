package pair

import (
	"context"
	_ "embed"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"hapair/remote"
	"hapair/remote/redisctl"
)

//go:embed observe.sh
var observeScript string

const (
	observeTimeout = 10 * time.Second // for a host to answer; it does in milliseconds
	logLines       = 10               // of the state log
)

// Observe looks at both hosts at once, with one command each. A host that
// cannot be reached is part of the result.
func (p *Pair) Observe(ctx context.Context) State {
	s := State{Name: p.spec.Name, Port: p.spec.Redis.Port}
	for _, vip := range p.spec.VIPs {
		s.VIPs = append(s.VIPs, vip.Addr())
	}
	var both sync.WaitGroup
	for i := range s.Hosts {
		both.Go(func() { s.Hosts[i] = p.observe(ctx, i) })
	}
	both.Wait()
	return s
}

func (p *Pair) observe(ctx context.Context, i int) HostState {
	h := HostState{Name: p.spec.Hosts[i].Name, Address: p.spec.Hosts[i].Address}
	ctx, cancel := context.WithTimeoutCause(ctx, observeTimeout, fmt.Errorf("no answer within %s", observeTimeout))
	defer cancel()
	l := p.layout
	res, err := p.hosts[i].Run(ctx, remote.Cmd{
		Name: "observe",
		Argv: []string{
			"sh", "-c", observeScript, "observe.sh", l.RedisUnit(), l.KeepalivedUnit(),
			l.KeepalivedProgram(), l.CLI(), strconv.Itoa(p.spec.Redis.Port), l.RedisAuth(),
			l.Run(), l.StateLog(), strconv.Itoa(logLines),
		},
	})
	if err != nil {
		h.Err = err
		return h
	}
	var vips []netip.Addr
	for _, vip := range p.spec.VIPs {
		vips = append(vips, vip.Addr())
	}
	h.read(string(res.Stdout), vips, l.RedisUnit(), l.KeepalivedUnit())
	return h
}

var keepalivedVersion = regexp.MustCompile(`^Keepalived v([0-9]+(?:\.[0-9]+)*)`)

// read fills in what observe.sh printed.
func (h *HostState) read(out string, vips []netip.Addr, redisUnit, keepalivedUnit string) {
	units := map[string]*Unit{redisUnit: &h.Redis.Unit, keepalivedUnit: &h.Keepalived.Unit}
	unit := &Unit{}
	var vrrp string
	var redis []string
	code := 0
	for line := range strings.Lines(out) {
		about, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		switch about {
		case "clock":
			h.Clock = parseClock(value)
		case "unit":
			unit = readUnit(value, unit, units)
		case "address":
			if addr, ok := parseAddress(value); ok && slices.Contains(vips, addr) {
				h.VIPs = append(h.VIPs, addr)
			}
		case "keepalived":
			if m := keepalivedVersion.FindStringSubmatch(value); m != nil {
				h.Keepalived.Version = m[1]
			}
		case "vrrp":
			vrrp = value
		case "hold":
			h.Hold = value
		case "log":
			h.Log = append(h.Log, value)
		case "redis":
			redis = append(redis, value)
		case "redis-code":
			code, _ = strconv.Atoi(value)
		}
	}
	h.Keepalived.VRRP = vrrpState(h.Keepalived.Unit, len(h.VIPs) > 0, vrrp)
	h.Redis.read(redis, code)
}

// readUnit takes one line of systemctl show, which prints a block for each
// unit. It returns the unit that the block is about.
func readUnit(line string, now *Unit, units map[string]*Unit) *Unit {
	name, value, _ := strings.Cut(line, "=")
	// The order of the properties is systemd's: a block ends with a blank line,
	// and what came before the Id is moved to its unit.
	switch name {
	case "":
		return &Unit{}
	case "Id":
		if u := units[value]; u != nil {
			*u = *now
			return u
		}
	case "LoadState":
		now.Installed = value == "loaded"
	case "ActiveState":
		now.Active = value
	case "MainPID":
		now.PID, _ = strconv.Atoi(value)
	}
	return now
}

// vrrpState derives keepalived's state, which no keepalived tells in all
// versions: the VIP is where it is MASTER, and the hooks leave a mark of the
// state that called them last.
func vrrpState(u Unit, hasVIP bool, mark string) VRRP {
	switch {
	case !u.Running():
		return ""
	case hasVIP:
		return Master
	}
	switch state := VRRP(mark); state {
	case Master, Backup, Fault:
		return state
	}
	return "" // it has only just started
}

func (r *Redis) read(lines []string, code int) {
	r.Rank = NoRank
	for i, line := range lines[:max(0, len(lines)-1)] {
		if line == "slave-priority" {
			if rank, err := strconv.Atoi(lines[i+1]); err == nil {
				r.Rank = Rank(rank)
			}
		}
	}
	info, err := redisctl.ParseInfo(strings.Join(lines, "\n"))
	if err == nil {
		r.Info = &info
		return
	}
	r.Rank = NoRank
	for _, line := range lines {
		if line != "" && line != "OK" { // of AUTH
			r.Trouble = line
		}
	}
	switch {
	case code == 124: // of timeout(1)
		r.Trouble = "no answer within 2 s"
	case strings.Contains(r.Trouble, "Connection refused"):
		r.Trouble = "nothing listens on its port"
	case r.Trouble == "":
		r.Trouble = fmt.Sprintf("redis-cli ended with code %d and said nothing", code)
	}
}

// parseClock reads seconds since 1970 with a fraction.
func parseClock(text string) time.Time {
	whole, part, _ := strings.Cut(text, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}
	}
	nsec, _ := strconv.ParseInt(part, 10, 64)
	return time.Unix(sec, nsec)
}

// parseAddress reads a line of `ip -o addr show`:
// "2: eth0    inet 10.0.0.3/32 scope global eth0 …".
func parseAddress(line string) (netip.Addr, bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 || fields[2] != "inet" && fields[2] != "inet6" {
		return netip.Addr{}, false
	}
	text, _, _ := strings.Cut(fields[3], "/")
	addr, err := netip.ParseAddr(text)
	return addr, err == nil
}
