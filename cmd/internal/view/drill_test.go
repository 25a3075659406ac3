package view

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"hapair/plan/drill"
)

func ms(n float64) drill.Millis { return drill.Millis(n * float64(time.Millisecond)) }

var sampleEvents = []drill.Event{
	{Type: drill.SteadyState, Text: "4 eager and 2 ordinary clients write through the VIP; eager ones 1000/s, p99 1.2 ms"},
	{Type: drill.FaultInjected, Host: "a", Text: "SIGKILL to redis-server, pid 812"},
	{Type: drill.FaultVerified, At: ms(1.8), Host: "a", Text: "process 812 is gone"},
	{Type: drill.RoleChange, At: ms(12), Host: "a", From: "primary", To: "down", Text: "Redis: primary → down"},
	{Type: drill.VRRPChange, At: ms(249), Host: "b", From: "BACKUP", To: "MASTER", Text: "VRRP: BACKUP → MASTER"},
	{Type: drill.VIPMove, At: ms(251), Host: "b", To: "held", Text: "got the VIP"},
	{Type: drill.FirstAck, At: ms(312), Host: "b", Text: "writes are acknowledged again, after 312 ms without"},
	{Type: drill.RecoveryStart, At: ms(1400), Host: "a", Text: "recovery: Redis, then keepalived"},
	{Type: drill.RecoveryStep, At: ms(2100), Host: "a", Text: "start Redis: replica"},
	{Type: drill.Recovered, At: ms(3210), Host: "a", Text: "back in the pair"},
	{Type: drill.ReadBack, At: ms(4300), Text: "3 of 5120 acknowledged writes are lost"},
}

func sampleResults() []*drill.Result {
	none := 0
	return []*drill.Result{
		{
			Drill: "initial-state", Case: 4, Pair: "cache", Verdict: drill.Passed, Objective: drill.Objective{MaxOutage: ms(1000), MaxLost: &none},
			Before: &drill.Standing{Primary: "a", Holder: "a"}, After: &drill.Standing{Primary: "a", Holder: "a"},
			Faulted: &drill.Phase{Eager: drill.Tally{Outage: ms(9)}, Ordinary: drill.Tally{Outage: ms(14)}},
			Ledger:  &drill.Balance{Sent: 4000, Acknowledged: 4000},
		},
		{
			Drill: "kill-redis", Case: 3, Pair: "cache", Verdict: drill.Passed,
			Predicted: &drill.Prediction{Min: ms(120), Typical: ms(250), Max: ms(612)},
			Faults:    []drill.Injected{{Fault: drill.KillRedis, Host: "a", What: "SIGKILL to redis-server, pid 812", Evidence: "process 812 is gone", VerifiedAfter: ms(1.8)}},
			Before:    &drill.Standing{Primary: "a", Holder: "a"}, After: &drill.Standing{Primary: "b", Holder: "b"},
			Recovered: &drill.Standing{Primary: "b", Holder: "b", Hosts: []drill.HostStands{{Host: "a", VRRP: "BACKUP", Redis: "replica"}, {Host: "b", VRRP: "MASTER", Redis: "primary"}}},
			Faulted:   &drill.Phase{Eager: drill.Tally{Outage: ms(312)}, Ordinary: drill.Tally{Outage: ms(340)}, VIPMoves: 1},
			Ledger:    &drill.Balance{Sent: 5130, Acknowledged: 5120, Lost: 3},
			Notes:     []string{"b is the primary now; in the document it is the preferred host, a"},
		},
		{
			Drill: "stop-keepalived", Case: 2, Pair: "cache", Verdict: drill.Deviated,
			Predicted: &drill.Prediction{Min: ms(40), Typical: ms(220), Max: ms(500)},
			Mismatch: &drill.Mismatch{
				Measured: ms(1312), Bound: ms(500), Percent: 162,
				Text: "162 % longer than the longest outage predicted: measured 1.31 s, predicted at most 500 ms",
			},
			Before: &drill.Standing{Holder: "b"}, After: &drill.Standing{Holder: "a"},
			Faulted:    &drill.Phase{Eager: drill.Tally{Outage: ms(1312)}, Ordinary: drill.Tally{Outage: ms(11700)}, VIPMoves: 1},
			Ledger:     &drill.Balance{Sent: 5130, Acknowledged: 5120, Lost: 1},
			Deviations: []drill.Deviation{{Rule: "max_outage", Want: "at most 775 ms", Got: "1.31 s for eager clients"}, {Rule: "lost", Want: "0", Got: "1 of 5120 acknowledged writes"}},
		},
		{Drill: "kill-both", Case: 1, Pair: "cache", Verdict: drill.Inconclusive, Reason: "a drill begins on a healthy pair only: a: Redis is down"},
	}
}

func TestDrill(t *testing.T) {
	onDevices(t, "drill", func(h *Human) {
		h.Still = true
		events, done := h.Drill([2]string{"a", "b"})
		d, _ := drill.ByName(drill.Catalogue(), "kill-redis")
		events.Started("cache", d)
		for _, e := range sampleEvents {
			events.Happened(e)
		}
		results := sampleResults()
		events.Finished(results[1])
		events.Finished(results[2])
		done()
		h.Drilled(results)
		h.Reported([]string{"out/report.json", "out/junit.xml", "out/report.html"})
	})
}

func TestDrillsOften(t *testing.T) {
	onDevices(t, "drill-often", func(h *Human) {
		h.Still = true
		quick, slow := sampleResults()[1], sampleResults()[2]
		h.Drilled([]*drill.Result{quick, slow, quick, slow, quick})
	})
}

func TestDrillsThatAllPass(t *testing.T) {
	h, b := newTestView(device{}, "")
	h.Drilled(sampleResults()[:2])
	if want := "All is as promised: 2 of 2 drills passed.\n"; !strings.HasSuffix(b.String(), want) {
		t.Errorf("got\n%s\nwant it to end with %q", b, want)
	}
}

func TestQuietDrill(t *testing.T) {
	h, b := newTestView(device{}, "")
	h.Quiet = true
	events, done := h.Drill([2]string{"a", "b"})
	d, _ := drill.ByName(drill.Catalogue(), "kill-redis")
	events.Started("cache", d)
	events.Happened(sampleEvents[0])
	events.Finished(sampleResults()[1])
	done()
	if b.Len() > 0 {
		t.Errorf("quiet, yet it said %q", b)
	}
	h.Drilled(sampleResults()[:1])
	if b.Len() == 0 {
		t.Error("not even the result is shown")
	}
}

func TestDrillJSON(t *testing.T) {
	var b bytes.Buffer
	j := NewJSON(&b, "1.2.3")
	j.clock = func() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }
	events, done := j.Drill([2]string{"a", "b"})
	results := sampleResults()[1:3]
	for _, r := range results {
		d, _ := drill.ByName(drill.Catalogue(), r.Drill)
		events.Started("cache", d)
		for _, e := range sampleEvents {
			events.Happened(e)
		}
		events.Finished(r)
	}
	done()
	j.Drilled(results)
	j.Reported([]string{"out/report.json", "out/junit.xml", "out/report.html"})
	golden(t, "drill.jsonl", b.String())
}
