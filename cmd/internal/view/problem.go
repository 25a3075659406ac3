package view

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"hapair/plan"
	"hapair/plan/facts"
	"hapair/plan/pair"
	"hapair/plan/spec"
	"hapair/remote"
)

// problem is an error taken apart: what failed, what was seen, and what to do.
type problem struct {
	Severity string   `json:"severity"` // "error", "warning"
	Summary  string   `json:"summary"`
	Detail   string   `json:"detail,omitempty"`
	Output   []string `json:"output,omitempty"` // what the host or the program said last
	Log      string   `json:"log,omitempty"`    // where there is more of it
	State    string   `json:"state,omitempty"`  // what is so now
	Next     string   `json:"next,omitempty"`   // what to do
}

// flatten is the errors that errors.Join made err of, or err itself. An error
// that binds several together in its own words stays whole.
func flatten(err error) []error {
	multi, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var lines []string
	var parts []error
	for _, e := range multi.Unwrap() {
		lines = append(lines, e.Error())
		parts = append(parts, flatten(e)...)
	}
	if err.Error() != strings.Join(lines, "\n") {
		return []error{err}
	}
	return parts
}

// outputLines is how much of a program's last words a problem shows.
const outputLines = 12

// problemsOf takes one error apart.
func problemsOf(err error) []problem {
	if conflicts, ok := errors.AsType[plan.Conflicts](err); ok {
		var all []problem
		for _, c := range conflicts {
			all = append(all, problem{
				Severity: "error",
				Summary:  fmt.Sprintf("%s: %s", refText(c.At), c.What),
				Detail:   c.Saw,
				Next:     c.Do,
			})
		}
		return all
	}

	p := problem{Severity: "error", Summary: err.Error()}
	if exit, ok := errors.AsType[*remote.ExitError](err); ok {
		p.Output = tail(strings.Split(strings.TrimSpace(string(exit.Stderr)), "\n"))
	}
	if away, ok := errors.AsType[*remote.Error](err); ok {
		p.Next = away.Hint
	}
	if knows, ok := errors.AsType[interface {
		error
		Next() string
	}](err); ok {
		p.Next = knows.Next()
	}
	if waited, ok := errors.AsType[*pair.Error](err); ok {
		p.Output = tail(waited.Log)
	}
	if step, ok := errors.AsType[*plan.StepError](err); ok {
		if len(step.Output) > 0 {
			p.Output = tail(step.Output)
		}
		if step.Next != "" {
			p.Next = step.Next
		}
		p.State, p.Log = step.State, step.Log
	}
	if stopped, ok := errors.AsType[*plan.Stopped](err); ok {
		p.Severity = "warning"
		p.State = standing(stopped)
		p.Next = "Run hapair apply again: it goes on from there."
	}
	if errors.Is(err, context.Canceled) && p.Next == "" {
		p.Severity = "warning"
	}
	// One line of output is in the summary already.
	if len(p.Output) == 1 && strings.Contains(p.Summary, p.Output[0]) {
		p.Output = nil
	}
	return []problem{p}
}

func tail(lines []string) []string {
	var kept []string
	for _, line := range lines {
		if line = strings.TrimRight(line, " \r\n"); line != "" {
			kept = append(kept, printable(ansi.Strip(line))) // compilers and make use colour
		}
	}
	return kept[max(0, len(kept)-outputLines):]
}

// standing says where an apply stopped: what it did last, what it was in the
// middle of, and what it did not begin.
func standing(s *plan.Stopped) string {
	var parts []string
	if n := len(s.Done); n > 0 {
		parts = append(parts, fmt.Sprintf("The last step done was %s.", stepText(s.Done[n-1])))
	} else if len(s.Cut) == 0 {
		parts = append(parts, "Nothing was changed.")
	}
	for _, cut := range s.Cut {
		parts = append(parts, fmt.Sprintf("Broken off: %s.", stepText(cut)))
	}
	if n := len(s.Left); n > 0 {
		parts = append(parts, fmt.Sprintf("Not begun: %s, the first of them %s.", plural(n, "step"), stepText(s.Left[0])))
	}
	return strings.Join(parts, " ")
}

func stepText(s plan.Step) string { return fmt.Sprintf("%q (%s)", s.Title, refText(s.At)) }

// refText is a place as people read it: a host of a pair, a pair, or this
// machine.
func refText(at facts.Ref) string {
	switch {
	case at.Pair == "":
		return "here"
	case at.Host == "":
		return at.Pair
	default:
		return at.String()
	}
}

// Problem implements View.
func (h *Human) Problem(err error) {
	for i, one := range flatten(err) {
		if i > 0 {
			h.print(&h.err, "\n")
		}
		if ds, ok := errors.AsType[spec.Diagnostics](one); ok {
			h.Diagnostics(ds)
			continue
		}
		var parts []string
		for _, p := range problemsOf(one) {
			parts = append(parts, h.problem(p))
		}
		h.print(&h.err, strings.Join(parts, "\n"))
	}
}

func (h *Human) problem(p problem) string {
	st := h.err.styles
	var b strings.Builder
	head := st.bad.Render("Error:")
	if p.Severity == "warning" {
		head = st.warn.Bold(true).Render("Warning:")
	}
	summary, more, _ := strings.Cut(p.Summary, "\n")
	fmt.Fprintf(&b, "%s %s\n", head, st.bold.Render(printable(summary)))
	text := func(s string) {
		for line := range strings.Lines(s) {
			for _, l := range wrap(strings.TrimRight(line, "\n"), h.err.textWidth()-2) {
				b.WriteString("  " + l + "\n")
			}
		}
	}
	text(more)
	text(p.Detail)
	for _, line := range p.Output {
		b.WriteString("  " + st.dim.Render("│") + " " + line + "\n")
	}
	if p.Log != "" {
		b.WriteString("  All of the output: " + p.Log + "\n")
	}
	text(p.State)
	text(p.Next)
	return b.String()
}
