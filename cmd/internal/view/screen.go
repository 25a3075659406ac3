package view

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"github.com/muesli/termenv"
	"golang.org/x/term"
)

// Settings is what flags and environment say about looks.
type Settings struct {
	NoColor bool // --no-color, NO_COLOR
	Still   bool // CI: no animation, even on a terminal
	Quiet   bool // --quiet: no progress and no hints, only results and problems
	NoHints bool // HAPAIR_IN_AUTOMATION: nobody is there to take the next step
}

// screen owns both output streams and is the only place that asks whether one
// is a terminal. Where standard error is one, its last lines can be live:
// redrawn in place while other lines scroll by above them, whichever stream
// those go to.
type screen struct {
	Settings
	in       io.Reader
	out, err stream
	clock    func() time.Time

	mu     sync.Mutex
	live   func(width int) []string // nil: nothing is live
	drawn  int                      // live lines on the terminal now
	failed error                    // the first write to out that went wrong
}

// stream is one of the two outputs.
type stream struct {
	w        io.Writer
	terminal bool
	color    bool
	width    func() int // columns; 0: as many as it takes
	styles   styles
}

func newScreen(s Settings, in io.Reader, out, err io.Writer) *screen {
	return &screen{
		Settings: s,
		in:       in,
		out:      newStream(out, s),
		err:      newStream(err, s),
		clock:    time.Now,
	}
}

func newStream(w io.Writer, s Settings) stream {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return stream{w: w, width: func() int { return 0 }, styles: newStyles(w, false)}
	}
	width := func() int {
		columns, _, err := term.GetSize(int(f.Fd()))
		if err != nil || columns <= 0 {
			return 80
		}
		return columns
	}
	dumb := os.Getenv("TERM") == "dumb"
	color := !s.NoColor && !dumb
	return stream{w: w, terminal: !dumb, color: color, width: width, styles: newStyles(w, color)}
}

// animated reports whether live lines are drawn at all.
func (s *screen) animated() bool { return s.err.terminal && !s.Still && !s.Quiet }

// print writes whole lines to one of the streams.
func (s *screen) print(to *stream, text string) {
	if text == "" {
		return
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	io.WriteString(s.err.w, s.erase())
	if _, err := io.WriteString(to.w, text); err != nil && to == &s.out && s.failed == nil {
		s.failed = fmt.Errorf("write to standard output: %w", err)
	}
	io.WriteString(s.err.w, s.draw())
}

// frame is how often live lines are redrawn.
const frame = 100 * time.Millisecond

// begin makes lines live until the returned function is called. Without a
// terminal it does nothing.
func (s *screen) begin(lines func(width int) []string) (end func()) {
	if !s.animated() {
		return func() {}
	}
	s.mu.Lock()
	s.live = lines
	io.WriteString(s.err.w, s.draw())
	s.mu.Unlock()

	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(frame)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				s.mu.Lock()
				io.WriteString(s.err.w, s.erase()+s.draw())
				s.mu.Unlock()
			}
		}
	}()
	var once sync.Once
	return func() {
		once.Do(func() {
			close(stop)
			<-stopped
			s.mu.Lock()
			defer s.mu.Unlock()
			io.WriteString(s.err.w, s.erase())
			s.live = nil
		})
	}
}

// erase is what takes the live lines off the terminal; s.mu is held.
func (s *screen) erase() string {
	if s.drawn == 0 {
		return ""
	}
	up := fmt.Sprintf("\x1b[%dA\r\x1b[J", s.drawn)
	s.drawn = 0
	return up
}

// draw is what puts the live lines below everything else; s.mu is held.
func (s *screen) draw() string {
	if s.live == nil {
		return ""
	}
	width := s.err.width()
	lines := s.live(width)
	var b strings.Builder
	for _, line := range lines {
		// A line that wraps would be two, and erase would leave one behind.
		b.WriteString(ansi.Truncate(line, width-1, "…"))
		b.WriteByte('\n')
	}
	s.drawn = len(lines)
	return b.String()
}

// styles are the few looks there are, for one stream. The sixteen basic
// colours follow the reader's own theme.
type styles struct {
	plain, bold, dim       lipgloss.Style
	good, warn, bad, title lipgloss.Style
	add, change, remove    lipgloss.Style
}

func newStyles(w io.Writer, color bool) styles {
	profile := termenv.Ascii
	if color {
		profile = termenv.ANSI
	}
	// Naming the profile keeps termenv from asking the terminal.
	r := lipgloss.NewRenderer(w, termenv.WithProfile(profile))
	r.SetColorProfile(profile)
	r.SetHasDarkBackground(true)
	plain := r.NewStyle().TabWidth(lipgloss.NoTabConversion)
	colour := func(code string) lipgloss.Style { return plain.Foreground(lipgloss.Color(code)) }
	return styles{
		plain:  plain,
		bold:   plain.Bold(true),
		dim:    plain.Faint(true),
		title:  colour("6").Bold(true),
		good:   colour("2"),
		warn:   colour("3"),
		bad:    colour("1").Bold(true),
		add:    colour("2"),
		change: colour("3"),
		remove: colour("1"),
	}
}
