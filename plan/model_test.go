package plan

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"hapair/plan/facts"
	"hapair/plan/pair"
	"hapair/plan/spec"
	"hapair/remote/redisctl"
	"hapair/templates"
)

// testPair is a spec as plan/spec would read it: the documented pair on modern
// versions, built from source.
func testPair() *spec.Pair {
	host := func(name, address, iface string, priority int) spec.Host {
		return spec.Host{Name: name, Address: netip.MustParseAddr(address), Interface: iface, Priority: priority}
	}
	src := func(product, version, sum string) spec.Install {
		return spec.Install{Source: &spec.Source{
			Product: product, Version: version, SHA256: strings.Repeat(sum, 64),
			URLs: []string{"https://example.org/" + product + "-" + version + ".tar.gz"}, Test: spec.TestNo,
		}}
	}
	return &spec.Pair{
		Name:    "cache",
		VIPs:    []netip.Prefix{netip.MustParsePrefix("192.168.1.220/32")},
		Hosts:   [2]spec.Host{host("a", "192.168.1.218", "eth3", 100), host("b", "192.168.1.219", "eth5", 90)},
		Account: spec.Account{User: "redisadmin", Group: "develop"},
		Redis: spec.Redis{
			Prefix: "/usr/local/redis", Port: 6379, Install: src("redis", "7.0.15", "a"),
			Config: []spec.Directive{{Name: "appendonly", Value: "yes"}},
		},
		Keepalived: spec.Keepalived{
			Prefix: "/usr/local/keepalived", Install: src("keepalived", "2.3.3", "b"),
			VirtualRouterID: 51, AdvertInterval: time.Second, Unicast: true, SyslogFacility: "local0",
		},
		Check:    spec.Check{Interval: 10 * time.Second, Timeout: time.Second, Retries: 1, RetryDelay: time.Second},
		Failover: spec.Failover{Handlers: spec.HandlersScripts, SyncTimeout: 10 * time.Second, Durability: spec.DurabilityBalanced},
	}
}

// clonePair is p with nothing shared that a test would change.
func clonePair(p *spec.Pair) *spec.Pair {
	q := *p
	q.VIPs = slices.Clone(p.VIPs)
	q.Redis.Config = slices.Clone(p.Redis.Config)
	for _, in := range []*spec.Install{&q.Redis.Install, &q.Keepalived.Install} {
		if in.Source != nil {
			s := *in.Source
			in.Source = &s
		}
	}
	return &q
}

// model is two hosts and a controller that do what steps say, as far as a plan
// can see it.
type model struct {
	t interface {
		Helper()
		Fatalf(string, ...any)
	}
	pair  *spec.Pair
	hosts [2]*modelHost
	have  Local
}

// modelHost is a host of a model.
type modelHost struct {
	facts.Host
	// loaded is what a running unit has read: its files' sums when it started.
	loaded map[string]string
}

func newModel(t interface {
	Helper()
	Fatalf(string, ...any)
}, p *spec.Pair, os facts.OS, manager facts.Manager) *model {
	m := &model{t: t, pair: p, have: Local{Patches: map[string][]byte{}, Builds: map[string]bool{}}}
	for i, h := range p.Hosts {
		m.hosts[i] = &modelHost{loaded: map[string]string{}, Host: facts.Host{
			OS: os, Systemd: true, Manager: manager,
			Parts:    map[facts.Part]bool{facts.Tool("ip"): true, facts.Tool("tar"): true, facts.Tool("gzip"): true},
			Packages: map[string]facts.Package{}, Paths: map[string]facts.Path{},
			Units:    map[string]facts.Unit{rsyslogUnit: {Load: "loaded", Active: "active", File: "enabled"}},
			Programs: map[string]facts.Program{}, Free: map[string]int64{},
			Interfaces: []facts.Interface{{
				Name:  []string{"eth3", "eth5"}[i],
				Addrs: []netip.Prefix{netip.PrefixFrom(h.Address, 24)},
			}},
		}}
		for _, dir := range []string{"/etc/rsyslog.d", "/etc/logrotate.d"} {
			m.hosts[i].Paths[dir] = facts.Path{Kind: facts.Dir, Mode: 0o755, Owner: "root", Group: "root"}
		}
	}
	return m
}

var debian12 = facts.OS{ID: "debian", Version: "12", Name: "Debian GNU/Linux 12 (bookworm)", Kernel: "6.1.0-13-amd64", Machine: "x86_64", Libc: "glibc 2.36"}

// seen is what Observe would say of the model.
func (m *model) seen() facts.ByHost {
	seen := facts.ByHost{}
	for i, h := range m.pair.Hosts {
		seen[facts.Ref{Pair: m.pair.Name, Host: h.Name}] = m.hosts[i].facts(m.pair)
	}
	return seen
}

func (h *modelHost) facts(p *spec.Pair) *facts.Host {
	f := h.Host
	f.Paths = maps.Clone(h.Paths)
	f.Units = maps.Clone(h.Units)
	for _, dir := range []string{p.Redis.Prefix, p.Keepalived.Prefix} {
		for name := range h.Paths {
			if path.Dir(name) == dir {
				f.Entries = append(f.Entries, name)
			}
		}
	}
	slices.Sort(f.Entries)
	return &f
}

func (m *model) plan() *Plan {
	m.t.Helper()
	p, err := Build(&spec.Spec{Pairs: []*spec.Pair{m.pair}}, m.seen(), m.have)
	if err != nil {
		m.t.Fatalf("build: %v", err)
	}
	if p.Empty() != (len(p.Changes) == 0) || p.Empty() != (len(p.Steps) == 0) {
		m.t.Fatalf("a plan with %d changes and %d steps", len(p.Changes), len(p.Steps))
	}
	return p
}

// apply does the first limit steps (all, if it is negative) in an order that
// their After allows.
func (m *model) apply(p *Plan, limit int, pick func(n int) int) {
	m.t.Helper()
	done := map[string]bool{}
	left := slices.Clone(p.Steps)
	for n := 0; len(left) > 0 && n != limit; n++ {
		var ready []int
		for i, s := range left {
			if !slices.ContainsFunc(s.After, func(id string) bool { return !done[id] }) {
				ready = append(ready, i)
			}
		}
		if len(ready) == 0 {
			m.t.Fatalf("no step can begin; left: %v", left)
		}
		i := ready[pick(len(ready))]
		s := left[i]
		left = slices.Delete(left, i, i+1)
		if done[s.ID] {
			m.t.Fatalf("two steps are called %s", s.ID)
		}
		m.do(s)
		done[s.ID] = true
		m.known()
	}
}

func anyOf(n int) int { return rand.IntN(n) }

// known fails when something of the pair is on a host that its manifest there
// does not name: nobody would ever remove it.
func (m *model) known() {
	m.t.Helper()
	l := pair.Layout(m.pair)
	for i, h := range m.hosts {
		manifest, err := readManifest(h.Paths[l.Manifest()].Content)
		if err != nil {
			manifest = nil
		}
		for name, p := range h.Paths {
			if name == l.Manifest() || name == path.Dir(l.State()) || name == l.State() || strings.HasSuffix(name, ".foreign") || name == l.HoldFile() {
				continue
			}
			_, file := manifest.file(name)
			_, dir := manifest.dir(name)
			system := name == "/etc/rsyslog.d" || name == "/etc/logrotate.d"
			if !file && !dir && !system && !strings.HasSuffix(name, "-bak") {
				m.t.Fatalf("%s %s on host %d is in no manifest", p.Kind, name, i)
			}
		}
	}
}

// lacking are packages and what they bring, by name.
func lacking(manager facts.Manager) map[string][]facts.Part {
	brings := map[string][]facts.Part{}
	for _, n := range []need{
		needGCC, needCXX, needMake, needLibc, needPatch, needTcl, needPkgConf, needTar, needGzip,
		needOpenSSLHeaders, needSystemdHeaders, needNetlinkHeaders, needGenericHeaders, needPoptHeaders,
		needNetlink, needGeneric, needPopt, needIP, needFlock, needRsyslog, needLogrotate, needNFT,
	} {
		brings[n.packageFor(manager)] = append(brings[n.packageFor(manager)], n.part)
	}
	return brings
}

func (m *model) do(s Step) {
	m.t.Helper()
	if s.Pair != nil {
		m.run(*s.Pair)
		return
	}
	if s.Fetch != nil {
		return
	}
	i := slices.IndexFunc(m.pair.Hosts[:], func(h spec.Host) bool { return h.Name == s.At.Host })
	h := m.hosts[i]
	switch {
	case s.Account != nil:
		h.User = &facts.User{Name: s.Account.User}
		h.Group = &facts.Group{Name: s.Account.Group}
	case s.Packages != nil:
		for _, name := range s.Packages.Names {
			name, version, _ := strings.Cut(name, "=")
			parts, ok := lacking(h.Manager)[name]
			for _, p := range parts {
				h.Parts[p] = true
			}
			if known := h.Packages[name]; !ok || known.Candidate != "" {
				if version == "" {
					version = known.Candidate
				}
				h.Packages[name] = facts.Package{Installed: version}
			}
		}
		for _, unit := range s.Packages.Mask {
			h.Units[unit] = facts.Unit{Load: "masked", Active: "inactive", File: "masked"}
		}
	case s.Build != nil:
		if lack := missing(&h.Host, buildNeeds(s.Build.Recipe)); len(lack) > 0 {
			m.t.Fatalf("%s: %s cannot be built without %v", s.ID, s.Build.Recipe, lack)
		}
		m.have.Builds[s.Build.Recipe.Key(s.Build.Platform)] = true
	case s.Install != nil:
		if !m.have.Builds[s.Install.Recipe.Key(s.Install.Platform)] {
			m.t.Fatalf("%s: %s was not built", s.ID, s.Install.Recipe)
		}
		if h.Paths[s.Install.Target.Prefix].Kind != facts.Dir || h.Paths[s.Install.Target.State].Kind != facts.Dir {
			m.t.Fatalf("%s: a folder is missing", s.ID)
		}
		h.Programs[s.Install.Recipe.Product] = facts.Program{ID: s.Install.Recipe.ID(), Version: s.Install.Recipe.Version}
	case s.Uninstall != nil:
		delete(h.Programs, path.Base(s.Uninstall.Record))
	case s.Place != nil:
		m.place(h, s)
	case s.Units != nil:
		m.units(h, s)
	default:
		m.t.Fatalf("%s says nothing to do", s.ID)
	}
}

func (m *model) place(h *modelHost, s Step) {
	m.t.Helper()
	own := func(owner string) (string, string) {
		u, g, _ := strings.Cut(owner, ":")
		if u != "root" && h.User == nil || g != "root" && h.Group == nil {
			m.t.Fatalf("%s: there is no %s", s.ID, owner)
		}
		return u, g
	}
	for _, d := range s.Place.Dirs {
		u, g := own(d.Owner)
		h.Paths[d.Path] = facts.Path{Kind: facts.Dir, Mode: fs.FileMode(d.Mode), Owner: u, Group: g}
	}
	for _, f := range s.Place.Files {
		if dir := path.Dir(f.Path); h.Paths[dir].Kind != facts.Dir && dir != unitDir {
			m.t.Fatalf("%s: %s has no folder", s.ID, f.Path)
		}
		u, g := own(f.Owner)
		content := []byte(f.Text)
		if f.bytes != nil {
			content = f.bytes
		}
		if f.Backup != "" {
			h.Paths[f.Backup] = h.Paths[f.Path]
		}
		h.Paths[f.Path] = facts.Path{Kind: facts.File, Mode: fs.FileMode(f.Mode), Owner: u, Group: g, Size: int64(len(content)), Content: content}
		if name := path.Base(f.Path); path.Dir(f.Path) == unitDir {
			unit := h.Units[name]
			unit.Changed = unit.Load != ""
			h.Units[name] = unit
		}
	}
	for _, name := range s.Place.Remove {
		delete(h.Paths, name)
	}
	for _, name := range s.Place.RemoveDirs {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(h.Paths)), func(p string) bool { return path.Dir(p) == name }) {
			delete(h.Paths, name)
		}
	}
}

func (m *model) units(h *modelHost, s Step) {
	m.t.Helper()
	set := func(name string, change func(*facts.Unit)) {
		u := h.Units[name]
		change(&u)
		h.Units[name] = u
	}
	for _, name := range s.Units.Disable {
		set(name, func(u *facts.Unit) { u.File, u.Active = "disabled", "inactive" })
	}
	for _, name := range s.Units.Stop {
		set(name, func(u *facts.Unit) { u.Active = "inactive" })
		m.drop(h, name)
	}
	if s.Units.Reload {
		for name := range h.Units {
			set(name, func(u *facts.Unit) { u.Changed = false })
		}
	}
	for _, name := range s.Units.Enable {
		if _, there := h.Paths[path.Join(unitDir, name)]; !there {
			m.t.Fatalf("%s: there is no file of %s", s.ID, name)
		}
		set(name, func(u *facts.Unit) { u.Load, u.File = "loaded", "enabled" })
	}
	for _, name := range slices.Concat(s.Units.Restart, s.Units.Renew) {
		m.start(h, name)
	}
}

// start has a unit read its files, as they are now.
func (m *model) start(h *modelHost, name string) {
	m.t.Helper()
	u := h.Units[name]
	if u.Changed {
		m.t.Fatalf("%s starts with a unit file that systemd has not read", name)
	}
	u.Load, u.Active = "loaded", "active"
	h.Units[name] = u
	h.loaded[name] = m.current(h, name)
}

// drop is a host whose keepalived or Redis stops.
func (m *model) drop(h *modelHost, name string) {
	l := pair.Layout(m.pair)
	switch name {
	case l.KeepalivedUnit():
		h.Interfaces[0].Addrs = h.Interfaces[0].Addrs[:1]
	case l.RedisUnit():
		h.Redis = nil
	}
}

// current is all that a unit reads when it starts, or when it is told to.
func (m *model) current(h *modelHost, unit string) string {
	l := pair.Layout(m.pair)
	wants := map[string][]templates.Affects{
		l.RedisUnit():      {templates.AffectsRedis},
		l.KeepalivedUnit(): {templates.AffectsKeepalived},
		l.GuardUnit():      {templates.AffectsGuard},
		rsyslogUnit:        {templates.AffectsSyslog},
	}[unit]
	var read []string
	w, err := wanted(m.pair, slices.Index(m.hosts[:], h), h.facts(m.pair), m.have)
	if err != nil {
		m.t.Fatalf("what is wanted: %v", err)
	}
	for _, f := range w.files {
		if slices.Contains(wants, f.Affects) {
			read = append(read, f.Path+" "+sum(h.Paths[f.Path].Content))
		}
	}
	switch unit {
	case l.RedisUnit():
		if w.redis.pkg != nil {
			read = append(read, h.Packages["redis-server"].Installed)
		} else {
			read = append(read, h.Programs["redis"].ID)
		}
	case l.KeepalivedUnit():
		read = append(read, h.Programs[productKeepalived].ID)
	}
	return strings.Join(read, "\n")
}

// upToDate fails when a unit runs on what is not there any more.
func (m *model) upToDate() {
	m.t.Helper()
	l := pair.Layout(m.pair)
	for i, h := range m.hosts {
		for _, unit := range []string{l.GuardUnit(), l.RedisUnit(), l.KeepalivedUnit(), rsyslogUnit} {
			if unit == l.GuardUnit() && !(&side{seen: &h.Host}).canGuard() {
				continue
			}
			if got, want := h.loaded[unit], m.current(h, unit); got != want {
				m.t.Fatalf("%s on host %d runs with\n%s\nwhile there is\n%s", unit, i, got, want)
			}
		}
	}
}

// run does what plan/pair would.
func (m *model) run(r Running) {
	m.t.Helper()
	l := pair.Layout(m.pair)
	if r.Do != TaskRoll {
		for _, h := range m.hosts {
			for _, unit := range []string{l.RedisUnit(), l.KeepalivedUnit()} {
				if h.Units[unit].Active != "active" {
					m.start(h, unit)
				}
			}
		}
	}
	for i, c := range r.Changes {
		if c.Redis {
			m.start(m.hosts[i], l.RedisUnit())
		}
		if c.Keepalived != pair.Keep {
			m.start(m.hosts[i], l.KeepalivedUnit())
		}
	}
	for i, h := range m.hosts {
		h.Interfaces[0].Addrs = h.Interfaces[0].Addrs[:1]
		h.Redis = &redisctl.Info{Role: redisctl.Replica, LinkUp: true}
		if i == 0 {
			h.Interfaces[0].Addrs = append(h.Interfaces[0].Addrs, m.pair.VIPs...)
			h.Redis = &redisctl.Info{Role: redisctl.Primary}
		}
	}
}

// settled applies whatever is left, and fails unless nothing is left then.
func (m *model) settled() {
	m.t.Helper()
	m.apply(m.plan(), -1, anyOf)
	if p := m.plan(); !p.Empty() {
		m.t.Fatalf("the second plan is not empty:\n%s", show(p))
	}
	m.upToDate()
}

// show is a plan as lines of text: what changes, then the steps.
func show(p *Plan) string {
	var b strings.Builder
	for _, c := range p.Changes {
		fmt.Fprintf(&b, "%s %s", c.Action.Symbol(), c.Addr)
		if c.Drift {
			b.WriteString(" (drift)")
		}
		if c.Reason != "" {
			fmt.Fprintf(&b, "  # %s", c.Reason)
		}
		b.WriteByte('\n')
		before := map[string]string{}
		for _, a := range c.Before.Attrs {
			before[a.Name] = a.Value
		}
		for _, a := range c.After.Attrs {
			switch old, changed := before[a.Name]; {
			case !changed:
				fmt.Fprintf(&b, "    %s %s\n", a.Name, a.Value)
			case old != a.Value:
				fmt.Fprintf(&b, "    %s %s -> %s\n", a.Name, old, a.Value)
			}
		}
		switch {
		case c.After.Sensitive:
			b.WriteString("    (sensitive)\n")
		case c.Before.Text != "" && c.After.Text != "" && c.Before.Text != c.After.Text:
			before, after := strings.Split(c.Before.Text, "\n"), strings.Split(c.After.Text, "\n")
			for _, line := range before {
				if !slices.Contains(after, line) {
					fmt.Fprintf(&b, "    | -%s\n", line)
				}
			}
			for _, line := range after {
				if !slices.Contains(before, line) {
					fmt.Fprintf(&b, "    | +%s\n", line)
				}
			}
		}
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "note %s: %s\n", n.At, n.Text)
	}
	b.WriteByte('\n')
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "%s: %s", s.ID, s.Title)
		if len(s.After) > 0 {
			fmt.Fprintf(&b, "  <- %s", strings.Join(s.After, " "))
		}
		b.WriteByte('\n')
		switch {
		case s.Packages != nil:
			fmt.Fprintf(&b, "    %s %v mask %v\n", s.Packages.Manager, s.Packages.Names, s.Packages.Mask)
		case s.Units != nil:
			fmt.Fprintf(&b, "    %s\n", strings.Join(s.Units.orders(), ", "))
		case s.Pair != nil:
			fmt.Fprintf(&b, "    %s %+v\n", s.Pair.Do, s.Pair.Changes)
		case s.Place != nil:
			if n := len(s.Place.Remove); n > 0 {
				fmt.Fprintf(&b, "    remove %s\n", strings.Join(s.Place.Remove, " "))
			}
			if n := len(s.Place.RemoveDirs); n > 0 {
				fmt.Fprintf(&b, "    rmdir %s\n", strings.Join(s.Place.RemoveDirs, " "))
			}
		}
	}
	return b.String()
}
