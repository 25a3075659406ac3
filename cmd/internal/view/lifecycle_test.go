package view

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"hapair/plan/drill"
	"hapair/plan/facts"
	"hapair/plan/pair"
	"hapair/templates"
)

func TestLifecycle(t *testing.T) {
	h, b := newTestView(device{}, "")
	events, done := h.Lifecycle("cache", [2]string{"a", "b"})
	events.Step("a", "start Redis").Done("running, 7 keys", nil)
	waiting := events.Step("b", "become a replica in sync")
	waiting.Progress("link down")
	waiting.Done("", errors.New("deadline"))
	events.Step("", "compare data").Done("a is newer", nil)
	done()
	golden(t, "lifecycle.txt", b.String())

	var out bytes.Buffer
	j := NewJSON(&out, "1.2.3")
	j.clock = func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }
	events, done = j.Lifecycle("cache", [2]string{"a", "b"})
	step := events.Step("a", "start Redis")
	step.Progress("loading")
	step.Done("running, 7 keys", nil)
	events.Step("", "compare data").Done("", errors.New("deadline"))
	j.Stopping()
	done()
	golden(t, "lifecycle.jsonl", out.String())
}

// A long step is heard of now and then where nothing can move.
func TestReminders(t *testing.T) {
	h, b := newTestView(device{}, "")
	now := h.clock()
	h.clock = func() time.Time { return now }
	s := &steps{h: h, places: 1, titles: titleColumns}
	one := s.begin(step{place: "b", title: "build redis 7.0.15"})
	s.progress(one, "compile", "")
	now = now.Add(reminder - time.Second)
	if got := s.reminders(); got != nil {
		t.Errorf("too soon: %q", got)
	}
	now = now.Add(time.Second)
	got := s.reminders()
	if len(got) != 1 || !strings.HasSuffix(got[0], "20s  compile") {
		t.Errorf("reminders: %q", got)
	}
	if got := s.reminders(); got != nil {
		t.Errorf("again at once: %q", got)
	}
	s.end(one, "", nil)
	now = now.Add(time.Hour)
	if got := s.reminders(); got != nil {
		t.Errorf("after its end: %q", got)
	}
	if !strings.Contains(b.String(), "✓ b  build redis 7.0.15") {
		t.Errorf("shown: %q", b)
	}
}

func TestLab(t *testing.T) {
	h, b := newTestView(device{}, "")
	next, done := h.Stages("cache")
	next("network")
	next("hosts: a, b")
	done(nil)
	h.LabUp("cache", "/var/lib/hapair-lab/cache/ssh_config", []LabHost{{"a", "192.168.1.218/24", "eth3"}, {"b", "192.168.1.219/24", "eth5"}})
	golden(t, "lab.txt", b.String())
}

func TestLists(t *testing.T) {
	h, b := newTestView(device{}, "")
	d, _ := drill.ByName(drill.Catalogue(), "kill-redis")
	h.Drills([]drill.Drill{d})
	h.Rendered(facts.Ref{Pair: "cache", Host: "a"}, []templates.File{
		{Path: "/etc/one", Content: []byte("text\n"), Mode: 0o644, Owner: "root", Group: "root"},
		{Path: "/etc/two", Content: []byte("requirepass correct-horse"), Mode: 0o640, Owner: "redisadmin", Group: "develop", Sensitive: true},
	})
	golden(t, "lists.txt", b.String())
}

func TestStatusJSON(t *testing.T) {
	var b bytes.Buffer
	j := NewJSON(&b, "1.2.3")
	j.Status([]PairStatus{{State: sampleState(), Health: pair.Health{}}})
	if got := b.String(); !strings.HasPrefix(got, `{"format":"1.0","pairs":[{"name":"cache",`) || strings.Count(got, "\n") != 1 {
		t.Errorf("status --json is %q", got)
	}
}
