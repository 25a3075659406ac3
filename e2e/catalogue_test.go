package e2e

import (
	"flag"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hapair/plan/drill"
)

var drillTimes = flag.Int("drill.times", 1, "how often TestCatalogue and TestResets run each drill; more than once, the documented ones, too")

// TestCatalogue runs every drill but the documented ones, which TestDrills has,
// and those that reset hosts, on a pair that has all that a drill can need: a
// password, and a filesystem of its own for the data. Drills measure time:
// nothing else runs beside them.
func TestCatalogue(t *testing.T) {
	p := newPair(t, "catalogue", edited(t, quickstart(t),
		`pair "quickstart" {`, "variable \"secret\" {\n  type      = string\n  sensitive = true\n}\n\npair \"quickstart\" {",
		"  redis {", "  redis {\n    password = var.secret",
		`sync_timeout = "10s"`, "sync_timeout = \"10s\"\n    gateway      = \""+gateway+"\"\n  }\n"+
			// With a gateway, a primary that has lost its replica takes no writes
			// until its next check.
			"  drill \"kill-replica\" {\n    max_outage = \"1s\""))
	p.env = append(p.env, "HAPAIR_VAR_secret=changeit", "REDISCLI_AUTH=changeit")
	for _, host := range []string{"a", "b"} {
		p.sh(host, "mkdir /usr/local/redis; mount -t tmpfs -o size=300m tmpfs /usr/local/redis")
	}
	p.apply()
	p.redis("SET", "written", "before")

	for _, d := range drill.Catalogue() {
		if (d.Case == 0 || *drillTimes > 1) && !resets(d) {
			t.Run(d.Name, func(t *testing.T) { p.in(t).proves(d.Name) })
		}
	}

	// With hapair killed, the host ends the fault, as soon as nobody has the lock.
	kill := func(p *testPair, name string, first func()) {
		p.t.Helper()
		p.watch(func(hapair *os.Process, e event) {
			if e.Type == "fault_verified" {
				first()
				hapair.Kill()
			}
		}, "drill", name, "--i-know").exits(-1)
	}
	t.Run("the host undoes it", func(t *testing.T) {
		p := p.in(t)
		kill(p, "kill-both", func() {})
		p.heals()
		p.nothingLeft()
	})
	// With SSH cut and not a word of it, nothing is heard of the drill: neither by
	// the hosts, nor of them.
	t.Run("SSH is lost", func(t *testing.T) {
		p := p.in(t)
		struck := p.standing().primary
		ssh := func(command string) {
			for _, host := range []string{"a", "b"} {
				p.sh(host, command)
			}
		}
		cut := false
		p.watch(func(_ *os.Process, e event) {
			if e.Type == "fault_verified" && !cut {
				cut = true
				ssh(`nft '
					add table inet silence
					add chain inet silence in { type filter hook input priority 0; }
					add chain inet silence out { type filter hook output priority 0; }
					add rule inet silence in tcp dport 22 drop
					add rule inet silence out tcp sport 22 drop'`)
			}
		}, "drill", "isolate-primary", "--i-know").exits(1).says("the host does it by itself within 30s")
		p.eventually("the fault has ended", func() bool {
			return p.sh(struck, "ls -d /run/hapair/quickstart/drill 2>/dev/null || :") == ""
		})
		p.nothingLeft()
		ssh("nft delete table inet silence")
		p.heals()
		p.nothingLeft()
	})
	t.Run("one at a time", func(t *testing.T) {
		p := p.in(t)
		second := ""
		p.watch(func(_ *os.Process, e event) {
			if e.Type == "steady_state" {
				second = p.hapair("drill", "initial-state").exits(drill.ExitInconclusive).String()
			}
		}, "drill", "initial-state").exits(0)
		if !strings.Contains(second, "another run of hapair is at work: hapair drill of") {
			t.Errorf("the second drill said\n%s", second)
		}
	})
	t.Run("the next drill undoes it", func(t *testing.T) {
		p := p.in(t)
		struck := p.standing().primary
		kill(p, "block-vrrp", func() { p.sh(struck, "systemctl stop hapair-quickstart-drill") })
		p.eventually("one host has given up its VIP", func() bool {
			const hold = "cat /run/hapair/quickstart/hold 2>/dev/null || :"
			return strings.Contains(p.sh("a", hold)+p.sh("b", hold), "VRRP does not get through")
		})
		o := p.hapair("drill", "initial-state", "--json")
		o.says("block-vrrp of an earlier drill was still on")
		p.heals()
		p.nothingLeft()
	})
	p.settled()
	p.reads("written", "before")
}

// TestResets runs the drills that reset hosts, on a pair whose filesystems are
// there again after it.
func TestResets(t *testing.T) {
	p := newPair(t, "resets", quickstart(t))
	p.apply()
	p.redis("SET", "written", "before")
	for _, d := range drill.Catalogue() {
		if resets(d) {
			t.Run(d.Name, func(t *testing.T) { p.in(t).proves(d.Name) })
		}
	}

	// A power cut says no goodbye: connections are neither closed nor reset, and
	// nobody hears of it, hapair included, until the host is back.
	t.Run("in silence", func(t *testing.T) {
		p := p.in(t)
		p.sh(p.standing().primary, `nft '
			add table inet silence
			add chain inet silence out { type filter hook output priority 0; }
			add rule inet silence out tcp flags & (fin | rst) != 0x0 drop'`)
		p.proves("power-off")
	})

	// With hapair killed, the host comes back by itself all the same.
	t.Run("nobody waits for it", func(t *testing.T) {
		p := p.in(t)
		p.watch(func(hapair *os.Process, e event) {
			if e.Type == "fault_injected" {
				hapair.Kill()
			}
		}, "drill", "power-off", "--i-know").exits(-1)
		p.heals()
		p.nothingLeft()
		p.reads("written", "before")
	})
}

// resets reports whether a drill resets hosts.
func resets(d drill.Drill) bool {
	return slices.ContainsFunc(d.Steps, func(s drill.Step) bool { return s.Fault == drill.PowerOff })
}

// partitions are the drills that no two hosts alone can pass. One that is cut off
// from the gateway, too, knows within bounds; between two that see it nobody
// decides. And what VRRP makes of two MASTERs when the partition ends, the
// handlers "scripts" can only put right afterwards.
var partitions = map[string]struct {
	most    time.Duration // that both are writable
	excused []string      // rules
}{
	"isolate-primary": {4 * time.Second, []string{"one_writer"}},
	"cut-peer-link":   {15 * time.Second, []string{"one_writer", "lost_late"}},
	"heal":            {10 * time.Second, []string{"vip", "roles"}},
}

// proves runs one drill, as often as is asked, and fails the test for whatever is
// not as it should be.
func (p *testPair) proves(name string) {
	p.t.Helper()
	o := p.hapair("drill", name, "--i-know", "--json", "--times", strconv.Itoa(*drillTimes))
	results := p.results(o)
	if len(results) != *drillTimes {
		p.t.Errorf("%d results, want %d\n%s", len(results), *drillTimes, o.err)
	}
	for _, r := range results {
		if r.Verdict != drill.Passed && r.Verdict != drill.Deviated {
			p.t.Errorf("%s: %s", r.Verdict, r.Reason)
			continue
		}
		p.t.Logf("%-16s %s  outage: eager %s, ordinary %s  lost %d of %d  both writable %s", r.Drill, r.Verdict,
			r.Outage(drill.Eager), r.Outage(drill.Ordinary), r.Ledger.Lost, r.Ledger.Acknowledged, r.DualWritable)
		for _, dev := range r.Deviations {
			if slices.Contains(partitions[name].excused, dev.Rule) {
				p.t.Logf("  %s", dev)
			} else {
				p.t.Errorf("%s", dev)
			}
		}
		if most := partitions[name].most; r.DualWritable.Duration() > most {
			p.t.Errorf("both hosts took writes for %s, bounded by %v", r.DualWritable, most)
		}
	}
	for _, s := range drill.Summaries(results) {
		if f := s.Figures; f != nil {
			p.t.Logf("| `%s` | %d of %d | %s | %s | %s | %s | %d, %d | %s, %s |", s.Drill, s.Passed, s.Runs,
				f.Eager.Median, f.Eager.P99, f.Eager.Worst, f.Ordinary.Worst, f.Lost.Median, f.Lost.Worst, f.DualWritable.Median, f.DualWritable.Worst)
		}
	}
	p.nothingLeft()
	p.settled()
	p.reads("written", "before")
}

// nothingLeft fails the test if a drill left anything on the hosts.
func (p *testPair) nothingLeft() {
	p.t.Helper()
	for _, host := range []string{"a", "b"} {
		if left := p.sh(host, `
			ls -d /run/hapair/quickstart/drill 2>/dev/null || :
			systemctl list-units --all --no-legend 'hapair-quickstart-drill*'
			nft list tables | grep drill || :
			ls -d /usr/local/redis/.hapair-drill-fill /usr/local/redis/conf/auth.drill 2>/dev/null || :
			ps -e -o stat=,comm= | grep '^T.*redis' || :`); left != "" {
			p.t.Errorf("left on %s by a drill:\n%s", host, left)
		}
	}
}
