package view

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"hapair/plan"
	"hapair/plan/drill"
	"hapair/plan/facts"
	"hapair/plan/pair"
	"hapair/plan/spec"
)

// JSONFormat is the version of what JSON prints. Minor versions add, major
// ones break.
const JSONFormat = "1.0"

// JSON writes one object a line for programs. The first one says the versions.
type JSON struct {
	w       io.Writer
	version string
	clock   func() time.Time

	mu     sync.Mutex
	begun  bool
	failed error
}

// NewJSON is a view on one stream; version is hapair's own.
func NewJSON(w io.Writer, version string) *JSON {
	return &JSON{w: w, version: version, clock: time.Now}
}

// header begins every line.
type header struct {
	Type      string `json:"type"`
	Timestamp string `json:"@timestamp"`
	Level     string `json:"@level"`
	Message   string `json:"@message"`
}

// line writes one object: the header, then the fields of body, which is a
// struct or nil.
func (j *JSON) line(level, kind, message string, body any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.begun {
		j.begun = true
		j.write("info", "version", "hapair "+j.version, struct {
			Hapair string `json:"hapair"`
			Format string `json:"format"`
		}{j.version, JSONFormat})
	}
	j.write(level, kind, message, body)
}

func (j *JSON) write(level, kind, message string, body any) {
	line, err := json.Marshal(header{kind, j.clock().UTC().Format("2006-01-02T15:04:05.000Z"), level, message})
	if err == nil && body != nil {
		var fields []byte
		fields, err = json.Marshal(body)
		if len(fields) > len("{}") {
			line = append(append(line[:len(line)-1], ','), fields[1:]...)
		}
	}
	if err == nil {
		_, err = j.w.Write(append(line, '\n'))
	}
	if err != nil && j.failed == nil {
		j.failed = fmt.Errorf("write to standard output: %w", err)
	}
}

// Err implements View.
func (j *JSON) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

// Diagnostics implements View.
func (j *JSON) Diagnostics(ds spec.Diagnostics) {
	for _, d := range ds {
		level := "error"
		if d.Severity == spec.Warning {
			level = "warn"
		}
		j.line(level, "diagnostic", d.String(), struct {
			Diagnostic spec.Diagnostic `json:"diagnostic"`
		}{d})
	}
}

// Validated implements View.
func (j *JSON) Validated(s *spec.Spec, files []string) {
	pairs := make([]string, len(s.Pairs))
	for i, p := range s.Pairs {
		pairs[i] = p.Name
	}
	j.line("info", "validated", "The spec is valid.", struct {
		Files []string `json:"files"`
		Pairs []string `json:"pairs"`
	}{files, pairs})
}

// Problem implements View.
func (j *JSON) Problem(err error) {
	for _, one := range flatten(err) {
		if ds, ok := errors.AsType[spec.Diagnostics](one); ok {
			j.Diagnostics(ds)
			continue
		}
		for _, p := range problemsOf(one) {
			j.problem(p)
		}
	}
}

func (j *JSON) problem(p problem) {
	level := "error"
	if p.Severity == "warning" {
		level = "warn"
	}
	j.line(level, "diagnostic", p.Summary, struct {
		Diagnostic problem `json:"diagnostic"`
	}{p})
}

// Wait implements View.
func (j *JSON) Wait(string) func() { return func() {} }

// Ask implements View.
func (j *JSON) Ask(context.Context, string) (string, error) {
	return "", errors.New("nothing can be asked with --json")
}

// AskSecret implements View.
func (j *JSON) AskSecret(context.Context, string) ([]byte, error) {
	return nil, errors.New("nothing can be asked with --json")
}

// Stopping implements View.
func (j *JSON) Stopping() {
	j.line("warn", "stopping", "interrupted: ending what is under way", nil)
}

// Next implements View.
func (j *JSON) Next([]Hint) {}

// Plan implements View.
func (j *JSON) Plan(p *plan.Plan) {
	for _, c := range p.Changes {
		kind := "planned_change"
		if c.Drift {
			kind = "drift"
		}
		j.line("info", kind, fmt.Sprintf("%s: plan to %s", c.Addr, c.Action), struct {
			Change plan.Change `json:"change"`
		}{c})
	}
	for _, n := range p.Notes {
		j.problem(problem{Severity: "warning", Summary: fmt.Sprintf("%s: %s", refText(n.At), n.Text)})
	}
	j.summary(p, "plan", planSummary(p))
	for _, o := range p.Outages {
		for _, c := range o.Cases {
			j.line("info", "predicted_outage", fmt.Sprintf("%s: %s interrupts writes for %s, %s at worst", o.Pair, c.Case, latency(c.Typical), latency(c.Max)), struct {
				Pair      string  `json:"pair"`
				Case      string  `json:"case"`
				Best      float64 `json:"best_ms"`
				Typical   float64 `json:"typical_ms"`
				Worst     float64 `json:"worst_ms"`
				LosesTail bool    `json:"loses_tail"`
				Because   string  `json:"because"`
			}{o.Pair, c.Case, millis(c.Min), millis(c.Typical), millis(c.Max), c.LosesTail, c.Because})
		}
	}
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// changeCounts is the body of change_summary.
type changeCounts struct {
	Add       int    `json:"add"`
	Change    int    `json:"change"`
	Destroy   int    `json:"destroy"`
	Operation string `json:"operation"` // "plan", "apply"
}

func (j *JSON) summary(p *plan.Plan, operation, message string) {
	add, change, destroy := p.Counts()
	j.line("info", "change_summary", message, struct {
		Changes changeCounts `json:"changes"`
	}{changeCounts{add, change, destroy, operation}})
}

// Apply implements View.
func (j *JSON) Apply(*plan.Plan) (plan.Hooks, func()) {
	return jsonApply{j, map[string]time.Time{}}, func() {}
}

// Applied implements View.
func (j *JSON) Applied(p *plan.Plan, took time.Duration) {
	add, change, destroy := p.Counts()
	j.summary(p, "apply", fmt.Sprintf("Apply complete: %d added, %d changed, %d destroyed, in %s.", add, change, destroy, elapsed(took)))
}

type jsonApply struct {
	j    *JSON
	last map[string]time.Time // when a step was last heard of, by ID
}

// stepBody is the body of the apply_ lines.
type stepBody struct {
	Step     string  `json:"step"`
	Within   string  `json:"within,omitempty"` // the step that this one is a part of
	At       string  `json:"at"`               // "PAIR/HOST", "PAIR", "here"
	Title    string  `json:"title"`
	Elapsed  float64 `json:"elapsed_seconds,omitempty"`
	Progress string  `json:"progress,omitempty"`
	Done     int64   `json:"done_bytes,omitempty"`
	Total    int64   `json:"total_bytes,omitempty"`
	Log      string  `json:"log,omitempty"`
	Result   string  `json:"result,omitempty"`
	Error    string  `json:"error,omitempty"`
}

// StepStarted implements plan.Hooks.
func (a jsonApply) StepStarted(s plan.Step) {
	a.j.line("info", "apply_start", fmt.Sprintf("%s: %s", refText(s.At), s.Title), stepBody{Step: s.ID, Within: s.Within, At: refText(s.At), Title: s.Title})
}

// progressInterval is the least time between two lines about the progress of
// one step.
const progressInterval = time.Second

// StepProgress implements plan.Hooks.
func (a jsonApply) StepProgress(s plan.Step, p plan.Progress) {
	now := a.j.clock()
	if now.Sub(a.last[s.ID]) < progressInterval {
		return
	}
	a.last[s.ID] = now
	a.j.line("info", "apply_progress", fmt.Sprintf("%s: %s: %s", refText(s.At), s.Title, progressText(p)), stepBody{
		Step: s.ID, Within: s.Within, At: refText(s.At), Title: s.Title, Progress: p.Text, Done: p.Done, Total: p.Total, Log: p.Log,
	})
}

// StepDone implements plan.Hooks.
func (a jsonApply) StepDone(s plan.Step, took time.Duration, err error) {
	a.j.stepDone(stepBody{Step: s.ID, Within: s.Within, At: refText(s.At), Title: s.Title}, took, err)
}

func (j *JSON) stepDone(body stepBody, took time.Duration, err error) {
	body.Elapsed = took.Seconds()
	if err != nil {
		body.Error = err.Error()
		j.line("error", "apply_errored", fmt.Sprintf("%s: %s: failed after %s", body.At, body.Title, elapsed(took)), body)
		return
	}
	j.line("info", "apply_complete", fmt.Sprintf("%s: %s: done in %s", body.At, body.Title, elapsed(took)), body)
}

// Lifecycle implements View.
func (j *JSON) Lifecycle(pairName string, hosts [2]string) (pair.Events, func()) {
	return jsonLifecycle{j, pairName}, func() {}
}

type jsonLifecycle struct {
	j    *JSON
	pair string
}

// Step implements pair.Events.
func (l jsonLifecycle) Step(host, what string) pair.Step {
	at := refText(facts.Ref{Pair: l.pair, Host: host})
	body := stepBody{Step: what, At: at, Title: what}
	l.j.line("info", "apply_start", fmt.Sprintf("%s: %s", at, what), body)
	return &jsonStep{l.j, body, l.j.clock()}
}

type jsonStep struct {
	j     *JSON
	body  stepBody
	start time.Time
}

// Progress implements pair.Step.
func (s *jsonStep) Progress(seen string) {
	body := s.body
	body.Progress = seen
	s.j.line("info", "apply_progress", fmt.Sprintf("%s: %s: %s", body.At, body.Title, seen), body)
}

// Done implements pair.Step.
func (s *jsonStep) Done(result string, err error) {
	body := s.body
	body.Result = result
	s.j.stepDone(body, s.j.clock().Sub(s.start), err)
}

// Status implements View: one object and nothing else.
func (j *JSON) Status(pairs []PairStatus) {
	states := make([]pair.State, len(pairs))
	for i, p := range pairs {
		states[i] = p.State
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.begun = true
	line, err := json.Marshal(pair.NewStatus(states...))
	if err == nil {
		_, err = j.w.Write(append(line, '\n'))
	}
	if err != nil && j.failed == nil {
		j.failed = fmt.Errorf("write the status: %w", err)
	}
}

// WatchStatus implements View: one object a line for each look.
func (j *JSON) WatchStatus() (func([]PairStatus), func()) { return j.Status, func() {} }

// Timeline implements View: one object a line for each.
func (j *JSON) Timeline(happened []pair.Happening) {
	for _, h := range happened {
		j.line("info", "event", h.String(), h)
	}
}

// Drill implements View.
func (j *JSON) Drill([2]string) (drill.Events, func()) { return &jsonDrill{j: j}, func() {} }

type jsonDrill struct {
	j          *JSON
	pair, name string
}

// Started implements drill.Events.
func (d *jsonDrill) Started(pairName string, dr drill.Drill) {
	d.pair, d.name = pairName, dr.Name
	d.j.line("info", "drill_start", fmt.Sprintf("%s: %s: %s", d.pair, d.name, dr.Summary), struct {
		Pair   string `json:"pair"`
		Drill  string `json:"drill"`
		Case   int    `json:"case,omitempty"`
		Expect string `json:"expect"`
	}{d.pair, d.name, dr.Case, dr.Expect})
}

// Happened implements drill.Events. The type of the line is the event's.
func (d *jsonDrill) Happened(e drill.Event) {
	d.j.line("info", string(e.Type), fmt.Sprintf("%s: %s: %s", d.pair, orHost(e.Host, d.name), e.Text), struct {
		Pair  string       `json:"pair"`
		Drill string       `json:"drill"`
		At    drill.Millis `json:"at_ms"`
		Host  string       `json:"host,omitempty"`
		From  string       `json:"from,omitempty"`
		To    string       `json:"to,omitempty"`
	}{d.pair, d.name, e.At, e.Host, e.From, e.To})
}

func orHost(host, otherwise string) string {
	if host == "" {
		return otherwise
	}
	return host
}

// Finished implements drill.Events.
func (d *jsonDrill) Finished(r *drill.Result) {
	level := "info"
	if r.Verdict != drill.Passed {
		level = "error"
	}
	short := *r
	short.Series = nil // points of a plot are for reports
	d.j.line(level, "drill_result", fmt.Sprintf("%s: %s %s%s", d.pair, d.name, r.Verdict, unlike(r.Mismatch)), struct {
		Result *drill.Result `json:"result"`
	}{&short})
}

// unlike is what a message adds about a prediction.
func unlike(m *drill.Mismatch) string {
	if m == nil {
		return ""
	}
	return "; not as predicted: " + m.Text
}

// Drilled implements View: the results have been written one by one; what they
// come to follows.
func (j *JSON) Drilled(results []*drill.Result) {
	for _, s := range drill.Summaries(results) {
		j.line("info", "drill_summary", fmt.Sprintf("%s: %d of %d passed%s", s.Drill, s.Passed, s.Runs, unlike(s.Mismatch)), struct {
			Summary drill.Summary `json:"summary"`
		}{s})
	}
}

// Unlocked implements View.
func (j *JSON) Unlocked(at facts.Ref, holder string) {
	j.line("info", "unlocked", unlocked(at, holder), struct {
		At     string `json:"at"`
		Holder string `json:"holder,omitempty"`
	}{refText(at), holder})
}

// Reported implements View.
func (j *JSON) Reported(paths []string) {
	j.line("info", "report", "report: "+strings.Join(paths, ", "), struct {
		Paths []string `json:"paths"`
	}{paths})
}

// DrillSteps implements View.
func (j *JSON) DrillSteps(drills []drill.Drill) {
	for _, d := range drills {
		j.line("info", "drill_steps", d.Name+": "+d.Summary, struct {
			Drill  string   `json:"drill"`
			Steps  []string `json:"steps"`
			Expect string   `json:"expect"`
			Danger string   `json:"danger,omitempty"`
		}{d.Name, d.Plan(), d.Expect, d.Danger})
	}
}
