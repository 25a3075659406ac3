package view

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares what was shown with testdata/NAME.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// A device is what a view writes to in a test: width 0 is no terminal.
type device struct {
	width int
	color bool
}

func (d device) String() string {
	switch {
	case d.width == 0:
		return "plain"
	case d.color:
		return fmt.Sprintf("%d-color", d.width)
	default:
		return fmt.Sprint(d.width)
	}
}

var devices = []device{{width: 0}, {width: 60}, {width: 100}, {width: 160}, {width: 100, color: true}}

// newTestView is a view for people that writes both streams to one buffer.
func newTestView(d device, in string) (*Human, *bytes.Buffer) {
	var b bytes.Buffer
	h := NewHuman(Settings{}, strings.NewReader(in), &b, &b)
	s := stream{w: &b, terminal: d.width > 0, color: d.color, width: func() int { return d.width }, styles: newStyles(&b, d.color)}
	h.out, h.err = s, s
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	h.clock = func() time.Time { return now }
	return h, &b
}

// onDevices shows something on every device, compares it with the golden files
// that begin with name, and checks what is true of all output.
func onDevices(t *testing.T, name string, show func(h *Human)) {
	t.Helper()
	for _, d := range devices {
		t.Run(d.String(), func(t *testing.T) {
			h, b := newTestView(d, "")
			show(h)
			got := b.String()
			golden(t, name+"-"+d.String()+".txt", got)
			if !d.color && strings.Contains(got, "\x1b") {
				t.Error("escape sequences without colour")
			}
			for line := range strings.Lines(got) {
				line = strings.TrimRight(line, "\n")
				if strings.HasPrefix(strings.TrimSpace(line), "╭") && ansi.StringWidth(line) > d.width {
					t.Errorf("a table of %d columns on a terminal of %d", ansi.StringWidth(line), d.width)
				}
				if d.width == 0 && strings.TrimRight(line, " ") != line {
					t.Errorf("trailing spaces: %q", line)
				}
			}
		})
	}
}
