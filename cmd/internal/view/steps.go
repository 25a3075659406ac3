package view

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/lipgloss"
)

// steps shows things under way on several hosts. On a terminal those are live
// lines, and the finished ones scroll by above them. Elsewhere each step is
// one line when it has ended, and a long one says now and then that it goes
// on.
type steps struct {
	h     *Human
	start time.Time
	total int // 0: not known
	// Columns of the longest place, and of titles, so that times stand below
	// each other.
	places, titles int

	mu      sync.Mutex
	running []*step // in the order in which they began
	done    int
}

// step is one of them.
type step struct {
	place, title string
	part         bool // of another step; it counts with that
	since        time.Time
	reminded     time.Time
	progress     string // what it does or sees now
	log          string // where its output goes
}

// showSteps shows steps at the given places until done is called. Of those with
// a known end, all titles are given.
func (h *Human) showSteps(places, titles []string) (s *steps, done func()) {
	s = &steps{h: h, start: h.clock(), total: len(titles), titles: titleColumns}
	for _, p := range places {
		s.places = max(s.places, lipgloss.Width(p))
	}
	for _, t := range titles {
		s.titles = min(max(s.titles, lipgloss.Width(t)), maxTitleColumns)
	}
	switch {
	case h.animated():
		return s, h.begin(s.lines)
	case h.Quiet:
		return s, func() {}
	default:
		return s, s.remind()
	}
}

func (s *steps) begin(one step) *step {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.since = s.h.clock()
	one.reminded = one.since
	s.running = append(s.running, &one)
	return &one
}

func (s *steps) progress(one *step, text, log string) {
	s.mu.Lock()
	one.progress = printable(text)
	named := log != "" && one.log == ""
	if log != "" {
		one.log = log
	}
	s.mu.Unlock()
	if named && !s.h.animated() && !s.h.Quiet {
		s.h.print(&s.h.err, s.line("…", one, "", "output: "+log))
	}
}

// end takes a step out of those under way and says what came of it.
func (s *steps) end(one *step, result string, err error) {
	s.mu.Lock()
	s.running = slices.DeleteFunc(s.running, func(r *step) bool { return r == one })
	if !one.part {
		s.done++
	}
	took := s.h.clock().Sub(one.since)
	s.mu.Unlock()
	if s.h.Quiet {
		return
	}
	st := s.h.err.styles
	mark := st.good.Render("✓")
	if err != nil {
		mark = st.bad.Render("✗")
		result = ""
	}
	s.h.print(&s.h.err, s.line(mark, one, elapsed(took), printable(result)))
}

// titleColumns and maxTitleColumns are how wide titles are made, where the
// terminal has room for it.
const (
	titleColumns    = 40
	maxTitleColumns = 66
)

// line is one step: "  ✓ a  write 14 files        0.3s  note".
func (s *steps) line(mark string, one *step, took, note string) string {
	st := s.h.err.styles
	columns := s.titles
	if width := s.h.err.width(); width > 0 {
		columns = min(columns, max(10, width-s.places-16))
	}
	line := fmt.Sprintf("  %s %s  %s  %s", mark, st.title.Render(pad(one.place, s.places)), pad(one.title, columns), st.dim.Render(fmt.Sprintf("%6s", took)))
	if note != "" {
		line += "  " + st.dim.Render(note)
	}
	return line
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-lipgloss.Width(text)))
}

// lines are the live ones: each step under way, and how far the whole is.
func (s *steps) lines(width int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.h.err.styles
	now := s.h.clock()
	var lines []string
	for _, one := range s.running {
		took := now.Sub(one.since)
		lines = append(lines, s.line(st.warn.Render(spinner(took)), one, elapsed(took), one.progress))
		if one.log != "" {
			lines = append(lines, strings.Repeat(" ", 6+s.places)+st.dim.Render("output: "+one.log))
		}
	}
	if s.total == 0 {
		return lines
	}
	bar := progressBar(st, s.done, s.total, min(30, width-40))
	return append(lines, "", fmt.Sprintf("  %s %d of %s  %s", bar, s.done, plural(s.total, "step"), st.dim.Render(elapsed(now.Sub(s.start)))))
}

func progressBar(st styles, done, total, width int) string {
	if width < 5 {
		return ""
	}
	full := width * min(done, total) / total
	return st.good.Render(strings.Repeat("━", full)) + st.dim.Render(strings.Repeat("━", width-full))
}

// reminder is how often a line without a terminal says that a step goes on.
const reminder = 20 * time.Second

// remind prints a line for each step that runs for long, until it is told to
// stop.
func (s *steps) remind() (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				for _, line := range s.reminders() {
					s.h.print(&s.h.err, line)
				}
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(quit)
		<-ended
	})
}

func (s *steps) reminders() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.h.clock()
	var lines []string
	for _, one := range s.running {
		if now.Sub(one.reminded) >= reminder {
			one.reminded = now
			lines = append(lines, s.line("…", one, elapsed(now.Sub(one.since)), one.progress))
		}
	}
	return lines
}
