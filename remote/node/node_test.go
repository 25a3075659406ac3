package node

import (
	"flag"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestHistories lets a pair live through random histories of crashes at every
// step of a hook, late and lost hooks, restarts, reboots and partitions. What
// must always be so stands in sim_test.go: replicate, promoting, leads,
// invariants and heal.
//
// They are the same ones each time. -rapid.seed and -rapid.checks are for others.
func TestHistories(t *testing.T) {
	for name, value := range map[string]string{"rapid.checks": "1000000", "rapid.seed": "1"} {
		if f := flag.Lookup(name); f.Value.String() == f.DefValue {
			f.Value.Set(value)
			t.Cleanup(func() { f.Value.Set(f.DefValue) })
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		draw := func(what string, n int) int { return rapid.IntRange(0, n-1).Draw(t, what) }
		live(newWorld(Decide, draw, t.Fatalf), draw("events", 150))
	})
}

func live(w *world, events int) {
	for range events {
		w.event()
	}
	w.heal()
}

// TestGuards takes one guard after the other out of the decisions, and histories
// without it must go wrong: so they would find its loss.
func TestGuards(t *testing.T) {
	without := func(kinds ...Do) func(Config, Seen) Decision {
		return func(c Config, s Seen) Decision {
			d := Decide(c, s)
			d.Actions = slices.DeleteFunc(d.Actions, func(a Action) bool { return slices.Contains(kinds, a.Do) })
			return d
		}
	}
	blind := func(change func(*Config, *Seen)) func(Config, Seen) Decision {
		return func(c Config, s Seen) Decision {
			change(&c, &s)
			return Decide(c, s)
		}
	}
	for name, decide := range map[string]func(Config, Seen) Decision{
		"data is set aside":                       without(SetAside),
		"the peer is fenced":                      without(FencePeer),
		"a primary without the VIP is fenced":     without(FenceMe),
		"the rank of a promotion is kept":         without(KeepRank),
		"one that cannot tell holds":              without(Hold),
		"the peer's rank counts":                  blind(func(_ *Config, s *Seen) { s.Peer.Rank = min(s.Peer.Rank, s.Me.Rank) }),
		"our rank counts":                         blind(func(_ *Config, s *Seen) { s.Me.Rank = min(s.Me.Rank, s.Peer.Rank) }),
		"writes stop before the role is taken":    blind(func(_ *Config, s *Seen) { s.BlockedPeer = true }),
		"writes stop before the role is given":    blind(func(_ *Config, s *Seen) { s.BlockedMe = true }),
		"the last write is waited for, in taking": blind(func(_ *Config, s *Seen) { s.Peer.Offset = min(s.Peer.Offset, s.Me.Offset) }),
		"the last write is waited for, in giving": blind(func(_ *Config, s *Seen) { s.Peer.Offset = max(s.Peer.Offset, s.Me.Offset) }),
		"an old replica is old":                   blind(func(_ *Config, s *Seen) { s.Me.Down = min(s.Me.Down, 0) }),
		"a sync has to be done": blind(func(_ *Config, s *Seen) {
			s.Me.Linked = s.Me.Linked || s.Me.Syncing
			s.Me.Syncing, s.Peer.Online = false, 1
		}),
		"who follows is not in sync at once":       blind(func(_ *Config, s *Seen) { s.Synced = true }),
		"an empty peer is not followed":            blind(func(_ *Config, s *Seen) { s.Peer.Empty = false }),
		"of two primaries of one rank, one yields": blind(func(c *Config, _ *Seen) { c.SelfAddr, c.PeerAddr = "1", "2" }),
		"writes wait for the rank on disk": func(c Config, s Seen) Decision {
			d := Decide(c, s)
			slices.Reverse(d.Actions)
			return d
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(1, 2))
			for n := range 1_000_000 {
				if found := missed(decide, rng); found != "" {
					t.Logf("history %d: %s", n, found)
					return
				}
			}
			t.Error("nothing goes wrong without it")
		})
	}
}

// missed is what goes wrong in a random history; "" if nothing does.
func missed(decide func(Config, Seen) Decision, rng *rand.Rand) (found string) {
	type wrong struct{ what string }
	defer func() {
		if w, ok := recover().(wrong); ok {
			found = w.what
		}
	}()
	w := newWorld(decide, func(_ string, n int) int { return rng.IntN(n) }, func(_ string, args ...any) { panic(wrong{args[0].(string)}) })
	live(w, rng.IntN(150))
	return ""
}
