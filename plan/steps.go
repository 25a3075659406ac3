package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"hapair/plan/facts"
	"hapair/remote/redisctl"
)

// stepList collects the steps of one pair.
type stepList struct {
	pair  string
	steps []Step
	noted [2]string // the manifest on each host, after the steps so far
}

// add appends a step and returns its ID. What comes before may be empty.
func (l *stepList) add(at facts.Ref, name, title string, s Step, after ...string) string {
	s.ID = l.pair + "/" + name
	if at.Host != "" {
		s.ID = at.String() + "/" + name
	}
	s.At, s.Title = at, title
	for _, id := range after {
		if id != "" && !slices.Contains(s.After, id) {
			s.After = append(s.After, id)
		}
	}
	l.steps = append(l.steps, s)
	return s.ID
}

// steps turns what differs into an order: on each host
//
//	account, packages; meanwhile programs are fetched and built
//	the manifest, of what is there and what comes
//	folders, programs, files, units
//	the manifest, of what is there now
//
// and when both are done, whatever has to start or restart. What left the spec
// goes last, when nothing uses it any more.
func steps(sides [2]*side, builds []building, task *Running) []Step {
	l := &stepList{pair: sides[0].ref.Pair}
	for i, s := range sides {
		l.noted[i] = string(s.seen.Paths[s.layout.Manifest()].Content)
	}
	var ready [2][]string
	for i, s := range sides {
		ready[i] = l.packages(s, l.account(s, l.noteFirst(s)))
	}
	built := l.builds(sides, builds, ready)
	for i, s := range sides {
		for _, p := range s.install {
			ready[i] = append(ready[i], built[p.recipe.Key(platform(s))])
		}
		ready[i] = l.note(s, ready[i])
	}
	var stopped []string
	if sides[0].stops != "" {
		stopped = l.stop(sides, slices.Concat(ready[0], ready[1]))
	}
	var done []string
	for i, s := range sides {
		done = append(done, l.host(s, slices.Concat(ready[i], stopped))...)
	}
	if task != nil {
		done = append(done, stopped...)
		done = []string{l.add(facts.Ref{Pair: l.pair}, string(task.Do), taskTitle[task.Do], Step{Pair: task}, done...)}
	}
	for _, s := range sides {
		l.clear(s, done)
	}
	return l.steps
}

var taskTitle = map[Task]string{
	TaskStart:   "start the pair in its order",
	TaskRecover: "bring back what does not run as it should",
	TaskRoll:    "restart what changed, replica first",
}

// noteFirst names an account and packages before they are made. This and what
// follows here return the IDs of the steps that a host has to wait for from
// then on.
func (l *stepList) noteFirst(s *side) []string {
	if !s.makeAccount && len(s.packages) == 0 {
		return nil
	}
	m := s.next.joined(s.old)
	if s.old != nil {
		m = m.with(s.old.Pending)
	}
	return l.write(s, "account-note", "note what is about to change", m, nil)
}

// note names all that is coming, and what it will take to count. Until here
// nothing that runs was touched, and a failure leaves nothing to do.
func (l *stepList) note(s *side, after []string) []string {
	now, later := s.todo()
	return l.write(s, "note", "note what is about to change", s.next.joined(s.old).with(slices.Concat(now, later)), after)
}

// write writes a manifest, unless it is there.
func (l *stepList) write(s *side, name, title string, m *Manifest, after []string) []string {
	content := string(m.bytes())
	if l.noted[s.index] == content {
		return after
	}
	l.noted[s.index] = content
	p := &Place{Files: []File{{Path: s.layout.Manifest(), Mode: 0o600, Owner: "root:root", SHA256: sum([]byte(content)), Text: content}}}
	state := s.layout.State()
	for _, d := range s.want.dirs {
		if _, there := s.seen.Paths[d.Path]; !there && (d.Path == state || d.Path == path.Dir(state)) {
			p.Dirs = append(p.Dirs, Dir{Path: d.Path, Mode: Mode(d.Mode), Owner: d.Owner + ":" + d.Group})
		}
	}
	return []string{l.add(s.ref, name, title, Step{Place: p}, after...)}
}

func (l *stepList) account(s *side, after []string) []string {
	if !s.makeAccount {
		return after
	}
	a := &Account{User: s.account.User, Group: s.account.Group, Home: s.layout.RedisPrefix}
	return []string{l.add(s.ref, "account", "create the account "+a.User, Step{Account: a}, after...)}
}

func (l *stepList) packages(s *side, after []string) []string {
	if len(s.packages) == 0 {
		return after
	}
	p := &Packages{Manager: s.seen.Manager, Names: s.packages, Mask: s.mask}
	return []string{l.add(s.ref, "packages", "install "+count(len(p.Names), "package"), Step{Packages: p}, after...)}
}

// builtSteps are the IDs of the steps that build, by product and platform.
type builtSteps map[string]string

func (l *stepList) builds(sides [2]*side, builds []building, ready [2][]string) builtSteps {
	built := builtSteps{}
	fetched := map[string]string{}
	for _, b := range builds {
		r := *b.program.recipe
		fetch, ok := fetched[r.SHA256]
		if !ok {
			fetch = l.add(facts.Ref{}, "fetch-"+r.Product, "fetch "+r.String(), Step{Fetch: &r})
			fetched[r.SHA256] = fetch
		}
		on := sides[b.on]
		built[r.Key(b.platform)] = l.add(on.ref, "build-"+r.Product, "build "+r.String(),
			Step{Build: &Program{Recipe: r, Platform: b.platform}}, append([]string{fetch}, ready[b.on]...)...)
	}
	return built
}

// stop stops keepalived, the replica's first, then both Redis.
func (l *stepList) stop(sides [2]*side, after []string) []string {
	order := []*side{sides[1], sides[0]}
	if i := sides[1].seen.Redis; i != nil && i.Role == redisctl.Primary {
		order = []*side{sides[0], sides[1]}
	}
	for _, s := range order {
		unit := s.layout.KeepalivedUnit()
		after = []string{l.add(s.ref, "stop-keepalived", "stop keepalived", Step{Units: &Units{Stop: []string{unit}}}, after...)}
	}
	var stopped []string
	for _, s := range order {
		unit := s.layout.RedisUnit()
		stopped = append(stopped, l.add(s.ref, "stop-redis", "stop Redis", Step{Units: &Units{Stop: []string{unit}}}, after...))
	}
	return stopped
}

// host puts everything in place on one host, and returns the last steps' IDs.
func (l *stepList) host(s *side, last []string) []string {
	then := func(name, title string, step Step) {
		last = []string{l.add(s.ref, name, title, step, last...)}
	}
	if len(s.place.Dirs) > 0 {
		then("folders", "make "+count(len(s.place.Dirs), "folder"), Step{Place: &Place{Dirs: s.place.Dirs}})
	}
	var installed []string // both programs at the same time
	for _, p := range s.install {
		r := *p.recipe
		installed = append(installed, l.add(s.ref, "install-"+r.Product, "install "+r.String(),
			Step{Install: &Program{Recipe: r, Platform: platform(s), Target: p.target}}, last...))
	}
	if len(installed) > 0 {
		last = installed
	}
	if len(s.units.Disable) > 0 { // while their files are still there
		then("disable", "disable "+count(len(s.units.Disable), "unit"), Step{Units: &Units{Disable: s.units.Disable}})
	}
	if n := len(s.place.Files); n > 0 {
		then("files", "write "+count(n, "file"), Step{Place: &Place{Files: s.place.Files}})
	}
	u := s.units
	u.Disable = nil
	if u.Reload || len(u.Enable)+len(u.Restart)+len(u.Renew) > 0 {
		then("units", unitsTitle(u), Step{Units: &u})
	}
	_, later := s.todo()
	return l.write(s, "manifest", "note what is there now", s.next.joined(s.old).with(later), last)
}

// clear removes what left the spec, now that nothing uses it any more, and
// leaves the manifest of what is there.
func (l *stepList) clear(s *side, last []string) {
	then := func(name, title string, step Step) {
		last = []string{l.add(s.ref, name, title, step, last...)}
	}
	for _, record := range s.uninstall {
		name := path.Base(record)
		then("uninstall-"+name, "remove "+name, Step{Uninstall: &Uninstall{Record: record}})
	}
	if p := s.place; len(p.Remove)+len(p.RemoveDirs) > 0 {
		then("clear", clearTitle(p), Step{Place: &Place{Remove: p.Remove, RemoveDirs: p.RemoveDirs}})
	}
	l.write(s, "done", "note what is left", s.next, last)
}

func clearTitle(p Place) string {
	var parts []string
	if n := len(p.Remove); n > 0 {
		parts = append(parts, "remove "+count(n, "file"))
	}
	if n := len(p.RemoveDirs); n > 0 {
		parts = append(parts, "remove "+count(n, "folder"))
	}
	return strings.Join(parts, ", ")
}

func unitsTitle(u Units) string {
	var parts []string
	if n := len(u.Enable); n > 0 {
		parts = append(parts, "enable "+count(n, "unit"))
	}
	for _, name := range slices.Concat(u.Restart, u.Renew) {
		if name == rsyslogUnit {
			parts = append(parts, "restart rsyslog")
		} else {
			parts = append(parts, "load the packet filter's rules")
		}
	}
	if len(parts) == 0 {
		return "have systemd read its files anew"
	}
	return strings.Join(parts, ", ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
