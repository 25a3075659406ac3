package lab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// These tests make real labs: they need Linux, root and what install.sh
// installs, and fail where that isn't there.

// upEnv makes the test binary a program that makes the lab named in it, for
// tests that kill such a program.
const upEnv = "HAPAIR_TEST_LAB_UP"

func TestMain(m *testing.M) {
	Reexec()
	if name := os.Getenv(upEnv); name != "" {
		if _, err := Up(context.Background(), pair(name), func(step string) { fmt.Println(step) }); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("done")
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// testName is a lab of this run's own, so that runs don't meet.
func testName(what string) string { return fmt.Sprintf("t%d-%s", os.Getpid(), what) }

// pair is a lab of the two hosts that the documented example has.
func pair(name string) Config {
	return Config{
		Name: name,
		Hosts: []Host{
			{Name: "a", Address: netip.MustParsePrefix("192.168.1.218/24"), Interface: "eth3"},
			{Name: "b", Address: netip.MustParsePrefix("192.168.1.219/24"), Interface: "eth5"},
		},
		Gateway:  netip.MustParseAddr("192.168.1.1"),
		Reserved: []netip.Addr{netip.MustParseAddr("192.168.1.220")},
	}
}

// up makes a lab that goes down with the test.
func up(t *testing.T, cfg Config) *Lab {
	t.Helper()
	t.Cleanup(func() {
		if err := Down(context.Background(), cfg.Name); err != nil {
			t.Error(err)
		}
	})
	l, err := Up(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// output runs a command that has to succeed, and returns what it printed.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s%s", cmd, err, out, &stderr)
	}
	return strings.TrimSpace(string(out))
}

// sh is Lab.Sh that has to succeed.
func sh(t *testing.T, l *Lab, host, script string) string {
	t.Helper()
	out, err := l.Sh(t.Context(), host, script)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func pings(l *Lab, address string) bool {
	return l.Command(context.Background(), "ping", "-c1", "-W1", address).Run() == nil
}

func TestLab(t *testing.T) {
	cfg := pair(testName("lab"))
	cfg.Sources = t.TempDir()
	if err := os.WriteFile(filepath.Join(cfg.Sources, "hello.tar.gz"), []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	l := up(t, cfg)

	t.Run("hosts have the shape of the configuration", func(t *testing.T) {
		for _, h := range cfg.Hosts {
			if got := sh(t, l, h.Name, "hostname"); got != h.Name {
				t.Errorf("%s calls itself %q", h.Name, got)
			}
			if got := sh(t, l, h.Name, "ip -brief address show dev "+h.Interface); !strings.Contains(got, h.Address.String()) {
				t.Errorf("%s: %s", h.Name, got)
			}
			if got := sh(t, l, h.Name, "getent hosts a b"); !strings.Contains(got, "192.168.1.218") || !strings.Contains(got, "192.168.1.219") {
				t.Errorf("%s knows the names: %s", h.Name, got)
			}
			if got := sh(t, l, h.Name, "systemctl is-system-running --wait || systemctl --failed"); got != "running" {
				t.Errorf("%s: %s", h.Name, got)
			}
			if out, err := l.Sh(t.Context(), h.Name, "command -v cc gcc make"); err == nil {
				t.Errorf("%s is no minimal server: %s", h.Name, out)
			}
		}
	})

	t.Run("users", func(t *testing.T) {
		if got := output(t, l.SSH(t.Context(), "a", "id -un")); got != "root" {
			t.Errorf("got %q", got)
		}
		if got := output(t, l.SSH(t.Context(), "b", "-l", UserSudo, "sudo -n id -un")); got != "root" {
			t.Errorf("%s with sudo: %q", UserSudo, got)
		}
		ops := l.SSH(t.Context(), "a", "-l", UserSudoPassword, "sudo -S -p '' id -un")
		ops.Stdin = strings.NewReader(l.OpsPassword() + "\n")
		if got := output(t, ops); got != "root" {
			t.Errorf("%s with sudo: %q", UserSudoPassword, got)
		}
		for _, user := range []string{UserSudoPassword, UserPlain} {
			if out, err := l.SSH(t.Context(), "a", "-l", user, "id -un && sudo -n true").Output(); err == nil || string(out) != user+"\n" {
				t.Errorf("%s without a password: %q, %v; want a login but no sudo", user, out, err)
			}
		}
	})

	t.Run("host keys are known and checked", func(t *testing.T) {
		known, err := os.ReadFile(l.KnownHosts())
		if err != nil {
			t.Fatal(err)
		}
		other := filepath.Join(t.TempDir(), "known_hosts")
		swapped := strings.NewReplacer("a,192.168.1.218", "b,192.168.1.219", "b,192.168.1.219", "a,192.168.1.218").Replace(string(known))
		if err := os.WriteFile(other, []byte(swapped), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := l.SSH(t.Context(), "a", "-o", "UserKnownHostsFile="+other, "true").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "verification failed") {
			t.Errorf("with the other host's key: %v: %s", err, out)
		}
	})

	t.Run("Exec", func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		err := l.Exec(t.Context(), "a", []string{"sh", "-c", "cat; echo err >&2; exit 3"}, strings.NewReader("in"), &stdout, &stderr)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 3 || stdout.String() != "in" || stderr.String() != "err\n" {
			t.Errorf("got %v, %q, %q", err, &stdout, &stderr)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		started := time.Now()
		if err := l.Exec(ctx, "a", []string{"sleep", "1234"}, nil, &stdout, nil); err == nil || time.Since(started) > 3*time.Second {
			t.Errorf("a cancelled command: %v after %v", err, time.Since(started))
		}
		if out, err := l.Sh(t.Context(), "a", "pgrep -fx 'sleep 1234'"); err == nil {
			t.Errorf("a cancelled command goes on on the host: %s", out)
		}
		if _, err := l.Sh(t.Context(), "c", "true"); err == nil || !strings.Contains(err.Error(), "it has a, b") {
			t.Errorf("a host that isn't there: %v", err)
		}
	})

	t.Run("Dial", func(t *testing.T) {
		for _, address := range []string{"a:22", "192.168.1.219:22"} {
			conn, err := l.DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			greeting, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil || !strings.HasPrefix(greeting, "SSH-2.0-") {
				t.Errorf("%s: %q, %v", address, greeting, err)
			}
			conn.Close()
		}
	})

	t.Run("packages and sources", func(t *testing.T) {
		sh(t, l, "a", "apt-get update -qq && apt-get install -y -qq --no-install-recommends tree && tree --version")
		sh(t, l, "a", "/usr/lib/apt/apt-helper download-file "+l.SourcesURL()+"/hello.tar.gz /tmp/hello")
		if got := sh(t, l, "a", "cat /tmp/hello"); got != "hello" {
			t.Errorf("got %q", got)
		}
		if got := sh(t, l, "b", "cat /etc/apt/sources.list.d/*"); strings.Count(got, "http") != strings.Count(got, l.s.Forwarder.String()) {
			t.Errorf("packages come from elsewhere: %s", got)
		}
	})

	t.Run("no way out", func(t *testing.T) {
		if got := sh(t, l, "a", "ip route show default"); !strings.Contains(got, "via 192.168.1.1 dev eth3") {
			t.Errorf("default route: %q", got)
		}
		if !pings(l, "192.168.1.1") {
			t.Error("the gateway doesn't answer")
		}
		// An address of documentation (RFC 5737), which no lab has.
		if out, err := l.Sh(t.Context(), "a", "ping -c1 -W1 198.51.100.1"); err == nil {
			t.Errorf("a host reaches what is outside: %s", out)
		}
	})

	t.Run("cable", func(t *testing.T) {
		if err := l.Cable(t.Context(), "b", false); err != nil {
			t.Fatal(err)
		}
		if pings(l, "192.168.1.219") {
			t.Error("b answers with its cable out")
		}
		if got := sh(t, l, "b", "cat /sys/class/net/eth5/carrier || ip -brief link show dev eth5"); strings.Contains(got, "LOWER_UP") || got == "1" {
			t.Errorf("b sees no lost link: %s", got)
		}
		if err := l.Cable(t.Context(), "b", true); err != nil {
			t.Fatal(err)
		}
		if !pings(l, "192.168.1.219") {
			t.Error("b doesn't answer with its cable back in")
		}
	})

	t.Run("power", func(t *testing.T) {
		sh(t, l, "b", "echo kept >/root/note; setsid sleep 4321 >/dev/null 2>&1 &")
		if err := l.PowerOff(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		if pings(l, "192.168.1.219") {
			t.Error("b answers without power")
		}
		if _, err := l.Sh(t.Context(), "b", "true"); err == nil || !strings.Contains(err.Error(), "is off") {
			t.Errorf("a command without power: %v", err)
		}
		if err := l.PowerOn(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		if got := output(t, l.SSH(t.Context(), "b", "cat note; pgrep -c -fx 'sleep 4321' || :")); got != "kept\n0" {
			t.Errorf("after power-on: %q", got)
		}
		if err := l.PowerOn(t.Context(), "b"); err == nil {
			t.Error("a host that is on was switched on again")
		}
	})

	for name, command := range map[string]string{"reboot": "systemctl reboot", "reset": "systemctl --force --force reboot"} {
		t.Run(name, func(t *testing.T) {
			before, err := l.leader("a")
			if err != nil {
				t.Fatal(err)
			}
			const boot = "cat /proc/sys/kernel/random/boot_id"
			was := sh(t, l, "a", boot)
			sh(t, l, "a", "touch /run/of-this-boot /root/of-the-disk; setsid sleep 4321 >/dev/null 2>&1 &")
			_, _ = l.Sh(t.Context(), "a", command) // which may end with the host
			ctx, cancel := context.WithTimeout(t.Context(), bootTimeout)
			defer cancel()
			err = poll(ctx, func() bool {
				now, err := l.leader("a")
				return err == nil && now != before && l.greets(ctx, "192.168.1.218:22")
			})
			if err != nil {
				t.Fatalf("a doesn't come back: %v", err)
			}
			if now := sh(t, l, "a", boot); now == was {
				t.Errorf("it is still the boot %s", was)
			}
			left := sh(t, l, "a", "ls /run/of-this-boot /root/of-the-disk 2>/dev/null || :; pgrep -fx 'sleep 4321' || :")
			if left != "/root/of-the-disk" {
				t.Errorf("left of the boot before: %q", left)
			}
		})
	}

	t.Run("another process finds it", func(t *testing.T) {
		again, err := Open(cfg.Name)
		if err != nil {
			t.Fatal(err)
		}
		if got := output(t, again.SSH(t.Context(), "b", "hostname")); got != "b" || again.OpsPassword() != l.OpsPassword() {
			t.Errorf("got %q", got)
		}
		if _, err := Up(t.Context(), cfg, nil); err == nil || !strings.Contains(err.Error(), "take it down first") {
			t.Errorf("a second lab of that name: %v", err)
		}
		if _, err := Open(testName("none")); !errors.Is(err, ErrNotExist) {
			t.Errorf("a lab that isn't there: %v", err)
		}
	})

	t.Run("another lab has the same addresses", func(t *testing.T) {
		other := pair(testName("other"))
		other.Hosts = other.Hosts[:1]
		o := up(t, other)
		sh(t, o, "a", "touch /root/other")
		if _, err := l.Sh(t.Context(), "a", "test ! -e /root/other"); err != nil {
			t.Error("two labs share a host")
		}
		other.Recreate = true
		o = up(t, other)
		sh(t, o, "a", "test ! -e /root/other")
		if pings(o, "192.168.1.219") {
			t.Error("two labs share a network")
		}
	})

	left := traces(t, l)
	if len(left.pids) < 10 || len(left.paths) < 4 {
		t.Fatalf("the search for traces of a lab that is up is blind: %+v", left)
	}
	if err := Down(t.Context(), cfg.Name); err != nil {
		t.Fatal(err)
	}
	left.mustBeGone(t)
}

func TestIPv6(t *testing.T) {
	cfg := Config{Name: testName("v6"), Hosts: []Host{
		{Name: "a", Address: netip.MustParsePrefix("fd00:1::a/64"), Interface: "ens1"},
		{Name: "b", Address: netip.MustParsePrefix("fd00:1::b/64"), Interface: "ens1"},
	}}
	l := up(t, cfg)
	if got := output(t, l.SSH(t.Context(), "a", "getent hosts b; ping -c1 -W1 b >/dev/null && echo ok")); !strings.HasSuffix(got, "ok") {
		t.Errorf("got %q", got)
	}
	sh(t, l, "b", "apt-get update -qq")
}

// TestKilled kills a program with SIGKILL at each step of Up. Down clears up
// after it, and a new lab of that name works.
func TestKilled(t *testing.T) {
	for _, step := range []string{"network", "packages", "keys", "hosts", "done"} {
		t.Run(step, func(t *testing.T) {
			name := testName("kill-" + step)
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), upEnv+"="+name)
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			reached := false
			for lines := bufio.NewScanner(stdout); !reached && lines.Scan(); {
				reached = strings.HasPrefix(lines.Text(), step)
			}
			cmd.Process.Kill()
			cmd.Wait()
			if !reached {
				t.Fatalf("Up ended before the step %q", step)
			}
			if l, err := Open(name); step != "done" && err == nil {
				t.Errorf("a half-made lab opens: %v", l.Hosts())
			}
			left := traces(t, &Lab{s: state{Config: Config{Name: name}}})
			if err := Down(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			left.mustBeGone(t)
		})
	}
}

func TestUpCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cfg := pair(testName("cancel"))
	_, err := Up(ctx, cfg, func(step string) {
		if strings.HasPrefix(step, "hosts") {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	traces(t, &Lab{s: state{Config: cfg}}).mustBeGone(t)
}

// trace is what a lab consists of, found in other ways than package lab finds
// it: by its name in all the places where a name can stand, and by what is in
// its network namespace or has one of its processes as an ancestor.
type trace struct {
	name  string
	pids  []int
	paths []string
}

func traces(t *testing.T, l *Lab) trace {
	t.Helper()
	found := trace{name: l.Name()}
	netns, err := netNSID(l.NetNS())
	if err != nil {
		netns = "none"
	}
	children := map[int][]int{}
	var roots []int
	for _, p := range processes(func(process) bool { return true }) {
		children[p.parent] = append(children[p.parent], p.pid)
		if p.netns == netns || strings.Contains(strings.Join(p.argv, " "), l.Name()) {
			roots = append(roots, p.pid)
		}
	}
	for len(roots) > 0 {
		found.pids = append(found.pids, roots[0])
		roots = append(roots[1:], children[roots[0]]...)
	}
	for _, pattern := range []string{
		"/run/netns/*%s*", stateDir + "/*%s*", "/run/systemd/nspawn/*/*%s*",
		"/sys/fs/cgroup/*%s*", "/sys/fs/cgroup/*/*%s*", os.TempDir() + "/*%s*",
	} {
		paths, err := filepath.Glob(fmt.Sprintf(pattern, l.Name()))
		if err != nil {
			t.Fatal(err)
		}
		found.paths = append(found.paths, paths...)
	}
	return found
}

func (left trace) mustBeGone(t *testing.T) {
	t.Helper()
	for _, path := range left.paths {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
	for _, pid := range left.pids {
		if p, ok := readProcess(fmt.Sprintf("/proc/%d", pid)); ok {
			t.Errorf("process %d is left: %q", pid, p.argv)
		}
	}
	now := traces(t, &Lab{s: state{Config: Config{Name: left.name}}})
	if len(now.pids) > 0 || len(now.paths) > 0 {
		t.Errorf("left: %+v", now)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, left.name) {
			t.Errorf("a mount is left: %s", line)
		}
	}
}
