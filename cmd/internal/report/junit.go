package report

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"

	"hapair/plan/drill"
)

// The elements of junit.xml, for which there is no standard but what everyone
// reads: the Ant task's format as Jenkins, GitLab and the GitHub actions take
// it. Properties of a test case are pytest's addition; readers that do not know
// them find the same figures in system-out.
type (
	junitSuites struct {
		XMLName xml.Name `xml:"testsuites"`
		Name    string   `xml:"name,attr"`
		junitCounts
		Suites []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string `xml:"name,attr"`
		Timestamp string `xml:"timestamp,attr"`
		junitCounts
		Skipped    int             `xml:"skipped,attr"`
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
	}
	junitCounts struct {
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Time     string `xml:"time,attr"` // s
	}
	junitCase struct {
		Class      string          `xml:"classname,attr"`
		Name       string          `xml:"name,attr"`
		Time       string          `xml:"time,attr"` // s
		Properties []junitProperty `xml:"properties>property"`
		// Readers keep the first one only.
		Failure *junitProblem `xml:"failure,omitempty"`
		Error   *junitProblem `xml:"error,omitempty"`
		Out     junitText     `xml:"system-out"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitProblem struct {
		Type    string `xml:"type,attr"`
		Message string `xml:"message,attr"`
		Text    string `xml:",cdata"` // GitLab shows this and not the message
	}
	junitText struct {
		Text string `xml:",cdata"`
	}
)

func (r *Report) writeJUnit(w io.Writer) error {
	r, err := r.cleaned()
	if err != nil {
		return err
	}
	suite := junitSuite{
		Name: "hapair drill " + r.Pair, Timestamp: r.Started.UTC().Format("2006-01-02T15:04:05"),
		junitCounts: junitCounts{Tests: len(r.Results), Time: seconds(r.Took)},
		Properties:  []junitProperty{{"hapair", r.Hapair}, {"pair", r.Pair}, {"verdict", string(r.Verdict)}},
	}
	run := map[string]int{}
	runs := map[string]int{}
	for _, s := range r.Summaries {
		runs[s.Drill] = s.Runs
	}
	for _, one := range r.Results {
		run[one.Drill]++
		c := caseOf(one)
		if runs[one.Drill] > 1 {
			// Of two cases with the same name, GitLab ignores one.
			c.Name += fmt.Sprintf(" run %d", run[one.Drill])
		}
		if c.Failure != nil {
			suite.Failures++
		}
		if c.Error != nil {
			suite.Errors++
		}
		suite.Cases = append(suite.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(junitSuites{Name: "hapair drill", junitCounts: suite.junitCounts, Suites: []junitSuite{suite}}); err != nil {
		return err
	}
	_, err = io.WriteString(w, "\n")
	return err
}

// seconds is a time as JUnit wants it.
func seconds(m drill.Millis) string { return fmt.Sprintf("%.3f", m.Duration().Seconds()) }

func caseOf(r *drill.Result) junitCase {
	c := junitCase{Class: r.Pair, Name: r.Drill, Time: seconds(r.Took), Properties: figuresOf(r), Out: junitText{systemOut(r)}}
	switch r.Verdict {
	case drill.Passed:
	case drill.Deviated:
		p := &junitProblem{Type: string(r.Verdict)}
		var rules, lines []string
		for _, d := range r.Deviations {
			rules, lines = append(rules, d.Rule), append(lines, d.String())
		}
		p.Message, p.Text = "deviated: "+strings.Join(rules, ", "), strings.Join(lines, "\n")
		c.Failure = p
	default:
		// An inconclusive drill is no skipped one: what the pipeline waits for
		// has not been shown.
		why := cmp.Or(r.Reason, "no reason was given")
		first, _, _ := strings.Cut(why, "\n")
		c.Error = &junitProblem{Type: string(r.Verdict), Message: string(r.Verdict) + ": " + first, Text: why}
	}
	return c
}

// figuresOf are what one may want to plot over builds, in ms where the name
// says so.
func figuresOf(r *drill.Result) []junitProperty {
	ms := func(m drill.Millis) string {
		return strconv.FormatFloat(float64(m.Duration().Microseconds())/1000, 'f', -1, 64)
	}
	all := []junitProperty{{"verdict", string(r.Verdict)}, {"id", r.ID}}
	add := func(name, value string) { all = append(all, junitProperty{name, value}) }
	if r.Faulted != nil {
		add("outage_eager_ms", ms(r.Outage(drill.Eager)))
		add("outage_ordinary_ms", ms(r.Outage(drill.Ordinary)))
		add("dual_writable_ms", ms(r.DualWritable))
	}
	if p := r.Predicted; p != nil {
		add("predicted_min_ms", ms(p.Min))
		add("predicted_typical_ms", ms(p.Typical))
		add("predicted_max_ms", ms(p.Max))
	}
	if m := r.Mismatch; m != nil {
		add("mismatch_percent", strconv.Itoa(m.Percent))
	}
	if b := r.Ledger; b != nil {
		add("acknowledged", strconv.Itoa(b.Acknowledged))
		add("lost", strconv.Itoa(b.Lost))
	}
	return all
}

// systemOut is a run as plain text.
func systemOut(r *drill.Result) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("\n%s: %s", r.Drill, r.Summary)
	for _, e := range r.Timeline {
		line("%12s  %-10s  %s", sinceFault(e.At), e.Host, e.Text)
	}
	line("%s", r.Verdict)
	if r.Faulted != nil {
		line("outage: %s eager, %s ordinary", r.Outage(drill.Eager), r.Outage(drill.Ordinary))
		line("both hosts writable: %s", r.DualWritable)
	}
	if p := r.Predicted; p != nil {
		line("predicted: %s, typically %s", p, p.Typical)
	}
	if m := r.Mismatch; m != nil {
		line("not as predicted: %s", m.Text)
	}
	if l := r.Ledger; l != nil {
		line("lost: %d of %d acknowledged writes", l.Lost, l.Acknowledged)
	}
	for _, n := range r.Notes {
		line("note: %s", n)
	}
	return b.String()
}

// sinceFault is a time of the timeline: "+312 ms".
func sinceFault(m drill.Millis) string {
	if m < 0 {
		return "−" + (-m).String()
	}
	return "+" + m.String()
}
