package drill

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hapair/remote"
)

// runOn does one drill on a sim, and checks what must be so after any drill:
// nothing of it is left on the pair.
func runOn(t *testing.T, s *sim, ctx context.Context, name string) (*Result, *heard) {
	t.Helper()
	h := &heard{}
	b := &Bench{Pair: s, Events: h, Dial: s.dial}
	r := b.Run(ctx, drillNamed(t, name))
	s.later.Wait()
	s.left = standing(s.Observe(t.Context()))
	s.close()
	for i, f := range s.servers {
		if len(f.strings) > 0 && s.left.Healthy {
			t.Errorf("%d keys of the drill are left on %s", len(f.strings), s.spec.Hosts[i].Name)
		}
	}
	if len(h.started) != 1 || len(h.results) != 1 || h.results[0] != r {
		t.Errorf("started %v, %d results", h.started, len(h.results))
	}
	return r, h
}

func near(got Millis, want, tolerance time.Duration) bool {
	return (got.Duration() - want).Abs() <= tolerance
}

func TestKillRedisPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		r, h := runOn(t, s, t.Context(), "kill-redis")
		if r.Verdict != Passed {
			t.Fatalf("%s: %s %v", r.Verdict, r.Reason, r.Deviations)
		}
		for _, c := range []Client{Eager, Ordinary} {
			if got := r.Outage(c); !near(got, s.failover, 10*time.Millisecond) {
				t.Errorf("outage of %s clients %s, want %s", c, got, s.failover)
			}
		}
		if r.Struck() != "a" || r.Faults[0].Evidence != "process 100 is gone" || !near(r.Faults[0].VerifiedAfter, 5*time.Millisecond, time.Millisecond) {
			t.Errorf("faults: %+v", r.Faults)
		}
		if r.Before.Primary != "a" || r.After.Primary != "b" || r.Recovered.Primary != "b" || r.Faulted.VIPMoves != 1 || r.Recovery.VIPMoves != 0 {
			t.Errorf("before %+v, after %+v, recovered %+v", r.Before, r.After, r.Recovered)
		}
		if l := r.Ledger; l.Lost != 0 || l.Diverged != 0 || l.Acknowledged < 5000 {
			t.Errorf("ledger: %+v", l)
		}
		if r.Steady.Eager.Rate < 950 || r.Steady.Eager.Rate > 1050 || r.Steady.Ordinary.Rate < 450 || r.Steady.Ordinary.Rate > 550 {
			t.Errorf("steady rates: %v and %v", r.Steady.Eager.Rate, r.Steady.Ordinary.Rate)
		}
		if want := []Syncs{{Host: "a"}, {Host: "b", Full: 1}}; !cmp.Equal(r.Syncs, want) {
			t.Errorf("syncs %+v, want %+v", r.Syncs, want)
		}
		if !near(r.Tracks[0].ClockOffset, time.Hour, 10*time.Microsecond) || !near(r.Tracks[1].ClockOffset, 2*time.Hour, 10*time.Microsecond) {
			t.Errorf("clocks are ahead by %s and %s", r.Tracks[0].ClockOffset, r.Tracks[1].ClockOffset)
		}

		var told []string
		for _, e := range r.Timeline {
			told = append(told, strings.TrimSpace(e.Host+" "+string(e.Type)+" "+e.To))
		}
		want := []string{
			"steady_state", "a fault_injected", "a vip_move", "a fault_verified", "a role_change down",
			"b vip_move held", "b role_change primary", "b first_ack", "a recovery_start", "a recovery_step",
			"a role_change replica", "a link_change up", "a recovered", "read_back",
			"a vrrp_change stopped", "b vrrp_change MASTER", "a vrrp_change BACKUP",
		}
		if diff := cmp.Diff(sortedButFirst(want), sortedButFirst(told)); diff != "" {
			t.Errorf("timeline (-want +got):\n%s", diff)
		}
		if len(h.events) != len(r.Timeline) {
			t.Errorf("%d events were told, the timeline has %d", len(h.events), len(r.Timeline))
		}
		for i, want := range []string{"MASTER stopped BACKUP", "BACKUP MASTER"} {
			var states []string
			for _, b := range r.Tracks[i].VRRP {
				states = append(states, b.State)
			}
			if got := strings.Join(states, " "); got != want {
				t.Errorf("VRRP on %s was %s, want %s", r.Tracks[i].Host, got, want)
			}
		}
		for _, e := range r.Timeline {
			if (e.Type == VIPMove || e.Type == VRRPChange) && e.Host == "b" && !near(e.At, s.failover, 2*time.Millisecond) {
				t.Errorf("%s, at %s on b, want %s", e.Text, e.At, s.failover)
			}
		}

		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var again Result
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		retext, _ := json.Marshal(&again)
		if diff := cmp.Diff(string(text), string(retext)); diff != "" {
			t.Errorf("the result changes on its way through JSON:\n%s", diff)
		}
	})
}

// Some events lie within the same sampling interval: their order is not the
// drill's to promise.
func sortedButFirst(events []string) []string {
	out := slices.Clone(events)
	slices.Sort(out[1:])
	return out
}

func TestVerdicts(t *testing.T) {
	proofFailed := errors.New("process 100 is still there")
	tests := []struct {
		name  string
		drill string
		set   func(s *sim)
		want  Verdict
		rules []string // of the deviations, each once
		why   string   // part of the reason
	}{
		{name: "all is well with keepalived stopped", drill: "stop-keepalived", want: Passed},
		{name: "all is well with both killed", drill: "kill-both", want: Passed},
		{name: "all is well and nothing happens", drill: "initial-state", want: Passed},
		{name: "the other host is struck when it is the primary", drill: "kill-redis", set: swap, want: Passed},
		{name: "through SSH", drill: "kill-redis", set: func(s *sim) { s.remote = true }, want: Passed},

		{
			name: "the peer takes too long", drill: "stop-keepalived", want: Deviated, rules: []string{"max_outage"},
			set: func(s *sim) { s.failover = 8 * time.Second },
		},
		{
			name: "the peer never takes over", drill: "kill-redis", want: Deviated,
			rules: []string{"roles", "vip", "vip_moves", "max_outage"},
			set:   func(s *sim) { s.stuck = true },
		},
		{
			name: "the tail is lost with a Redis that died", drill: "kill-redis", want: Passed,
			set: func(s *sim) { s.servers[0].replicaDeaf = true },
		},
		{
			name: "the tail is lost with a Redis that lives", drill: "stop-keepalived", want: Deviated, rules: []string{"max_lost"},
			set: func(s *sim) { s.servers[0].replicaDeaf = true },
		},
		{
			name: "the new primary loses writes", drill: "kill-redis", want: Deviated, rules: []string{"lost_late"},
			set: func(s *sim) {
				s.onFault = func(s *sim, struck int) {
					s.servers[1-struck].set(func(f *fakeRedis) { f.lieAfter = time.Now().Add(200 * time.Millisecond) })
				}
			},
		},
		{
			name: "both take writes", drill: "stop-keepalived", want: Deviated, rules: []string{"one_writer", "roles"},
			set: func(s *sim) { s.unfenced = true },
		},
		{
			name: "the VIP moves back", drill: "kill-redis", want: Deviated, rules: []string{"vip_moves", "roles", "vip", "vrrp", "never_back_in_time"},
			set: func(s *sim) {
				s.onRecover = func(s *sim, struck int) {
					s.servers[1-struck].set(func(f *fakeRedis) { f.role = "slave" })
					s.promote(struck)
					s.hold(struck)
					s.follow(1 - struck)
				}
			},
		},
		{
			name: "the recovered host does not follow", drill: "kill-redis", want: Deviated, rules: []string{"link", "health", "same_data"},
			set: func(s *sim) {
				s.onRecover = func(s *sim, struck int) {
					s.servers[1-struck].set(func(f *fakeRedis) { f.replica = nil })
					s.servers[struck].set(func(f *fakeRedis) { f.linkUp = false })
				}
			},
		},
		{
			name: "a full sync from the older host", drill: "kill-redis", want: Deviated, rules: []string{"never_back_in_time"},
			set: func(s *sim) {
				s.onRecover = func(s *sim, struck int) { s.servers[struck].set(func(f *fakeRedis) { f.syncs++ }) }
			},
		},
		{
			name: "the VIP flaps though nothing was done", drill: "initial-state", want: Deviated, rules: []string{"vip_moves"},
			set: func(s *sim) {
				s.later.Go(func() {
					time.Sleep(4 * time.Second)
					s.hold(1)
					time.Sleep(5 * time.Millisecond)
					s.hold(0)
				})
			},
		},
		{
			name: "a sync though nothing was done", drill: "initial-state", want: Deviated, rules: []string{"syncs"},
			set: func(s *sim) {
				s.later.Go(func() {
					time.Sleep(4 * time.Second)
					s.servers[0].set(func(f *fakeRedis) { f.syncs++ })
				})
			},
		},

		{name: "all is well with a host reset", drill: "power-off", want: Passed},
		{name: "all is well with both hosts reset", drill: "cold-start", want: Passed},
		{name: "all is well when a partition ends", drill: "heal", want: Passed},
		{
			name: "a reset host takes the VIP back", drill: "power-off", want: Deviated, rules: []string{"vip_moves", "roles", "vip", "vrrp", "never_back_in_time"},
			set: func(s *sim) {
				s.onRecover = func(s *sim, struck int) {
					s.servers[1-struck].set(func(f *fakeRedis) { f.role = "slave" })
					s.promote(struck)
					s.hold(struck)
					s.follow(1 - struck)
				}
			},
		},
		{
			name: "a host does not reset", drill: "power-off", want: Inconclusive, why: "could not be proved that power-off landed on a: ",
			set: func(s *sim) { s.stays = true },
		},
		{
			name: "a host refuses to reset", drill: "power-off", want: Inconclusive, why: "could not be proved that power-off landed on a: a: reset: exit code 1",
			set: func(s *sim) { s.proof = &remote.ExitError{Host: "a", Cmd: "reset", Code: 1} },
		},
		{
			name: "a host does not come back", drill: "power-off", want: Failed, why: "a was reset and is not back: no answer within 20s; the last try: a: connect: no route to host; see its console",
			set: func(s *sim) { s.boots = time.Hour },
		},
		{
			name: "the older data wins after a cold start", drill: "cold-start", want: Deviated,
			rules: []string{"roles", "vip", "vrrp", "never_back_in_time"},
			set:   func(s *sim) { s.stale = true },
		},
		{
			name: "what was written long before is lost after a cold start", drill: "cold-start", want: Deviated, rules: []string{"lost"},
			set: func(s *sim) { s.servers[0].lie = 100 },
		},
		{
			name: "the older primary has the VIP when a partition ends", drill: "heal", want: Deviated, rules: []string{"vip"},
			set: func(s *sim) { s.retakes = true },
		},
		{
			name: "the older primary wins when a partition ends", drill: "heal", want: Deviated, rules: []string{"vip", "roles", "vrrp", "lost_late"},
			set: func(s *sim) { s.forgets = true },
		},

		{
			name: "an unwell pair", drill: "kill-redis", want: Inconclusive, why: "healthy pair only: b: the link to a is down",
			set: func(s *sim) { s.servers[1].linkUp = false },
		},
		{
			name: "two primaries", drill: "kill-redis", want: Inconclusive, why: "two primaries",
			set: func(s *sim) { s.servers[1].role = "master" },
		},
		{
			name: "no way to the VIP", drill: "kill-redis", want: Inconclusive, why: "no way to 192.168.1.221:6379: direct: ",
			set: func(s *sim) { s.spec.VIPs[0] = mustPrefix("192.168.1.221/32") },
		},
		{
			name: "another Redis at the VIP", drill: "kill-redis", want: Inconclusive, why: "what answers at 192.168.1.220:6379 is not the Redis of a",
			set: func(s *sim) { s.impostor = true },
		},
		{
			name: "writes fail before the fault", drill: "kill-redis", want: Inconclusive, why: "no steady state: writes through the VIP fail before there is a fault: 4 × connection lost",
			set: func(s *sim) {
				s.later.Go(func() {
					for range 20 {
						time.Sleep(time.Second)
						s.servers[0].set((*fakeRedis).hangUp)
					}
				})
			},
		},
		{
			name: "a hiccup before the fault", drill: "kill-redis", want: Passed,
			set: func(s *sim) {
				s.later.Go(func() {
					time.Sleep(1500 * time.Millisecond)
					s.servers[0].set((*fakeRedis).hangUp)
				})
			},
		},
		{
			name: "the VIP flaps before the fault", drill: "kill-redis", want: Inconclusive, why: "a has not been the primary with the VIP all the time",
			set: func(s *sim) {
				s.later.Go(func() {
					for range 20 {
						time.Sleep(time.Second)
						s.hosts[0].tell("[" + s.hosts[0].stamp() + "] Deleted 2: eth3    inet 192.168.1.220/32 scope global eth3")
						s.hosts[0].tell("[" + s.hosts[0].stamp() + "] 2: eth3    inet 192.168.1.220/32 scope global eth3")
					}
				})
			},
		},
		{
			name: "the fault is not proved", drill: "kill-redis", want: Inconclusive, why: "could not be proved that kill-redis landed on a: process 100 is still there",
			set: func(s *sim) { s.proof = proofFailed },
		},
		{
			name: "the fault says nothing", drill: "kill-redis", want: Inconclusive, why: "the script said nothing of it",
			set: func(s *sim) { s.mute = true },
		},
		{
			name: "recovery fails", drill: "kill-redis", want: Failed, why: "recover a after kill-redis: no room on the disk; the pair is left without it",
			set: func(s *sim) { s.broken = errors.New("no room on the disk") },
		},
		{
			name: "recovery fails after a fault that is not proved", drill: "kill-redis", want: Failed, why: "recover a after kill-redis",
			set: func(s *sim) { s.proof, s.broken = proofFailed, errors.New("no room on the disk") },
		},
	}
	patience := returnTimeout
	t.Cleanup(func() { returnTimeout = patience })
	returnTimeout = 20 * time.Second
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim()
				if tt.set != nil {
					tt.set(s)
				}
				r, _ := runOn(t, s, t.Context(), tt.drill)
				if r.Verdict != tt.want || !strings.Contains(r.Reason, tt.why) {
					t.Errorf("%s: %q %v; want %s: %q", r.Verdict, r.Reason, r.Deviations, tt.want, tt.why)
				}
				var rules []string
				for _, d := range r.Deviations {
					rules = append(rules, d.Rule)
				}
				for _, rule := range append(tt.rules, rules...) {
					if !slices.Contains(rules, rule) || !slices.Contains(tt.rules, rule) {
						t.Errorf("deviations %v; want the rules %v", r.Deviations, tt.rules)
						break
					}
				}
				gone := strings.Contains(tt.why, "is not back")
				if struck := len(r.Faults) > 0 && !gone || tt.why != "" && strings.Contains(tt.why, "said nothing"); struck != (len(s.recovered) > 0) {
					t.Errorf("struck: %t; recovered: %v", struck, s.recovered)
				}
			})
		})
	}
}

// A host that is reset takes the VIP and its VRRP state along, and is watched
// again once it is back: that it is back is the proof.
func TestReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		r, _ := runOn(t, s, t.Context(), "power-off")
		if r.Verdict != Passed {
			t.Fatalf("%s: %s %v", r.Verdict, r.Reason, r.Deviations)
		}
		f := r.Faults[0]
		if len(r.Faults) != 1 || f.Host != "a" || f.What != "reset of the host" || f.Evidence != "another boot, 1" || f.VerifiedAfter < Millis(s.boots) {
			t.Errorf("faults: %+v", r.Faults)
		}
		if got := r.Outage(Eager); !near(got, s.failover, 20*time.Millisecond) {
			t.Errorf("outage %s, want %s", got, s.failover)
		}
		a := r.Tracks[0]
		if len(a.VIP) != 2 || a.VIP[1].State != "" || a.VIP[1].From < 0 || a.VIP[1].From > Millis(pingEvery) {
			t.Errorf("the VIP was on a: %v", a.VIP)
		}
		var states []string
		for _, b := range a.VRRP {
			states = append(states, b.State)
		}
		if got := strings.Join(states, ","); got != "MASTER,,stopped,BACKUP" {
			t.Errorf("VRRP on a was %s", got)
		}
		for _, e := range r.Timeline {
			if e.Type == FaultUndone && !near(e.At, s.boots, 500*time.Millisecond) {
				t.Errorf("%s at %s, want %s", e.Text, e.At, s.boots)
			}
		}
	})
}

func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// swap makes b the primary.
func swap(s *sim) {
	s.promote(1)
	s.hold(1)
	s.mark(0, "BACKUP")
	s.mark(1, "MASTER")
	s.follow(0)
}

// A drill that is refused because of another one leaves that one's faults alone.
func TestAnotherDrillIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.locked = true
		r, _ := runOn(t, s, t.Context(), "kill-redis")
		if r.Verdict != Inconclusive || !strings.HasSuffix(r.Reason, ": another run of hapair is at work: ann") || len(s.ended) > 0 {
			t.Errorf("%s: %q; %v", r.Verdict, r.Reason, s.ended)
		}
	})
}

func TestNotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.remote = true
		swap(s)
		r, _ := runOn(t, s, t.Context(), "kill-redis")
		all := strings.Join(r.Notes, "\n")
		if r.Via != "ssh a" || !strings.Contains(all, "b is the primary now") || !strings.Contains(all, "192.168.1.220:6379 through ssh a (20ms), 192.168.1.218:6379 through ssh a (20ms), 192.168.1.219:6379 through ssh b (20ms); from here: ") {
			t.Errorf("via %q, notes:\n%s", r.Via, all)
		}
		if r.Struck() != "b" {
			t.Errorf("%s was struck", r.Struck())
		}
	})
}

// Without the reset rule an ordinary client hangs for its whole deadline. The
// drill waits for it, and says so.
func TestOrdinaryClientsAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.silent = true
		r, _ := runOn(t, s, t.Context(), "stop-keepalived")
		if got := r.Outage(Eager); got.Duration() > 450*time.Millisecond {
			t.Errorf("eager clients missed %s", got)
		}
		if got := r.Outage(Ordinary); !near(got, 5*time.Second, 20*time.Millisecond) || r.Faulted.Ordinary.Open {
			t.Errorf("ordinary clients missed %s, open=%t", got, r.Faulted.Ordinary.Open)
		}
		if r.Verdict != Deviated || len(r.Deviations) != 1 || !strings.Contains(r.Deviations[0].String(), "ordinary clients miss at most") {
			t.Errorf("%s: %v", r.Verdict, r.Deviations)
		}
	})
}

// The probes do not touch a replica.
func TestReplicaIsOnlyAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		runOn(t, s, t.Context(), "initial-state")
		for name, n := range s.servers[1].commands {
			if !slices.Contains([]string{"HELLO", "PING", "INFO", "GET"}, name) && (name != "DEL" || n > 1) {
				t.Errorf("the replica got %d × %s", n, name)
			}
		}
	})
}

// What is lost is counted, to the write, and told apart by when it was lost.
func TestLostTailIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.servers[0].replicaDeaf = true
		r, _ := runOn(t, s, t.Context(), "kill-redis")
		if want := s.servers[0].unsent; r.Ledger.Lost < want-6 || r.Ledger.Lost > want || want == 0 || r.Ledger.LostLate != 0 {
			t.Errorf("lost %d, %d of them late; the replica never got %d", r.Ledger.Lost, r.Ledger.LostLate, want)
		}
		for _, loss := range r.Ledger.Losses {
			if loss.To > Millis(5*time.Millisecond) {
				t.Errorf("a loss after the fault: %+v", loss)
			}
		}
	})
}

// However early or late a drill is interrupted, the pair is whole afterwards,
// and nothing of the drill is left: neither keys nor goroutines (which would
// fail the bubble).
func TestInterruptedAnywhere(t *testing.T) {
	for _, name := range []string{"kill-redis", "power-off"} {
		t.Run(name, func(t *testing.T) { interruptedAnywhere(t, name) })
	}
}

func interruptedAnywhere(t *testing.T, name string) {
	for at := 10 * time.Millisecond; at < 9*time.Second; at += 170 * time.Millisecond {
		t.Run(at.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim()
				ctx, cancel := context.WithTimeoutCause(t.Context(), at, errors.New("interrupted"))
				defer cancel()
				r, _ := runOn(t, s, ctx, name)
				finished := r.Verdict == Passed
				if !finished && (r.Verdict != Inconclusive || r.Reason != "ended early: interrupted") {
					t.Errorf("%s: %q", r.Verdict, r.Reason)
				}
				if !s.left.Healthy {
					t.Errorf("the pair is left unwell: %v", s.left.Problems)
				}
			})
		})
	}
}

func TestSuite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		b := &Bench{Pair: s, Dial: s.dial}
		results := b.Suite(t.Context(), Documented(Catalogue()))
		var got []string
		for _, r := range results {
			host := ""
			if len(r.Faults) > 0 {
				host = " " + r.Struck()
			}
			got = append(got, r.Drill+host+" "+string(r.Verdict))
		}
		want := []string{"initial-state passed", "kill-redis a passed", "stop-keepalived b passed", "kill-both a passed"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if code := ExitCode(results); code != ExitPassed {
			t.Errorf("exit code %d", code)
		}

		s.broken = errors.New("no")
		if results := b.Suite(t.Context(), Documented(Catalogue())); len(results) != 2 || ExitCode(results) != ExitFailed {
			t.Errorf("a suite goes on after a failure: %d results", len(results))
		}
		s.close()
	})
}

func TestExitCode(t *testing.T) {
	of := func(verdicts ...Verdict) (results []*Result) {
		for _, v := range verdicts {
			results = append(results, &Result{Verdict: v})
		}
		return results
	}
	for _, tt := range []struct {
		results []*Result
		want    int
	}{
		{nil, 0}, {of(Passed, Passed), 0}, {of(Passed, Inconclusive), 5}, {of(Inconclusive, Deviated), 4}, {of(Deviated, Failed, Inconclusive), 1},
	} {
		if got := ExitCode(tt.results); got != tt.want {
			t.Errorf("got %d, want %d", got, tt.want)
		}
	}
}
