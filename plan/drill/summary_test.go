package drill

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSummaries(t *testing.T) {
	ran := func(drill string, v Verdict, outage time.Duration, lost int) *Result {
		r := &Result{Drill: drill, Verdict: v, Ledger: &Balance{Lost: lost}, Syncs: []Syncs{{Full: 1}, {Partial: 2}}}
		r.Faulted = &Phase{Eager: Tally{Outage: Millis(outage)}, Ordinary: Tally{Outage: Millis(2 * outage)}, VIPMoves: 1}
		return r
	}
	got := Summaries([]*Result{
		ran("kill-redis", Passed, 30*time.Millisecond, 2),
		ran("kill-both", Failed, 0, 0),
		ran("kill-redis", Deviated, 10*time.Millisecond, 0),
		ran("kill-redis", Passed, 20*time.Millisecond, 7),
		ran("kill-redis", Inconclusive, time.Hour, 1000),
	})
	one := func(ms int) Spread[Millis] {
		return Spread[Millis]{Millis(20 * ms * 1e6), Millis(30 * ms * 1e6), Millis(30 * ms * 1e6)}
	}
	want := []Summary{
		{Drill: "kill-redis", Runs: 4, Passed: 2, Deviated: 1, Inconclusive: 1, Figures: &Figures{
			Eager: one(1), Ordinary: one(2), Lost: Spread[int]{2, 7, 7},
			FullSyncs: Spread[int64]{1, 1, 1}, PartialSyncs: Spread[int64]{2, 2, 2}, VIPMoves: Spread[int]{1, 1, 1},
		}},
		{Drill: "kill-both", Runs: 1, Failed: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Of several runs the median is compared: one slow run is no mismatch, nor does
// a fast one hide it.
func TestMedianIsCompared(t *testing.T) {
	ms := func(n int) Millis { return Millis(time.Duration(n) * time.Millisecond) }
	p := &Prediction{Min: ms(100), Max: ms(200)}
	for _, c := range []struct {
		outages []int
		percent int // 0: no mismatch
	}{
		{[]int{150, 900, 160}, 0},
		{[]int{900, 150, 260}, 30},
		{[]int{150, 20, 30}, -70},
	} {
		var runs []*Result
		for _, outage := range c.outages {
			runs = append(runs, &Result{
				Verdict: Passed, Predicted: p, Ledger: &Balance{},
				Faulted: &Phase{Eager: Tally{Outage: ms(outage)}},
			})
		}
		s := Summaries(runs)[0]
		percent := 0
		if s.Mismatch != nil {
			percent = s.Mismatch.Percent
		}
		if percent != c.percent || s.Predicted != p {
			t.Errorf("%v: %+v, want %d %%", c.outages, s.Mismatch, c.percent)
		}
	}
}

func TestSeries(t *testing.T) {
	var l Ledger
	a := l.open(Eager)
	for _, w := range []struct {
		sent, took time.Duration
		failure    string
	}{
		{90 * time.Millisecond, 5 * time.Millisecond, ""}, // before the window
		{100 * time.Millisecond, 1 * time.Millisecond, ""},
		{110 * time.Millisecond, 3 * time.Millisecond, ""},
		{120 * time.Millisecond, 2 * time.Millisecond, ""},
		{140 * time.Millisecond, 20 * time.Millisecond, "timeout"},
		{215 * time.Millisecond, 4 * time.Millisecond, ""},
		{240 * time.Millisecond, 4 * time.Millisecond, ""}, // after it
	} {
		a.end(a.send(w.sent), w.sent+w.took, w.failure)
	}
	ms := func(n int) Millis { return Millis(time.Duration(n) * time.Millisecond) }
	want := []Bucket{
		{From: ms(-50), To: 0, Acknowledged: 3, P50: ms(2), Max: ms(3)},
		{From: 0, To: ms(50), Failed: 1},
		{From: ms(50), To: ms(70), Acknowledged: 1, P50: ms(4), Max: ms(4)},
	}
	got := l.series(Window{100 * time.Millisecond, 220 * time.Millisecond}, 150*time.Millisecond)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
