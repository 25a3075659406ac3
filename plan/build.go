package plan

import (
	"fmt"
	"slices"
	"strings"

	"hapair/plan/facts"
	"hapair/plan/pair"
	"hapair/plan/source"
	"hapair/plan/spec"
	"hapair/remote/redisctl"
)

// Build compares what s asks for with what was seen. It is pure: the same
// input gives the same plan. The error is a Conflicts when a host is such that
// nothing should be applied to it.
func Build(s *spec.Spec, seen facts.ByHost, have Local) (*Plan, error) {
	p := &Plan{Format: Format, Changes: []Change{}, Steps: []Step{}, pairs: map[string]*spec.Pair{}}
	var conflicts Conflicts
	for _, one := range s.Pairs {
		p.pairs[one.Name] = one
		p.Outages = append(p.Outages, Outages{Pair: one.Name, Cases: pair.Predict(one)})
		if err := p.add(one, seen, have, &conflicts); err != nil {
			return nil, err
		}
	}
	if len(conflicts) > 0 {
		return nil, conflicts
	}
	return p, nil
}

// add compares one pair.
func (p *Plan) add(one *spec.Pair, seen facts.ByHost, have Local, conflicts *Conflicts) error {
	var hosts [2]*facts.Host
	unfit := len(*conflicts)
	for i, h := range one.Hosts {
		at := facts.Ref{Pair: one.Name, Host: h.Name}
		if hosts[i] = seen[at]; hosts[i] == nil {
			return fmt.Errorf("%s was not observed", at)
		}
		conflicts.unfit(one, i, hosts[i])
	}
	if len(*conflicts) > unfit {
		return nil // the rest would follow from it
	}
	var sides [2]*side
	for i := range sides {
		w, err := wanted(one, i, hosts[i], have)
		if err != nil {
			return err
		}
		if sides[i], err = newSide(i, w, hosts[i]); err != nil {
			return err
		}
	}
	builds := chooseBuilders(sides, have)
	why := isolated(sides)
	for i, s := range sides {
		s.stops = why
		conflicts.foreign(one, s, hosts[1-i])
		s.compare(conflicts)
		if !s.canGuard() {
			p.Notes = append(p.Notes, Note{At: s.ref, Text: fmt.Sprintf(
				"Linux %s cannot reject in prerouting (%d.%d can): clients of a VIP that has just left wait for their own timeouts",
				s.seen.OS.Kernel, guardKernel.Major, guardKernel.Minor)})
		}
	}
	task := runtime(one, sides)
	for _, s := range sides {
		p.Changes = append(p.Changes, s.changes...)
	}
	p.Steps = append(p.Steps, steps(sides, builds, task)...)
	return nil
}

// building is a program that has to be built first: for which platform, and
// where.
type building struct {
	program  *program
	platform source.Platform
	on       int
}

func platform(s *side) source.Platform { return source.Platform(s.seen.OS.Platform()) }

// chooseBuilders says where to build what neither the hosts nor the cache have.
// Once for each platform; on the host that has the most of a compiler already,
// so that a fresh second host needs none; and where that is the same for both,
// one program on each host, so that both are built at the same time.
func chooseBuilders(sides [2]*side, have Local) []building {
	var builds []building
	for n := range 2 {
		for i, s := range sides {
			p := []*program{&s.redis, &s.keepalived}[n]
			if !s.outdated(p) || have.Builds[p.recipe.Key(platform(s))] {
				continue
			}
			if slices.ContainsFunc(builds, func(b building) bool {
				return b.program.product == p.product && b.platform == platform(s)
			}) {
				continue
			}
			on := i
			if other := sides[1-i]; platform(other) == platform(s) {
				lacks := func(s *side) int { return len(missing(s.seen, buildNeeds(*p.recipe))) }
				switch mine, its := lacks(s), lacks(other); {
				case its < mine:
					on = 1 - i
				case its == mine && other.outdated([]*program{&other.redis, &other.keepalived}[n]):
					on = n
				}
			}
			sides[on].build = append(sides[on].build, p)
			builds = append(builds, building{p, platform(s), on})
		}
	}
	return builds
}

// runtime compares how the pair runs with how it should: both Redis and both
// keepalived up, the VIP on one host, whose Redis is the primary, and the other
// a replica with its link up. It returns what brings it there.
func runtime(p *spec.Pair, sides [2]*side) *Running {
	running, complete := 0, true
	for _, s := range sides {
		for _, unit := range []string{s.layout.RedisUnit(), s.layout.KeepalivedUnit()} {
			switch {
			case s.stops != "":
				c := s.serviceChange(unit, s.stops)
				c.Action, c.Drift = Update, false
				s.change(c)
			case s.runs(unit):
				running++
			default:
				complete = false
				s.change(s.serviceChange(unit, ""))
			}
		}
	}
	switch {
	case sides[0].stops != "" || running == 0:
		return &Running{Do: TaskStart}
	case complete:
		complete = compareRoles(p, sides)
	}
	task := &Running{Do: TaskRoll}
	for i, s := range sides {
		if s.runs(s.layout.RedisUnit()) {
			task.Changes[i].Redis = s.affects.Redis
		}
		if s.runs(s.layout.KeepalivedUnit()) {
			task.Changes[i].Keepalived = s.affects.Keepalived
		}
	}
	switch {
	case !complete:
		task.Do = TaskRecover
	case task.Changes == [2]pair.Change{}:
		return nil
	}
	return task
}

// compareRoles notes a host that is not what the place of the VIP makes it.
func compareRoles(p *spec.Pair, sides [2]*side) (right bool) {
	primary := -1
	for i, s := range sides {
		if holds(s.seen, p.VIPs) {
			if primary >= 0 {
				primary = -1
				break
			}
			primary = i
		}
	}
	right = true
	for i, s := range sides {
		want := "replica, link up, no VIP"
		if i == primary {
			want = "primary, with the VIP"
		} else if primary < 0 {
			want = "primary with the VIP, or replica"
		}
		got, ok := role(p, s)
		if ok && primary >= 0 && got == want {
			continue
		}
		right = false
		s.change(Change{
			Addr: s.addr(KindService, "role"), Action: Update, Drift: true,
			Before: Content{Attrs: []Attr{{"role", got}}}, After: Content{Attrs: []Attr{{"role", want}}},
			Reason: holdReason(s),
		})
	}
	return right
}

// role is what a host is now, in the words of compareRoles where it is well.
func role(p *spec.Pair, s *side) (words string, ok bool) {
	i := s.seen.Redis
	vip := "no VIP"
	if holds(s.seen, p.VIPs) {
		vip = "with the VIP"
	}
	switch {
	case i == nil:
		return "Redis gives no answer, " + vip, false
	case i.Role == redisctl.Primary:
		return "primary, " + vip, true
	case i.LinkUp:
		return "replica, link up, " + vip, true
	}
	return "replica, link down, " + vip, false
}

func holdReason(s *side) string {
	if hold, ok := s.seen.Paths[s.layout.HoldFile()]; ok {
		return "the host holds: " + strings.TrimSpace(string(hold.Content))
	}
	return ""
}

// isolated says why the two hosts could not work together while one has the
// change and the other has not, nor a host with its own running services. Then
// both stop before it and start after it. Empty: there is no such change.
func isolated(sides [2]*side) string {
	for _, s := range sides {
		if s.old == nil || !s.runs(s.layout.RedisUnit()) && !s.runs(s.layout.KeepalivedUnit()) {
			continue
		}
		for _, own := range []string{s.layout.RedisConf(), s.layout.KeepalivedConf()} {
			if _, there := s.seen.Paths[own]; !there {
				return "stops and starts: it moves to another folder"
			}
		}
		if owner := s.seen.Paths[s.layout.RedisConf()]; owner.Owner != s.account.User || owner.Group != s.account.Group {
			return "stops and starts: the account that owns the data changes"
		}
		if port(s.seen.Paths[s.layout.RedisConf()].Content) != port(s.content(s.layout.RedisConf())) {
			return "stops and starts: the two do not find each other while their ports differ"
		}
		auth := s.layout.RedisAuth()
		if string(s.seen.Paths[auth].Content) != string(s.content(auth)) {
			return "stops and starts: the two do not let each other in while their passwords differ"
		}
	}
	return ""
}

// content is what a file should hold; empty when it should not be there.
func (s *side) content(path string) []byte {
	for _, f := range s.want.files {
		if f.Path == path {
			return f.Content
		}
	}
	return nil
}

// port is the value of a redis.conf's port directive.
func port(conf []byte) string {
	last := ""
	for line := range strings.Lines(string(conf)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "port" {
			last = f[1]
		}
	}
	return last
}
