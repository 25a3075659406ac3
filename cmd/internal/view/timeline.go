package view

import (
	"fmt"
	"strings"
	"time"

	"hapair/plan/pair"
)

// Timeline implements View.
func (h *Human) Timeline(happened []pair.Happening) {
	st := h.out.styles
	var b strings.Builder
	for _, one := range happened {
		text := one.Text
		switch one.Seen["level"] {
		case "warning":
			text = st.warn.Render(text)
		case "error":
			text = st.bad.Render(text)
		case "notice":
			text = st.bold.Render(text)
		}
		fmt.Fprintf(&b, "%s  %s  %s  %s\n", st.dim.Render(one.At.Local().Format(time.StampMilli)), st.bold.Render(one.Host), st.dim.Render(fmt.Sprintf("%-11s", one.By)), text)
	}
	h.print(&h.out, b.String())
}
