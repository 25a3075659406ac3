package view

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/lipgloss"

	"hapair/plan/drill"
)

// Drill implements View: the timeline scrolls by, and on a terminal a live line
// says what goes on meanwhile.
func (h *Human) Drill(hosts [2]string) (drill.Events, func()) {
	d := &drillShow{h: h, wide: max(lipgloss.Width(hosts[0]), lipgloss.Width(hosts[1]))}
	return d, h.begin(d.lines)
}

type drillShow struct {
	h    *Human
	wide int // columns of the longer host name

	mu    sync.Mutex
	name  string // of the drill under way; empty: none
	phase string
	since time.Time
}

// Started implements drill.Events.
func (d *drillShow) Started(pairName string, dr drill.Drill) {
	d.set(dr.Name, "looking at the pair")
	if d.h.Quiet {
		return
	}
	st := d.h.out.styles
	title := dr.Summary
	if dr.Case > 0 {
		title += fmt.Sprintf(" (case %d)", dr.Case)
	}
	text := "\n" + st.title.Render(dr.Name) + "  " + title + "\n"
	for _, line := range wrap("expected: "+dr.Expect, d.h.out.textWidth()-2) {
		text += "  " + st.dim.Render(line) + "\n"
	}
	d.h.print(&d.h.out, text)
}

func (d *drillShow) set(name, phase string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if name != d.name {
		d.since = d.h.clock()
	}
	d.name, d.phase = name, phase
}

// phases is what goes on after an event.
var phases = map[drill.EventType]string{
	drill.SteadyState:   "injecting the fault",
	drill.FaultInjected: "waiting for proof that the fault landed",
	drill.FaultVerified: "waiting for the pair to take over",
	drill.FirstAck:      "watching what comes late",
	drill.RecoveryStart: "recovering the host",
	drill.Recovered:     "watching what comes late",
	drill.ReadBack:      "comparing with the ledger",
}

// Happened implements drill.Events.
func (d *drillShow) Happened(e drill.Event) {
	if phase := phases[e.Type]; phase != "" {
		d.set(d.name, phase)
	}
	if d.h.Quiet {
		return
	}
	st := d.h.out.styles
	at := "" // before the fault
	if e.At != 0 || e.Type == drill.FaultInjected {
		at = sinceFault(e.At)
	}
	text := printable(e.Text)
	switch e.Type {
	case drill.FaultInjected:
		text = st.bad.Render(text)
	case drill.FirstAck, drill.Recovered:
		text = st.good.Render(text)
	case drill.FaultVerified, drill.RecoveryStep, drill.SteadyState:
		text = st.dim.Render(text)
	}
	d.h.print(&d.h.out, fmt.Sprintf("  %10s  %s  %s", at, st.title.Render(pad(e.Host, d.wide)), text))
}

// sinceFault is a time of the timeline: "+312 ms".
func sinceFault(m drill.Millis) string {
	if m < 0 {
		return m.String()
	}
	return "+" + m.String()
}

// Finished implements drill.Events.
func (d *drillShow) Finished(r *drill.Result) {
	d.set("", "")
	if d.h.Quiet {
		return
	}
	st := d.h.out.styles
	text := "  " + resultLine(st, r)
	if m := r.Mismatch; m != nil {
		text += "\n  " + mismatchLine(st, "", m)
	}
	d.h.print(&d.h.out, text)
}

// lines are the live ones.
func (d *drillShow) lines(int) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.name == "" {
		return nil
	}
	st := d.h.err.styles
	took := d.h.clock().Sub(d.since)
	return []string{fmt.Sprintf("  %s %s  %s  %s", st.warn.Render(spinner(took)), st.title.Render(d.name), d.phase, st.dim.Render(elapsed(took)))}
}

// resultLine is what came of one drill, in a line.
func resultLine(st styles, r *drill.Result) string {
	parts := []string{verdictMark(st, r.Verdict) + " " + st.bold.Render(r.Drill) + " " + verdictStyle(st, r.Verdict).Render(string(r.Verdict))}
	if r.Faulted != nil {
		outage := fmt.Sprintf("outage %s eager, %s ordinary", r.Outage(drill.Eager), r.Outage(drill.Ordinary))
		if r.Predicted != nil {
			outage += ", predicted " + r.Predicted.String()
		}
		parts = append(parts, outage)
	}
	if b := r.Ledger; b != nil {
		parts = append(parts, fmt.Sprintf("lost %d of %d", b.Lost, b.Acknowledged))
	}
	if vip := vipText(r); vip != "" {
		parts = append(parts, "VIP "+vip)
	}
	if r.Reason != "" {
		parts = append(parts, printable(r.Reason))
	}
	return strings.Join(parts, "  ")
}

// mismatchLine says what is not as predicted, which is no verdict.
func mismatchLine(st styles, what string, m *drill.Mismatch) string {
	return st.warn.Render("! " + what + "not as predicted: " + m.Text)
}

// vipText is where the VIP went; empty when the drill did not come that far.
func vipText(r *drill.Result) string {
	switch {
	case r.Before == nil || r.After == nil:
		return ""
	case r.Before.Holder == r.After.Holder:
		return "stays on " + orNone(r.After.Holder)
	default:
		return orNone(r.Before.Holder) + " → " + orNone(r.After.Holder)
	}
}

func verdictMark(st styles, v drill.Verdict) string {
	switch v {
	case drill.Passed:
		return st.good.Render("✓")
	case drill.Inconclusive:
		return st.warn.Render("?")
	default:
		return st.bad.Render("✗")
	}
}

func verdictStyle(st styles, v drill.Verdict) lipgloss.Style {
	switch v {
	case drill.Passed:
		return st.good
	case drill.Inconclusive:
		return st.warn
	default:
		return st.bad
	}
}

// Drilled implements View: all results side by side (or, of drills that ran
// more than once, what their runs come to), what deviated, and the verdict.
func (h *Human) Drilled(results []*drill.Result) {
	if summaries := drill.Summaries(results); len(summaries) < len(results) {
		h.drilledOften(results, summaries)
		return
	}
	st := h.out.styles
	g := grid{columns: []column{
		{title: "DRILL"}, {title: "VERDICT"}, {title: "EAGER", right: true}, {title: "ORDINARY", right: true}, {title: "PREDICTED", right: true, spare: 2},
		{title: "LOST", right: true}, {title: "VIP", spare: 1}, {title: "BACK AS", spare: 3},
	}}
	for _, r := range results {
		g.rows = append(g.rows, drillRow(st, r))
	}
	var b strings.Builder
	b.WriteString("\nLongest time without an acknowledged write through the VIP, and acknowledged writes lost:\n")
	b.WriteString(g.render(&h.out, "  "))
	for _, r := range results {
		for _, d := range r.Deviations {
			fmt.Fprintf(&b, "  %s %s: %s\n", st.bad.Render("✗"), r.Drill, printable(d.String()))
		}
		if r.Reason != "" && r.Err == nil { // an error is shown as the problem it is
			fmt.Fprintf(&b, "  %s %s: %s\n", verdictMark(st, r.Verdict), r.Drill, printable(r.Reason))
		}
		if m := r.Mismatch; m != nil {
			b.WriteString("  " + mismatchLine(st, r.Drill+": ", m) + "\n")
		}
		for _, note := range r.Notes {
			fmt.Fprintf(&b, "  %s\n", st.dim.Render(r.Drill+": "+printable(note)))
		}
	}
	b.WriteString(verdictLine(st, results) + "\n")
	h.print(&h.out, b.String())
}

// drilledOften shows what the runs of each drill come to, and each run that did
// not pass.
func (h *Human) drilledOften(results []*drill.Result, summaries []drill.Summary) {
	st := h.out.styles
	g := grid{columns: []column{
		{title: "DRILL"}, {title: "PASSED", right: true},
		{title: "EAGER", right: true}, {title: "P99", right: true, spare: 3}, {title: "WORST", right: true}, {title: "PREDICTED", right: true, spare: 2},
		{title: "ORDINARY", right: true, spare: 1}, {title: "P99", right: true, spare: 6}, {title: "WORST", right: true, spare: 4},
		{title: "LOST", right: true}, {title: "WORST", right: true},
		{title: "BOTH WRITABLE", right: true, spare: 5}, // a deviation says it too
	}}
	for _, s := range summaries {
		passed := cell{fmt.Sprintf("%d of %d", s.Passed, s.Runs), st.good}
		if s.Passed < s.Runs {
			passed.style = st.bad
		}
		row := []cell{{s.Drill, st.bold}, passed}
		if f := s.Figures; f != nil {
			for _, text := range []string{f.Eager.Median.String(), f.Eager.P99.String(), f.Eager.Worst.String()} {
				row = append(row, cell{text, st.plain})
			}
			row = append(row, predictedCell(st, s.Predicted, s.Mismatch))
			for _, text := range []string{
				f.Ordinary.Median.String(), f.Ordinary.P99.String(), f.Ordinary.Worst.String(),
				fmt.Sprint(f.Lost.Median), fmt.Sprint(f.Lost.Worst), f.DualWritable.Worst.String(),
			} {
				row = append(row, cell{text, st.plain})
			}
		}
		for len(row) < len(g.columns) {
			row = append(row, cell{"", st.plain})
		}
		g.rows = append(g.rows, row)
	}
	var b strings.Builder
	b.WriteString("\nLongest time without an acknowledged write through the VIP, and acknowledged writes lost: medians, and what follows:\n")
	b.WriteString(g.render(&h.out, "  "))
	for _, s := range summaries {
		if m := s.Mismatch; m != nil {
			b.WriteString("  " + mismatchLine(st, s.Drill+", median: ", m) + "\n")
		}
	}
	run := map[string]int{}
	for _, r := range results {
		run[r.Drill]++
		for _, d := range r.Deviations {
			fmt.Fprintf(&b, "  %s %s, run %d: %s\n", st.bad.Render("✗"), r.Drill, run[r.Drill], printable(d.String()))
		}
		if r.Reason != "" {
			fmt.Fprintf(&b, "  %s %s, run %d: %s\n", verdictMark(st, r.Verdict), r.Drill, run[r.Drill], printable(r.Reason))
		}
	}
	b.WriteString(verdictLine(st, results) + "\n")
	h.print(&h.out, b.String())
}

// predictedCell is a range, which stands out where it was missed.
func predictedCell(st styles, p *drill.Prediction, m *drill.Mismatch) cell {
	switch {
	case p == nil:
		return cell{"", st.dim}
	case m != nil:
		return cell{p.String(), st.warn}
	}
	return cell{p.String(), st.dim}
}

func drillRow(st styles, r *drill.Result) []cell {
	row := []cell{
		{r.Drill, st.bold}, {string(r.Verdict), verdictStyle(st, r.Verdict)},
		{"", st.plain}, {"", st.plain}, {"", st.dim}, {"", st.plain}, {"", st.plain}, {"", st.plain},
	}
	if r.Faulted != nil {
		row[2].text, row[3].text = r.Outage(drill.Eager).String(), r.Outage(drill.Ordinary).String()
	}
	row[4] = predictedCell(st, r.Predicted, r.Mismatch)
	if b := r.Ledger; b != nil {
		row[5].text = fmt.Sprint(b.Lost)
		if b.Lost > 0 {
			row[5].style = st.warn
		}
	}
	row[6].text = vipText(r)
	if len(r.Faults) > 0 && r.Recovered != nil {
		for _, host := range r.Recovered.Hosts {
			if host.Host == r.Struck() {
				row[7].text = strings.TrimSpace(host.Redis + " " + host.VRRP)
			}
		}
	}
	return row
}

// verdictLine is the verdict on all drills together.
func verdictLine(st styles, results []*drill.Result) string {
	count := map[drill.Verdict]int{}
	for _, r := range results {
		count[r.Verdict]++
	}
	passed := fmt.Sprintf("%d of %s passed", count[drill.Passed], plural(len(results), "drill"))
	if count[drill.Passed] == len(results) {
		return st.good.Bold(true).Render("All is as promised: " + passed + ".")
	}
	var parts []string
	for _, v := range []drill.Verdict{drill.Failed, drill.Deviated, drill.Inconclusive} {
		if count[v] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[v], v))
		}
	}
	return st.bad.Render(passed + "; " + strings.Join(parts, ", ") + ".")
}

// Reported implements View.
func (h *Human) Reported(paths []string) {
	st := h.out.styles
	text := "\n" + st.bold.Render("Report") + "\n"
	for _, path := range paths {
		text += "  " + path + "\n"
	}
	h.print(&h.out, text)
}

// Drills lists drills and what each does.
func (h *Human) Drills(drills []drill.Drill) {
	st := h.out.styles
	var b strings.Builder
	for _, d := range drills {
		name := st.bold.Render(d.Name)
		if d.Case > 0 {
			name += st.dim.Render(fmt.Sprintf("  case %d of the document", d.Case))
		}
		b.WriteString(name + "\n")
		texts := []string{d.Summary, "expected: " + d.Expect}
		if d.Danger != "" {
			texts = append(texts, "needs --i-know: "+d.Danger)
		}
		for _, text := range texts {
			for _, line := range wrap(text, h.out.textWidth()-4) {
				b.WriteString("    " + line + "\n")
			}
		}
	}
	h.print(&h.out, b.String())
}

// DrillSteps implements View.
func (h *Human) DrillSteps(drills []drill.Drill) {
	st := h.out.styles
	var b strings.Builder
	for _, d := range drills {
		b.WriteString(st.title.Render(d.Name) + "  " + d.Summary + "\n")
		for i, text := range d.Plan() {
			for j, line := range wrap(text, h.out.textWidth()-6) {
				number := fmt.Sprintf("%4d. ", i+1)
				if j > 0 {
					number = "      "
				}
				b.WriteString(st.dim.Render(number) + line + "\n")
			}
		}
		for _, line := range wrap("expected: "+d.Expect, h.out.textWidth()-6) {
			b.WriteString("      " + st.dim.Render(line) + "\n")
		}
	}
	h.print(&h.out, b.String())
}
