package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	"github.com/charmbracelet/x/ansi"

	"hapair/plan"
	"hapair/plan/facts"
)

const unchanged = "No changes. The pair matches the spec."

// Plan implements View: changes host by host, then the counts, then what the
// documented failures would cost.
func (h *Human) Plan(p *plan.Plan) {
	var b strings.Builder
	var at facts.Ref
	kinds := 0
	for _, c := range p.Changes {
		kinds = max(kinds, len(c.Addr.Kind))
	}
	for i, c := range p.Changes {
		if i == 0 || c.Addr.At() != at {
			at = c.Addr.At()
			fmt.Fprintf(&b, "%s\n\n", h.out.styles.title.Render(at.String()))
		}
		h.change(&b, c, kinds)
		if i == len(p.Changes)-1 || p.Changes[i+1].Addr.At() != at {
			b.WriteByte('\n')
		}
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "%s %s: %s\n", h.out.styles.warn.Render("Note:"), refText(n.At), n.Text)
	}
	if len(p.Notes) > 0 {
		b.WriteByte('\n')
	}
	b.WriteString(h.out.styles.bold.Render(planSummary(p)) + "\n")
	h.outages(&b, p.Outages)
	h.print(&h.out, b.String())
}

func planSummary(p *plan.Plan) string {
	if p.Empty() {
		return unchanged
	}
	add, change, destroy := p.Counts()
	return fmt.Sprintf("Plan: %d to add, %d to change, %d to destroy.", add, change, destroy)
}

// change is one resource: a headline, then what differs. kinds is how wide the
// column of kinds is.
func (h *Human) change(b *strings.Builder, c plan.Change, kinds int) {
	st := h.out.styles
	head := h.paint(c.Action)(fmt.Sprintf("%3s", c.Action.Symbol())) + " " + st.dim.Render(pad(string(c.Addr.Kind), kinds)) + "  " + st.bold.Render(c.Addr.Name)
	why := ""
	if text := reason(c); text != "" {
		why = "  " + st.dim.Render("# "+text)
	}
	switch c.Action {
	case plan.Create:
		h.gist(b, head, why, c.After)
	case plan.Delete:
		h.gist(b, head, why, c.Before)
	default:
		b.WriteString(head + why + "\n")
		h.attrDiff(b, c.Before.Attrs, c.After.Attrs)
		h.textDiff(b, c)
	}
}

func reason(c plan.Change) string {
	switch {
	case !c.Drift:
		return c.Reason
	case c.Reason == "":
		return "drift: changed on the host"
	default:
		return "drift: " + c.Reason
	}
}

func (h *Human) paint(a plan.Action) func(...string) string {
	st := h.out.styles
	switch a {
	case plan.Create:
		return st.add.Render
	case plan.Update:
		return st.change.Render
	default:
		return st.remove.Render
	}
}

// detail indents what belongs to a change.
const detail = "      "

// gist is something that was not there, or will not be: its properties in one
// line, beside its name where there is room. Whole files are what `hapair
// render` is for.
func (h *Human) gist(b *strings.Builder, head, why string, c plan.Content) {
	var parts []string
	for _, a := range c.Attrs {
		parts = append(parts, a.Name+" "+a.Value)
	}
	switch {
	case c.Sensitive:
		parts = append(parts, sensitive)
	case c.Text != "":
		parts = append(parts, plural(strings.Count(c.Text, "\n"), "line"))
	}
	text := strings.Join(parts, ", ")
	dim := h.out.styles.dim
	width := h.out.width()
	if whole := head + "  " + dim.Render(text) + why; text != "" && (width == 0 || ansi.StringWidth(whole) <= width) {
		b.WriteString(whole + "\n")
		return
	}
	b.WriteString(head + why + "\n")
	for _, line := range wrap(text, width-len(detail)) {
		b.WriteString(detail + dim.Render(line) + "\n")
	}
}

const sensitive = "(sensitive value)"

// attrDiff lists the properties that differ, in the order in which people read
// them.
func (h *Human) attrDiff(b *strings.Builder, before, after []plan.Attr) {
	st := h.out.styles
	was, is := attrMap(before), attrMap(after)
	var differ []string
	longest := 0
	for _, a := range slices.Concat(after, before) {
		from, had := was[a.Name]
		to, has := is[a.Name]
		if (had != has || from != to) && !slices.Contains(differ, a.Name) {
			differ = append(differ, a.Name)
			longest = max(longest, len(a.Name))
		}
	}
	for _, name := range differ {
		fmt.Fprintf(b, "%s%-*s  %s %s %s\n", detail, longest, name,
			st.remove.Render(orNone(was[name])), st.dim.Render("→"), st.add.Render(orNone(is[name])))
	}
}

func attrMap(attrs []plan.Attr) map[string]string {
	m := make(map[string]string, len(attrs))
	for _, a := range attrs {
		m[a.Name] = printable(a.Value)
	}
	return m
}

func orNone(value string) string {
	if value == "" {
		return "none"
	}
	return value
}

// textDiff is the unified diff of a changed file, without the header that would
// repeat its name.
func (h *Human) textDiff(b *strings.Builder, c plan.Change) {
	st := h.out.styles
	if c.Before.Sensitive || c.After.Sensitive {
		b.WriteString(detail + st.dim.Render(sensitive) + "\n")
		return
	}
	if c.Before.Text == c.After.Text {
		return
	}
	b.WriteString(diff(st, detail, c.Before.Text, c.After.Text))
}

func diff(st styles, indent, before, after string) string {
	var b strings.Builder
	for i, line := range strings.Split(strings.TrimSuffix(udiff.Unified("before", "after", before, after), "\n"), "\n") {
		line = printable(line)
		switch {
		case i < 2: // the names
			continue
		case strings.HasPrefix(line, "@@"):
			line = st.dim.Render(line)
		case strings.HasPrefix(line, "+"):
			line = st.add.Render(line)
		case strings.HasPrefix(line, "-"):
			line = st.remove.Render(line)
		}
		b.WriteString(indent + line + "\n")
	}
	return b.String()
}

// outages is a table of what each documented case costs, and the arithmetic
// behind it.
func (h *Human) outages(b *strings.Builder, pairs []plan.Outages) {
	st := h.out.styles
	for _, o := range pairs {
		if len(o.Cases) == 0 {
			continue
		}
		g := grid{columns: []column{
			{title: "CASE"}, {title: "AT BEST", right: true, spare: 1}, {title: "TYPICAL", right: true}, {title: "AT WORST", right: true}, {title: "LOST", spare: 2},
		}}
		var because strings.Builder
		for _, c := range o.Cases {
			lost := cell{"nothing", st.good}
			if c.LosesTail {
				lost = cell{"the unreplicated tail", st.warn}
			}
			g.rows = append(g.rows, []cell{
				{c.Case, st.bold}, {latency(c.Min), st.plain}, {latency(c.Typical), st.plain}, {latency(c.Max), st.plain}, lost,
			})
			for i, line := range wrap(c.Case+": "+c.Because, h.out.textWidth()-4) {
				because.WriteString("  " + strings.Repeat("  ", min(i, 1)) + st.dim.Render(line) + "\n")
			}
		}
		fmt.Fprintf(b, "\nPredicted interruption of writes through the VIP of %s:\n%s%s", o.Pair, g.render(&h.out, "  "), because.String())
	}
}

// wrap breaks text between words into lines of at most width columns; 0 is no
// limit. No text, no lines.
func wrap(text string, width int) []string {
	if text == "" {
		return nil
	}
	if width <= 0 {
		return []string{text}
	}
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case len([]rune(line))+1+len([]rune(word)) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
