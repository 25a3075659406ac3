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

// TestPowerCuts takes the power away from hosts. What comes back by itself has
// the newest data; what cannot tell whether its data is the newest holds, until
// its peer is back or an operator decides; and then nothing is thrown away.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	p := newPair(t, "power", quickstart(t))
	p.apply()
	p.redis("SET", "first", "1")
	healthy := func() {
		t.Helper()
		p.eventually("the pair is healthy", func() bool { return p.hapair("status").code == 0 })
	}
	reads := func(key, want string) {
		t.Helper()
		if got := p.redis("GET", key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}

	// One host, and back by itself.
	p.power(false, "a")
	p.eventually("b serves", func() bool { return strings.Contains(p.sh("b", "ip -o address show to "+vip), vip) })
	p.eventually("b takes writes", func() bool { return p.redis("SET", "second", "2") == "OK" })
	p.power(true, "a")
	healthy()
	if s := p.standing(); s.primary != "b" {
		t.Errorf("the primary is %s: the VIP moved back", s.primary)
	}
	reads("first", "1")

	// Both, and back in either order.
	for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		p.power(false, order...)
		p.power(true, order...)
		healthy()
		reads("first", "1")
		reads("second", "2")
	}

	// One after the other: the one that comes back alone has the older data.
	s := p.standing()
	older, newer := s.primary, s.replica
	p.power(false, older)
	p.eventually("the replica takes writes", func() bool { return p.redis("SET", "third", "3") == "OK" })
	p.power(false, newer)
	p.power(true, older)
	p.eventually("the older data holds, and lets go of the VIP", func() bool {
		return p.sh(older, "cat /run/hapair/quickstart/hold 2>/dev/null || :") != "" && p.sh(older, "ip -o address show to "+vip) == ""
	})
	if out := p.sh(older, "/usr/local/redis/bin/redis-cli SET x y"); !strings.Contains(out, "READONLY") {
		t.Errorf("it takes writes: %s", out)
	}
	p.hapair("promote", "--host", older).exits(1).says("--force")
	p.hapair("promote", "--host", older, "--force").exits(0)
	reads("first", "1")
	p.redis("SET", "fourth", "4")

	p.power(true, newer)
	healthy()
	if s := p.standing(); s.primary != older {
		t.Errorf("the primary is %s, want %s, as the operator decided", s.primary, older)
	}
	reads("fourth", "4")
	if kept := p.sh(newer, "grep -rlaF third /usr/local/redis | head -n 1"); kept == "" {
		t.Errorf("what %s alone had is thrown away", newer)
	}
	p.settled()
}
