package plan

import (
	"encoding/json"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"hapair/plan/facts"
	"hapair/plan/pair"
	"hapair/plan/spec"
	"hapair/remote/redisctl"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// TestGolden plans from where a pair was applied before, after one change.
func TestGolden(t *testing.T) {
	for name, change := range map[string]func(m *model){
		"priority":  func(m *model) { m.pair.Hosts[1].Priority = 80 },
		"directive": func(m *model) { m.pair.Redis.Config[0].Value = "no" },
		"port":      func(m *model) { m.pair.Redis.Port = 6380 },
		"password":  func(m *model) { m.pair.Redis.Password = spec.NewSecret("hunter2") },
		"prefix":    func(m *model) { m.pair.Keepalived.Prefix = "/opt/keepalived" },
		"account":   func(m *model) { m.pair.Account.User = "redis" },
		"upgrade": func(m *model) {
			src := m.pair.Redis.Install.Source
			src.Version, src.SHA256 = "7.2.5", strings.Repeat("c", 64)
		},
		"built-already": func(m *model) {
			src := m.pair.Keepalived.Install.Source
			src.Version, src.SHA256 = "2.3.4", strings.Repeat("c", 64)
			w, err := wantedPrograms(m.pair, 0, m.have)
			if err != nil {
				m.t.Fatalf("%v", err)
			}
			m.have.Builds[w.keepalived.recipe.Key(platform(&side{seen: &m.hosts[0].Host}))] = true
		},
		"to-package": func(m *model) {
			m.pair.Redis.Install = spec.Install{Package: &spec.Package{}}
			for _, h := range m.hosts {
				h.Packages["redis-server"] = facts.Package{Candidate: "5:7.0.15-1~deb12u3"}
			}
		},
		"drift": func(m *model) {
			l := pair.Layout(m.pair)
			edit(m.hosts[0], l.RedisStop(), func(p *facts.Path) { p.Mode = 0o777 })
			edit(m.hosts[1], l.KeepalivedConf(), func(p *facts.Path) { p.Content = append(slices.Clone(p.Content), "\n# by hand\n"...) })
			m.hosts[1].Programs["redis"] = facts.Program{ID: m.hosts[1].Programs["redis"].ID, Damaged: []string{l.Server() + ": FAILED"}}
			m.hosts[1].Units[l.KeepalivedUnit()] = facts.Unit{Load: "loaded", Active: "failed", File: "disabled"}
		},
		"stopped": func(m *model) {
			l := pair.Layout(m.pair)
			for _, h := range m.hosts {
				for _, unit := range []string{l.KeepalivedUnit(), l.RedisUnit()} {
					h.Units[unit] = facts.Unit{Load: "loaded", Active: "inactive", File: "enabled"}
					m.drop(h, unit)
				}
			}
		},
		"roles": func(m *model) {
			m.hosts[1].Redis = &redisctl.Info{Role: redisctl.Replica}
			m.hosts[1].Paths[pair.Layout(m.pair).HoldFile()] = facts.Path{Kind: facts.File, Content: []byte("a's data is older\n")}
		},
		"left-over": func(m *model) { // a hook that this version no longer has
			l := pair.Layout(m.pair)
			old, err := readManifest(m.hosts[0].Paths[l.Manifest()].Content)
			if err != nil {
				m.t.Fatalf("%v", err)
			}
			name := l.Hooks() + "/gone.sh"
			old.Files = append(old.Files, ManifestFile{Path: name, SHA256: "x"})
			m.hosts[0].Paths[name] = facts.Path{Kind: facts.File, Mode: 0o750, Owner: "root", Group: "root"}
			edit(m.hosts[0], l.Manifest(), func(p *facts.Path) { p.Content = old.bytes() })
		},
		"new-host": func(m *model) { // b was replaced by a fresh machine, the cache is gone
			fresh := newModel(m.t, m.pair, debian12, facts.Apt)
			m.hosts[1], m.have = fresh.hosts[1], fresh.have
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(t, testPair(), debian12, facts.Apt)
			m.settled()
			change(m)
			golden(t, name, show(m.plan()))
			m.settled()
		})
	}
}

// TestDrillsChangeNothing: what a spec says of drills is no business of the
// hosts.
func TestDrillsChangeNothing(t *testing.T) {
	m := newModel(t, testPair(), debian12, facts.Apt)
	m.settled()
	none := 0
	m.pair.Drills = []spec.Drill{
		{Name: "kill-redis", MaxOutage: time.Second, MaxLostWrites: &none},
		{Name: "monday-morning", Steps: []spec.DrillStep{{Fault: "kill-redis", On: "primary"}, {Recover: true}}},
	}
	if p := m.plan(); !p.Empty() {
		t.Errorf("the plan is not empty:\n%s", show(p))
	}
}

// BenchmarkBuild plans for a pair that is as it should be.
func BenchmarkBuild(b *testing.B) {
	m := newModel(b, testPair(), debian12, facts.Apt)
	m.settled()
	s, seen := &spec.Spec{Pairs: []*spec.Pair{m.pair}}, m.seen()
	for b.Loop() {
		if _, err := Build(s, seen, m.have); err != nil {
			b.Fatal(err)
		}
	}
}

func edit(h *modelHost, name string, change func(*facts.Path)) {
	p := h.Paths[name]
	change(&p)
	h.Paths[name] = p
}

// TestGoldenFresh plans for hosts that never saw hapair, of each family.
func TestGoldenFresh(t *testing.T) {
	for name, c := range map[string]struct {
		os      facts.OS
		manager facts.Manager
	}{
		"debian": {debian12, facts.Apt},
		"fedora": {facts.OS{ID: "fedora", Version: "42", Name: "Fedora Linux 42 (Server Edition)", Kernel: "6.14.0-63.fc42.x86_64", Machine: "x86_64", Libc: "glibc 2.41"}, facts.Dnf},
		"suse":   {facts.OS{ID: "opensuse-leap", Like: []string{"suse", "opensuse"}, Version: "15.6", Name: "openSUSE Leap 15.6", Kernel: "6.4.0-150600.21-default", Machine: "x86_64", Libc: "glibc 2.38"}, facts.Zypper},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(t, testPair(), c.os, c.manager)
			golden(t, "fresh-"+name, show(m.plan()))
			m.settled()
		})
	}
}

// The documented versions, on a kernel that cannot reject in prerouting, with
// hosts of two kinds: each builds for itself.
func TestGoldenOld(t *testing.T) {
	p := testPair()
	p.Redis.Install.Source.Version, p.Keepalived.Install.Source.Version = "2.8.4", "1.2.10"
	m := newModel(t, p, debian12, facts.Apt)
	m.hosts[1].OS.Version, m.hosts[1].OS.Libc, m.hosts[1].OS.Kernel = "10", "glibc 2.28", "4.19.0-26-amd64"
	golden(t, "old", show(m.plan()))
	m.settled()
}

// TestConverges: whatever the spec is changed to and whatever happens to the
// hosts, at whatever point an apply is cut off, applying again brings the hosts
// to where the next plan is empty, with every service on the files that are
// there; and at no point is anything of hapair's on a host that its manifest
// does not name.
func TestConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t, testPair(), debian12, facts.Apt)
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "step") }
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			m.pair = clonePair(m.pair)
			for _, change := range rapid.SliceOfN(rapid.SampledFrom(changes), 0, 3).Draw(t, "changes") {
				change.do(m)
			}
			p := m.plan()
			m.apply(p, rapid.IntRange(0, len(p.Steps)).Draw(t, "until"), pick)
		}
		m.settled()
	})
}

type named struct {
	name string
	do   func(m *model)
}

func (n named) String() string { return n.name }

// changes are what people do to specs, and what happens to hosts.
var changes = []named{
	{"priority", func(m *model) { m.pair.Hosts[0].Priority ^= 1 }},
	{"router ID", func(m *model) { m.pair.Keepalived.VirtualRouterID ^= 2 }},
	{"facility", func(m *model) {
		m.pair.Keepalived.SyslogFacility = flip(m.pair.Keepalived.SyslogFacility, "local0", "local1")
	}},
	{"sync timeout", func(m *model) { m.pair.Failover.SyncTimeout ^= time.Duration(1 << 30) }},
	{"directive", func(m *model) { m.pair.Redis.Config[0].Value = flip(m.pair.Redis.Config[0].Value, "yes", "no") }},
	{"port", func(m *model) { m.pair.Redis.Port ^= 1 }},
	{"password", func(m *model) {
		m.pair.Redis.Password = spec.NewSecret(flip(m.pair.Redis.Password.Reveal(), "", "hunter2"))
	}},
	{"redis prefix", func(m *model) { m.pair.Redis.Prefix = flip(m.pair.Redis.Prefix, "/usr/local/redis", "/opt/redis") }},
	{"keepalived prefix", func(m *model) {
		m.pair.Keepalived.Prefix = flip(m.pair.Keepalived.Prefix, "/usr/local/keepalived", "/opt/keepalived")
	}},
	{"redis version", func(m *model) {
		if src := m.pair.Redis.Install.Source; src != nil {
			src.Version, src.SHA256 = flip(src.Version, "7.0.15", "8.0.2"), flip(src.SHA256, strings.Repeat("a", 64), strings.Repeat("c", 64))
		}
	}},
	{"keepalived arguments", func(m *model) {
		if src := m.pair.Keepalived.Install.Source; src != nil {
			src.Configure = append(src.Configure, "--disable-lvs")
		}
	}},
	{"packaged redis", func(m *model) {
		if m.pair.Redis.Install.Package != nil {
			m.pair.Redis.Install = testPair().Redis.Install
			return
		}
		m.pair.Redis.Install = spec.Install{Package: &spec.Package{Version: "7.0.15"}}
	}},
	{"any interface", func(m *model) { m.pair.Hosts[1].Interface = flip(m.pair.Hosts[1].Interface, "", "eth5") }},
	{"file edited", func(m *model) {
		for _, name := range []string{pair.Layout(m.pair).RedisConf(), pair.Layout(m.pair).KeepalivedConf(), "/etc/rsyslog.d/30-hapair-cache.conf"} {
			if _, there := m.hosts[0].Paths[name]; there {
				edit(m.hosts[0], name, func(p *facts.Path) { p.Content = []byte("port 1\n") })
			}
		}
	}},
	{"file removed", func(m *model) { delete(m.hosts[1].Paths, pair.Layout(m.pair).HooksConf()) }},
	{"program damaged", func(m *model) {
		if p, ok := m.hosts[1].Programs["redis"]; ok {
			p.Damaged = []string{"x"}
			m.hosts[1].Programs["redis"] = p
		}
	}},
	{"redis died", func(m *model) { m.die(0, pair.Layout(m.pair).RedisUnit()) }},
	{"keepalived died", func(m *model) { m.die(1, pair.Layout(m.pair).KeepalivedUnit()) }},
	{"guard off", func(m *model) { m.die(1, pair.Layout(m.pair).GuardUnit()) }},
	{"distribution's own unit", func(m *model) {
		m.hosts[0].Units["redis-server.service"] = facts.Unit{Load: "loaded", Active: "active", File: "enabled"}
	}},
	{"cache lost", func(m *model) { m.have.Builds = map[string]bool{} }},
}

func flip(now, a, b string) string {
	if now == a {
		return b
	}
	return a
}

func (m *model) die(i int, unit string) {
	if u, ok := m.hosts[i].Units[unit]; ok && u.Active == "active" {
		u.Active = "failed"
		m.hosts[i].Units[unit] = u
		m.drop(m.hosts[i], unit)
	}
}

// TestConflicts: each is told in full, and nothing is planned.
func TestConflicts(t *testing.T) {
	for name, c := range map[string]struct {
		change func(m *model)
		want   []string // of each conflict: host, what, and a word of the evidence
	}{
		"foreign Redis": {func(m *model) {
			m.hosts[0].Listeners = []facts.Listener{{Port: 6379, Addr: "0.0.0.0", Program: "redis-server", PID: 812, Unit: "redis.service"},
				{Port: 6379, Addr: "[::]", Program: "redis-server", PID: 812, Unit: "redis.service"}}
		}, []string{"cache/a: port 6379 is taken: redis-server (pid 812, redis.service) listens on 0.0.0.0:6379"}},
		"foreign keepalived": {func(m *model) {
			m.hosts[1].Keepalived = []facts.Keepalived{{PID: 5, Conf: "/etc/keepalived/keepalived.conf", Instances: []facts.Instance{
				{Name: "VI_1", Interface: "eth5", VirtualRouterID: 51}, {Name: "VI_2", Interface: "eth5", VirtualRouterID: 52}}}}
		}, []string{"cache/b: virtual_router_id 51 is taken on eth5: vrrp_instance VI_1 of /etc/keepalived/keepalived.conf, keepalived (pid 5)"}},
		"VIP answers": {func(m *model) {
			m.hosts[0].Answering = []netip.Addr{netip.MustParseAddr("192.168.1.220")}
			m.hosts[1].Answering = m.hosts[0].Answering
		}, []string{
			"cache/a: VIP 192.168.1.220 answers already: a machine that is neither",
			"cache/b: VIP 192.168.1.220 answers already: a machine that is neither",
		}},
		"VIP configured": {func(m *model) {
			m.hosts[0].Interfaces[0].Addrs = append(m.hosts[0].Interfaces[0].Addrs, netip.MustParsePrefix("192.168.1.220/24"))
			m.hosts[1].Answering = []netip.Addr{netip.MustParseAddr("192.168.1.220")} // a's
		}, []string{"cache/a: VIP 192.168.1.220 is configured already: eth3 of this host holds it"}},
		"no systemd": {func(m *model) { m.hosts[0].Systemd = false }, []string{"cache/a: systemd does not run this host: there is no"}},
		"not root":   {func(m *model) { m.hosts[0].UID = 1000 }, []string{"cache/a: no root rights: commands run there as user 1000"}},
		"no package manager": {func(m *model) { m.hosts[1].Manager = "none" },
			[]string{"cache/b: no package manager that hapair knows: Debian"}},
		"other address": {func(m *model) {
			m.hosts[1].Interfaces[0].Addrs = []netip.Prefix{netip.MustParsePrefix("10.0.0.5/24")}
		}, []string{"cache/b: 192.168.1.219 is not an address of this host: it has eth5 10.0.0.5/24"}},
		"other interface": {func(m *model) { m.pair.Hosts[0].Interface = "eth0" },
			[]string{"cache/a: interface eth0 does not hold 192.168.1.218: eth3 holds it"}},
		"VIP elsewhere": {func(m *model) { m.pair.VIPs[0] = netip.MustParsePrefix("10.9.9.9/24") },
			[]string{
				"cache/a: VIP 10.9.9.9/24 lies outside of the network of eth3: eth3 is in 192.168.1.0/24",
				"cache/b: VIP 10.9.9.9/24 lies outside of the network of eth5",
			}},
		"occupied": {func(m *model) {
			m.hosts[0].Paths["/usr/local/redis"] = facts.Path{Kind: facts.Dir}
			m.hosts[0].Paths["/usr/local/redis/dump.rdb.foreign"] = facts.Path{Kind: facts.File}
		}, []string{"cache/a: /usr/local/redis is not empty: it holds dump.rdb.foreign, which hapair did not put there"}},
		"other pair": {func(m *model) {
			other := &Manifest{Format: manifestFormat, Pair: "sessions", Dirs: []ManifestDir{{Dir: "/usr/local/redis", Made: true}}}
			m.hosts[0].Paths["/usr/local/redis"] = facts.Path{Kind: facts.Dir}
			m.hosts[0].Paths["/usr/local/redis/conf"] = facts.Path{Kind: facts.Dir}
			m.hosts[0].Paths["/var/lib/hapair/sessions/manifest.json"] = facts.Path{Kind: facts.File, Content: other.bytes()}
		}, []string{"cache/a: /usr/local/redis belongs to pair sessions"}},
		"in the way": {func(m *model) {
			m.hosts[1].Paths["/etc/logrotate.d/hapair-cache"] = facts.Path{Kind: facts.Dir}
			m.hosts[1].Paths["/var/lib/hapair"] = facts.Path{Kind: facts.File, Content: []byte{}}
		}, []string{
			"cache/b: /var/lib/hapair is in the way: it is a file",
			"cache/b: /etc/logrotate.d/hapair-cache is in the way: it is a directory",
		}},
		"no room": {func(m *model) {
			m.hosts[0].Free = map[string]int64{"/usr/local/redis": 1 << 20, "/var/cache/hapair": 10 << 20}
		}, []string{
			"cache/a: too little room for /usr/local/redis: 1 MiB are free, 64 MiB are needed",
			"cache/a: too little room for /var/cache/hapair: 10 MiB are free",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(t, testPair(), debian12, facts.Apt)
			c.change(m)
			p, err := Build(&spec.Spec{Pairs: []*spec.Pair{m.pair}}, m.seen(), m.have)
			var got Conflicts
			if !errors.As(err, &got) || p != nil {
				t.Fatalf("got %v and %v, want conflicts alone", p, err)
			}
			if len(got) != len(c.want) {
				t.Fatalf("got %d conflicts, want %d:\n%v", len(got), len(c.want), err)
			}
			for i, want := range c.want {
				if !strings.HasPrefix(got[i].Error(), want) {
					t.Errorf("got %q\nwant %q", got[i].Error(), want)
				}
				if got[i].Do == "" {
					t.Errorf("%q says nothing to do", got[i].What)
				}
			}
		})
	}
}

// What is hapair's own is no conflict.
func TestOwnIsNoConflict(t *testing.T) {
	m := newModel(t, testPair(), debian12, facts.Apt)
	m.settled()
	l := pair.Layout(m.pair)
	m.hosts[0].Listeners = []facts.Listener{{Port: 6379, Addr: "0.0.0.0", Program: "redis-server", PID: 9, Unit: l.RedisUnit()}}
	m.hosts[0].Keepalived = []facts.Keepalived{{PID: 8, Unit: l.KeepalivedUnit(), Instances: []facts.Instance{{Interface: "eth3", VirtualRouterID: 51}}}}
	m.hosts[1].Answering = []netip.Addr{netip.MustParseAddr("192.168.1.220")} // by a
	if p := m.plan(); !p.Empty() {
		t.Fatalf("the plan is not empty:\n%s", show(p))
	}
	// a takes the VIP after it was looked at, and before b is.
	m.hosts[0].Interfaces[0].Addrs = m.hosts[0].Interfaces[0].Addrs[:1]
	m.plan()
}

func TestVersionOfPackage(t *testing.T) {
	m := newModel(t, testPair(), debian12, facts.Apt)
	m.pair.Redis.Install = spec.Install{Package: &spec.Package{}}
	_, err := Build(&spec.Spec{Pairs: []*spec.Pair{m.pair}}, m.seen(), m.have)
	if err == nil || !strings.Contains(err.Error(), "cache/a: the version of package redis-server is not known") {
		t.Fatalf("got %v", err)
	}
	for _, c := range []struct {
		installed, asked string
		same             bool
	}{
		{"5:7.0.15-1~deb12u3", "7.0.15", true},
		{"5:7.0.15-1~deb12u3", "5:7.0.15-1~deb12u3", true},
		{"7.2.5-1.fc42", "7.2.5", true},
		{"7.2.5-1.fc42", "7.2", true},
		{"7.2.5-1.fc42", "7", true},
		{"7.20.5", "7.2", false},
		{"5:7.0.15-1", "7.0.1", false},
		{"6.0.16", "7.0.15", false},
	} {
		if got := samePackageVersion(c.installed, c.asked); got != c.same {
			t.Errorf("%s is %s: %v", c.installed, c.asked, got)
		}
	}
}

// A plan as JSON holds no secret, and what was read back shows the same but
// cannot be applied.
func TestPlanHoldsNoSecrets(t *testing.T) {
	m := newModel(t, testPair(), debian12, facts.Apt)
	m.pair.Redis.Password = spec.NewSecret("hunter2")
	m.pair.Keepalived.AuthPassword = spec.NewSecret("s3same")
	p := m.plan()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2", "s3same"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("the plan holds %q", secret)
		}
	}
	var back Plan
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if show(&back) != show(p) {
		t.Errorf("read back: %s", cmp.Diff(show(p), show(&back)))
	}
}
