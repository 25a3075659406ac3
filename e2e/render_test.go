package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hapair/templates"
)

// TestRendered shows the files that hapair renders, for the versions that
// Debian has, to the programs that will read them, on a host.
func TestRendered(t *testing.T) {
	l := newLab(t, "rendered", "a")
	l.sh("a", "apt-get -q update; DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install redis-server keepalived")
	base := renderedHost()
	base.Redis.Version = l.version("redis-server", `v=([0-9.]+)`)
	base.Keepalived.Version = l.version("keepalived", `Keepalived v([0-9.]+)`)
	n := 0
	for name, change := range map[string]func(*templates.Host){
		"plain": func(h *templates.Host) {},
		"node":  func(h *templates.Host) { h.Failover.Handlers, h.Failover.Restart = "node", true },
		"as documented": func(h *templates.Host) {
			h.Keepalived.Unicast = false
			h.Keepalived.AdvertInterval = time.Second
			h.Keepalived.AuthPassword = "redis"
			h.Keepalived.GARPMasterDelay = 10 * time.Second
			h.Redis.Config = []templates.Directive{{Name: "timeout", Value: "300"}, {Name: "loglevel", Value: "verbose"}}
		},
		"password": func(h *templates.Host) {
			h.Redis.Password = `it's "quoted" \n and #long`
			h.Keepalived.AdvertInterval = time.Second
			h.Keepalived.AuthPassword = "~()[]<>|"
		},
		"several VIPs": func(h *templates.Host) {
			h.Pair = "web-sessions"
			h.VIPs = append(h.VIPs, netip.MustParsePrefix("10.0.0.20/24"), netip.MustParsePrefix("fd00::220/128"))
		},
		"IPv6": func(h *templates.Host) {
			h.Self.Address, h.Peer.Address = netip.MustParseAddr("fd00::218"), netip.MustParseAddr("fd00::219")
			h.VIPs = []netip.Prefix{netip.MustParsePrefix("fd00::220/128")}
		},
		"IPv6 VIP, multicast": func(h *templates.Host) {
			h.Keepalived.Unicast = false
			h.VIPs = []netip.Prefix{netip.MustParsePrefix("fd00::220/128")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := base
			h.VIPs = slices.Clone(base.VIPs)
			change(&h)
			n++
			box := l.layOut(t, h, fmt.Sprintf("/srv/tree-%d", n))
			t.Run("keepalived", func(t *testing.T) {
				box.run(t, h.KeepalivedProgram(), "-t", "-f", h.KeepalivedConf())
			})
			t.Run("redis", func(t *testing.T) { redisAccepts(t, box, h) })
			t.Run("nft", func(t *testing.T) {
				box.run(t, "sh", "-c", `nft -f "$1" && nft -f "$1" && nft delete table inet "$2"`, "sh", h.GuardRules(), h.GuardTable())
			})
			t.Run("systemd", func(t *testing.T) {
				units := []string{"/mnt/etc/systemd/system/" + h.RedisUnit(), "/mnt/etc/systemd/system/" + h.KeepalivedUnit(), "/mnt/etc/systemd/system/" + h.GuardUnit()}
				if out := box.run(t, append([]string{"systemd-analyze", "verify"}, units...)...); strings.Contains(out, "hapair") {
					t.Errorf("systemd-analyze verify:\n%s", out)
				}
			})
		})
	}
}

// redisAccepts starts the server with what was rendered, and looks whether it
// is what was asked for: fenced, and with every directive of the spec.
func redisAccepts(t *testing.T, box sandbox, h templates.Host) {
	out := box.run(t, "/srv/redis.sh", h.RedisPrefix, h.CLI())
	for _, want := range []string{"READONLY", "role:slave", "master_host:127.0.0.1", "master_port:1", "master_link_status:down"} {
		if !strings.Contains(out, want) {
			t.Errorf("redis does not say %s", want)
		}
	}
	lines := strings.Split(strings.ReplaceAll(out, "\r", ""), "\n")
	for _, d := range append(h.Redis.Config, templates.Directive{Name: "slave-priority", Value: "0"}) {
		i := slices.Index(lines, d.Name)
		if i < 0 || i+1 >= len(lines) || lines[i+1] != d.Value {
			t.Errorf("redis was not set to %s %s", d.Name, d.Value)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

// TestRenderedShell checks the hooks and scripts as they lie on a host.
func TestRenderedShell(t *testing.T) {
	h := renderedHost()
	h.Redis.Version, h.Keepalived.Version = templates.Version{Major: 7}, templates.Version{Major: 2, Minor: 3}
	files, err := templates.Files(h)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var scripts []string
	for _, f := range files {
		name := filepath.Join(dir, filepath.Base(f.Path))
		switch {
		case strings.HasSuffix(name, ".sh"):
			scripts = append(scripts, name)
		case f.Path != h.HooksConf():
			continue
		}
		if err := os.WriteFile(name, f.Content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if len(scripts) == 0 {
		t.Fatal("there are no scripts")
	}
	out, err := exec.Command("shellcheck", append([]string{"--external-sources", "--source-path=SCRIPTDIR"}, scripts...)...).CombinedOutput()
	if err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
}

// renderedHost is a host without versions, all of it below /mnt.
func renderedHost() templates.Host {
	return templates.Host{
		Layout: templates.Layout{
			Pair:             "cache",
			Product:          templates.ProductRedis,
			RedisPrefix:      "/mnt/redis",
			KeepalivedPrefix: "/mnt/keepalived",
		},
		Self:      templates.Node{Name: "a", Address: netip.MustParseAddr("192.168.1.218")},
		Peer:      templates.Node{Name: "b", Address: netip.MustParseAddr("192.168.1.219")},
		Interface: "eth3",
		VIPs:      []netip.Prefix{netip.MustParsePrefix("192.168.1.220/32")},
		User:      "root",
		Group:     "root",
		Redis: templates.Redis{
			Product: templates.ProductRedis,
			Port:    6379,
			Config:  []templates.Directive{{Name: "save", Value: "900 1"}, {Name: "maxmemory-policy", Value: "allkeys-lru"}},
		},
		Keepalived: templates.Keepalived{
			RouterID:       51,
			Priority:       240,
			PeerPriority:   239,
			NoPreempt:      true,
			AdvertInterval: 100 * time.Millisecond,
			Unicast:        true,
			SyslogFacility: "local0",
		},
		Check:    templates.Check{Interval: 200 * time.Millisecond, Timeout: time.Second, Retries: 1, RetryDelay: 100 * time.Millisecond},
		Failover: templates.Failover{SyncTimeout: 10 * time.Second, Durability: "balanced", Handlers: "scripts"},
	}
}

// version is that of a program on host a.
func (l *testLab) version(program, pattern string) templates.Version {
	l.t.Helper()
	out := l.sh("a", program+" --version 2>&1")
	m := regexp.MustCompile(pattern).FindStringSubmatch(out)
	if m == nil {
		l.t.Fatalf("no version in %q", out)
	}
	v, err := templates.ParseVersion(m[1])
	if err != nil {
		l.t.Fatal(err)
	}
	return v
}

// sandbox is a host's files where they disturb nothing: commands see them below
// /mnt, and a network without anybody else.
type sandbox struct {
	*testLab
	tree string // of host a
}

// layOut writes the files of h to a folder of host a that stands for /mnt, with
// links to the distribution's programs where a build would have put its own.
// What belongs elsewhere on a host lies below its etc.
func (l *testLab) layOut(t *testing.T, h templates.Host, tree string) sandbox {
	t.Helper()
	place := func(path string) string { return filepath.Join(l.Root("a"), tree, strings.TrimPrefix(path, "/mnt")) }
	write := func(path string, content []byte, mode fs.FileMode) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, mode)); err != nil {
			t.Fatal(err)
		}
	}
	for _, script := range []string{"sandbox.sh", "redis.sh"} {
		content, err := os.ReadFile("testdata/" + script)
		if err != nil {
			t.Fatal(err)
		}
		write(filepath.Join(l.Root("a"), "srv", script), content, 0o755)
	}
	files, err := templates.Files(h)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range templates.Dirs(h) {
		if err := os.MkdirAll(place(d.Path), d.Mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range files {
		write(place(f.Path), f.Content, f.Mode)
	}
	for link, program := range map[string]string{
		h.Server():            "/usr/bin/redis-server",
		h.CLI():               "/usr/bin/redis-cli",
		h.KeepalivedProgram(): "/usr/sbin/keepalived",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(place(link)), 0o755), os.Symlink(program, place(link))); err != nil {
			t.Fatal(err)
		}
	}
	return sandbox{l, tree}
}

// run runs a command and returns what it printed.
func (s sandbox) run(t *testing.T, argv ...string) string {
	t.Helper()
	var out bytes.Buffer
	argv = append([]string{"unshare", "--mount", "--net", "/srv/sandbox.sh", s.tree}, argv...)
	if err := s.Exec(t.Context(), "a", argv, nil, &out, &out); err != nil {
		t.Errorf("%q: %v\n%s", argv, err, &out)
	}
	return out.String()
}
