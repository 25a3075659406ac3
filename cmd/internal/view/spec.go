package view

import (
	"fmt"
	"strings"

	"hapair/plan/facts"
	"hapair/plan/spec"
	"hapair/templates"
)

// maxTextWidth is as wide as running text is made: longer lines are hard to
// read.
const maxTextWidth = 100

// textWidth is where running text on a stream is wrapped; 0 is nowhere.
func (s *stream) textWidth() int { return min(s.width(), maxTextWidth) }

// Diagnostics implements View.
func (h *Human) Diagnostics(ds spec.Diagnostics) {
	if len(ds) == 0 {
		return
	}
	var b strings.Builder
	ds.Write(&b, h.err.textWidth(), h.err.color)
	h.print(&h.err, strings.TrimRight(b.String(), "\n"))
}

// Validated implements View.
func (h *Human) Validated(s *spec.Spec, files []string) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s in %s\n", h.out.styles.good.Bold(true).Render("The spec is valid:"), plural(len(s.Pairs), "pair"), strings.Join(files, ", "))
	for _, p := range s.Pairs {
		var vips []string
		for _, v := range p.VIPs {
			vips = append(vips, v.Addr().String())
		}
		fmt.Fprintf(&b, "  %s  %s on %s and %s\n", h.out.styles.title.Render(p.Name), strings.Join(vips, ", "), p.Hosts[0].Name, p.Hosts[1].Name)
	}
	h.print(&h.out, b.String())
}

// Formatted shows a spec file that was formatted, or with a diff, what would
// change in it.
func (h *Human) Formatted(file string, before, after []byte, showDiff bool) {
	if !showDiff {
		h.print(&h.out, file)
		return
	}
	h.print(&h.out, h.out.styles.bold.Render(file)+"\n"+diff(h.out.styles, "", string(before), string(after)))
}

// Text writes a result as it is.
func (h *Human) Text(text string) { h.print(&h.out, text) }

// Say tells the person what was done; it is no result.
func (h *Human) Say(text string) {
	if !h.Quiet {
		h.print(&h.err, text)
	}
}

// Rendered shows files for a host, each under a line that says where it goes.
func (h *Human) Rendered(at facts.Ref, files []templates.File) {
	st := h.out.styles
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "%s %s\n", st.title.Render(fmt.Sprintf("==> %s: %s", at, f.Path)),
			st.dim.Render(fmt.Sprintf("%04o %s:%s", f.Mode.Perm(), f.Owner, f.Group)))
		text := string(f.Content)
		if f.Sensitive {
			text = sensitive + "\n"
		}
		b.WriteString(text)
		if text != "" && !strings.HasSuffix(text, "\n") {
			b.WriteByte('\n')
		}
		b.WriteByte('\n')
	}
	h.print(&h.out, b.String())
}
