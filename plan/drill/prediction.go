package drill

import (
	"fmt"
	"math"
	"strings"
)

// Prediction is the outage that the spec's timing alone gives for this drill.
type Prediction struct {
	Min     Millis `json:"min_ms"`
	Typical Millis `json:"typical_ms"`
	Max     Millis `json:"max_ms"`
	Because string `json:"because"` // the arithmetic, in words
}

// String is the range: "187–907 ms", "403 ms – 1.28 s".
func (p Prediction) String() string {
	low, lowUnit, _ := strings.Cut(p.Min.String(), " ")
	high, highUnit, _ := strings.Cut(p.Max.String(), " ")
	if lowUnit == highUnit {
		return low + "–" + high + " " + highUnit
	}
	return low + " " + lowUnit + " – " + high + " " + highUnit
}

// Mismatch is that an outage is not as predicted: it is outside the range by
// more than 25 % of the bound that it passes. Within the range nothing differs:
// it is wide where the outage depends on when the fault comes.
type Mismatch struct {
	Measured Millis `json:"measured_ms"` // eager clients; of several runs the median
	Bound    Millis `json:"bound_ms"`    // of the range
	Percent  int    `json:"percent"`     // of the bound: how much longer or, negative, shorter
	Text     string `json:"text"`        // the same in words
}

// String is how far: "164 % longer", "75 % shorter".
func (m Mismatch) String() string {
	if m.Percent < 0 {
		return fmt.Sprintf("%d %% shorter", -m.Percent)
	}
	return fmt.Sprintf("%d %% longer", m.Percent)
}

// compare is how a measured outage differs from the prediction; nil: it does
// not. One that is open has only begun: it is longer than was measured, and
// nobody knows that it is shorter than predicted.
func (p Prediction) compare(measured Millis, open bool) *Mismatch {
	m := Mismatch{Measured: measured}
	extreme, bound := "longest", "at most"
	switch {
	case p.Max > 0 && measured > p.Max+p.Max/4:
		m.Bound = p.Max
	case measured < p.Min-p.Min/4 && !open:
		m.Bound = p.Min
		extreme, bound = "shortest", "at least"
	default:
		return nil
	}
	m.Percent = int(math.Round(100 * (float64(measured)/float64(m.Bound) - 1)))
	got := measured.String()
	if open {
		got = "more than " + got
	}
	m.Text = fmt.Sprintf("%s than the %s outage predicted: measured %s, predicted %s %s", m, extreme, got, bound, m.Bound)
	return &m
}

// compared is how the outage of a run that came to its end differs from the
// prediction; nil: it does not, or there is nothing to compare.
func compared(r *Result) *Mismatch {
	if r.Predicted == nil || r.Faulted == nil || len(r.Faults) == 0 {
		return nil
	}
	return r.Predicted.compare(r.Outage(Eager), r.Faulted.Eager.Open)
}
