package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"hapair/plan/drill"
)

// percent is a place across a figure: figures have no width of their own, they
// get that of the page.
type percent float64

func (p percent) String() string {
	return strconv.FormatFloat(math.Round(float64(p)*100)/100, 'f', -1, 64) + "%"
}

// frame is the stretch of a drill that a figure shows.
type frame struct{ from, to drill.Millis }

func (f frame) length() drill.Millis { return f.to - f.from }

// at is where a time stands in the figure; beyond its edges, at the edge.
func (f frame) at(m drill.Millis) percent {
	return percent(100 * float64(min(max(m, f.from), f.to)-f.from) / float64(f.length()))
}

func (f frame) contains(m drill.Millis) bool { return f.from <= m && m <= f.to }

// tick is a mark of an axis.
type tick struct {
	At    percent
	Label string
}

// Anchor is what keeps the label within the figure: start, end, or empty for the
// middle.
func (t tick) Anchor() string {
	switch {
	case t.At < 1:
		return "start"
	case t.At > 94:
		return "end"
	}
	return ""
}

// distances are those between ticks that one can count in.
var distances = []time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond,
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute, time.Hour,
}

// maxTicks have room on a telephone.
const maxTicks = 6

// ticks divide a frame at round times. They count from 0, the fault.
func (f frame) ticks() []tick {
	step := distances[len(distances)-1]
	for _, s := range distances {
		if f.length().Duration()/s < maxTicks {
			step = s
			break
		}
	}
	var all []tick
	first := math.Ceil(float64(f.from) / float64(step))
	for at := time.Duration(first) * step; drill.Millis(at) <= f.to; at += step {
		all = append(all, tick{f.at(drill.Millis(at)), tickLabel(at, step)})
	}
	return all
}

// tickLabel is a round time with the unit that fits the step.
func tickLabel(at, step time.Duration) string {
	sign := ""
	if at < 0 {
		sign, at = "−", -at
	}
	switch {
	case at == 0:
		return "0"
	case step < 500*time.Millisecond && at < time.Second:
		return fmt.Sprintf("%s%d ms", sign, at.Milliseconds())
	case step < time.Minute && at < 2*time.Minute:
		return sign + strconv.FormatFloat(at.Seconds(), 'f', -1, 64) + " s"
	case step < time.Minute:
		return fmt.Sprintf("%s%d:%02d min", sign, int(at.Minutes()), int(at.Seconds())%60)
	default:
		return fmt.Sprintf("%s%d min", sign, int(at.Minutes()))
	}
}

// decades is a logarithmic axis.
type decades struct{ from, to drill.Millis }

// newDecades spans whole powers of ten around the values, at least two.
func newDecades(values ...drill.Millis) decades {
	const least = drill.Millis(100 * time.Microsecond)
	d := decades{from: least}
	if low := slices.MinFunc(values, cmp.Compare); low > least {
		d.from = drill.Millis(math.Pow10(int(math.Floor(math.Log10(float64(low)) + 1e-9))))
	}
	d.to = 100 * d.from
	for d.to < slices.Max(values) {
		d.to *= 10
	}
	return d
}

// share is where a value stands between both ends, from 0 to 1.
func (d decades) share(m drill.Millis) float64 {
	m = min(max(m, d.from), d.to)
	return math.Log(float64(m)/float64(d.from)) / math.Log(float64(d.to)/float64(d.from))
}

func (d decades) at(m drill.Millis) percent { return percent(100 * d.share(m)) }

func (d decades) ticks() []tick {
	var all []tick
	for at := d.from; at <= d.to; at *= 10 {
		label := grouped(int(at.Duration().Seconds())) + " s"
		if at.Duration() < time.Second {
			label = strconv.FormatFloat(at.Duration().Seconds()*1000, 'f', -1, 64) + " ms"
		}
		all = append(all, tick{d.at(at), label})
	}
	return all
}

// roundUp is the next number of the form 1, 2, 2.5 or 5 times a power of ten.
func roundUp(n float64) float64 {
	if n <= 0 {
		return 1
	}
	unit := math.Pow10(int(math.Floor(math.Log10(n))))
	for _, times := range []float64{1, 2, 2.5, 5} {
		if n <= times*unit {
			return times * unit
		}
	}
	return 10 * unit
}
