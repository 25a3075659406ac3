package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hapair/plan/drill"
)

func TestTicks(t *testing.T) {
	const minute = 60000
	for _, c := range []struct {
		from, to float64
		want     string
	}{
		{-100, 600, "0@14.29% 200 ms@42.86% 400 ms@71.43% 600 ms@100%"},
		{-1000, 4700, "−1 s@0% 0@17.54% 1 s@35.09% 2 s@52.63% 3 s@70.18% 4 s@87.72%"},
		{-300, 1900, "0@13.64% 0.5 s@36.36% 1 s@59.09% 1.5 s@81.82%"},
		{-2, 9, "−2 ms@0% 0@18.18% 2 ms@36.36% 4 ms@54.55% 6 ms@72.73% 8 ms@90.91%"},
		{0, 150000, "0@0% 30 s@20% 60 s@40% 90 s@60% 2:00 min@80% 2:30 min@100%"},
		{-1000, 40 * minute, "0@0.04% 10 min@25.03% 20 min@50.02% 30 min@75.01% 40 min@100%"},
		{0, 30 * 60 * minute, "0@0% 60 min@3.33%"},
	} {
		f := frame{ms(c.from), ms(c.to)}
		var got []string
		for _, tick := range f.ticks() {
			got = append(got, tick.Label+"@"+tick.At.String())
		}
		if text := strings.Join(got, " "); !strings.HasPrefix(text, c.want) || len(got) > maxTicks+1 && c.to < 10*60*minute {
			t.Errorf("%v to %v: %s, want %s", c.from, c.to, text, c.want)
		}
	}
}

func TestDecades(t *testing.T) {
	for _, c := range []struct {
		values []drill.Millis
		want   string
	}{
		{[]drill.Millis{0}, "0.1 ms@0% 1 ms@50% 10 ms@100%"},
		{[]drill.Millis{ms(20), ms(446)}, "10 ms@0% 100 ms@50% 1 s@100%"},
		{[]drill.Millis{ms(10), ms(1000)}, "10 ms@0% 100 ms@50% 1 s@100%"},
		{[]drill.Millis{ms(0.3), ms(1001)}, "0.1 ms@0% 1 ms@20% 10 ms@40% 100 ms@60% 1 s@80% 10 s@100%"},
	} {
		var got []string
		for _, tick := range newDecades(c.values...).ticks() {
			got = append(got, tick.Label+"@"+tick.At.String())
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%v: %s, want %s", c.values, text, c.want)
		}
	}
}

func TestRoundUp(t *testing.T) {
	for n, want := range map[float64]float64{0: 1, 0.3: 0.5, 1: 1, 1.1: 2, 2.2: 2.5, 26: 50, 51: 100, 1500: 2000, 2000: 2000, 40001: 50000} {
		if got := roundUp(n); got != want {
			t.Errorf("%v: %v, want %v", n, got, want)
		}
	}
}

func TestBands(t *testing.T) {
	f := frame{ms(-1000), ms(3000)}
	got := bands("a, Redis", []drill.Band{
		{From: ms(-2000), State: "primary"}, {From: 0, State: ""}, {From: ms(1000), State: "odd"}, {From: ms(1001), State: "down"}, {From: ms(2000), State: "replica"}, {From: ms(3500), State: "late"},
	}, f)
	want := []band{
		{0, 25, "primary", "primary", "a, Redis: primary from −2.00 s to +0 ms"},
		{50, leastWidth, "other", "", "a, Redis: odd from +1.00 s to +1.00 s"}, // too thin to see otherwise
		{50.025, 24.975, "down", "down", "a, Redis: down from +1.00 s to +2.00 s"},
		{75, 25, "replica", "replica", "a, Redis: replica from +2.00 s to +3.50 s"},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b percent) bool { return a.String() == b.String() })); diff != "" {
		t.Error(diff)
	}
}

func TestFrames(t *testing.T) {
	for name, c := range map[string]struct {
		r     *drill.Result
		whole frame
		near  frame // empty: none
	}{
		"nothing was done":   {untouched(0), frame{ms(-1000), ms(3277.5)}, frame{}},
		"a failover":         {failover("x", "a", "b", 0, 450), frame{ms(-1000), ms(4650)}, frame{ms(-448.886) / 6, ms(448.886) + ms(448.886)/3}},
		"it never came back": {long(0), frame{ms(-1000), ms(1804200)}, frame{}},
		"it was ended early": {interrupted(0), frame{ms(-1000), ms(700)}, frame{ms(-428.9) / 6, ms(428.9) + ms(428.9)/3}},
		"it never began":     {unhealthy(0), frame{}, frame{}},
	} {
		whole, ok := wholeFrame(c.r)
		if ok != (c.whole != frame{}) || whole != c.whole {
			t.Errorf("%s: %v", name, whole)
		}
		near, ok := closeUp(c.r, whole)
		if ok != (c.near != frame{}) || ok && near != c.near {
			t.Errorf("%s: close up %v, %v, want %v", name, near, ok, c.near)
		}
	}
}

// Labels never lie over one another, on paper or on a telephone.
func TestLabelsHaveRoom(t *testing.T) {
	r := failover("flap-redis", "a", "b", 0, 450)
	for i := range 200 {
		r.Timeline = append(r.Timeline, drill.Event{Type: drill.RoleChange, At: ms(float64(i*i) / 10), Host: "a", Text: "Redis: down → primary"})
	}
	slices.SortFunc(r.Timeline, func(a, b drill.Event) int { return int(a.At - b.At) })
	for _, plot := range []float64{widePlot, narrowPlot} {
		g := draw(r, frame{ms(-1000), ms(5000)}, frame{}, "x", "x")
		rows := map[int][]extent{}
		shown := 0
		for _, m := range g.Marks {
			if m.Label == "" || m.Wide && plot == narrowPlot {
				continue
			}
			shown++
			rows[m.Y] = append(rows[m.Y], reach(m.X, m.Label, m.Left, plot))
		}
		if shown < 5 || len(rows) > labelRows || len(g.Marks) < 200 {
			t.Errorf("%d of %d marks have a label, in %d rows", shown, len(g.Marks), len(rows))
		}
		for _, row := range rows {
			slices.SortFunc(row, func(a, b extent) int { return int(a.from - b.from) })
			end := 0.0
			for _, e := range row {
				if e.from < end-1e-9 || e.to > plot+labelGap {
					t.Errorf("a label stands from %.0f to %.0f; the one before it ends at %.0f, the plot at %.0f", e.from, e.to, end, plot)
				}
				end = e.to
			}
		}
		for _, m := range g.Marks {
			if m.Class != "" && m.Label == "" {
				t.Errorf("%s has no label", m.Title)
			}
		}
	}
}

func TestCondense(t *testing.T) {
	bucket := func(from, to float64, acked int, p50, slowest float64) drill.Bucket {
		return drill.Bucket{From: ms(from), To: ms(to), Acknowledged: acked, P50: ms(p50), Max: ms(slowest)}
	}
	got := condense([]drill.Bucket{
		bucket(0, 50, 10, 3, 4), bucket(50, 100, 20, 1, 9), bucket(100, 150, 0, 0, 0), // a point
		bucket(150, 200, 5, 2, 2), bucket(200, 250, 5, 4, 5), bucket(250, 300, 5, 9, 9), // another,
		bucket(300, 301, 9, 7, 11), // and what is left of a third
	}, 3)
	want := []point{
		{0, ms(150), 200, 0, ms(3), ms(9)},
		{ms(150), ms(301), 24 / 0.151, 0, ms(7), ms(11)},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(point{}), cmp.Comparer(func(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 })); diff != "" {
		t.Error(diff)
	}
	if got := condense(nil, 3); got != nil {
		t.Errorf("%v of nothing", got)
	}
	long := condense(series(0, 50*36000, 50, 0, 0), mostPoints)
	if len(long) > mostPoints || long[0].from != 0 || long[len(long)-1].to != ms(50*36000) {
		t.Errorf("%d points from %s to %s", len(long), long[0].from, long[len(long)-1].to)
	}
}

func TestCurves(t *testing.T) {
	f := frame{0, ms(100)}
	var points []point
	for i, n := range []float64{10, 10, 20, -1, -1, 30} { // -1: a gap
		points = append(points, point{from: ms(float64(10 * i)), to: ms(float64(10 * (i + 1))), acknowledged: n})
	}
	h := func(p point) (float64, bool) { return p.acknowledged, p.acknowledged >= 0 }
	if got, want := area(points, f, h), "M0 64V10H200V20H300V64ZM500 64V30H600V64Z"; got != want {
		t.Errorf("area %s, want %s", got, want)
	}
	if got, want := line(points, f, h), "M0 10H200V20H300M500 30H600"; got != want {
		t.Errorf("line %s, want %s", got, want)
	}
}

func TestTexts(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{grouped(0), "0"}, {grouped(999), "999"}, {grouped(1000), "1,000"}, {grouped(1234567), "1,234,567"}, {grouped(-1000), "-1,000"}, {grouped(-100), "-100"},
		{span(ms(119999)), "120.0 s"}, {span(ms(120000)), "2 min 0 s"}, {span(ms(3599000)), "59 min 59 s"}, {span(drill.Millis(90 * time.Minute)), "1 h 30 min"},
		{sinceFault(0), "+0 ms"}, {sinceFault(ms(-2712)), "−2.71 s"},
		{percent(33.3333).String(), "33.33%"}, {percent(100).String(), "100%"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	for _, r := range fixtures() {
		if strings.Contains(sentence(r), fmt.Sprint(drill.Passed)) != (r.Verdict == drill.Passed) {
			t.Errorf("%s: %q", r.Verdict, sentence(r))
		}
	}
}
