package e2e

import (
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

// TestRendered shows the files that hapair renders, for the versions that are
// on this machine, to the programs that will read them. It needs root, and the
// programs of the packages redis-server (or valkey), keepalived, nftables,
// systemd and shellcheck; what it does stays in namespaces of its own.
func TestRendered(t *testing.T) {
	base := renderedHost(t)
	for name, change := range map[string]func(*templates.Host){
		"plain": func(h *templates.Host) {},
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
			tree := layOut(t, h)
			t.Run("keepalived", func(t *testing.T) {
				sandbox(t, tree, h.KeepalivedProgram(), "-t", "-f", h.KeepalivedConf())
			})
			t.Run("redis", func(t *testing.T) { redisAccepts(t, tree, h) })
			t.Run("nft", func(t *testing.T) {
				sandbox(t, tree, "sh", "-c", `nft -f "$1" && nft -f "$1" && nft delete table inet "$2"`, "sh", h.GuardRules(), h.GuardTable())
			})
			t.Run("systemd", func(t *testing.T) {
				units := []string{"/mnt/etc/systemd/system/" + h.RedisUnit(), "/mnt/etc/systemd/system/" + h.KeepalivedUnit(), "/mnt/etc/systemd/system/" + h.GuardUnit()}
				if out := sandbox(t, tree, "systemd-analyze", append([]string{"verify"}, units...)...); strings.Contains(out, "hapair") {
					t.Errorf("systemd-analyze verify:\n%s", out)
				}
			})
		})
	}
}

// redisAccepts starts the server with what was rendered, and looks whether it
// is what was asked for: fenced, and with every directive of the spec.
func redisAccepts(t *testing.T, tree string, h templates.Host) {
	script, err := filepath.Abs("testdata/redis.sh")
	if err != nil {
		t.Fatal(err)
	}
	out := sandbox(t, tree, script, h.RedisPrefix, h.CLI())
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
	h := renderedHost(t)
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
	out, err := exec.Command(program(t, "shellcheck"), append([]string{"--external-sources", "--source-path=SCRIPTDIR"}, scripts...)...).CombinedOutput()
	if err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
}

// renderedHost is a host with the versions of this machine's programs.
func renderedHost(t *testing.T) templates.Host {
	t.Helper()
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
			Version: versionOf(t, "redis-server", `v=([0-9.]+)`),
			Port:    6379,
			Config:  []templates.Directive{{Name: "save", Value: "900 1"}, {Name: "maxmemory-policy", Value: "allkeys-lru"}},
		},
		Keepalived: templates.Keepalived{
			Version:        versionOf(t, "keepalived", `Keepalived v([0-9.]+)`),
			RouterID:       51,
			Priority:       240,
			NoPreempt:      true,
			AdvertInterval: 100 * time.Millisecond,
			Unicast:        true,
			SyslogFacility: "local0",
		},
		Check:    templates.Check{Interval: 200 * time.Millisecond, Timeout: time.Second, Retries: 1, RetryDelay: 100 * time.Millisecond},
		Failover: templates.Failover{SyncTimeout: 10 * time.Second, Durability: "balanced"},
	}
}

func versionOf(t *testing.T, name, pattern string) templates.Version {
	t.Helper()
	out, err := exec.Command(program(t, name), "--version").CombinedOutput()
	if err != nil {
		t.Fatalf("%s --version: %v\n%s", name, err, out)
	}
	m := regexp.MustCompile(pattern).FindSubmatch(out)
	if m == nil {
		t.Fatalf("no version in %q", out)
	}
	v, err := templates.ParseVersion(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// layOut writes a host's files into a folder that stands for /mnt, with links
// to the programs of this machine where a build would have put its own. What
// belongs elsewhere on a host lies below its etc.
func layOut(t *testing.T, h templates.Host) string {
	t.Helper()
	tree := t.TempDir()
	place := func(path string) string { return filepath.Join(tree, strings.TrimPrefix(path, "/mnt")) }
	files, err := templates.Files(h)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range templates.Dirs(h) {
		mkdir(t, place(d.Path), d.Mode)
	}
	mkdir(t, place("/etc/systemd/system"), 0o755)
	for _, f := range files {
		if err := os.WriteFile(place(f.Path), f.Content, f.Mode); err != nil {
			t.Fatal(err)
		}
	}
	mkdir(t, place(filepath.Dir(h.KeepalivedProgram())), 0o755)
	for link, name := range map[string]string{
		h.Server():            "redis-server",
		h.CLI():               "redis-cli",
		h.KeepalivedProgram(): "keepalived",
	} {
		if err := os.Symlink(program(t, name), place(link)); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

func mkdir(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(path, mode); err != nil {
		t.Fatal(err)
	}
}

// sandbox runs a command beside the laid-out files and returns what it printed.
func sandbox(t *testing.T, tree, command string, args ...string) string {
	t.Helper()
	argv := append([]string{"--mount", "--net", "sh", "testdata/sandbox.sh", tree, command}, args...)
	out, err := exec.Command("unshare", argv...).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// program is one of this machine's.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(fmt.Errorf("%w: the tests need it on this machine", err))
	}
	return path
}
