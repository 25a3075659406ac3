package drill

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCompareWithAPrediction(t *testing.T) {
	ms := func(n float64) Millis { return Millis(n * float64(time.Millisecond)) }
	p := Prediction{Min: ms(200), Typical: ms(400), Max: ms(800)}
	for _, c := range []struct {
		p        Prediction
		measured Millis
		open     bool
		percent  int
		want     string // empty: no mismatch
	}{
		{p: p, measured: ms(200)},
		{p: p, measured: ms(799)},
		{p: p, measured: ms(1000)}, // exactly 25 %
		{p: p, measured: ms(1001), percent: 25, want: "25 % longer than the longest outage predicted: measured 1.00 s, predicted at most 800 ms"},
		{p: p, measured: ms(4000), percent: 400, want: "400 % longer than the longest outage predicted: measured 4.00 s, predicted at most 800 ms"},
		{p: p, measured: ms(4000), open: true, percent: 400, want: "400 % longer than the longest outage predicted: measured more than 4.00 s, predicted at most 800 ms"},
		{p: p, measured: ms(150)},
		{p: p, measured: ms(50), percent: -75, want: "75 % shorter than the shortest outage predicted: measured 50 ms, predicted at least 200 ms"},
		{p: p, measured: 0, percent: -100, want: "100 % shorter than the shortest outage predicted: measured 0 ms, predicted at least 200 ms"},
		{p: p, measured: ms(50), open: true}, // it has only begun
		// Nothing is shorter than nothing, and no share of it can be told.
		{},
		{measured: ms(5)},
	} {
		got := c.p.compare(c.measured, c.open)
		if got == nil {
			got = &Mismatch{}
		}
		if got.Text != c.want || got.Percent != c.percent {
			t.Errorf("%s, measured %s: %d, %q, want %d, %q", c.p, c.measured, got.Percent, got.Text, c.percent, c.want)
		}
	}
}

// A mismatch is for drills that struck, and of which the outage is known.
func TestCompared(t *testing.T) {
	p := &Prediction{Min: Millis(100 * time.Millisecond), Max: Millis(200 * time.Millisecond)}
	faulted := &Phase{Eager: Tally{Outage: Millis(time.Second)}}
	want := &Mismatch{
		Measured: Millis(time.Second), Bound: p.Max, Percent: 400,
		Text: "400 % longer than the longest outage predicted: measured 1.00 s, predicted at most 200 ms",
	}
	if diff := cmp.Diff(want, compared(&Result{Predicted: p, Faulted: faulted, Faults: make([]Injected, 1)})); diff != "" {
		t.Error(diff)
	}
	for name, r := range map[string]*Result{
		"nothing was predicted": {Faulted: faulted, Faults: make([]Injected, 1)},
		"nothing was struck":    {Predicted: p, Faulted: faulted},
		"it never began":        {Predicted: p},
	} {
		if got := compared(r); got != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestPredictionText(t *testing.T) {
	ms := func(n float64) Millis { return Millis(n * float64(time.Millisecond)) }
	for want, p := range map[string]Prediction{
		"187–907 ms":      {Min: ms(186.6), Max: ms(906.6)},
		"403 ms – 1.28 s": {Min: ms(403), Max: ms(1283)},
		"1.20–11.0 s":     {Min: ms(1200), Max: ms(11000)},
	} {
		if got := p.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
