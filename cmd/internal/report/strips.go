package report

import (
	"fmt"
	"time"

	"hapair/plan/drill"
)

// stripChart has the outages of all runs, and what was predicted of them, on
// one logarithmic axis.
type stripChart struct {
	Height int
	Strips []strip
	Ticks  []tick
}

type strip struct {
	Name      string
	Y         int // of its middle
	Predicted *band
	Typical   percent
	Allowed   *mark
	Dots      []dot
}

type dot struct {
	X     percent
	Y     int
	Class string // eager, ordinary
	Title string
}

const stripHeight = 44

func strips(sections []section) *stripChart {
	var values []drill.Millis
	for _, s := range sections {
		if p := s.Predicted; p != nil {
			values = append(values, p.Min, p.Max)
		}
		for _, r := range s.Runs {
			if r.Faulted != nil {
				values = append(values, r.Outage(drill.Eager), r.Outage(drill.Ordinary))
				if most := r.Objective.MaxOutage; most > 0 {
					values = append(values, most)
				}
			}
		}
	}
	if len(values) == 0 {
		return nil
	}
	for i := range values {
		values[i] = max(values[i], drill.Millis(time.Millisecond))
	}
	scale := newDecades(values...)
	c := &stripChart{Ticks: scale.ticks()}
	for i := range c.Ticks {
		if len(c.Ticks) > 5 && i%2 == 1 { // no room for all on a telephone
			c.Ticks[i].Label = ""
		}
	}
	for _, s := range sections {
		one := strip{Name: s.Drill, Y: c.Height + stripHeight - 14}
		if p := s.Predicted; p != nil {
			one.Predicted = &band{X: scale.at(p.Min), Title: fmt.Sprintf("%s: predicted %s, typically %s", s.Drill, p, p.Typical)}
			one.Predicted.Width = max(scale.at(p.Max)-one.Predicted.X, leastWidth)
			one.Typical = scale.at(p.Typical)
		}
		for _, r := range s.Runs {
			if r.Faulted == nil {
				continue
			}
			title := s.Drill
			if r.Number > 0 {
				title += fmt.Sprintf(" run %d", r.Number)
			}
			if most := r.Objective.MaxOutage; most > 0 {
				one.Allowed = &mark{X: scale.at(most), Title: fmt.Sprintf("%s: allowed %s", s.Drill, most)}
			}
			for i, t := range []drill.Tally{r.Faulted.Eager, r.Faulted.Ordinary} {
				kind := []drill.Client{drill.Eager, drill.Ordinary}[i]
				one.Dots = append(one.Dots, dot{scale.at(t.Outage), one.Y - 4 + 8*i, string(kind), fmt.Sprintf("%s: %s clients %s", title, kind, outageText(t))})
			}
		}
		if one.Predicted == nil && len(one.Dots) == 0 {
			continue
		}
		c.Strips = append(c.Strips, one)
		c.Height += stripHeight
	}
	return c
}
