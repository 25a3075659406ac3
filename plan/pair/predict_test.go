package pair

import (
	"strings"
	"testing"
	"time"

	"hapair/plan/spec"
)

// The document's own arithmetic, less its hooks' fixed 10 s of sleep: up to
// 10 s check + 1 s + VRRP 1.6 s.
func TestPredictTheDocumentedTiming(t *testing.T) {
	got := byCase(Predict(documented()))
	near := func(name string, got, want time.Duration) {
		t.Helper()
		if got < want || got > want+time.Second {
			t.Errorf("%s: %s, want %s and some for the hooks", name, got, want)
		}
	}
	release := 648*time.Millisecond + time.Second // skew of priority 90, then one advert as MASTER
	near("kill-redis, at best", got["kill-redis"].Min, time.Second+release)
	near("kill-redis, on average", got["kill-redis"].Typical, 6*time.Second+release)
	near("kill-redis, at worst", got["kill-redis"].Max, 11*time.Second+release)
	near("stop-keepalived", got["stop-keepalived"].Max, release)
	near("kill-both, at best", got["kill-both"].Min, 2*time.Second+release)
	near("kill-both, at worst", got["kill-both"].Max, 3*time.Second+release)
	near("power-off, at worst", got["power-off"].Max, 3500*time.Millisecond+release)
	near("switchover", got["switchover"].Max, release)
	near("freeze-redis, at best", got["freeze-redis"].Min, 3*time.Second+release)
	if got["stop-keepalived"].LosesTail || !got["kill-redis"].LosesTail {
		t.Error("only a dead Redis loses its unreplicated tail")
	}
}

func TestPredictFastTiming(t *testing.T) {
	p := documented()
	p.Keepalived.AdvertInterval = 100 * time.Millisecond
	p.Keepalived.Install.Source.Version = "2.3.3"
	p.Hosts[0].Priority, p.Hosts[1].Priority = 240, 239
	p.Check = spec.Check{Interval: 200 * time.Millisecond, Timeout: time.Second}
	got := byCase(Predict(p))
	// What the project promises for this timing.
	for name, bar := range map[string]time.Duration{
		"kill-redis": 600 * time.Millisecond, "stop-keepalived": 500 * time.Millisecond,
		"kill-both": time.Second, "power-off": time.Second,
		"switchover": 500 * time.Millisecond, "freeze-redis": 2500 * time.Millisecond,
	} {
		if got[name].Typical > bar {
			t.Errorf("%s: %s on average, the bar is %s", name, got[name].Typical, bar)
		}
	}
}

func TestPredictKnowsWhatTheVersionCannot(t *testing.T) {
	p := documented()
	p.Check.Interval = 200 * time.Millisecond
	before := byCase(Predict(p))["kill-redis"].Max
	p.Keepalived.Install.Source.Version = "2.3.3"
	after := byCase(Predict(p))["kill-redis"].Max
	if want := 1800 * time.Millisecond; before-after != want { // 1 s instead of 0.2 s, and one advert
		t.Errorf("keepalived 1.2.10 costs %s more, want %s", before-after, want)
	}
}

func TestPredictionsAreOrderedAndExplained(t *testing.T) {
	for _, p := range Predict(documented()) {
		if p.Min > p.Typical || p.Typical > p.Max || p.Min <= 0 {
			t.Errorf("%s: %s, %s, %s", p.Case, p.Min, p.Typical, p.Max)
		}
		if p.What == "" || !strings.Contains(p.Because, "promotion 40ms to 300ms") {
			t.Errorf("%s: %q because %q", p.Case, p.What, p.Because)
		}
	}
}

func byCase(list []Prediction) map[string]Prediction {
	m := map[string]Prediction{}
	for _, p := range list {
		m[p.Case] = p
	}
	return m
}
