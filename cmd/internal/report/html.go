package report

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"hapair/plan/drill"
)

var (
	//go:embed report.css
	css string
	//go:embed report.html.tmpl
	pageText string

	pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
		"css":       func() template.CSS { return template.CSS(css) },
		"grouped":   grouped,
		"since":     sinceFault,
		"outage":    outageText,
		"span":      span,
		"verdict":   lookOf,
		"add":       func(a, b int) int { return a + b },
		"tone":      func(e drill.EventType) string { return tones[e] },
		"hostLanes": hostLanes,
	}).Parse(pageText))
)

func (r *Report) writeHTML(w io.Writer) error {
	r, err := r.cleaned()
	if err != nil {
		return err
	}
	return pageTemplate.Execute(w, newPage(r))
}

// page is what report.html shows, in its order.
type page struct {
	*Report
	When     string
	Sentence string
	Facts    []fact
	Repeated bool // a drill was run more than once
	Strips   *stripChart
	Setting  *drill.Result // of which the setting holds for all that do not say otherwise
	Sections []section
}

// fact is a figure that is set large.
type fact struct{ Label, Value, Note string }

// section is a drill with all its runs.
type section struct {
	drill.Summary
	ID      string
	First   *drill.Result
	Gravest drill.Verdict
	Runs    []run
}

// Others are the runs that did not pass: "1 deviated, 2 inconclusive".
func (s section) Others() string {
	return counted(s.results(), drill.Deviated, drill.Inconclusive, drill.Failed)
}

func (s section) results() []*drill.Result {
	var all []*drill.Result
	for _, r := range s.Runs {
		all = append(all, r.Result)
	}
	return all
}

// spreadText is how a figure varies.
type spreadText struct{ Name, Median, P99, Worst string }

// Spreads are what the table of repeated drills shows.
func (s section) Spreads() []spreadText {
	f := s.Figures
	if f == nil {
		return nil
	}
	of := func(name string, s drill.Spread[drill.Millis]) spreadText {
		return spreadText{name, s.Median.String(), s.P99.String(), s.Worst.String()}
	}
	return []spreadText{
		of("Eager", f.Eager), of("Ordinary", f.Ordinary),
		{"Lost", grouped(f.Lost.Median), grouped(f.Lost.P99), grouped(f.Lost.Worst)},
	}
}

// run is one run of a drill.
type run struct {
	*drill.Result
	ID      string
	Number  int // 0: the only one
	Of      int
	Open    bool // unfolded
	Facts   []fact
	Figures []*figure
	Clients []clientRow
	Errors  []errorRow
	Stood   []standingRow
	Moment  []string // that Stood has columns for
	Ailing  []ailment
	Other   bool // the setting is not that of the page
}

// look is how a verdict is shown, besides its word.
type look struct{ Class, Glyph string }

func lookOf(v drill.Verdict) look {
	switch v {
	case drill.Passed:
		return look{"good", "✓"}
	case drill.Inconclusive:
		return look{"warn", "?"}
	default:
		return look{"bad", "✗"}
	}
}

const (
	// fewRuns can all be unfolded and the page still be read.
	fewRuns = 8
	// Of manyRuns or more, those that passed get one figure instead of two: the
	// page must not grow beyond what a browser likes.
	manyRuns = 100
)

func newPage(r *Report) *page {
	p := &page{Report: r, Sentence: sentence(r), When: r.Started.UTC().Format("2 January 2006, 15:04:05 UTC")}
	for _, one := range r.Results {
		if len(one.Setting.Hosts) > 0 {
			p.Setting = one
			break
		}
	}
	for i, runs := range r.runs() {
		s := section{Summary: r.Summaries[i], ID: fmt.Sprintf("drill-%d", i+1), First: runs[0], Gravest: drill.Gravest(runs)}
		shown := false // one run that is as bad as they get
		for n, one := range runs {
			v := newRun(one, fmt.Sprintf("%s-%d", s.ID, n+1))
			if len(r.Results) >= manyRuns && one.Verdict == drill.Passed && len(v.Figures) > 1 {
				v.Figures = v.Figures[:1]
			}
			if s.Summary.Runs > 1 {
				v.Number, v.Of = n+1, len(runs)
			}
			v.Open = len(r.Results) <= fewRuns || !shown && one.Verdict != drill.Passed && one.Verdict == s.Gravest
			shown = shown || v.Open
			v.Other = p.Setting != nil && len(one.Setting.Hosts) > 0 && !sameSetting(one, p.Setting)
			s.Runs = append(s.Runs, v)
		}
		p.Repeated = p.Repeated || len(runs) > 1
		p.Sections = append(p.Sections, s)
	}
	p.Facts = factsOfAll(r)
	p.Strips = strips(p.Sections)
	return p
}

// runs are the results of each drill, in the order of the summaries.
func (r *Report) runs() [][]*drill.Result {
	at := map[string]int{}
	for i, s := range r.Summaries {
		at[s.Drill] = i
	}
	all := make([][]*drill.Result, len(r.Summaries))
	for _, one := range r.Results {
		all[at[one.Drill]] = append(all[at[one.Drill]], one)
	}
	return all
}

func sameSetting(a, b *drill.Result) bool {
	return a.Via == b.Via && a.Load == b.Load && reflect.DeepEqual(a.Setting, b.Setting)
}

// sentence is the verdict on all.
func sentence(r *Report) string {
	noun := "drill"
	if len(r.Summaries) < len(r.Results) {
		noun = "run"
	}
	count := map[drill.Verdict]int{}
	for _, one := range r.Results {
		count[one.Verdict]++
	}
	total := len(r.Results)
	of := fmt.Sprintf("%d of %s", count[r.Verdict], plural(total, noun))
	if total == 1 {
		of = "the drill"
	}
	switch r.Verdict {
	case drill.Passed:
		return "All is as promised: " + of + " passed."
	case drill.Deviated:
		return "The pair broke a promise: " + of + " deviated."
	case drill.Inconclusive:
		return "This proves nothing yet: " + of + were(count[r.Verdict]) + "inconclusive."
	default:
		return "hapair itself failed in " + of + "."
	}
}

func were(n int) string {
	if n == 1 {
		return " was "
	}
	return " were "
}

// plural is "1 drill", "2 drills".
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + one + "s"
}

// span is a time that may be long.
func span(m drill.Millis) string {
	d := m.Duration()
	switch {
	case d < 2*time.Minute:
		return m.String()
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
}

// factsOfAll are the figures that one wants to know of everything together.
func factsOfAll(r *Report) []fact {
	var worst *drill.Result
	var lost, acknowledged int
	var both drill.Millis
	measured := 0
	for _, one := range r.Results {
		if one.Faulted == nil || one.Ledger == nil {
			continue
		}
		measured++
		if worst == nil || one.Outage(drill.Eager) > worst.Outage(drill.Eager) {
			worst = one
		}
		lost, acknowledged = lost+one.Ledger.Lost, acknowledged+one.Ledger.Acknowledged
		both = max(both, one.DualWritable)
	}
	var all []fact
	if worst != nil {
		all = append(all,
			fact{"Longest outage", outageText(worst.Faulted.Eager), worst.Drill + "; ordinary clients " + outageText(worst.Faulted.Ordinary)},
			fact{"Writes lost", grouped(lost), "of " + grouped(acknowledged) + " acknowledged"},
			fact{"Both hosts writable", both.String(), "at most, in any run"})
	}
	return append(all, fact{"Runs", grouped(len(r.Results)), counted(r.Results, drill.Passed, drill.Deviated, drill.Inconclusive, drill.Failed)})
}

// counted is how many results there are with each of the verdicts.
func counted(results []*drill.Result, verdicts ...drill.Verdict) string {
	count := map[drill.Verdict]int{}
	for _, r := range results {
		count[r.Verdict]++
	}
	var parts []string
	for _, v := range verdicts {
		if count[v] > 0 {
			parts = append(parts, grouped(count[v])+" "+string(v))
		}
	}
	return strings.Join(parts, ", ")
}

func newRun(r *drill.Result, id string) run {
	v := run{Result: r, ID: id, Facts: factsOf(r)}
	if whole, ok := wholeFrame(r); ok {
		near, ok := closeUp(r, whole)
		if ok {
			v.Figures = append(v.Figures, draw(r, near, frame{}, id+"-near", "Around the fault"))
		}
		v.Figures = append(v.Figures, draw(r, whole, near, id+"-whole", "The whole drill"))
	}
	for _, p := range phases(r) {
		v.Clients = append(v.Clients, clientRow{p.name, drill.Eager, p.Eager}, clientRow{p.name, drill.Ordinary, p.Ordinary})
		v.Errors = append(v.Errors, errorsOf(p)...)
	}
	v.Clients = slices.DeleteFunc(v.Clients, func(c clientRow) bool { return c.Clients == 0 })
	v.Moment, v.Stood, v.Ailing = stood(r)
	return v
}

func factsOf(r *drill.Result) []fact {
	var all []fact
	if f := r.Faulted; f != nil {
		all = append(all, fact{"Outage", outageText(f.Eager), "eager clients; ordinary " + outageText(f.Ordinary)})
	}
	if p := r.Predicted; p != nil {
		all = append(all, fact{"Predicted", p.String(), "typically " + p.Typical.String()})
	}
	allowed := fact{"Allowed", "any outage", "lost writes are only counted"}
	if r.Objective.MaxOutage > 0 {
		allowed.Value = r.Objective.MaxOutage.String()
	}
	switch most := r.Objective.MaxLost; {
	case most != nil && *most == 0:
		allowed.Note = "and no lost write"
	case most != nil:
		allowed.Note = "and " + plural(*most, "lost write")
	}
	all = append(all, allowed)
	if b := r.Ledger; b != nil {
		all = append(all, fact{"Lost", grouped(b.Lost), "of " + grouped(b.Acknowledged) + " acknowledged"})
	}
	if r.Faulted != nil {
		all = append(all, fact{"Both writable", r.DualWritable.String(), "both hosts took writes"})
	}
	if r.Before != nil && r.After != nil {
		value, note := orNone(r.Before.Holder)+" → "+orNone(r.After.Holder), "before, after the fault"
		if r.Before.Holder == r.After.Holder {
			value, note = orNone(r.After.Holder), "it has not moved"
		}
		all = append(all, fact{"VIP", value, note})
	}
	return all
}

func orNone(host string) string { return cmp.Or(host, "no host") }

// namedPhase is a part of a drill.
type namedPhase struct {
	name string
	*drill.Phase
}

func phases(r *drill.Result) []namedPhase {
	all := []namedPhase{{"Before the fault", r.Steady}, {"Fault", r.Faulted}, {"Recovery", r.Recovery}}
	if len(r.Faults) == 0 {
		all[0].name, all[1].name = "Steady state", "Watched"
	}
	return slices.DeleteFunc(all, func(p namedPhase) bool { return p.Phase == nil })
}

// clientRow is what the clients of a kind met in a phase.
type clientRow struct {
	Phase string
	Kind  drill.Client
	drill.Tally
}

// PerSecond is the rate, rounded.
func (c clientRow) PerSecond() string { return grouped(int(c.Rate + 0.5)) }

// Gap is the outage, which may not have ended.
func (c clientRow) Gap() string { return outageText(c.Tally) }

// errorRow is how often clients were told the same in a phase.
type errorRow struct {
	Phase, Text     string
	Eager, Ordinary int
}

func errorsOf(p namedPhase) []errorRow {
	told := maps.Clone(p.Eager.Errors)
	if told == nil {
		told = map[string]int{}
	}
	maps.Copy(told, p.Ordinary.Errors)
	var all []errorRow
	for _, text := range slices.Sorted(maps.Keys(told)) {
		all = append(all, errorRow{p.name, text, p.Eager.Errors[text], p.Ordinary.Errors[text]})
	}
	return all
}

// standingRow is one host through the moments at which it was looked at.
type standingRow struct {
	Host string
	At   []string
}

// ailment is what was wrong with the pair at a moment.
type ailment struct {
	Moment   string
	Problems []string
}

func stood(r *drill.Result) (moments []string, hosts []standingRow, ailing []ailment) {
	after := "After the fault"
	if len(r.Faults) == 0 {
		after = "At the end"
	}
	for _, m := range []struct {
		name string
		*drill.Standing
	}{{"Before", r.Before}, {after, r.After}, {"After recovery", r.Recovered}} {
		if m.Standing == nil {
			continue
		}
		moments = append(moments, m.name)
		for i, h := range m.Hosts {
			if i == len(hosts) {
				hosts = append(hosts, standingRow{Host: h.Host})
			}
			hosts[i].At = append(hosts[i].At, standingText(h))
		}
		if len(m.Problems) > 0 {
			ailing = append(ailing, ailment{m.name, m.Problems})
		}
	}
	return moments, hosts, ailing
}

// standingText is what a host was: "replica, link up, lag 0 bytes · BACKUP".
func standingText(h drill.HostStands) string {
	redis := cmp.Or(h.Redis, "Redis does not answer")
	switch {
	case h.Redis == "replica" && h.Link:
		redis += ", link up"
	case h.Redis == "replica":
		redis += ", link down"
	}
	if h.Redis == "replica" && h.LagBytes != nil {
		redis += ", lag " + plural(int(*h.LagBytes), "byte")
	}
	parts := []string{redis}
	switch {
	case h.VRRP != "":
		parts = append(parts, h.VRRP)
	case !h.Keepalived:
		parts = append(parts, "keepalived stopped")
	}
	if h.VIP {
		parts = append(parts, "VIP")
	}
	if h.Hold != "" {
		parts = append(parts, "holds: "+h.Hold)
	}
	if h.Trouble != "" {
		parts = append(parts, h.Trouble)
	}
	return strings.Join(parts, " · ")
}
