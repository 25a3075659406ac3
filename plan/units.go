package plan

import (
	"slices"
	"strings"

	"hapair/templates"
)

// guardKernel is the first Linux that can reject in prerouting.
var guardKernel = templates.Version{Major: 5, Minor: 9}

// canGuard reports whether the host's kernel can answer for a VIP that is
// elsewhere.
func (s *side) canGuard() bool {
	release := s.seen.OS.Kernel
	if i := strings.IndexFunc(release, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }); i >= 0 {
		release = release[:i]
	}
	v, err := templates.ParseVersion(strings.Trim(release, "."))
	return err == nil && !v.Less(guardKernel)
}

func (s *side) compareUnits() {
	for _, name := range s.want.units() {
		u := s.seen.Units[name]
		if name == s.layout.GuardUnit() && !s.canGuard() {
			continue
		}
		if u.Changed {
			s.units.Reload = true
		}
		if u.File != "enabled" {
			change := Change{Addr: s.addr(KindUnit, name), Action: Create, After: Content{Attrs: []Attr{{"at boot", "enabled"}}}}
			if u.File != "" {
				change.Action, change.Drift = Update, s.old != nil
				change.Before = Content{Attrs: []Attr{{"at boot", u.File}}}
			}
			s.change(change)
			s.units.Enable = append(s.units.Enable, name)
		}
		if name == s.layout.GuardUnit() && u.Active != "active" {
			s.change(s.serviceChange(name, "it answers for the VIP while it is elsewhere"))
			s.units.Renew = union(s.units.Renew, []string{name})
		}
	}
	for _, name := range distributedUnits(s) {
		if slices.Contains(s.mask, name) {
			continue
		}
		if u := s.seen.Units[name]; u.Active == "active" || u.File == "enabled" {
			s.units.Disable = append(s.units.Disable, name)
			s.change(Change{
				Addr: s.addr(KindUnit, name), Action: Update, Reason: "the pair has a unit of its own",
				Before: Content{Attrs: []Attr{{"at boot", u.File}, {"state", u.Active}}},
				After:  Content{Attrs: []Attr{{"at boot", "disabled"}, {"state", "inactive"}}},
			})
		}
	}
}

// distributedUnits are those of packaged programs that must not run.
func distributedUnits(s *side) []string {
	var names []string
	for _, p := range s.programs() {
		if p.pkg != nil {
			names = append(names, distributed[p.product].units...)
		}
	}
	return names
}

// serviceChange is a unit that does not run and should.
func (s *side) serviceChange(unit, reason string) Change {
	c := Change{Addr: s.addr(KindService, unit), Action: Create, After: Content{Attrs: []Attr{{"state", "active"}}}, Reason: reason}
	if u := s.seen.Units[unit]; u.Load == "loaded" {
		c.Action, c.Drift = Update, s.old != nil
		c.Before = Content{Attrs: []Attr{{"state", u.Active}}}
	}
	return c
}
