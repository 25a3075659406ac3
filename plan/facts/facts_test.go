package facts

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"hapair/remote"
	"hapair/remote/redisctl"
	"hapair/remote/remotetest"
)

func recorded(t *testing.T, name string) *Host {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	h, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What a host says, as observe.sh printed it there. Fedora and openSUSE are hosts
// like those of TestPackageManagers in e2e: rpm, systemd and ip speak for
// themselves; os-release (but for its links), kernel and libc are what those
// distributions have, and the listener is written after Debian's.
func TestRecorded(t *testing.T) {
	for name, c := range map[string]struct {
		platform string
		manager  Manager
		check    func(t *testing.T, h *Host)
	}{
		"debian12-fresh.txt": {"debian 12 x86_64 glibc 2.36", Apt, func(t *testing.T, h *Host) {
			same(t, "user and group", h.User == nil && h.Group == nil, true)
			same(t, "programs", len(h.Programs), 0)
			same(t, "listeners", len(h.Listeners), 0)
			same(t, "answering", len(h.Answering), 0)
			same(t, "parts", h.Parts, map[Part]bool{Tool("nft"): true})
			same(t, "free", h.Free["/usr/local/redis"]>>30, 73)
			same(t, "unit", h.Units["hapair-quickstart-redis.service"], Unit{Load: "not-found", Active: "inactive"})
			same(t, "rsyslog", h.Units["rsyslog.service"], Unit{Load: "loaded", Active: "active", File: "enabled"})
			iface, network, ok := h.HasAddr(netip.MustParseAddr("192.168.1.218"))
			same(t, "address", []any{iface, network.String(), ok}, []any{"eth3", "192.168.1.218/24", true})
			same(t, "folder", h.Paths["/etc/rsyslog.d"], Path{Kind: Dir, Mode: 0o755, Owner: "root", Group: "root", Size: 4096})
		}},
		"debian12-foreign.txt": {"debian 12 x86_64 glibc 2.36", Apt, func(t *testing.T, h *Host) {
			same(t, "listeners", h.Listeners, []Listener{
				{Port: 6379, Addr: "127.0.0.1", Program: "redis-server", PID: 497, Unit: "redis-server.service"},
				{Port: 6379, Addr: "[::1]", Program: "redis-server", PID: 497, Unit: "redis-server.service"},
			})
			same(t, "keepalived", h.Keepalived, []Keepalived{{
				PID: 559, Unit: "keepalived.service", Conf: "/etc/keepalived/keepalived.conf",
				Instances: []Instance{{Name: "VI_1", Interface: "eth5", VirtualRouterID: 51}},
			}})
			same(t, "package", h.Packages["redis-server"], Package{Installed: "5:7.0.15-1~deb12u10"})
		}},
		"debian12-running.txt": {"debian 12 x86_64 glibc 2.36", Apt, func(t *testing.T, h *Host) {
			same(t, "user", h.User, &User{Name: "redisadmin", UID: 999, GID: 997, Home: "/usr/local/redis", Shell: "/usr/sbin/nologin"})
			same(t, "group", h.Group, &Group{Name: "develop", GID: 997})
			same(t, "package", h.Packages["redis-server"], Package{Candidate: "5:7.0.15-1~deb12u10"})
			same(t, "programs", h.Programs, map[string]Program{
				"redis":      {ID: "049558c471361870f2354ad9edbca41d3f29d6f16492cfed0b73f5fac66775ec", Version: "7.0.15"},
				"keepalived": {ID: "9da0c60bdfdbf50080f1cd50178b7bb168312c2ad3006778af00c7e628e7a13d", Version: "2.3.4"},
			})
			same(t, "listeners", len(h.Listeners), 0) // its own Redis answers
			same(t, "keepalived", h.Keepalived, []Keepalived{{PID: h.Keepalived[0].PID, Unit: "hapair-quickstart-keepalived.service"}})
			same(t, "Redis", []any{h.Redis.Product, h.Redis.Version, h.Redis.Role, h.Redis.LinkUp}, []any{"redis", "7.0.15", redisctl.Replica, true})
			conf := h.Paths["/usr/local/redis/conf/redis.conf"]
			same(t, "redis.conf", []any{conf.Mode.String(), conf.Owner, conf.Group, int64(len(conf.Content))}, []any{"-rw-r-----", "redisadmin", "develop", conf.Size})
			hook := string(h.Paths["/usr/local/keepalived/etc/keepalived/scripts/backup.sh"].Content)
			same(t, "hook", strings.HasPrefix(hook, "#!/bin/sh\n"), true)
		}},
		"fedora42-valkey.txt": {"fedora 42 x86_64 glibc 2.41", Dnf, func(t *testing.T, h *Host) {
			same(t, "packages", h.Packages, map[string]Package{"valkey": {Installed: "8.0.3-1.fc42"}})
			same(t, "listeners", h.Listeners, []Listener{{Port: 6379, Addr: "127.0.0.1", Program: "valkey-server", PID: 1234, Unit: "valkey.service"}})
		}},
		"leap156-fresh.txt": {"opensuse-leap 15.6 x86_64 glibc 2.38", Zypper, func(t *testing.T, h *Host) {
			same(t, "like", h.OS.Like, []string{"suse", "opensuse"})
			same(t, "packages", len(h.Packages), 0)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := recorded(t, name)
			same(t, "platform", h.OS.Platform(), c.platform)
			same(t, "manager", h.Manager, c.manager)
			same(t, "root and systemd", h.UID == 0 && h.Systemd, true)
			c.check(t, h)
		})
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if reflect.TypeOf(got) == reflect.TypeFor[int64]() && reflect.TypeOf(want) == reflect.TypeFor[int]() {
		want = int64(want.(int))
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// A cut answer is never taken for a host that lacks things.
func TestCutAnswer(t *testing.T) {
	whole, err := os.ReadFile("testdata/debian12-running.txt")
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(whole); n += 37 {
		if h, err := parse(whole[:n]); err == nil {
			t.Fatalf("%d of %d bytes are a host: %+v", n, len(whole), h)
		}
	}
	if _, err := parse(append(slices.Clone(whole), "more"...)); !errors.Is(err, errTorn) {
		t.Errorf("more bytes than files: %v", err)
	}
}

func TestInstances(t *testing.T) {
	for name, c := range map[string]struct {
		conf string
		want []Instance
	}{
		"none": {"global_defs {\n router_id x\n}\n", nil},
		"two": {"vrrp_instance A {\n interface eth0\n virtual_router_id 51\n}\nvrrp_instance B\n{\n\tinterface eth1 ! LAN\n\tvirtual_router_id 52 # ours\n}\n",
			[]Instance{{"A", "eth0", 51}, {"B", "eth1", 52}}},
		"one line":  {"vrrp_instance A { interface eth0 }", []Instance{{"A", "eth0", 0}}},
		"nested":    {"vrrp_instance A {\n track_interface {\n interface eth9\n }\n virtual_ipaddress { 10.0.0.1 }\n interface eth0\n virtual_router_id 3\n}", []Instance{{"A", "eth0", 3}}},
		"commented": {"# vrrp_instance X {\n!vrrp_instance Y {\n", nil},
		"unclosed":  {"vrrp_instance A {\n interface eth0\n", nil},
	} {
		t.Run(name, func(t *testing.T) { same(t, "instances", instances([]byte(c.conf)), c.want) })
	}
}

func TestAddresses(t *testing.T) {
	h := &Host{}
	err := h.addresses(`1: lo    inet 127.0.0.1/8 scope host lo\       valid_lft forever preferred_lft forever
2: eth0@if7    inet 10.0.0.2/24 brd 10.0.0.255 scope global eth0\       valid_lft forever preferred_lft forever
2: eth0@if7    inet6 fd00::2/64 scope global \       valid_lft forever preferred_lft forever
3: tun0    inet 10.8.0.6 peer 10.8.0.5/32 scope global tun0\       valid_lft forever preferred_lft forever
`)
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{"10.0.0.2": "eth0 10.0.0.2/24", "fd00::2": "eth0 fd00::2/64", "10.8.0.6": "tun0 10.8.0.6/32", "10.0.0.3": " invalid Prefix"} {
		iface, p, _ := h.HasAddr(netip.MustParseAddr(addr))
		same(t, addr, iface+" "+p.String(), want)
	}
}

// TestObserve asks this machine, in a folder of its own.
func TestObserve(t *testing.T) {
	l := remotetest.NewLocal(t, "here")
	in := func(name string) string { return filepath.Join(l.Dir(), name) }
	write := func(name, content string, mode os.FileMode) string {
		t.Helper()
		if err := os.WriteFile(in(name), []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return in(name)
	}
	write("a b", "one\n", 0o640)
	write("empty", "", 0o600)
	write("no newline", "== stat\n8", 0o600) // what looks like observe.sh's own
	write("large", strings.Repeat("x", MaxContent+1), 0o600)
	if err := errors.Join(os.Mkdir(in("dir"), 0o750), os.Chmod(in("dir"), os.ModeSetgid|0o750), os.Symlink("a b", in("link")), os.Mkdir(in("nothing"), 0o700)); err != nil {
		t.Fatal(err)
	}
	write("dir/entry", "", 0o600)
	manifest := write("manifest.json", "{\n \"files\": [\n  {\n   \"path\": \""+in("listed")+"\",\n   \"sha256\": \"x\"\n  },\n  {\n   \"path\": \""+in("a b")+"\"\n  }\n ]\n}\n", 0o600)
	write("listed", "by the manifest\n", 0o600)
	install := func(name, id, content string) {
		file := write(name, content, 0o755)
		script := `sha256sum -- "$1" >"$2.sums"; { echo "$3 1.0 /p"; stat -c '%s %Y %Z %a %U:%G %n' -- "$1"; } >"$2.stat"`
		if out, err := exec.Command("sh", "-c", script, "sh", file, in("records-"+name), id).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	install("whole", "1", "as it was")
	install("touched", "2", "as it was")
	install("changed", "3", "as it was")
	install("gone", "4", "as it was")
	install("mode", "5", "as it was")
	if err := errors.Join(os.Chtimes(in("touched"), t0, t0), os.Remove(in("gone")), os.Chmod(in("mode"), 0o777)); err != nil {
		t.Fatal(err)
	}
	write("changed", "another", 0o755)
	before := tree(t, l.Dir())

	h, err := Observe(context.Background(), l, Query{
		Paths:    []string{in("a b"), in("empty"), in("no newline"), in("large"), in("dir"), in("link"), in("missing"), in("a b")},
		Manifest: manifest,
		Patterns: []string{in("dir") + "/*", in("nothing") + "/*"},
		Lists:    []string{in("dir"), in("nothing"), in("missing")},
		Spaces:   []string{in("not/yet/there")},
		Parts:    []Part{Tool("sh"), Tool("no-such-tool"), Library("libc.so.6"), Library("no-such-library.so"), Header("no-such-header.h")},
		User:     "root", Group: "no-such-group",
		Ports: []int{1},
		Programs: []Record{
			{in("records-whole"), "1"}, {in("records-touched"), "2"}, {in("records-changed"), "3"},
			{in("records-gone"), "4"}, {in("records-mode"), "5"}, {in("records-none"), "6"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		kind    Kind
		mode    string
		content string
	}{
		"a b":        {File, "-rw-r-----", "one\n"},
		"empty":      {File, "-rw-------", ""},
		"no newline": {File, "-rw-------", "== stat\n8"},
		"large":      {File, "-rw-------", "-"},
		"dir":        {Dir, "grwxr-x---", "-"},
		"link":       {Symlink, "", "-"},
		"listed":     {File, "-rw-------", "by the manifest\n"},
		"dir/entry":  {File, "-rw-------", ""},
	} {
		got := h.Paths[in(name)]
		content := "-"
		if got.Content != nil {
			content = string(got.Content)
		}
		if got.Kind != want.kind || want.mode != "" && got.Mode.String() != want.mode || content != want.content {
			t.Errorf("%s: %+v with %q, want %+v", name, got, content, want)
		}
	}
	same(t, "sum of the large file", h.Paths[in("large")].SHA256, fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Repeat("x", MaxContent+1)))))
	if _, there := h.Paths[in("missing")]; there {
		t.Error("a missing file is there")
	}
	same(t, "entries", h.Entries, []string{in("dir/entry")})
	same(t, "parts", h.Parts, map[Part]bool{Tool("sh"): true, Library("libc.so.6"): true})
	same(t, "user", h.User.Name, "root")
	same(t, "group", h.Group == nil, true)
	same(t, "programs", h.Programs, map[string]Program{
		"records-whole":   {ID: "1", Version: "1.0"},
		"records-touched": {ID: "2", Version: "1.0"},
		"records-changed": {ID: "3", Version: "1.0", Damaged: []string{in("changed") + ": FAILED"}},
		"records-gone":    {ID: "4", Version: "1.0", Damaged: []string{in("gone") + ": FAILED open or read", "mode or owner"}},
		"records-mode":    {ID: "5", Version: "1.0", Damaged: []string{"mode or owner"}},
	})
	if h.Free[in("not/yet/there")] <= 0 {
		t.Errorf("free: %v", h.Free)
	}
	if after := tree(t, l.Dir()); after != before {
		t.Errorf("observing changed the host:\n%s", cmp.Diff(before, after))
	}
}

var t0 = time.Unix(1_000_000_000, 0)

// tree is all that is in a folder, with times.
func tree(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.Command("find", dir, "-printf", "%P %s %m %T@ %C@\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(out), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// A file that changes between its size and its bytes is read again.
func TestObserveAgain(t *testing.T) {
	whole, err := os.ReadFile("testdata/debian12-running.txt")
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	h, err := Observe(context.Background(), runner(func() []byte {
		if calls++; calls == 1 {
			return append(slices.Clone(whole), 'x')
		}
		return whole
	}), Query{})
	if err != nil || h == nil || calls != 2 {
		t.Errorf("%d calls, %v", calls, err)
	}
	if _, err := Observe(context.Background(), runner(func() []byte { return whole[:100] }), Query{}); err == nil {
		t.Error("a cut answer is a host")
	}
	if _, err := Observe(context.Background(), nil, Query{Paths: []string{"/a\nb"}}); err == nil {
		t.Error("a line break is asked for")
	}
}

type runner func() []byte

func (r runner) Run(context.Context, remote.Cmd) (remote.Result, error) {
	return remote.Result{Stdout: r()}, nil
}
