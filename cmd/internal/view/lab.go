package view

import (
	"fmt"
	"strings"
)

// Stages shows work that comes in stages, one after the other: each call of
// next begins one and ends the one before.
func (h *Human) Stages(place string) (next func(stage string), done func(err error)) {
	s, stop := h.showSteps([]string{place}, nil)
	var now *step
	end := func(err error) {
		if now != nil {
			s.end(now, "", err)
			now = nil
		}
	}
	next = func(stage string) {
		end(nil)
		now = s.begin(step{place: place, title: stage})
	}
	return next, func(err error) {
		end(err)
		stop()
	}
}

// LabHost is a host of a lab, as far as one wants to see it.
type LabHost struct{ Name, Address, Interface string }

// LabUp shows the hosts of a lab and how to reach them.
func (h *Human) LabUp(name, sshConfig string, hosts []LabHost) {
	st := h.out.styles
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", st.good.Bold(true).Render("The lab is up:"), st.title.Render(name))
	for _, host := range hosts {
		fmt.Fprintf(&b, "  %s  %s  %s\n", st.bold.Render(host.Name), host.Address, st.dim.Render(host.Interface))
	}
	fmt.Fprintf(&b, "  ssh configuration: %s\n", sshConfig)
	h.print(&h.out, b.String())
}
