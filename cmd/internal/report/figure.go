package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"hapair/plan/drill"
)

// figure is one swim-lane picture of a drill, laid out: what both hosts were
// over time, what happened, what clients got. Across it is measured in percent,
// down it in pixels.
type figure struct {
	ID      string
	Caption string
	Height  int
	Marks   []mark
	Outage  *band // nil: none to show
	Groups  []lanes
	Panels  []panel
	Top     int // of the lanes, below the labels of the marks
	Bottom  int // of the last panel
	Ticks   []tick
}

// Plot is the height of lanes and panels together.
func (g *figure) Plot() int { return g.Bottom - g.Top }

// mark is an event: a line down the figure and, where there is room, its time.
type mark struct {
	X     percent
	Y     int    // of the label
	Label string // empty: no room for it
	Wide  bool   // the label has room on a wide page only
	Left  bool   // the label stands left of the line
	Class string // fault, good; empty: any other
	Title string
}

// tones are how the events stand out that do.
var tones = map[drill.EventType]string{drill.FaultInjected: "fault", drill.FirstAck: "good", drill.Recovered: "good"}

// Look are the classes of the label.
func (m mark) Look() string {
	look := m.Class
	if m.Wide {
		look += " roomy"
	}
	if m.Left {
		look += " left"
	}
	return strings.TrimSpace(look)
}

// lanes are what one host was, or what clients got.
type lanes struct {
	Name, Note string
	Y          int  // of the name
	Top        int  // of the first lane
	Host       bool // the lanes are hostLanes
	Lanes      []lane
}

type lane struct {
	Name  string
	Y     int
	Bands []band
}

// band is a stretch of one state.
type band struct {
	X, Width percent
	Class    string
	Label    string // empty: no room for it
	Title    string
}

// panel is a plot below the lanes.
type panel struct {
	Name   string
	Y      int
	Curves []curve
	Ticks  []scaleTick
}

// curve is a path in a box of panelWidth × panelHeight.
type curve struct {
	Class, Name, Path string
}

// scaleTick is a mark of the vertical axis of a panel.
type scaleTick struct {
	Y     int // in the panel
	Label string
}

// Pixels.
const (
	labelHeight = 15
	nameHeight  = 22
	laneHeight  = 18
	laneGap     = 3
	groupGap    = 8
	panelName   = 24 // a line with what the curves are
	panelHeight = 64
	panelWidth  = 1000 // units
	axisHeight  = 24
	labelRows   = 4
	// What plots are at least as wide as: on a telephone, on paper.
	narrowPlot, widePlot = 270, 570
	letterWidth          = 6.8 // of the small print
	capitalWidth         = 8.2
)

// leastWidth is that of a band that would be too thin to see.
const leastWidth = percent(0.15)

// leadIn is how much of the steady state a figure shows.
const leadIn = drill.Millis(time.Second)

// wholeFrame is the drill from shortly before its fault until its clients
// stopped; false when they never began.
func wholeFrame(r *drill.Result) (frame, bool) {
	var f frame
	if r.Steady == nil {
		return f, false
	}
	f = frame{r.Steady.From, r.Steady.To}
	for _, p := range []*drill.Phase{r.Faulted, r.Recovery} {
		if p != nil {
			f.to = max(f.to, p.To)
		}
	}
	if r.Faulted != nil {
		f.from = max(f.from, -leadIn)
	}
	return f, f.length() > 0
}

// closeUp is the part of a drill in which the service moved, when that is small
// in the whole: until both kinds of client were served again, and what else came
// of the fault soon after.
func closeUp(r *drill.Result, whole frame) (frame, bool) {
	if len(r.Faults) == 0 || r.Faulted == nil || r.Faulted.Eager.Open || r.Faulted.Ordinary.Open {
		return frame{}, false
	}
	var served drill.Millis
	for _, t := range []drill.Tally{r.Faulted.Eager, r.Faulted.Ordinary} {
		served = max(served, t.OutageFrom+t.Outage)
	}
	settled := served
	for _, e := range r.Timeline {
		switch e.Type {
		case drill.FaultVerified, drill.VIPMove, drill.VRRPChange, drill.RoleChange, drill.LinkChange:
			if e.At < 2*served {
				settled = max(settled, e.At)
			}
		}
	}
	f := frame{-settled / 6, settled + settled/3}
	return f, settled > 0 && f.length() < whole.length()/2
}

// draw lays a figure out. Seen is what another figure has shown close up.
func draw(r *drill.Result, f, seen frame, id, caption string) *figure {
	g := &figure{ID: id, Caption: caption, Ticks: f.ticks()}
	g.mark(r, f, seen)
	y := g.Top
	add := func(l lanes) {
		l.Y, l.Top = y+nameHeight-7, y+nameHeight
		for i := range l.Lanes {
			l.Lanes[i].Y = l.Top + i*(laneHeight+laneGap)
		}
		y = l.Top + len(l.Lanes)*(laneHeight+laneGap) + groupGap
		g.Groups = append(g.Groups, l)
	}
	for _, t := range r.Tracks {
		l := lanes{Name: t.Host, Host: true, Lanes: hostLanes()}
		for _, s := range r.Setting.Hosts {
			if s.Host == t.Host {
				l.Note = s.Address
			}
		}
		for i, states := range [][]drill.Band{t.Redis, t.VRRP, t.VIP, t.Writable, t.Link} {
			l.Lanes[i].Bands = bands(t.Host+", "+l.Lanes[i].Name, states, f)
		}
		add(l)
	}
	if outages := outageLanes(r, f); len(outages) > 0 {
		g.Outage = &outages[0].Bands[0]
		add(lanes{Name: "outage", Note: "no acknowledged write", Lanes: outages})
	}
	for _, p := range panels(r.Series, f) {
		p.Y = y + panelName
		y = p.Y + panelHeight + groupGap
		g.Panels = append(g.Panels, p)
	}
	g.Bottom = y - groupGap
	g.Height = g.Bottom + axisHeight
	return g
}

// hostLanes are those of every host, without what is in them.
func hostLanes() []lane {
	var all []lane
	for i, name := range []string{"Redis", "VRRP", "VIP", "writable", "link"} {
		all = append(all, lane{Name: name, Y: i * (laneHeight + laneGap)})
	}
	return all
}

// outageLanes are the outages of both kinds of client, and the one predicted.
// There are none without a fault.
func outageLanes(r *drill.Result, f frame) []lane {
	if len(r.Faults) == 0 || r.Faulted == nil {
		return nil
	}
	var all []lane
	for _, c := range []struct {
		kind drill.Client
		drill.Tally
	}{{drill.Eager, r.Faulted.Eager}, {drill.Ordinary, r.Faulted.Ordinary}} {
		if c.Clients > 0 {
			b := newBand(f, c.OutageFrom, c.OutageFrom+c.Outage, "outage", outageText(c.Tally))
			b.Title = fmt.Sprintf("%s clients: no acknowledged write for %s from %s", c.kind, outageText(c.Tally), sinceFault(c.OutageFrom))
			all = append(all, lane{Name: string(c.kind), Bands: []band{b}})
		}
	}
	if p := r.Predicted; p != nil && len(all) > 0 {
		b := newBand(f, p.Min, p.Max, "predicted", p.String())
		b.Title = fmt.Sprintf("predicted: %s, typically %s", p, p.Typical)
		typical := newBand(f, p.Typical, p.Typical, "typical", "")
		all = append(all, lane{Name: "predicted", Bands: []band{b, typical}})
	}
	return all
}

// outageText is how long an outage was.
func outageText(t drill.Tally) string {
	if t.Open {
		return "more than " + span(t.Outage)
	}
	return span(t.Outage)
}

// titles are what bands of these states are called; others are called by the
// state itself.
var titles = map[string]string{"yes": "takes writes"}

// shown are the states that have a look of their own.
var shown = []string{"primary", "replica", "loading", "down", "silent", "busy", "MASTER", "BACKUP", "FAULT", "stopped", "held", "yes", "up"}

// bands lays the states of a lane out. An empty state is a gap.
func bands(what string, states []drill.Band, f frame) []band {
	var all []band
	for i, s := range states {
		to := f.to
		if i+1 < len(states) {
			to = states[i+1].From
		}
		if s.State == "" || to < f.from || s.From > f.to {
			continue
		}
		b := newBand(f, s.From, to, "other", s.State)
		if slices.Contains(shown, s.State) {
			b.Class = s.State
		}
		b.Title = fmt.Sprintf("%s: %s from %s", what, cmp.Or(titles[s.State], s.State), sinceFault(s.From))
		if i+1 < len(states) {
			b.Title += " to " + sinceFault(to)
		}
		all = append(all, b)
	}
	return all
}

// newBand is a band with a label if there is room for it even in a narrow plot.
func newBand(f frame, from, to drill.Millis, class, label string) band {
	b := band{X: f.at(from), Class: class}
	b.Width = max(f.at(to)-b.X, leastWidth)
	b.X = min(b.X, 100-b.Width)
	if float64(b.Width)/100*narrowPlot > textWidth(label)+letterWidth {
		b.Label = label
	}
	return b
}

// mark lays the events out, and finds out how much room their labels take. What
// another figure has shown is left out, but for the fault and its end.
func (g *figure) mark(r *drill.Result, f, seen frame) {
	for _, e := range r.Timeline {
		m := mark{X: f.at(e.At), Class: tones[e.Type], Label: sinceFault(e.At)}
		if !f.contains(e.At) || e.Type == drill.SteadyState || m.Class == "" && seen.contains(e.At) {
			continue // the steady state is no moment
		}
		m.Title = strings.TrimSpace(m.Label + " " + e.Host + " " + e.Text)
		switch e.Type {
		case drill.FaultInjected:
			if m.Label = "fault"; e.At > 0 { // not the first one
				m.Label = sinceFault(e.At) + " fault"
			}
		case drill.FaultUndone:
			m.Label += " fault ends"
		case drill.FirstAck:
			m.Label += " writes again"
		case drill.RecoveryStart:
			m.Label += " recovery"
		case drill.Recovered:
			m.Label += " recovered"
		}
		m.Left = reach(m.X, m.Label, false, narrowPlot).to > narrowPlot+labelGap
		g.Marks = append(g.Marks, m)
	}
	wide, narrow := shelf{plot: widePlot}, shelf{plot: narrowPlot}
	rows := 0
	put := func(m *mark) {
		// Rather a row further down than no room on a telephone.
		for _, m.Wide = range []bool{false, true} {
			for row := range labelRows {
				if wide.fits(row, m) && (m.Wide || narrow.fits(row, m)) {
					wide.put(row, m)
					if !m.Wide {
						narrow.put(row, m)
					}
					m.Y = (row+1)*labelHeight - 4
					rows = max(rows, row+1)
					return
				}
			}
		}
		m.Label = ""
	}
	// Those that stand out come first: not all may have room.
	for _, loud := range []bool{true, false} {
		for i := range g.Marks {
			if (g.Marks[i].Class != "") == loud {
				put(&g.Marks[i])
			}
		}
	}
	g.Top = rows*labelHeight + 4
}

// shelf is where labels stand side by side in a few rows.
type shelf struct {
	plot  float64 // pixels across
	taken [labelRows][]extent
}

// extent is the room of a label across, in pixels.
type extent struct{ from, to float64 }

const labelGap = 8

// textWidth is how many pixels a label takes across.
func textWidth(label string) (width float64) {
	for _, r := range label {
		if unicode.IsUpper(r) {
			width += capitalWidth
		} else {
			width += letterWidth
		}
	}
	return width
}

// reach is the room that a label at x takes.
func reach(x percent, label string, left bool, plot float64) extent {
	at, width := float64(x)/100*plot, textWidth(label)+labelGap
	if left {
		return extent{at - width, at}
	}
	return extent{at, at + width}
}

// fits reports whether a row has room for the label of a mark.
func (s *shelf) fits(row int, m *mark) bool {
	e := reach(m.X, m.Label, m.Left, s.plot)
	overlaps := func(other extent) bool { return e.from < other.to && other.from < e.to }
	return e.from >= 0 && e.to <= s.plot+labelGap && !slices.ContainsFunc(s.taken[row], overlaps)
}

func (s *shelf) put(row int, m *mark) {
	s.taken[row] = append(s.taken[row], reach(m.X, m.Label, m.Left, s.plot))
}

// mostPoints of a curve: more could not be told apart.
const mostPoints = 240

// panels are the plots of what clients got in a frame.
func panels(series []drill.Bucket, f frame) []panel {
	points := condense(within(series, f), mostPoints)
	if len(points) == 0 {
		return nil
	}
	all := []panel{ratePanel(points, f)}
	if slices.ContainsFunc(points, func(p point) bool { return p.acknowledged > 0 }) {
		all = append(all, latencyPanel(points, f))
	}
	return all
}

// within is the part of a series that a frame shows.
func within(series []drill.Bucket, f frame) []drill.Bucket {
	from, _ := slices.BinarySearchFunc(series, f.from, func(b drill.Bucket, at drill.Millis) int { return cmp.Compare(b.To, at) })
	to, _ := slices.BinarySearchFunc(series, f.to, func(b drill.Bucket, at drill.Millis) int { return cmp.Compare(b.From, at) })
	return series[from:max(from, to)]
}

// point is one step of the curves.
type point struct {
	from, to             drill.Millis
	acknowledged, failed float64 // per second
	p50, max             drill.Millis
}

// condense makes points of buckets, of several each if they are too many. The
// latency of several is the median of their medians, and the slowest of all. A
// shorter rest at the end joins the point before it: the rate over a moment would
// tell nothing.
func condense(buckets []drill.Bucket, most int) []point {
	size := max(1, (len(buckets)+most-1)/most)
	var all []point
	for len(buckets) > 0 {
		n := min(size, len(buckets))
		if rest := buckets[n:]; len(rest) > 0 && rest[len(rest)-1].To-rest[0].From < (buckets[n-1].To-buckets[0].From)/2 {
			n = len(buckets)
		}
		all = append(all, newPoint(buckets[:n]))
		buckets = buckets[n:]
	}
	return all
}

func newPoint(buckets []drill.Bucket) point {
	p := point{from: buckets[0].From, to: buckets[len(buckets)-1].To}
	var medians []drill.Millis
	for _, b := range buckets {
		p.acknowledged += float64(b.Acknowledged)
		p.failed += float64(b.Failed)
		p.max = max(p.max, b.Max)
		if b.Acknowledged > 0 {
			medians = append(medians, b.P50)
		}
	}
	if length := (p.to - p.from).Duration().Seconds(); length > 0 {
		p.acknowledged, p.failed = p.acknowledged/length, p.failed/length
	}
	if slices.Sort(medians); len(medians) > 0 {
		p.p50 = medians[len(medians)/2]
	}
	return p
}

func ratePanel(points []point, f frame) panel {
	var most float64
	failed := false
	for _, p := range points {
		most = max(most, p.acknowledged, p.failed)
		failed = failed || p.failed > 0
	}
	top := roundUp(most)
	y := func(n float64) float64 { return panelHeight * (1 - n/top) }
	all := panel{
		Name:   "writes per second",
		Curves: []curve{{"acknowledged", "acknowledged", area(points, f, func(p point) (float64, bool) { return y(p.acknowledged), true })}},
		Ticks:  []scaleTick{{0, grouped(int(top))}, {panelHeight, "0"}},
	}
	if failed {
		all.Curves = append(all.Curves, curve{"failed", "failed", area(points, f, func(p point) (float64, bool) { return y(p.failed), p.failed > 0 })})
	}
	return all
}

func latencyPanel(points []point, f frame) panel {
	var values []drill.Millis
	for _, p := range points {
		if p.acknowledged > 0 {
			values = append(values, p.p50, p.max)
		}
	}
	scale := newDecades(values...)
	y := func(m drill.Millis) float64 { return panelHeight * (1 - scale.share(m)) }
	all := panel{
		Name: "latency, logarithmic",
		Curves: []curve{
			{"slowest", "slowest", area(points, f, func(p point) (float64, bool) { return y(p.max), p.acknowledged > 0 })},
			{"median", "median", line(points, f, func(p point) (float64, bool) { return y(p.p50), p.acknowledged > 0 })},
		},
	}
	for _, t := range scale.ticks() {
		all.Ticks = append(all.Ticks, scaleTick{panelHeight - round(float64(t.At)/100*panelHeight), t.Label})
	}
	return all
}

// height is where a curve is at a point, down from the top of its panel; ok is
// false where it has a gap.
type height func(point) (y float64, ok bool)

// area is the steps of a curve and all below them.
func area(points []point, f frame, h height) string { return steps(points, f, h, true) }

// line is the steps of a curve alone.
func line(points []point, f frame, h height) string { return steps(points, f, h, false) }

func steps(points []point, f frame, h height, filled bool) string {
	var b strings.Builder
	const gap = -1
	last, x := gap, 0 // where the pen is
	lift := func() {
		if last != gap {
			fmt.Fprintf(&b, "H%d", x)
			if filled {
				fmt.Fprintf(&b, "V%dZ", panelHeight)
			}
		}
		last = gap
	}
	for _, p := range points {
		at, ok := h(p)
		y := round(at)
		switch {
		case !ok:
			lift()
		case last == gap && filled:
			fmt.Fprintf(&b, "M%d %dV%d", round(across(p.from, f)), panelHeight, y)
		case last == gap:
			fmt.Fprintf(&b, "M%d %d", round(across(p.from, f)), y)
		case y != last:
			fmt.Fprintf(&b, "H%dV%d", x, y)
		}
		if ok {
			last, x = y, round(across(p.to, f))
		}
	}
	lift()
	return b.String()
}

// across is where a time stands in a panel; beyond its edges, too, which the
// panel cuts off.
func across(m drill.Millis, f frame) float64 {
	return panelWidth * float64(m-f.from) / float64(f.length())
}

func round(n float64) int { return int(math.Round(n)) }

// grouped is a number that can be read: "11,250".
func grouped(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
