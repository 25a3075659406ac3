package view

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/lipgloss"

	"hapair/plan/pair"
	"hapair/remote/redisctl"
)

// PairStatus is how a pair is, and what to think of it.
type PairStatus struct {
	pair.State
	Health pair.Health
}

// Status implements View: for each pair a headline, a row for each host, and
// what is wrong with what to do about it.
func (h *Human) Status(pairs []PairStatus) { h.print(&h.out, h.status(pairs, &h.out)) }

// WatchStatus implements View: on a terminal the picture is redrawn in place,
// and the last one stays.
func (h *Human) WatchStatus() (func([]PairStatus), func()) {
	if !h.animated() || !h.out.terminal {
		return func(pairs []PairStatus) {
			h.print(&h.out, h.clock().Format(time.TimeOnly)+"\n"+h.status(pairs, &h.out))
		}, func() {}
	}
	var mu sync.Mutex
	var latest []PairStatus
	stop := h.begin(func(int) []string {
		mu.Lock()
		defer mu.Unlock()
		if latest == nil {
			return nil
		}
		lines := strings.Split(strings.TrimRight(h.status(latest, &h.err), "\n"), "\n")
		return append(lines, h.err.styles.dim.Render(h.clock().Format(time.TimeOnly)+"  Ctrl-C ends"))
	})
	return func(pairs []PairStatus) {
			mu.Lock()
			defer mu.Unlock()
			latest = pairs
		}, func() {
			stop()
			if latest != nil {
				h.Status(latest)
			}
		}
}

func (h *Human) status(pairs []PairStatus, to *stream) string {
	var b strings.Builder
	for i, s := range pairs {
		if i > 0 {
			b.WriteByte('\n')
		}
		pairStatus(&b, s, to)
	}
	return b.String()
}

func pairStatus(b *strings.Builder, p PairStatus, to *stream) {
	st := to.styles
	s, health := p.State, p.Health
	fmt.Fprintf(b, "%s  %s  %s\n", st.title.Render(s.Name), levelStyle(st, health.Level).Render(levelWord(health.Level)), st.dim.Render(vipLine(s)))

	g := grid{columns: []column{
		{title: "HOST"}, {title: "ADDRESS", spare: 3}, {title: "VIP"}, {title: "VRRP"}, {title: "REDIS"}, {title: "LINK"},
		{title: "LAG", right: true, spare: 1}, {title: "EPOCH", right: true, spare: 4}, {title: "VERSIONS", spare: 5},
	}}
	for i, host := range s.Hosts {
		g.rows = append(g.rows, hostRow(s, i, host, st))
	}
	b.WriteString(g.render(to, "  "))

	for _, p := range health.Problems {
		what := p.Summary
		if p.Host != "" {
			what = p.Host + ": " + what
		}
		fmt.Fprintf(b, "  %s %s\n", levelStyle(st, p.Level).Render("▲"), printable(what))
		for _, line := range wrap(p.Hint, to.width()-4) {
			b.WriteString("    " + st.dim.Render(line) + "\n")
		}
	}
	for _, e := range lastEvents(s) {
		fmt.Fprintf(b, "  %s  %s  %s\n", st.dim.Render(pad(e.clock, len(time.Stamp))), st.title.Render(e.host), st.dim.Render(printable(e.text)))
	}
}

// event is a line of a host's state log, as far as people want to see it.
type event struct{ at, clock, host, text string }

// eventsShown is how many of them a status ends with.
const eventsShown = 5

// lastEvents are the newest lines of both hosts' state logs, in their order.
func lastEvents(s pair.State) []event {
	var all []event
	for _, host := range s.Hosts {
		for _, line := range host.Log {
			all = append(all, parseEvent(host.Name, line))
		}
	}
	slices.SortStableFunc(all, func(a, b event) int { return strings.Compare(a.at, b.at) })
	return all[max(0, len(all)-eventsShown):]
}

// parseEvent takes a line apart: an RFC 3339 time, key=value pairs, and msg="…"
// at the end.
func parseEvent(host, line string) event {
	at, rest, _ := strings.Cut(line, " ")
	when, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return event{host: host, text: line}
	}
	e := event{at: at, clock: when.Local().Format(time.Stamp), host: host, text: rest}
	if _, quoted, ok := strings.Cut(rest, " msg="); ok {
		if msg, err := strconv.Unquote(quoted); err == nil {
			e.text = msg
		}
	}
	return e
}

func hostRow(s pair.State, i int, host pair.HostState, st styles) []cell {
	if !host.Reachable() {
		return []cell{
			{host.Name, st.bold}, {host.Address.String(), st.dim}, {"?", st.bad}, {"unreachable", st.bad},
			{"?", st.bad}, {"?", st.bad}, {"", st.plain}, {"", st.plain}, {"", st.plain},
		}
	}
	vip := cell{"", st.plain}
	if len(host.VIPs) > 0 {
		vip = cell{"●", st.good}
	}
	lag := cell{"", st.plain}
	if bytes, ok := s.Lag(i); ok && host.Redis.Role() == redisctl.Replica {
		lag.text = bytesize(bytes)
	}
	epoch := cell{"", st.dim}
	if host.Redis.Rank > 0 {
		epoch.text = fmt.Sprint(host.Redis.Rank.Epoch())
	}
	return []cell{
		{host.Name, st.bold}, {host.Address.String(), st.dim}, vip, vrrpCell(host, st), redisCell(host, st), linkCell(host, st),
		lag, epoch, {versions(host), st.dim},
	}
}

func vrrpCell(host pair.HostState, st styles) cell {
	k := host.Keepalived
	switch {
	case !k.Installed:
		return cell{"not installed", st.bad}
	case !k.Running():
		return cell{orNone(k.Active), st.bad}
	case k.VRRP == pair.Master:
		return cell{string(k.VRRP), st.good}
	case k.VRRP == pair.Fault:
		return cell{string(k.VRRP), st.bad}
	default:
		return cell{string(k.VRRP), st.plain}
	}
}

func redisCell(host pair.HostState, st styles) cell {
	r := host.Redis
	switch {
	case !r.Installed:
		return cell{"not installed", st.bad}
	case !r.Running():
		return cell{orNone(r.Active), st.bad}
	case r.Info == nil:
		return cell{"no answer", st.bad}
	case host.Hold != "":
		return cell{string(r.Role()) + ", holds", st.warn}
	case r.Role() == redisctl.Primary:
		return cell{string(r.Role()), st.good}
	default:
		return cell{string(r.Role()), st.plain}
	}
}

func linkCell(host pair.HostState, st styles) cell {
	in := host.Redis.Info
	switch {
	case in == nil:
		return cell{"", st.plain}
	case in.Role == redisctl.Primary:
		return cell{plural(len(in.Replicas), "replica"), st.dim}
	case in.Syncing:
		return cell{"syncing", st.warn}
	case in.LinkUp:
		return cell{"up", st.good}
	default:
		return cell{"down", st.bad}
	}
}

func versions(host pair.HostState) string {
	var parts []string
	if in := host.Redis.Info; in != nil {
		parts = append(parts, in.Product+" "+in.Version)
	}
	if v := host.Keepalived.Version; v != "" {
		parts = append(parts, "keepalived "+v)
	}
	return strings.Join(parts, ", ")
}

func vipLine(s pair.State) string {
	var parts []string
	for _, vip := range s.VIPs {
		parts = append(parts, netip.AddrPortFrom(vip, uint16(s.Port)).String())
	}
	text := strings.Join(parts, ", ")
	if i, ok := s.Holder(); ok {
		return text + " on " + s.Hosts[i].Name
	}
	holders := 0
	for _, host := range s.Hosts {
		switch {
		case !host.Reachable():
			return text
		case len(host.VIPs) > 0:
			holders++
		}
	}
	if holders == 0 {
		return text + " on neither host"
	}
	return text + " on both hosts"
}

func levelWord(l pair.Level) string {
	switch l {
	case pair.Healthy:
		return "healthy"
	case pair.Warning:
		return "warning"
	case pair.Critical:
		return "critical"
	default:
		return "unknown"
	}
}

func levelStyle(st styles, l pair.Level) lipgloss.Style {
	switch l {
	case pair.Healthy:
		return st.good.Bold(true)
	case pair.Warning:
		return st.warn.Bold(true)
	default:
		return st.bad
	}
}
