package drill

import (
	"testing"
	"time"
)

func TestRemarkOnAPrediction(t *testing.T) {
	ms := func(n float64) Millis { return Millis(n * float64(time.Millisecond)) }
	p := Prediction{Min: ms(200), Typical: ms(400), Max: ms(800)}
	for _, c := range []struct {
		p        Prediction
		measured Millis
		want     string
	}{
		{p, ms(200), ""},
		{p, ms(799), ""},
		{p, ms(1000), ""}, // exactly 25 %
		{p, ms(1001), "25 % longer than the longest outage predicted: measured 1.00 s, predicted at most 800 ms"},
		{p, ms(4000), "400 % longer than the longest outage predicted: measured 4.00 s, predicted at most 800 ms"},
		{p, ms(150), ""},
		{p, ms(50), "75 % shorter than the shortest outage predicted: measured 50 ms, predicted at least 200 ms"},
		{p, 0, "100 % shorter than the shortest outage predicted: measured 0 ms, predicted at least 200 ms"},
		// Nothing is shorter than nothing, and no share of it can be told.
		{Prediction{}, 0, ""},
		{Prediction{}, ms(5), ""},
	} {
		if got := c.p.Remark(c.measured); got != c.want {
			t.Errorf("%v to %v, measured %v: %q, want %q", c.p.Min, c.p.Max, c.measured, got, c.want)
		}
	}
}

func TestGravestVerdict(t *testing.T) {
	var all []*Result
	for _, v := range []Verdict{Passed, Inconclusive, Deviated, Failed} {
		all = append(all, &Result{Verdict: v})
		if got := Gravest(all); got != v {
			t.Errorf("%d results: %s, want %s", len(all), got, v)
		}
	}
}
