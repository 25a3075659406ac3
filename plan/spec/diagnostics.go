package spec

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
)

// Severity says whether a diagnostic stops the show.
type Severity string

const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Diagnostic is one thing that is wrong with a spec, or suspicious: a terse
// Summary, and a Detail that says what to write instead.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	Summary  string   `json:"summary"`
	Detail   string   `json:"detail"`
	Range    *Range   `json:"range,omitempty"`   // nil when it is about no place in a file
	Snippet  *Snippet `json:"snippet,omitempty"` // nil when the source is not at hand
}

// Range is a part of a file, End being the first position after it.
type Range struct {
	Filename string `json:"filename"`
	Start    Pos    `json:"start"`
	End      Pos    `json:"end"`
}

// Pos is a place in a file: line and column count from 1, in characters, the
// byte from 0.
type Pos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

// Snippet is the line on which a Range starts. What may be a secret in it is
// shown as asterisks.
type Snippet struct {
	Context string `json:"context,omitempty"` // the block around it, such as pair "cache"
	Code    string `json:"code"`
	// Values are those of the expression's variables, as "var.x is 5".
	Values []string `json:"values,omitempty"`
}

// Diagnostics are what Load and Format have to say, in the order of the files.
type Diagnostics []Diagnostic

// HasErrors reports whether one of them is an error.
func (ds Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(ds, func(d Diagnostic) bool { return d.Severity == Error })
}

// Err is the diagnostics as an error, nil unless HasErrors.
func (ds Diagnostics) Err() error {
	if !ds.HasErrors() {
		return nil
	}
	return ds
}

// Error is the first error in one line, and how many more there are.
func (ds Diagnostics) Error() string {
	var errs []Diagnostic
	for _, d := range ds {
		if d.Severity == Error {
			errs = append(errs, d)
		}
	}
	switch len(errs) {
	case 0:
		return "no errors"
	case 1:
		return errs[0].String()
	}
	return fmt.Sprintf("%s (and %d more)", errs[0], len(errs)-1)
}

// String is the diagnostic in one line.
func (d Diagnostic) String() string {
	text := d.Summary + ": " + d.Detail
	if d.Range == nil {
		return text
	}
	return fmt.Sprintf("%s:%d,%d: %s", d.Range.Filename, d.Range.Start.Line, d.Range.Start.Column, text)
}

// MarshalJSON makes a list of them, empty rather than null.
func (ds Diagnostics) MarshalJSON() ([]byte, error) {
	if ds == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]Diagnostic(ds))
}

// Write shows them to people: what is wrong, the line with a caret under the
// right words, what to do. Text is wrapped at width; 0 means not at all.
func (ds Diagnostics) Write(w io.Writer, width int, color bool) error {
	var b strings.Builder
	for _, d := range ds {
		d.write(&b, width, color)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (d Diagnostic) write(b *strings.Builder, width int, color bool) {
	paint := func(code, text string) string {
		if !color {
			return text
		}
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
	const bold = "1"
	label, hue := "Error", "1;31"
	if d.Severity == Warning {
		label, hue = "Warning", "1;33"
	}
	fmt.Fprintf(b, "%s %s\n\n", paint(hue, label+":"), paint(bold, d.Summary))

	if r := d.Range; r != nil {
		fmt.Fprintf(b, "  on %s line %d", r.Filename, r.Start.Line)
		if d.Snippet == nil {
			b.WriteString("\n\n")
		} else {
			if d.Snippet.Context != "" {
				fmt.Fprintf(b, ", in %s", d.Snippet.Context)
			}
			number := fmt.Sprintf("%4d: ", r.Start.Line)
			code := d.Snippet.Code
			fmt.Fprintf(b, ":\n%s%s\n%s%s\n", number, code, strings.Repeat(" ", len(number)), paint(hue, r.carets(code)))
			for i, value := range d.Snippet.Values {
				b.WriteString([]string{"  where ", "    and "}[min(i, 1)] + value + "\n")
			}
			b.WriteByte('\n')
		}
	}
	if d.Detail != "" {
		b.WriteString(wrap(d.Detail, width) + "\n\n")
	}
}

// carets underlines the range in the line on which it starts. A tab before it
// stays a tab, so that the carets stand right at any tab width.
func (r *Range) carets(line string) string {
	var b strings.Builder
	column := 1
	for _, c := range line {
		if column >= r.Start.Column {
			break
		}
		if c != '\t' {
			c = ' '
		}
		b.WriteRune(c)
		column++
	}
	count := utf8.RuneCountInString(line) - r.Start.Column + 1
	if r.End.Line == r.Start.Line {
		count = r.End.Column - r.Start.Column
	}
	return b.String() + strings.Repeat("^", max(count, 1))
}

// wrap breaks text at spaces so that no line is longer than width, where words
// allow it.
func wrap(text string, width int) string {
	if width <= 0 {
		return text
	}
	var b strings.Builder
	for i, paragraph := range strings.Split(text, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		used := 0
		for _, word := range strings.Split(paragraph, " ") {
			n := utf8.RuneCountInString(word)
			switch {
			case used == 0:
			case used+1+n > width:
				b.WriteByte('\n')
				used = 0
			default:
				b.WriteByte(' ')
				used++
			}
			b.WriteString(word)
			used += n
		}
	}
	return b.String()
}

// source is what is kept of a file for the diagnostics about it.
type source struct {
	order int      // among the files
	nav   any      // knows the block around a place
	lines []string // secrets masked
}

// finish sorts what was found by place and gives it snippets.
func (d *decoder) finish() Diagnostics {
	slices.SortStableFunc(d.diags, func(a, b *hcl.Diagnostic) int {
		return cmp.Or(
			cmp.Compare(d.fileOrder(a.Subject), d.fileOrder(b.Subject)),
			cmp.Compare(startByte(a.Subject), startByte(b.Subject)),
			cmp.Compare(a.Summary, b.Summary),
			cmp.Compare(a.Detail, b.Detail),
		)
	})
	var out Diagnostics
	for _, diag := range d.diags {
		severity := Error
		if diag.Severity == hcl.DiagWarning {
			severity = Warning
		}
		one := Diagnostic{Severity: severity, Summary: diag.Summary, Detail: diag.Detail}
		if subject := diag.Subject; subject != nil {
			one.Range = &Range{Filename: subject.Filename, Start: Pos(subject.Start), End: Pos(subject.End)}
			one.Snippet = d.snippet(diag)
		}
		// What both hosts inherit is read twice, and told once.
		if n := len(out); n > 0 && out[n-1].String() == one.String() {
			continue
		}
		out = append(out, one)
	}
	return out
}

// written is what stands in the file at r, where that is one line; nothing of
// a secret, as it is taken from what is shown.
func (d *decoder) written(r hcl.Range) string {
	src := d.sources[r.Filename]
	if src == nil || r.Start.Line != r.End.Line || r.Start.Line > len(src.lines) {
		return ""
	}
	line := []rune(src.lines[r.Start.Line-1])
	from, to := r.Start.Column-1, r.End.Column-1
	if from < 0 || to > len(line) || from > to {
		return ""
	}
	return string(line[from:to])
}

func (d *decoder) fileOrder(r *hcl.Range) int {
	if r == nil {
		return -1
	}
	if src := d.sources[r.Filename]; src != nil {
		return src.order
	}
	return len(d.sources)
}

func startByte(r *hcl.Range) int {
	if r == nil {
		return 0
	}
	return r.Start.Byte
}

func (d *decoder) snippet(diag *hcl.Diagnostic) *Snippet {
	src := d.sources[diag.Subject.Filename]
	line := diag.Subject.Start.Line
	if src == nil || line < 1 || line > len(src.lines) {
		return nil
	}
	s := &Snippet{Code: src.lines[line-1]}
	if nav, ok := src.nav.(interface{ ContextString(int) string }); ok {
		s.Context = nav.ContextString(diag.Subject.Start.Byte)
	}
	if diag.Expression != nil && diag.EvalContext != nil {
		s.Values = visibleValues(diag.Expression, diag.EvalContext)
	}
	return s
}

// didYouMean is the nearest miss of given among names, as a sentence that
// follows another; without one it is the fallback, where there is one.
func didYouMean(given string, names []string, fallback string) string {
	best, slips := "", 3
	for _, name := range names {
		n := levenshtein.Distance(given, name, nil)
		if n > 0 && n < slips && 2*n <= utf8.RuneCountInString(name) {
			best, slips = name, n
		}
	}
	if best != "" {
		return fmt.Sprintf(" Did you mean %q?", best)
	}
	if fallback == "" {
		return ""
	}
	return " " + fallback
}
