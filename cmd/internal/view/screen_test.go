package view

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"hapair/plan/spec"
)

// A terminal is as much of one as the live lines need.
type terminal struct {
	lines []string // the last one is where the cursor is
}

var cursorUp = regexp.MustCompile(`^\x1b\[(\d+)A\r\x1b\[J`)

func (t *terminal) Write(p []byte) (int, error) {
	if len(t.lines) == 0 {
		t.lines = []string{""}
	}
	for text := string(p); text != ""; {
		if m := cursorUp.FindStringSubmatch(text); m != nil {
			n, _ := strconv.Atoi(m[1])
			t.lines = append(t.lines[:len(t.lines)-1-n], "")
			text = text[len(m[0]):]
			continue
		}
		last := &t.lines[len(t.lines)-1]
		if text[0] == '\n' {
			t.lines = append(t.lines, "")
		} else {
			*last += text[:1]
		}
		text = text[1:]
	}
	return len(p), nil
}

func onTerminal(in string, width int) (*Human, *terminal) {
	h, _ := newTestView(device{width: width}, in)
	t := &terminal{}
	h.out.w, h.err.w = t, t
	return h, t
}

func TestLiveLines(t *testing.T) {
	defer goleak.VerifyNone(t)
	h, term := onTerminal("", 20)
	count := 0
	end := h.begin(func(int) []string {
		count++
		return slices.Repeat([]string{"this line is far too long for it"}, count%3+1)
	})
	for i := range 5 {
		h.print(&h.out, fmt.Sprintf("result %d", i))
		h.print(&h.err, fmt.Sprintf("progress %d\n", i))
	}
	h.mu.Lock()
	got := slices.Clone(term.lines)
	h.mu.Unlock()
	if want := []string{"result 0", "progress 0", "result 1", "progress 1"}; !slices.Equal(got[:4], want) {
		t.Errorf("above the live lines is %q, want %q", got[:4], want)
	}
	if live := got[10]; live != "this line is far t…" {
		t.Errorf("the first live line is %q", live)
	}
	end()
	end()
	if len(term.lines) != 11 || term.lines[9] != "progress 4" || term.lines[10] != "" {
		t.Errorf("live lines are left over: %q", term.lines)
	}
}

func TestNothingMovesWithoutATerminal(t *testing.T) {
	defer goleak.VerifyNone(t)
	for name, still := range map[string]func(h *Human){
		"not a terminal": func(h *Human) { h.err.terminal = false },
		"CI":             func(h *Human) { h.Still = true },
		"--quiet":        func(h *Human) { h.Quiet = true },
	} {
		h, term := onTerminal("", 80)
		still(h)
		done := h.Wait("Connecting")
		done()
		if len(term.lines) > 0 {
			t.Errorf("%s: %q", name, term.lines)
		}
	}
}

func TestAsk(t *testing.T) {
	h, term := onTerminal(" yes \nno\n", 80)
	end := h.begin(func(int) []string { return []string{"live"} })
	defer end()
	answer, err := h.Ask(t.Context(), "Really?")
	if answer != "yes" || err != nil {
		t.Errorf("Ask = %q, %v", answer, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if got := strings.Join(term.lines, "\n"); got != "Really? \nlive\n" {
		t.Errorf("on the screen: %q", got)
	}
}

func TestAskWithoutAnAnswer(t *testing.T) {
	h, _ := onTerminal("", 80)
	if answer, err := h.Ask(t.Context(), "Really?"); err == nil {
		t.Errorf("Ask = %q at the end of the input", answer)
	}
	if secret, err := h.AskSecret(t.Context(), "Passphrase:"); err == nil {
		t.Errorf("AskSecret = %q without a terminal", secret)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("interrupted"))
	silent, w := io.Pipe()
	h.in = silent
	defer w.Close()
	if _, err := h.Ask(ctx, "Really?"); err == nil || err.Error() != "interrupted" {
		t.Errorf("Ask = %v after an interruption", err)
	}
}

// A full disk under standard output is no success.
func TestWriteError(t *testing.T) {
	h, _ := newTestView(device{}, "")
	h.out.w = full{}
	h.Text("a result")
	if err := h.Err(); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("Err = %v", err)
	}
	j := NewJSON(full{}, "1")
	j.Validated(&spec.Spec{}, nil)
	if err := j.Err(); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("JSON: Err = %v", err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }
