package view

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"hapair/plan"
	"hapair/plan/facts"
	"hapair/plan/pair"
)

func addr(host string, kind plan.Kind, name string) plan.Addr {
	return plan.Addr{Pair: "cache", Host: host, Kind: kind, Name: name}
}

func attrs(pairs ...string) []plan.Attr {
	var out []plan.Attr
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, plan.Attr{Name: pairs[i], Value: pairs[i+1]})
	}
	return out
}

// samplePlan has every kind of change that there is.
func samplePlan() *plan.Plan {
	return &plan.Plan{
		Format: plan.Format,
		Changes: []plan.Change{
			{Addr: addr("a", plan.KindAccount, "redisadmin"), Action: plan.Create, After: plan.Content{Attrs: attrs("group", "develop", "shell", "/usr/sbin/nologin")}},
			{Addr: addr("a", plan.KindPackages, "build"), Action: plan.Create, After: plan.Content{Attrs: attrs("packages", "gcc libc6-dev libnl-3-dev libnl-genl-3-dev libssl-dev make pkg-config")}},
			{Addr: addr("a", plan.KindFile, "/usr/local/redis/conf/redis.conf"), Action: plan.Update, Reason: "restart: rolling, replica first",
				Before: plan.Content{Attrs: attrs("mode", "0644", "owner", "redisadmin:develop"), Text: "port 6379\ntimeout 0\nloglevel notice\nappendonly yes\n"},
				After:  plan.Content{Attrs: attrs("mode", "0640", "owner", "redisadmin:develop"), Text: "port 6379\ntimeout 300\nloglevel notice\nappendonly yes\n"}},
			{Addr: addr("a", plan.KindFile, "/usr/local/redis/conf/auth"), Action: plan.Update,
				Before: plan.Content{Sensitive: true}, After: plan.Content{Sensitive: true}},
			{Addr: addr("a", plan.KindService, "hapair-cache-keepalived.service"), Action: plan.Update, Drift: true, Reason: "it does not run",
				Before: plan.Content{Attrs: attrs("state", "failed")}, After: plan.Content{Attrs: attrs("state", "active")}},
			{Addr: addr("b", plan.KindProgram, "redis"), Action: plan.Replace,
				Before: plan.Content{Attrs: attrs("version", "7.0.14")}, After: plan.Content{Attrs: attrs("version", "7.0.15", "from", "source")}},
			{Addr: addr("b", plan.KindFile, "/usr/local/keepalived/etc/keepalived/scripts/master.sh"), Action: plan.Create,
				After: plan.Content{Attrs: attrs("mode", "0750", "owner", "root:develop"), Text: strings.Repeat("true\n", 42)}},
			{Addr: addr("b", plan.KindFile, "/usr/local/redis/old.conf"), Action: plan.Delete, Before: plan.Content{Attrs: attrs("mode", "0640"), Text: "one\n"}},
		},
		Steps: []plan.Step{
			{ID: "cache/a/files", At: facts.Ref{Pair: "cache", Host: "a"}, Title: "write 2 files"},
			{ID: "cache/b/redis", At: facts.Ref{Pair: "cache", Host: "b"}, Title: "build redis 7.0.15"},
			{ID: "fetch", Title: "fetch redis 7.0.15"},
			{ID: "cache/start", At: facts.Ref{Pair: "cache"}, Title: "start the pair"},
		},
		Outages: []plan.Outages{{Pair: "cache", Cases: []pair.Prediction{
			{Case: "kill-redis", What: "the primary's Redis dies", Min: 120 * time.Millisecond, Typical: 250 * time.Millisecond, Max: 612 * time.Millisecond, LosesTail: true, Because: "check 200 ms, retry 100 ms, skew 6 ms, promotion 50 ms"},
			{Case: "stop-keepalived", What: "keepalived stops", Min: 20 * time.Millisecond, Typical: 40 * time.Millisecond, Max: 1500 * time.Millisecond, Because: "drain, then priority 0"},
		}}},
		Notes: []plan.Note{{At: facts.Ref{Pair: "cache", Host: "b"}, Text: "there is no nftables: clients wait for their own timeout when the VIP moves"}},
	}
}

func TestPlan(t *testing.T) {
	onDevices(t, "plan", func(h *Human) { h.Plan(samplePlan()) })
}

func TestPlanWithoutChanges(t *testing.T) {
	h, b := newTestView(device{}, "")
	h.Plan(&plan.Plan{})
	if got, want := b.String(), "No changes. The pair matches the spec.\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPlanHidesWhatSteersTerminals(t *testing.T) {
	h, b := newTestView(device{}, "")
	h.Plan(&plan.Plan{Changes: []plan.Change{{
		Addr: addr("a", plan.KindFile, "/f"), Action: plan.Update,
		Before: plan.Content{Text: "x\x1b[2J\n"}, After: plan.Content{Text: "y\n"},
	}}})
	if strings.Contains(b.String(), "\x1b") {
		t.Errorf("an escape sequence from a host went through: %q", b)
	}
}

func TestApply(t *testing.T) {
	onDevices(t, "apply", func(h *Human) {
		h.Still = true
		p := samplePlan()
		hooks, done := h.Apply(p)
		for _, s := range p.Steps {
			hooks.StepStarted(s)
		}
		hooks.StepProgress(p.Steps[1], plan.Progress{Text: "compile", Log: "/var/log/hapair/redis.log"})
		hooks.StepProgress(p.Steps[2], plan.Progress{Done: 1_500_000, Total: 3_000_000})
		hooks.StepDone(p.Steps[0], 300*time.Millisecond, nil)
		hooks.StepDone(p.Steps[1], 63*time.Second, errors.New("exit code 2"))
		part := plan.Step{ID: "cache/start/1", Within: "cache/start", At: facts.Ref{Pair: "cache", Host: "a"}, Title: "start keepalived"}
		hooks.StepStarted(part)
		hooks.StepProgress(part, plan.Progress{Text: "MASTER, primary, VIP 192.168.1.220"})
		hooks.StepDone(part, time.Second, nil)
		hooks.StepDone(p.Steps[3], 3*time.Second, nil)
		done()
		h.Applied(p, 125*time.Second)
		h.Next([]Hint{{"hapair status", "both hosts at a glance"}, {"hapair drill documented", "prove the failover"}})
	})
}

// What moves is drawn again and again; here once, as it would look.
func TestApplyLive(t *testing.T) {
	for _, width := range []int{60, 100} {
		d := device{width: width}
		h, _ := newTestView(d, "")
		p := samplePlan()
		now := h.clock()
		h.clock = func() time.Time { return now }
		place, places := placeNames(p)
		s, done := h.showSteps(places, make([]string, len(p.Steps)))
		show := &applySteps{steps: s, place: place, open: map[string]*step{}}
		for _, one := range p.Steps[1:3] {
			show.StepStarted(one)
		}
		show.StepProgress(p.Steps[1], plan.Progress{Text: "compile", Log: "/var/log/hapair/redis.log"})
		show.StepProgress(p.Steps[2], plan.Progress{Done: 1_500_000, Total: 3_000_000})
		done()
		now = now.Add(65 * time.Second)
		golden(t, "apply-live-"+d.String()+".txt", strings.Join(s.lines(width), "\n")+"\n")
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	j := NewJSON(&b, "1.2.3")
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	j.clock = func() time.Time { return now }
	p := samplePlan()
	j.Plan(p)
	hooks, _ := j.Apply(p)
	hooks.StepStarted(p.Steps[0])
	hooks.StepProgress(p.Steps[0], plan.Progress{Text: "write"})
	hooks.StepProgress(p.Steps[0], plan.Progress{Text: "too soon"})
	hooks.StepDone(p.Steps[0], 300*time.Millisecond, nil)
	hooks.StepDone(p.Steps[1], time.Second, errors.New("exit code 2"))
	j.Applied(p, time.Minute)
	j.Problem(sampleStepError())
	golden(t, "plan-apply.jsonl", b.String())
	if j.Err() != nil {
		t.Error(j.Err())
	}
}

func sampleStepError() error {
	return &plan.StepError{
		Step:   plan.Step{ID: "cache/b/redis", At: facts.Ref{Pair: "cache", Host: "b"}, Title: "build redis 7.0.15"},
		Err:    errors.New("compile: exit code 2"),
		Output: []string{"cc: fatal error: Killed signal terminated program cc1", "make[1]: *** [Makefile:404: server.o] Error 1"},
		Log:    "/root/.local/state/hapair/logs/redis.log",
		State:  "Nothing on b has been changed by this step.",
		Next:   "Give the host more memory, or build on the other one. Then run hapair apply again.",
	}
}

func TestProblems(t *testing.T) {
	onDevices(t, "problems", func(h *Human) {
		h.Problem(errors.Join(
			sampleStepError(),
			&plan.Stopped{Done: samplePlan().Steps[:1], Left: samplePlan().Steps[1:]},
			plan.Conflicts{{At: facts.Ref{Pair: "cache", Host: "a"}, What: "port 6379 is taken", Saw: "redis-server (pid 812, user redis) listens on 0.0.0.0:6379", Do: "Stop it and disable it, or give the spec another port."}},
		))
	})
}

func TestWidthsOfText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                       "0 ms",
		300 * time.Microsecond:  "< 1 ms",
		47 * time.Millisecond:   "47 ms",
		1350 * time.Millisecond: "1.35 s",
		18 * time.Second:        "18.0 s",
	} {
		if got := latency(d); got != want {
			t.Errorf("latency(%v) = %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		300 * time.Millisecond:      "0.3s",
		42 * time.Second:            "42s",
		185 * time.Second:           "3m05s",
		2*time.Hour + 3*time.Minute: "2h03m",
	} {
		if got := elapsed(d); got != want {
			t.Errorf("elapsed(%v) = %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1500: "1.5 kB", 3_000_000: "3.0 MB", 2_500_000_000: "2.5 GB"} {
		if got := bytesize(n); got != want {
			t.Errorf("bytesize(%d) = %q, want %q", n, got, want)
		}
	}
}
