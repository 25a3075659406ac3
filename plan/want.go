package plan

import (
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

// want is what one host should be like.
type want struct {
	ref        facts.Ref
	layout     templates.Layout
	account    spec.Account
	redis      program
	keepalived program
	gateway    bool // is asked whether the network is there
	dirs       []templates.Dir
	files      []templates.File
}

// program is one of the two programs of a pair, and where it comes from:
// either a recipe or a package of the distribution.
type program struct {
	product string // "redis", "valkey", "keepalived"
	version templates.Version
	recipe  *source.Recipe
	pkg     *spec.Package
	record  string // of a built one, on the host: path without suffix
	target  source.Target
}

// units are those of the pair, in the order in which they start.
func (w *want) units() []string {
	return []string{w.layout.GuardUnit(), w.layout.RedisUnit(), w.layout.KeepalivedUnit()}
}

func (w *want) programs() []program { return []program{w.redis, w.keepalived} }

// wanted is what host i of p should be like, given what it is like.
func wanted(p *spec.Pair, i int, seen *facts.Host, have Local) (*want, error) {
	w, err := wantedPrograms(p, i, have)
	if err != nil {
		return nil, err
	}
	for _, one := range []*program{&w.redis, &w.keepalived} {
		if err := one.findVersion(seen); err != nil {
			return nil, fmt.Errorf("%s: %w", w.ref, err)
		}
	}
	iface := p.Hosts[i].Interface
	if iface == "" {
		iface, _, _ = seen.HasAddr(p.Hosts[i].Address)
	}
	h := templateHost(p, i, iface, w.redis.version, w.keepalived.version)
	if p.Failover.Handlers == spec.HandlersNode {
		if h.Program = have.Node[seen.OS.Machine]; h.Program == nil {
			return nil, fmt.Errorf("%s: handlers = \"node\" needs the program hapair-node for %s, which is to lie beside hapair as %s: build it with `make build`, or write handlers = \"scripts\"",
				w.ref, seen.OS.Machine, nodeName(seen.OS.Machine))
		}
	}
	w.dirs = templates.Dirs(h)
	if w.files, err = templates.Files(h); err != nil {
		return nil, err
	}
	return w, nil
}

// wantedPrograms is as much of wanted as is known before a host is seen.
func wantedPrograms(p *spec.Pair, i int, have Local) (*want, error) {
	w := &want{
		ref:     facts.Ref{Pair: p.Name, Host: p.Hosts[i].Name},
		layout:  pair.Layout(p),
		account: p.Account,
		gateway: p.Failover.Gateway.IsValid(),
	}
	var err error
	if w.redis, err = newProgram(w, string(w.layout.Product), p.Redis.Install, p.Redis.Prefix, have); err != nil {
		return nil, err
	}
	w.keepalived, err = newProgram(w, productKeepalived, p.Keepalived.Install, p.Keepalived.Prefix, have)
	return w, err
}

func newProgram(w *want, product string, in spec.Install, prefix string, have Local) (program, error) {
	p := program{product: product, pkg: in.Package}
	if in.Source == nil {
		return p, nil
	}
	r := source.Recipe{
		Product: product, Version: in.Source.Version, URLs: in.Source.URLs, SHA256: in.Source.SHA256,
		Args: in.Source.Make, Prefix: prefix, Test: string(in.Source.Test),
	}
	p.target = source.Target{Prefix: prefix, State: w.layout.State(), Group: w.account.Group}
	if product == productKeepalived {
		r.Args = in.Source.Configure
		p.target.Group = "root"
	}
	for _, name := range in.Source.Patches {
		content, ok := have.Patches[name]
		if !ok {
			return p, fmt.Errorf("patch %s of %s was not read", name, r)
		}
		r.Patches = append(r.Patches, source.NewPatch(name, content))
	}
	p.recipe = &r
	p.record = path.Join(w.layout.State(), product)
	v, err := templates.ParseVersion(in.Source.Version)
	p.version = v
	return p, err
}

// packageName is what the host's distribution calls a packaged program.
func (p program) packageName(m facts.Manager) string {
	if p.pkg.Name != "" {
		return p.pkg.Name
	}
	return distributed[p.product].nameFor(m)
}

// findVersion tells the version of a packaged program: the spec's, or the one
// that is or would be installed.
func (p *program) findVersion(seen *facts.Host) error {
	if p.pkg == nil {
		return nil
	}
	name := p.packageName(seen.Manager)
	known := seen.Packages[name]
	text := p.pkg.Version
	for _, v := range []string{known.Candidate, known.Installed} {
		if v != "" && (p.pkg.Version == "" || v == known.Installed && samePackageVersion(v, p.pkg.Version)) {
			text = v
		}
	}
	if text == "" {
		return fmt.Errorf("the version of package %s is not known before it is installed: write `version = \"…\"` into its package block, or fetch the host's package lists", name)
	}
	v, err := templates.ParseVersion(text)
	if err != nil {
		return fmt.Errorf("package %s: %w", name, err)
	}
	p.version = v
	return nil
}

// samePackageVersion reports whether an installed version ("5:7.0.15-1~deb12u1")
// is the one that a spec asks for ("7.0.15", or all of it).
func samePackageVersion(installed, asked string) bool {
	if installed == asked {
		return true
	}
	_, short, found := strings.Cut(installed, ":")
	if !found {
		short = installed
	}
	return strings.HasPrefix(short, asked) && (len(short) == len(asked) || strings.ContainsRune("-+~.", rune(short[len(asked)])))
}

// templateHost is the input of the templates.
func templateHost(p *spec.Pair, i int, iface string, redis, keepalived templates.Version) templates.Host {
	self, peer := p.Hosts[i], p.Hosts[1-i]
	h := templates.Host{
		Layout:    pair.Layout(p),
		Self:      templates.Node{Name: self.Name, Address: self.Address},
		Peer:      templates.Node{Name: peer.Name, Address: peer.Address},
		Interface: iface,
		VIPs:      p.VIPs,
		User:      p.Account.User,
		Group:     p.Account.Group,
		Keepalived: templates.Keepalived{
			Version:      keepalived,
			RouterID:     p.Keepalived.VirtualRouterID,
			Priority:     self.Priority,
			PeerPriority: peer.Priority,
			// The preferred host must not take the VIP back, and of the two only
			// the one with the higher priority would.
			NoPreempt:       i == 0 || self.Priority > peer.Priority,
			AdvertInterval:  p.Keepalived.AdvertInterval,
			GARPMasterDelay: self.GARPMasterDelay,
			AuthPassword:    p.Keepalived.AuthPassword.Reveal(),
			Unicast:         p.Keepalived.Unicast,
			SyslogFacility:  p.Keepalived.SyslogFacility,
		},
		Check: templates.Check{
			Interval: p.Check.Interval, Timeout: p.Check.Timeout,
			Retries: p.Check.Retries, RetryDelay: p.Check.RetryDelay,
		},
		Failover: templates.Failover{
			SyncTimeout: p.Failover.SyncTimeout, Gateway: p.Failover.Gateway,
			Durability: string(p.Failover.Durability),
			Handlers:   string(p.Failover.Handlers),
			Restart:    p.Failover.Recover == spec.RecoverAuto,
		},
	}
	h.Redis = templates.Redis{Product: h.Product, Version: redis, Port: p.Redis.Port, Password: p.Redis.Password.Reveal()}
	for _, d := range p.Redis.Config {
		h.Redis.Config = append(h.Redis.Config, templates.Directive{Name: d.Name, Value: d.Value})
	}
	return h
}

// Render is every file that p puts on host i (0 or 1), for those who want to
// see them without touching a host. The spec has to say what else only the host
// could: the interface, and the version of a packaged program.
func Render(p *spec.Pair, i int) ([]templates.File, error) {
	w, err := wantedPrograms(p, i, Local{Patches: noPatches(p)})
	if err != nil {
		return nil, err
	}
	h := p.Hosts[i]
	if h.Interface == "" {
		return nil, fmt.Errorf("%s: the interface is not known before the host was looked at: write `interface = \"…\"` into its host block", w.ref)
	}
	for _, one := range []*program{&w.redis, &w.keepalived} {
		if err := one.findVersion(&facts.Host{}); err != nil {
			return nil, fmt.Errorf("%s: %w", w.ref, err)
		}
	}
	return templates.Files(templateHost(p, i, h.Interface, w.redis.version, w.keepalived.version))
}

// noPatches stands for the content of patches where only files are asked for.
func noPatches(p *spec.Pair) map[string][]byte {
	none := map[string][]byte{}
	for _, in := range []spec.Install{p.Redis.Install, p.Keepalived.Install} {
		if in.Source != nil {
			for _, name := range in.Source.Patches {
				none[name] = nil
			}
		}
	}
	return none
}

// paths are the files that host i of p will have, whatever their content. Of
// these only the paths are wanted, so what they depend on besides the layout
// is filled in.
func (w *want) paths(p *spec.Pair, i int) ([]string, error) {
	q := *p
	q.Redis.Config = nil
	redis, keepalived := w.redis.version, w.keepalived.version
	if w.redis.pkg != nil {
		redis = anyVersion[w.redis.product]
	}
	if w.keepalived.pkg != nil {
		keepalived = anyVersion[productKeepalived]
	}
	iface := p.Hosts[i].Interface
	if iface == "" {
		iface = "eth0"
	}
	h := templateHost(&q, i, iface, redis, keepalived)
	h.Program = []byte("any")
	files, err := templates.Files(h)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, f := range files {
		paths = append(paths, f.Path)
		if f.Backup != "" {
			paths = append(paths, f.Path+f.Backup)
		}
	}
	for _, d := range templates.Dirs(h) {
		paths = append(paths, d.Path)
	}
	return slices.Clip(paths), nil
}

// anyVersion is one of each product that has all features.
var anyVersion = map[string]templates.Version{
	"redis":           {Major: 8},
	"valkey":          {Major: 9},
	productKeepalived: {Major: 2, Minor: 3, Patch: 4},
}

// query is what has to be known of host i of p.
func query(p *spec.Pair, i int, have Local) (facts.Query, error) {
	w, err := wantedPrograms(p, i, have)
	if err != nil {
		return facts.Query{}, err
	}
	paths, err := w.paths(p, i)
	if err != nil {
		return facts.Query{}, err
	}
	l := w.layout
	q := facts.Query{
		Paths:    append(paths, l.HoldFile()),
		Manifest: l.Manifest(),
		Patterns: []string{"/var/lib/hapair/*/manifest.json"},
		Lists:    []string{l.RedisPrefix, l.KeepalivedPrefix},
		Spaces:   []string{l.RedisPrefix, l.KeepalivedPrefix, buildDir},
		Units:    append(w.units(), rsyslogUnit),
		User:     w.account.User,
		Group:    w.account.Group,
		Packages: map[facts.Manager][]string{},
		Ports:    []int{p.Redis.Port},
		VRRP:     l.KeepalivedUnit(),
		Redis:    &facts.Redis{Unit: l.RedisUnit(), Conf: l.RedisConf(), Auth: l.RedisAuth(), CLIs: clients(l)},
	}
	for _, v := range p.VIPs {
		q.VIPs = append(q.VIPs, v.Addr())
	}
	needs := w.runNeeds()
	for _, one := range w.programs() {
		if one.recipe != nil {
			needs = append(needs, buildNeeds(*one.recipe)...)
			q.Programs = append(q.Programs, facts.Record{Path: one.record, ID: one.recipe.ID()})
			continue
		}
		q.Units = append(q.Units, distributed[one.product].units...)
		for _, m := range []facts.Manager{facts.Apt, facts.Dnf, facts.Zypper} {
			q.Packages[m] = append(q.Packages[m], one.packageName(m))
		}
	}
	for _, n := range needs {
		if !slices.Contains(q.Parts, n.part) {
			q.Parts = append(q.Parts, n.part)
		}
	}
	return q, nil
}

// clients are where a client of the running Redis may be: it may come from
// elsewhere than the one that is wanted, or be another product.
func clients(l templates.Layout) []string {
	paths := []string{l.CLI()}
	for _, dir := range []string{path.Join(l.RedisPrefix, "bin"), "/usr/bin"} {
		for _, name := range []string{"redis-cli", "valkey-cli"} {
			paths = append(paths, path.Join(dir, name))
		}
	}
	return paths
}

const (
	// buildDir is where a host builds; only while it does.
	buildDir    = "/var/cache/hapair"
	rsyslogUnit = "rsyslog.service"
)
