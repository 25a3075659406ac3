package plan

import (
	"slices"
	"strings"

	"hapair/plan/facts"
	"hapair/plan/pair"
	"hapair/plan/source"
)

func (s *side) compareAccount() {
	a := ManifestAccount{User: s.want.account.User, Group: s.want.account.Group}
	if s.old != nil && s.old.Account.User == a.User {
		a.MadeUser = s.old.Account.MadeUser
	}
	if s.old != nil && s.old.Account.Group == a.Group {
		a.MadeGroup = s.old.Account.MadeGroup
	}
	if s.seen.Group == nil {
		a.MadeGroup, s.makeAccount = true, true
		s.change(Change{Addr: s.addr(KindAccount, "group "+a.Group), Action: Create})
	}
	if s.seen.User == nil {
		a.MadeUser, s.makeAccount = true, true
		s.change(Change{
			Addr: s.addr(KindAccount, a.User), Action: Create,
			After:  Content{Attrs: []Attr{{"group", a.Group}, {"home", s.layout.RedisPrefix}, {"shell", noLogin}}},
			Reason: "a system account without a password: nobody logs in with it",
		})
	}
	s.next.Account = a
}

const noLogin = "/usr/sbin/nologin"

// comparePackaged compares the programs that come from the distribution. Their
// own units must not run beside the pair's.
func (s *side) comparePackaged() {
	for _, p := range s.programs() {
		if p.pkg == nil {
			continue
		}
		name := p.packageName(s.seen.Manager)
		installed := s.seen.Packages[name].Installed
		fits := installed != "" && (p.pkg.Version == "" || samePackageVersion(installed, p.pkg.Version))
		built, wasBuilt := s.old.program(p.product)
		if fits && !wasBuilt {
			continue
		}
		change := Change{Addr: s.addr(KindProgram, p.product), Action: Create, After: Content{Attrs: []Attr{{"package", name}, {"version", p.version.String()}}}}
		switch {
		case wasBuilt:
			change.Action, change.Before = Replace, Content{Attrs: []Attr{{"recipe", short(built.ID)}, {"version", built.Version}}}
		case installed != "":
			change.Action, change.Before = Update, Content{Attrs: []Attr{{"package", name}, {"version", installed}}}
		}
		change.Reason = s.restartReason(p.product)
		s.touch(p.product)
		s.change(change)
		if fits {
			continue
		}
		s.next.Packages = append(s.next.Packages, name)
		if p.pkg.Version != "" {
			name += "=" + p.pkg.Version
		}
		s.packages = append(s.packages, name)
		for _, u := range distributed[p.product].units {
			if s.seen.Units[u].Load != "masked" {
				s.mask = append(s.mask, u)
			}
		}
	}
}

// comparePackages finds what the distribution has of what building and running
// take.
func (s *side) comparePackages(c *Conflicts) {
	run := missing(s.seen, s.runNeeds())
	var build []string
	for _, p := range s.build {
		build = union(build, missing(s.seen, buildNeeds(*p.recipe)))
	}
	build = slices.DeleteFunc(build, func(name string) bool { return slices.Contains(run, name) })
	for _, group := range []struct {
		name, reason string
		packages     []string
	}{
		{"runtime", "what the programs and hooks need to run", run},
		{"build", "what compiling takes, on this host only", build},
	} {
		if len(group.packages) > 0 {
			s.change(Change{
				Addr: s.addr(KindPackages, group.name), Action: Create, Reason: group.reason,
				After: Content{Attrs: []Attr{{"packages", strings.Join(group.packages, " ")}}},
			})
			s.packages = append(s.packages, group.packages...)
			s.next.Packages = append(s.next.Packages, group.packages...)
		}
	}
	if len(s.packages) > 0 && s.seen.Manager == "none" {
		c.add(s.ref, "no package manager that hapair knows", s.seen.OS.Name+" has none of apt, dnf and zypper",
			"Install by hand what these packages of Debian hold, then plan again: "+strings.Join(debianNames(s), " "))
	}
	s.next.Masked = union(s.mask, nil)
	if s.old != nil {
		s.next.Packages = union(s.next.Packages, s.old.Packages)
		s.next.Masked = union(s.next.Masked, s.old.Masked)
	}
	s.next.Packages = union(s.next.Packages, nil)
}

// debianNames are the packages that would be missing on a Debian.
func debianNames(s *side) []string {
	as := *s.seen
	as.Manager = facts.Apt
	names := missing(&as, s.runNeeds())
	for _, p := range s.build {
		names = union(names, missing(&as, buildNeeds(*p.recipe)))
	}
	return names
}

// touch notes that a program, which may run now, is another one or comes from
// elsewhere.
func (s *side) touch(product string) {
	if product == productKeepalived {
		s.affects.Keepalived = pair.Restart
	} else {
		s.affects.Redis = true
	}
}

// outdated reports whether a built program is not as its recipe says.
func (s *side) outdated(p *program) bool {
	if p.recipe == nil {
		return false
	}
	there, ok := s.seen.Programs[p.product]
	return !ok || there.ID != p.recipe.ID() || len(there.Damaged) > 0
}

func (s *side) comparePrograms() {
	for _, p := range []*program{&s.redis, &s.keepalived} {
		if p.recipe == nil {
			continue
		}
		s.next.Programs = append(s.next.Programs, ManifestRecord{
			Product: p.product, Version: p.recipe.Version, ID: p.recipe.ID(), Record: p.record,
		})
		if !s.outdated(p) {
			continue
		}
		s.install = append(s.install, p)
		there, ok := s.seen.Programs[p.product]
		change := Change{Addr: s.addr(KindProgram, p.product), Action: Create, After: programContent(*p.recipe)}
		switch {
		case ok && there.ID == p.recipe.ID():
			change.Action, change.Drift = Update, true
			change.Before, change.After = Content{}, Content{}
			change.Reason = "damaged: " + brief(there.Damaged)
		case ok:
			change.Action = Replace
			change.Before = Content{Attrs: []Attr{{"version", there.Version}, {"recipe", short(there.ID)}}}
			change.After = Content{Attrs: []Attr{{"version", p.recipe.Version}, {"recipe", short(p.recipe.ID())}}}
		}
		s.touch(p.product)
		change.Reason = joinReasons(change.Reason, s.restartReason(p.product))
		s.change(change)
	}
	if s.old == nil {
		return
	}
	for _, r := range s.old.Programs {
		if slices.ContainsFunc(s.next.Programs, func(n ManifestRecord) bool { return n.Record == r.Record }) {
			continue
		}
		s.uninstall = append(s.uninstall, r.Record)
		s.touch(r.Product)
		if slices.ContainsFunc(s.programs(), func(p program) bool { return p.product == r.Product }) {
			continue // said with the package that replaces it
		}
		s.change(Change{
			Addr: s.addr(KindProgram, r.Product), Action: Delete,
			Before: Content{Attrs: []Attr{{"version", r.Version}, {"recipe", short(r.ID)}}},
		})
	}
}

func programContent(r source.Recipe) Content {
	c := Content{Attrs: []Attr{{"version", r.Version}, {"recipe", short(r.ID())}, {"prefix", r.Prefix}}}
	if len(r.Args) > 0 {
		c.Attrs = append(c.Attrs, Attr{"arguments", strings.Join(r.Args, " ")})
	}
	for _, p := range r.Patches {
		c.Attrs = append(c.Attrs, Attr{"patch", p.Name})
	}
	return c
}
