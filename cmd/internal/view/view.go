// Package view is how plans, progress, status and drills look: for people
// (Human) and for programs (JSON), two implementations of View. It takes plain
// data from the packages that do the work and decides what a terminal gets:
// colour, tables, live lines; without a terminal there are plain lines.
//
// Data goes to standard output, progress and problems to standard error. With
// JSON all of it goes to standard output, one object a line.
package view

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"hapair/plan"
	"hapair/plan/drill"
	"hapair/plan/facts"
	"hapair/plan/pair"
	"hapair/plan/spec"
)

// View shows what commands find and do.
type View interface {
	// Diagnostics shows what is wrong with a spec, or suspicious.
	Diagnostics(ds spec.Diagnostics)
	// Validated says that a spec is sound.
	Validated(s *spec.Spec, files []string)
	// Problem shows an error with all the evidence it carries.
	Problem(err error)
	// Wait says what is being waited for, until the returned function is called.
	Wait(what string) (done func())
	// Ask puts a question to the person at the terminal, or to whatever
	// standard input is, and returns the line that comes back.
	Ask(ctx context.Context, question string) (string, error)
	// AskSecret does so without showing the answer. It needs a terminal.
	AskSecret(ctx context.Context, question string) ([]byte, error)
	// Plan shows what would change.
	Plan(p *plan.Plan)
	// Apply shows the steps of p as they happen, until done is called.
	Apply(p *plan.Plan) (h plan.Hooks, done func())
	// Applied is the end of an apply that went well.
	Applied(p *plan.Plan, took time.Duration)
	// Lifecycle shows the steps of starting, stopping or recovering a pair as
	// they happen, until done is called.
	Lifecycle(pairName string, hosts [2]string) (ev pair.Events, done func())
	// Status shows how pairs are and what to think of it.
	Status(pairs []PairStatus)
	// WatchStatus shows it again and again, in one place where it can.
	WatchStatus() (show func([]PairStatus), done func())
	// Timeline shows what has happened on both hosts.
	Timeline(happened []pair.Happening)
	// Drill shows drills as they go, until done is called.
	Drill(hosts [2]string) (ev drill.Events, done func())
	// DrillSteps says what drills would do.
	DrillSteps(drills []drill.Drill)
	// Drilled shows what came of all of them.
	Drilled(results []*drill.Result)
	// Reported says which files the report of drills is in.
	Reported(paths []string)
	// Unlocked says whose lock on a host was broken; "": there was none.
	Unlocked(at facts.Ref, holder string)
	// Stopping answers the first Ctrl-C while something is under way.
	Stopping()
	// Next proposes commands to try, where somebody is there to try them.
	Next(steps []Hint)
	// Err is the first error of writing the results.
	Err() error
}

// Hint is a command that one may want to run next, and what it is good for.
type Hint struct{ Command, Why string }

// Human shows things to people.
type Human struct{ *screen }

// NewHuman is a view on the three streams of the process.
func NewHuman(s Settings, in io.Reader, out, err io.Writer) *Human {
	return &Human{newScreen(s, in, out, err)}
}

// Err implements View.
func (h *Human) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failed
}

// Wait implements View.
func (h *Human) Wait(what string) func() {
	start := h.clock()
	return h.begin(func(int) []string {
		took := h.clock().Sub(start)
		return []string{h.err.styles.warn.Render(spinner(took)) + " " + what + h.err.styles.dim.Render("  "+elapsed(took))}
	})
}

// Unlocked implements View.
func (h *Human) Unlocked(at facts.Ref, holder string) { h.print(&h.out, unlocked(at, holder)) }

func unlocked(at facts.Ref, holder string) string {
	if holder == "" {
		return fmt.Sprintf("%s: nobody has the lock", refText(at))
	}
	return fmt.Sprintf("%s: took the lock away from %s", refText(at), printable(holder))
}

// Stopping implements View.
func (h *Human) Stopping() {
	st := h.err.styles
	h.print(&h.err, st.warn.Bold(true).Render("Interrupted:")+" ending what is under way, beginning nothing else. A second Ctrl-C drops everything at once.")
}

// Next implements View.
func (h *Human) Next(steps []Hint) {
	if h.Quiet || h.NoHints || len(steps) == 0 {
		return
	}
	command, why := 0, 0
	for _, s := range steps {
		command, why = max(command, len(s.Command)), max(why, len(s.Why))
	}
	width := h.err.width()
	st := h.err.styles
	var b strings.Builder
	b.WriteString("\n" + st.bold.Render("Try next") + "\n")
	for _, s := range steps {
		if width > 0 && command+why+4 > width {
			fmt.Fprintf(&b, "  %s\n    %s\n", st.dim.Render(s.Why+":"), st.title.Render(s.Command))
			continue
		}
		fmt.Fprintf(&b, "  %s  %s\n", st.title.Render(pad(s.Command, command)), st.dim.Render(s.Why))
	}
	h.print(&h.err, b.String())
}

const spinnerFrames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

func spinner(t time.Duration) string {
	frames := []rune(spinnerFrames)
	return string(frames[int(t/frame)%len(frames)])
}

// elapsed is how long something took, as short as is useful: "0.3s", "42s",
// "3m05s".
func elapsed(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
}

// latency is a time that one compares with others: "47 ms", "1.35 s".
func latency(d time.Duration) string {
	switch {
	case d == 0:
		return "0 ms"
	case d < time.Millisecond:
		return "< 1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	default:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
}

// bytesize is a number of bytes for people, in powers of 1000.
func bytesize(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, units := float64(n), "kMGT"
	i := -1
	for value >= 1000 && i < len(units)-1 {
		value /= 1000
		i++
	}
	return fmt.Sprintf("%.1f %cB", value, units[i])
}

// plural is "1 host", "2 hosts".
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// printable is text from a host without what could steer a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, text)
}
