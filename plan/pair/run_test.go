package pair

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hapair/remote"
)

// In these tests time is synctest's: a wait of minutes is over at once.

func TestStartBringsUpANewPairInTheDocumentedOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var r recorder
		if err := w.pair.Start(t.Context(), &r); err != nil {
			t.Fatal(err)
		}
		slices.Sort(w.acts[:2]) // both Redis start at once
		want := []string{"a: start redis", "b: start redis", "a: start keepalived", "b: start keepalived"}
		if diff := cmp.Diff(want, w.acts); diff != "" {
			t.Errorf("commands: -want +got\n%s", diff)
		}
		slices.Sort(r.steps[:2])
		wantSteps := []string{
			"a: start Redis: running, 0 keys",
			"b: start Redis: running, 0 keys",
			"compare data: both are empty",
			"a: start keepalived: running",
			"a: become MASTER and primary: MASTER, VIP, primary 192.168.1.220",
			"b: start keepalived: running",
			"b: become a replica in sync: in sync",
		}
		if diff := cmp.Diff(wantSteps, r.steps); diff != "" {
			t.Errorf("steps: -want +got\n%s", diff)
		}
		if h := Assess(w.pair.Observe(t.Context())); h.Level != Healthy {
			t.Errorf("after the start: %+v", h)
		}
	})
}

func TestOperationsOnAPairThatIsThereAlreadyDoNothing(t *testing.T) {
	for name, op := range map[string]func(context.Context, *Pair, Events) error{
		"start":        func(ctx context.Context, p *Pair, ev Events) error { return p.Start(ctx, ev) },
		"start a":      func(ctx context.Context, p *Pair, ev Events) error { return p.Start(ctx, ev, "a") },
		"recover":      func(ctx context.Context, p *Pair, ev Events) error { return p.Recover(ctx, ev) },
		"recover b":    func(ctx context.Context, p *Pair, ev Events) error { return p.Recover(ctx, ev, "b") },
		"switchover a": func(ctx context.Context, p *Pair, ev Events) error { return p.Switchover(ctx, ev, "a") },
		"promote a":    func(ctx context.Context, p *Pair, ev Events) error { return p.Promote(ctx, ev, "a") },
		"roll nothing": func(ctx context.Context, p *Pair, ev Events) error { return p.Roll(ctx, ev, [2]Change{}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newRunning(t)
				var r recorder
				if err := op(t.Context(), w.pair, &r); err != nil {
					t.Fatal(err)
				}
				if len(w.acts) > 0 {
					t.Errorf("commands on a healthy pair: %q", w.acts)
				}
			})
		})
	}
	t.Run("stop", func(t *testing.T) {
		w := newWorld(t)
		if err := w.pair.Stop(t.Context(), Quiet{}); err != nil || len(w.acts) > 0 {
			t.Errorf("stop of a stopped pair: %v, commands %q", err, w.acts)
		}
	})
}

func TestOrders(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(*world)
		do      func(context.Context, *Pair) error
		want    []string
		serving string // at the end; empty: nobody
	}{
		{
			name:    "start, b has the newer data",
			prepare: func(w *world) { w.stopped(5, 9) },
			do:      func(ctx context.Context, p *Pair) error { return p.Start(ctx, Quiet{}) },
			want:    []string{"a: start redis", "b: start redis", "b: start keepalived", "a: start keepalived"},
			serving: "b",
		},
		{
			name:    "start after an interrupted start",
			prepare: func(w *world) { w.stopped(5, 4); w.hosts[0].redis, w.hosts[0].master = "active", placeholder },
			do:      func(ctx context.Context, p *Pair) error { return p.Start(ctx, Quiet{}) },
			want:    []string{"b: start redis", "a: start keepalived", "b: start keepalived"},
			serving: "a",
		},
		{
			name: "stop",
			do:   func(ctx context.Context, p *Pair) error { return p.Stop(ctx, Quiet{}) },
			want: []string{"b: stop keepalived", "a: stop keepalived", "b: stop redis", "a: stop redis"},
		},
		{
			name:    "stop the primary's host",
			do:      func(ctx context.Context, p *Pair) error { return p.Stop(ctx, Quiet{}, "a") },
			want:    []string{"a: stop keepalived", "a: stop redis"},
			serving: "b",
		},
		{
			name:    "stop the replica's host",
			do:      func(ctx context.Context, p *Pair) error { return p.Stop(ctx, Quiet{}, "b") },
			want:    []string{"b: stop keepalived", "b: stop redis"},
			serving: "a",
		},
		{
			name: "recover after the primary's Redis died",
			prepare: func(w *world) {
				a, b := w.hosts[0], w.hosts[1]
				a.redis, a.keepalived, a.vip, a.primary = "failed", "inactive", false, false
				b.vip, b.primary, b.master, b.link, b.rank = true, true, "", false, 11
			},
			do:      func(ctx context.Context, p *Pair) error { return p.Recover(ctx, Quiet{}) },
			want:    []string{"a: start redis", "a: start keepalived"},
			serving: "b",
		},
		{
			name:    "recover a host whose keepalived alone was stopped",
			prepare: func(w *world) { w.hosts[1].keepalived = "inactive" },
			do:      func(ctx context.Context, p *Pair) error { return p.Recover(ctx, Quiet{}, "b") },
			want:    []string{"b: start keepalived"},
			serving: "a",
		},
		{
			name:    "recover a pair in which nobody serves",
			prepare: func(w *world) { w.stopped(5, 4) },
			do:      func(ctx context.Context, p *Pair) error { return p.Recover(ctx, Quiet{}) },
			want:    []string{"a: start redis", "b: start redis", "a: start keepalived", "b: start keepalived"},
			serving: "a",
		},
		{
			name:    "recover the host that is left",
			prepare: func(w *world) { w.stopped(5, 4); w.hosts[1].gone = errors.New("no route to host") },
			do:      func(ctx context.Context, p *Pair) error { return p.Recover(ctx, Quiet{}) },
			want:    []string{"a: start redis", "a: start keepalived"},
			serving: "a",
		},
		{
			name:    "switchover",
			do:      func(ctx context.Context, p *Pair) error { return p.Switchover(ctx, Quiet{}, "b") },
			want:    []string{"a: stop keepalived", "a: start keepalived"},
			serving: "b",
		},
		{
			name: "promote a host that holds",
			prepare: func(w *world) {
				w.stopped(5, 9)
				w.hosts[1].gone = errors.New("no route to host")
				a := w.hosts[0]
				a.redis, a.keepalived, a.master, a.hold = "active", "active", placeholder, "b may have newer data"
			},
			do:      func(ctx context.Context, p *Pair) error { return p.Promote(ctx, Quiet{}, "a") },
			want:    []string{"a: promote.sh --force"},
			serving: "a",
		},
		{
			name: "restart",
			do:   func(ctx context.Context, p *Pair) error { return p.Restart(ctx, Quiet{}) },
			want: []string{
				"b: stop keepalived", "b: stop redis", "b: start redis", "b: start keepalived",
				"a: stop keepalived", "a: stop redis", "a: start redis", "a: start keepalived",
			},
			serving: "b",
		},
		{
			name: "roll Redis of the replica alone",
			do: func(ctx context.Context, p *Pair) error {
				return p.Roll(ctx, Quiet{}, [2]Change{1: {Redis: true}})
			},
			want:    []string{"b: stop keepalived", "b: stop redis", "b: start redis", "b: start keepalived"},
			serving: "a",
		},
		{
			name: "roll keepalived's configuration: never two that differ",
			do: func(ctx context.Context, p *Pair) error {
				return p.Roll(ctx, Quiet{}, [2]Change{{Keepalived: Reload}, {Keepalived: Reload}})
			},
			want:    []string{"b: stop keepalived", "a: reload keepalived", "b: start keepalived"},
			serving: "a",
		},
		{
			name:    "roll keepalived's configuration of a version that cannot reload",
			prepare: func(w *world) { w.version = "1.2.10" },
			do: func(ctx context.Context, p *Pair) error {
				return p.Roll(ctx, Quiet{}, [2]Change{{Keepalived: Reload}, {Keepalived: Reload}})
			},
			want:    []string{"b: stop keepalived", "a: stop keepalived --no-block", "b: start keepalived", "a: start keepalived"},
			serving: "b",
		},
		{
			name: "roll the programs of both",
			do: func(ctx context.Context, p *Pair) error {
				return p.Roll(ctx, Quiet{}, [2]Change{{true, Restart}, {true, Restart}})
			},
			want: []string{
				"b: stop keepalived", "b: stop redis", "b: start redis", "b: backup.sh again",
				"a: stop keepalived --no-block", "b: start keepalived",
				"a: stop redis", "a: start redis", "a: start keepalived",
			},
			serving: "b",
		},
		{
			name: "roll everything",
			do: func(ctx context.Context, p *Pair) error {
				return p.Roll(ctx, Quiet{}, [2]Change{{true, Reload}, {true, Reload}})
			},
			want: []string{
				"b: stop keepalived", "b: stop redis", "b: start redis", "a: reload keepalived", "b: start keepalived",
				"a: stop keepalived", "a: stop redis", "a: start redis", "a: start keepalived",
			},
			serving: "b",
		},
		{
			name:    "roll leaves a stopped pair stopped",
			prepare: func(w *world) { w.stopped(5, 4) },
			do: func(ctx context.Context, p *Pair) error {
				return p.Roll(ctx, Quiet{}, [2]Change{{true, Reload}, {true, Restart}})
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newRunning(t)
				if test.prepare != nil {
					test.prepare(w)
				}
				if err := test.do(t.Context(), w.pair); err != nil {
					t.Fatal(err)
				}
				if len(w.acts) > 1 && strings.HasSuffix(w.acts[1], "start redis") {
					slices.Sort(w.acts[:2])
				}
				if diff := cmp.Diff(test.want, w.acts); diff != "" {
					t.Errorf("commands: -want +got\n%s", diff)
				}
				s := w.pair.Observe(t.Context())
				serving := ""
				if i, ok := s.Serving(); ok {
					serving = s.Hosts[i].Name
				}
				if serving != test.serving {
					t.Errorf("%q serves, want %q", serving, test.serving)
				}
			})
		})
	}
}

// stopped has both hosts down, with data of these ranks.
func (w *world) stopped(ranks ...int) {
	for i, m := range w.hosts {
		m.redis, m.keepalived, m.vip, m.primary, m.link = "inactive", "inactive", false, false, false
		m.rank = ranks[i]
	}
}

func TestWhatIsRefused(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(*world)
		do      func(context.Context, *Pair) error
		want    string // in the error
		hint    string // in the hint
		acts    int    // commands that may have run
	}{
		{
			name:    "start with a host that cannot be reached",
			prepare: func(w *world) { w.hosts[1].gone = errors.New("no route to host") },
			do:      func(ctx context.Context, p *Pair) error { return p.Start(ctx, Quiet{}) },
			want:    "b: start the pair: cannot be reached: no route to host", hint: "hapair recover",
		},
		{
			name:    "start with data that nobody can compare",
			prepare: func(w *world) { w.stopped(0, 0) },
			do:      func(ctx context.Context, p *Pair) error { return p.Start(ctx, Quiet{}) },
			want:    "compare data: both hosts have data that never was in this pair; seen last: a: rank 0, 5 keys; b: rank 0, 5 keys",
			hint:    "hapair promote --host HOST --force", acts: 2,
		},
		{
			name:    "restart of the primary while the replica is not in sync",
			prepare: func(w *world) { w.hosts[1].link = false; w.broken[1] = true },
			do:      func(ctx context.Context, p *Pair) error { return p.Restart(ctx, Quiet{}) },
			want:    "a: restart: b is not in sync: the link to a is down", hint: "hapair recover --host b",
		},
		{
			name:    "switchover to a host that holds",
			prepare: func(w *world) { w.hosts[1].hold = "no room" },
			do:      func(ctx context.Context, p *Pair) error { return p.Switchover(ctx, Quiet{}, "b") },
			want:    "a: hand over to b: b holds: no room", hint: "a goes on serving",
		},
		{
			name: "promote while the other host serves",
			do:   func(ctx context.Context, p *Pair) error { return p.Promote(ctx, Quiet{}, "b") },
			want: "b: promote: a serves as the primary", hint: "hapair stop --host a",
		},
		{
			name: "a host that is not the pair's",
			do:   func(ctx context.Context, p *Pair) error { return p.Recover(ctx, Quiet{}, "c") },
			want: `pair cache has no host "c": its hosts are a and b`,
		},
		{
			name:    "a unit that does not start",
			prepare: func(w *world) { w.stopped(5, 4); w.hosts[0].fails["start redis"] = true },
			do:      func(ctx context.Context, p *Pair) error { return p.Start(ctx, Quiet{}) },
			want:    "a: systemctl start " + redisUnit, hint: "systemctl status", acts: 2,
		},
		{
			name:    "hooks that do nothing",
			prepare: func(w *world) { w.stopped(5, 4); w.broken = [2]bool{true, true} },
			do:      func(ctx context.Context, p *Pair) error { return p.Start(ctx, Quiet{}) },
			want:    "a: become MASTER and primary: gave up waiting: nothing moved for 55s; seen last: VRRP BACKUP, no VIP",
			hint:    "/usr/local/keepalived/logs/keepalived.log", acts: 3,
		},
		{
			name: "the host that is left holds",
			prepare: func(w *world) {
				w.stopped(5, 9)
				w.hosts[1].gone = errors.New("no route to host")
			},
			do:   func(ctx context.Context, p *Pair) error { return p.Recover(ctx, Quiet{}) },
			want: "a: become MASTER and primary: the host holds; seen last: VRRP FAULT, no VIP; it holds: b has newer data", hint: "hapair promote --host a --force", acts: 2,
		},
		{
			name: "a handover that the other host does not take",
			prepare: func(w *world) {
				w.broken[1] = true
			},
			do:   func(ctx context.Context, p *Pair) error { return p.Switchover(ctx, Quiet{}, "b") },
			want: "(keepalived was started again on a)", hint: "hapair start", acts: 2,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newRunning(t)
				if test.prepare != nil {
					test.prepare(w)
				}
				err := test.do(t.Context(), w.pair)
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("got  %v\nwant %s", err, test.want)
				}
				var told *Error
				if errors.As(err, &told) && !strings.Contains(told.Hint, test.hint) {
					t.Errorf("hint %q, want %q in it", told.Hint, test.hint)
				}
				if test.hint != "" && told == nil {
					t.Errorf("%v is no *Error", err)
				}
				if len(w.acts) > test.acts {
					t.Errorf("commands %q, want %d at most", w.acts, test.acts)
				}
			})
		})
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.broken[0] = true
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		err := w.pair.Start(ctx, Quiet{})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want a deadline exceeded", err)
		}
		if took := time.Since(start); took > 6*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestNothingBeginsAfterTheContextEnded(t *testing.T) {
	w := newRunning(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	asked := errors.New("asked to stop")
	cancel(asked)
	if err := w.pair.startRedis(ctx, Quiet{}, 0); !errors.Is(err, asked) {
		t.Errorf("got %v, want %v", err, asked)
	}
}

func TestAnUnreachableHostSaysWhatItsConnectionKnows(t *testing.T) {
	w := newRunning(t)
	w.hosts[1].gone = &remote.Error{Host: "b", Op: "verify host key", Err: errors.New("the key changed"), Hint: "ssh-keygen -R b"}
	err := w.pair.Start(t.Context(), Quiet{})
	var told *Error
	if !errors.As(err, &told) || told.Next() != "ssh-keygen -R b" {
		t.Fatalf("got %v, want its hint", err)
	}
	if got := err.Error(); got != "b: start the pair: cannot be reached: verify host key: the key changed" {
		t.Errorf("got %q", got)
	}
}

func TestChangesSurviveAPlanFile(t *testing.T) {
	want := [2]Change{{Redis: true, Keepalived: Restart}, {Keepalived: Reload}}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != `[{"redis":true,"keepalived":"restart"},{"keepalived":"reload"}]` {
		t.Errorf("got %s", text)
	}
	var got [2]Change
	if err := json.Unmarshal(text, &got); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}
