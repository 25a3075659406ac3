package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"

	"hapair/plan/facts"
	"hapair/plan/pair"
	"hapair/plan/source"
	"hapair/plan/spec"
	"hapair/templates"
)

// side is one host of a pair: what it should be like, what it is like, and,
// once compared, what differs.
type side struct {
	*want
	index  int
	pair   *spec.Pair
	seen   *facts.Host
	old    *Manifest   // what hapair put there; nil: nothing
	others []*Manifest // of other pairs on the same host

	build []*program // what is to be built here, for either host
	stops string     // why both hosts stop and start for it; empty: they do not

	changes []Change

	// What Apply has to do about it.
	makeAccount bool
	packages    []string
	mask        []string
	install     []*program
	uninstall   []string // records
	place       Place
	units       Units
	affects     pair.Change // what of the pair has to restart for it
	next        *Manifest
}

// newSide reads the manifests that were seen.
func newSide(p *spec.Pair, i int, w *want, seen *facts.Host) (*side, error) {
	s := &side{want: w, index: i, pair: p, seen: seen}
	own := w.layout.Manifest()
	for name, file := range seen.Paths {
		if path.Base(name) != path.Base(own) || path.Dir(path.Dir(name)) != path.Dir(path.Dir(own)) {
			continue
		}
		m, err := readManifest(file.Content)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", w.ref, name, err)
		}
		if name == own {
			s.old = m
		} else {
			s.others = append(s.others, m)
		}
	}
	slices.SortFunc(s.others, func(a, b *Manifest) int { return strings.Compare(a.Pair, b.Pair) })
	return s, nil
}

// compare finds everything that differs, in the order in which people read it.
func (s *side) compare(c *Conflicts) {
	s.next = &Manifest{Format: manifestFormat, Pair: s.ref.Pair, Host: s.ref.Host, Units: union(s.want.units(), nil)}
	s.takeUp()
	s.compareAccount()
	s.comparePackages(c)
	s.comparePrograms()
	s.compareDirs(c)
	s.compareFiles(c)
	s.compareUnits()
	if len(s.changes) == 0 && !s.manifestIs(s.next) {
		s.change(Change{
			Addr: s.addr(KindFile, s.layout.Manifest()), Action: s.updateOr(s.layout.Manifest()),
			Reason: "the list of what hapair put on this host",
		})
	}
}

// takeUp takes over what an interrupted apply left to do. What does not run
// anyway has no need of it.
func (s *side) takeUp() {
	if s.old == nil {
		return
	}
	for _, todo := range s.old.Pending {
		unit := ""
		switch todo {
		case restartRedis:
			unit = s.layout.RedisUnit()
			s.affects.Redis = true
		case reloadKeepalived, restartKeepalived:
			unit = s.layout.KeepalivedUnit()
			s.affects.Keepalived = pair.Reload
			if todo == restartKeepalived {
				s.affects.Keepalived = pair.Restart
			}
		case restartSyslog:
			unit = rsyslogUnit
			s.units.Restart = []string{unit}
		case renewGuard:
			unit = s.layout.GuardUnit()
			s.units.Renew = []string{unit}
		}
		if s.runs(unit) {
			s.change(Change{Addr: s.addr(KindService, unit), Action: Update, Reason: string(todo) + ": an interrupted apply left it to do"})
		}
	}
}

// todo is what has to happen for the changes to count; of it, later is what
// only both hosts together can do.
func (s *side) todo() (now, later []pending) {
	if slices.Contains(s.units.Restart, rsyslogUnit) {
		now = append(now, restartSyslog)
	}
	if len(s.units.Renew) > 0 {
		now = append(now, renewGuard)
	}
	if s.stops != "" {
		return now, nil
	}
	if s.affects.Redis && s.runs(s.layout.RedisUnit()) {
		later = append(later, restartRedis)
	}
	if s.runs(s.layout.KeepalivedUnit()) {
		switch s.affects.Keepalived {
		case pair.Reload:
			later = append(later, reloadKeepalived)
		case pair.Restart:
			later = append(later, restartKeepalived)
		}
	}
	return now, later
}

func (s *side) addr(kind Kind, name string) Addr {
	return Addr{Pair: s.ref.Pair, Host: s.ref.Host, Kind: kind, Name: name}
}

func (s *side) change(c Change) { s.changes = append(s.changes, c) }

// updateOr is Create for a path that is not there.
func (s *side) updateOr(path string) Action {
	if _, there := s.seen.Paths[path]; there {
		return Update
	}
	return Create
}

func (s *side) manifestIs(m *Manifest) bool {
	return string(s.seen.Paths[s.layout.Manifest()].Content) == string(m.bytes())
}

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

func (s *side) comparePackages(c *Conflicts) {
	run := missing(s.seen, runNeeds(s.programs()...))
	var owned []string
	for _, p := range s.programs() {
		if p.pkg == nil {
			continue
		}
		name := p.packageName(s.seen.Manager)
		installed := s.seen.Packages[name].Installed
		if installed != "" && (p.pkg.Version == "" || samePackageVersion(installed, p.pkg.Version)) {
			continue
		}
		change := Change{Addr: s.addr(KindProgram, p.product), Action: Create, After: Content{Attrs: []Attr{{"package", name}, {"version", p.version.String()}}}}
		if installed != "" {
			change.Action, change.Before = Update, Content{Attrs: []Attr{{"package", name}, {"version", installed}}}
		}
		if built, ok := s.old.program(p.product); ok {
			change.Action, change.Before = Replace, Content{Attrs: []Attr{{"recipe", short(built.ID)}, {"version", built.Version}}}
		}
		s.touch(p.product)
		s.change(change)
		owned = append(owned, name)
		if p.pkg.Version != "" {
			name += pin(s.seen.Manager, p.pkg.Version)
		}
		s.packages = append(s.packages, name)
		for _, u := range distributed[p.product].units {
			if s.seen.Units[u].Load != "masked" {
				s.mask = append(s.mask, u)
			}
		}
	}
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
			owned = append(owned, group.packages...)
		}
	}
	if len(s.packages) > 0 && s.seen.Manager == "none" {
		c.add(s.ref, "no package manager that hapair knows", s.seen.OS.Name+" has none of apt, dnf and zypper",
			"Install by hand what these packages of Debian hold, then plan again: "+strings.Join(debianNames(s), " "))
	}
	if s.old != nil {
		s.next.Packages, s.next.Masked = s.old.Packages, s.old.Masked
	}
	s.next.Packages = union(s.next.Packages, owned)
	s.next.Masked = union(s.next.Masked, s.mask)
}

// debianNames are the packages that would be missing on a Debian.
func debianNames(s *side) []string {
	as := *s.seen
	as.Manager = facts.Apt
	names := missing(&as, runNeeds(s.programs()...))
	for _, p := range s.build {
		names = union(names, missing(&as, buildNeeds(*p.recipe)))
	}
	return names
}

// pin asks a package manager for one version, whatever its packaging.
func pin(m facts.Manager, version string) string {
	if m == facts.Dnf {
		return "-" + version + "*"
	}
	return "=" + version + "*"
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

// short is as much of a sum as tells two apart for people.
func short(sum string) string { return sum[:min(12, len(sum))] }

func (s *side) compareDirs(c *Conflicts) {
	for _, d := range s.want.dirs {
		there, ok := s.seen.Paths[d.Path]
		owner := d.Owner + ":" + d.Group
		known, _ := s.old.dir(d.Path)
		s.next.Dirs = append(s.next.Dirs, ManifestDir{Dir: d.Path, Made: known.Made || !ok})
		if ok && there.Kind != facts.Dir {
			c.add(s.ref, d.Path+" is in the way", fmt.Sprintf("it is a %s; a folder is to be there", there.Kind), "Move it away.")
			continue
		}
		before, after := attrs(there, ok), Content{Attrs: []Attr{{"mode", Mode(d.Mode).String()}, {"owner", owner}}}
		if ok && slices.Equal(before.Attrs, after.Attrs) {
			continue
		}
		change := Change{Addr: s.addr(KindDir, d.Path), Action: Create, Before: before, After: after}
		if ok {
			change.Action, change.Drift = Update, known.Dir != ""
		}
		s.change(change)
		s.place.Dirs = append(s.place.Dirs, Dir{Path: d.Path, Mode: Mode(d.Mode), Owner: owner})
	}
	if s.old == nil {
		return
	}
	for _, d := range slices.Backward(s.old.Dirs) {
		if _, wanted := s.next.dir(d.Dir); wanted || !d.Made {
			continue
		}
		s.place.RemoveDirs = append(s.place.RemoveDirs, d.Dir)
		s.change(Change{Addr: s.addr(KindDir, d.Dir), Action: Delete, Reason: "if it is empty"})
	}
}

// attrs are the mode and owner of what is there.
func attrs(p facts.Path, ok bool) Content {
	if !ok {
		return Content{}
	}
	return Content{Attrs: []Attr{{"mode", Mode(p.Mode).String()}, {"owner", p.Owner + ":" + p.Group}}}
}

func (s *side) compareFiles(c *Conflicts) {
	var enters []Change
	for _, f := range s.want.files {
		there, ok := s.seen.Paths[f.Path]
		if ok && there.Kind == facts.Dir {
			c.add(s.ref, f.Path+" is in the way", "it is a directory; a file is to be there", "Move it away.")
			continue
		}
		known, ours := s.old.file(f.Path)
		file := File{Path: f.Path, Mode: Mode(f.Mode), Owner: f.Owner + ":" + f.Group, SHA256: sum(f.Content)}
		if f.Sensitive {
			file.secret = f.Content
		} else {
			file.Text = string(f.Content)
		}
		record := ManifestFile{Path: f.Path, SHA256: file.SHA256, Backup: known.Backup}
		if ok && !ours && f.Backup != "" {
			if _, kept := s.seen.Paths[f.Path+f.Backup]; !kept {
				file.Backup = f.Path + f.Backup
				record.Backup = file.Backup
			}
		}
		s.next.Files = append(s.next.Files, record)

		same := ok && there.Kind == facts.File && there.Content != nil && string(there.Content) == string(f.Content)
		change := Change{Addr: s.addr(KindFile, f.Path), Action: Create, Before: attrs(there, ok), After: Content{
			Attrs: []Attr{{"mode", file.Mode.String()}, {"owner", file.Owner}},
		}}
		if same && slices.Equal(change.Before.Attrs, change.After.Attrs) {
			continue
		}
		if !same {
			s.contents(&change, f, there)
			if ok {
				s.affect(f)
				change.Reason = s.fileReason(f)
			} else {
				s.affectNew(f)
			}
		}
		if ok {
			change.Action = Update
			// The host moved away from what was put there.
			change.Drift = ours && (same || sum(there.Content) != known.SHA256)
		}
		if file.Backup != "" {
			change.Reason = joinReasons("what is there is kept as "+path.Base(file.Backup), change.Reason)
		}
		enters = append(enters, change)
		s.place.Files = append(s.place.Files, file)
	}
	if s.old != nil {
		for _, f := range s.old.Files {
			if _, wanted := s.next.file(f.Path); wanted {
				continue
			}
			s.place.Remove = append(s.place.Remove, f.Path)
			there, ok := s.seen.Paths[f.Path]
			if !ok {
				continue // it is gone already
			}
			if path.Dir(f.Path) == unitDir {
				s.units.Disable = append(s.units.Disable, path.Base(f.Path))
			}
			enters = append(enters, Change{Addr: s.addr(KindFile, f.Path), Action: Delete, Before: attrs(there, ok), Reason: "it left the spec"})
		}
	}
	slices.SortStableFunc(enters, func(a, b Change) int { return strings.Compare(a.Addr.Name, b.Addr.Name) })
	s.changes = append(s.changes, enters...)
}

// contents shows both texts of a file, or that they are not to be shown.
func (s *side) contents(change *Change, f templates.File, there facts.Path) {
	if f.Sensitive {
		change.Before.Sensitive, change.After.Sensitive = there.Kind != "", true
		return
	}
	change.Before.Text, change.After.Text = string(there.Content), string(f.Content)
}

const unitDir = "/etc/systemd/system"

// affect notes what has to happen for a changed file to count.
func (s *side) affect(f templates.File) {
	s.affectNew(f)
	renew := func(r pair.Renewal) { s.affects.Keepalived = max(s.affects.Keepalived, r) }
	switch f.Affects {
	case templates.AffectsRedis:
		s.affects.Redis = true
	case templates.AffectsKeepalived:
		renew(pair.Reload)
	case templates.AffectsUnits:
		switch path.Base(f.Path) {
		case s.layout.RedisUnit():
			s.affects.Redis = true
		case s.layout.KeepalivedUnit():
			renew(pair.Restart)
		}
	}
}

// affectNew notes what even a file that was not there before takes.
func (s *side) affectNew(f templates.File) {
	if strings.HasPrefix(f.Path, unitDir+"/") {
		s.units.Reload = true
	}
	switch {
	case f.Affects == templates.AffectsSyslog:
		s.units.Restart = union(s.units.Restart, []string{rsyslogUnit})
	case f.Affects == templates.AffectsGuard, path.Base(f.Path) == s.layout.GuardUnit():
		if s.canGuard() {
			s.units.Renew = union(s.units.Renew, []string{s.layout.GuardUnit()})
		}
	}
}

func (s *side) fileReason(f templates.File) string {
	switch f.Affects {
	case templates.AffectsRedis:
		return s.restartReason(s.redis.product)
	case templates.AffectsKeepalived:
		if s.stops != "" || s.affects.Keepalived == pair.Restart {
			return s.restartReason(productKeepalived)
		}
		if s.runs(s.layout.KeepalivedUnit()) {
			return "reload: the replica's keepalived waits meanwhile"
		}
	case templates.AffectsUnits:
		switch path.Base(f.Path) {
		case s.layout.RedisUnit():
			return s.restartReason(s.redis.product)
		case s.layout.KeepalivedUnit():
			return s.restartReason(productKeepalived)
		}
	case templates.AffectsSyslog:
		return "rsyslog restarts"
	case templates.AffectsGuard:
		return "the rules are loaded anew"
	}
	return ""
}

// restartReason is empty for what does not run: it is just started later.
func (s *side) restartReason(product string) string {
	unit := s.layout.RedisUnit()
	if product == productKeepalived {
		unit = s.layout.KeepalivedUnit()
	}
	switch {
	case !s.runs(unit):
		return ""
	case s.stops != "":
		return "both hosts stop and start"
	}
	return "restart: rolling, replica first"
}

func joinReasons(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

func (s *side) runs(unit string) bool { return s.seen.Units[unit].Active == "active" }

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
		if u := s.seen.Units[name]; u.Load == "loaded" && u.Active == "active" {
			s.units.Disable = append(s.units.Disable, name)
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

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
