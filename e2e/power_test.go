package e2e

import (
	"strings"
	"testing"
)

// power switches hosts off, or on in this order.
func (p *testPair) power(on bool, hosts ...string) {
	p.t.Helper()
	for _, host := range hosts {
		do := p.PowerOff
		if on {
			do = p.PowerOn
		}
		if err := do(p.t.Context(), host); err != nil {
			p.t.Fatal(err)
		}
	}
}

// cable plugs a host's network in, or pulls it out.
func (p *testPair) cable(host string, in bool) {
	p.t.Helper()
	if err := p.Cable(p.t.Context(), host, in); err != nil {
		p.t.Fatal(err)
	}
}

// TestPowerCuts takes the power away from hosts. What comes back by itself has
// the newest data; what cannot tell whether its data is the newest holds, until
// its peer is back or an operator decides; and then nothing is thrown away.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	p := newPair(t, "power", quickstart(t))
	p.apply()
	p.redis("SET", "first", "1")

	// One host, and back by itself.
	p.power(false, "a")
	p.eventually("b serves", func() bool { return p.holdsVIP("b") })
	p.takesWrites("second", "2")
	p.power(true, "a")
	p.heals()
	if s := p.standing(); s.primary != "b" {
		t.Errorf("the primary is %s: the VIP moved back", s.primary)
	}
	p.reads("first", "1")

	// Both, and back in either order.
	for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		p.power(false, order...)
		p.power(true, order...)
		p.heals()
		p.reads("first", "1")
		p.reads("second", "2")
	}

	// One after the other: the one that comes back alone has the older data.
	s := p.standing()
	older, newer := s.primary, s.replica
	p.power(false, older)
	p.takesWrites("third", "3")
	p.power(false, newer)
	p.power(true, older)
	p.eventually("the older data holds, and lets go of the VIP", func() bool {
		return p.sh(older, "cat /run/hapair/quickstart/hold 2>/dev/null || :") != "" && !p.holdsVIP(older)
	})
	if out := p.sh(older, "/usr/local/redis/bin/redis-cli SET x y"); !strings.Contains(out, "READONLY") {
		t.Errorf("it takes writes: %s", out)
	}
	p.hapair("promote", "--host", older).exits(1).says("--force")
	p.hapair("promote", "--host", older, "--force").exits(0)
	p.reads("first", "1")
	p.redis("SET", "fourth", "4")

	p.power(true, newer)
	p.heals()
	if s := p.standing(); s.primary != older {
		t.Errorf("the primary is %s, want %s, as the operator decided", s.primary, older)
	}
	p.reads("fourth", "4")
	if kept := p.sh(newer, "grep -rlaF third /usr/local/redis | head -n 1"); kept == "" {
		t.Errorf("what %s alone had is thrown away", newer)
	}
	p.settled()
}

// TestCableOut pulls the network out of the primary, and then out of the
// replica. A primary that is cut off lets go of the VIP and takes no more
// writes, and what it alone had is set aside; a replica's cable is felt by
// nobody. Back in the network, both take their place by themselves.
func TestCableOut(t *testing.T) {
	t.Parallel()
	p := newPair(t, "cable", quickstart(t))
	p.apply()
	p.redis("SET", "first", "1")

	p.cable("a", false)
	p.sh("a", "/usr/local/redis/bin/redis-cli SET alone 1") // it has not noticed yet
	p.eventually("b serves", func() bool { return p.holdsVIP("b") })
	p.takesWrites("second", "2")
	p.eventually("a lets go of the VIP", func() bool { return !p.holdsVIP("a") })
	p.eventually("a takes no more writes", func() bool {
		return strings.Contains(p.sh("a", "/usr/local/redis/bin/redis-cli SET alone 2"), "READONLY")
	})
	p.reads("first", "1")

	p.cable("a", true)
	p.heals()
	if s := p.standing(); s.primary != "b" {
		t.Errorf("the primary is %s: the VIP moved back", s.primary)
	}
	p.reads("second", "2")
	p.reads("alone", "") // b never saw it
	if kept := p.sh("a", "grep -rlaF alone /usr/local/redis | grep /set-aside/ | head -n 1"); kept == "" {
		t.Error("what a alone had is thrown away")
	}

	syncs := func() string {
		t.Helper()
		return p.sh("b", "/usr/local/redis/bin/redis-cli INFO stats | grep ^sync_full")
	}
	before := syncs()
	p.cable("a", false)
	p.redis("SET", "third", "3")
	p.eventually("b has noticed", func() bool { return p.hapair("status").code == 1 })
	p.redis("SET", "fourth", "4")
	p.cable("a", true)
	p.heals()
	p.reads("third", "3")
	p.reads("fourth", "4")
	if after := syncs(); after != before {
		t.Errorf("the replica took a full copy: %s before, %s after", before, after)
	}
	p.settled()
}
