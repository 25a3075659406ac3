package plan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hapair/plan/facts"
	"hapair/plan/source"
	"hapair/remote"
	"hapair/remote/remotetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listener records events, as "begin ID", "end ID" and "failed ID".
type listener struct {
	NopHooks
	events []string // calls never overlap, so there is no lock
	begun  func(Step)
	logs   []string
}

func (l *listener) StepStarted(s Step) {
	l.events = append(l.events, "begin "+s.ID)
	if l.begun != nil {
		l.begun(s)
	}
}

func (l *listener) StepProgress(_ Step, p Progress) {
	if p.Log != "" && !slices.Contains(l.logs, p.Log) {
		l.logs = append(l.logs, p.Log)
	}
}

func (l *listener) StepDone(s Step, _ time.Duration, err error) {
	word := "end "
	if err != nil {
		word = "failed "
	}
	l.events = append(l.events, word+s.ID)
}

// host runs nothing: a command named NAME waits for and does what do says.
type host struct {
	remote.Host
	do func(ctx context.Context, c remote.Cmd) error
}

func (h host) Run(ctx context.Context, c remote.Cmd) (remote.Result, error) {
	return remote.Result{}, h.do(ctx, c)
}

// stepAt is a step that runs a command called name.
func stepAt(pair, on, name string, after ...string) Step {
	return Step{ID: pair + "/" + on + "/" + name, At: facts.Ref{Pair: pair, Host: on}, Title: name, After: after,
		Units: &Units{Restart: []string{"x"}}}
}

func options(t *testing.T, l *listener, do func(ctx context.Context, c remote.Cmd) error, at ...facts.Ref) Options {
	o := Options{Hosts: Hosts{}, Hooks: l, Cache: t.TempDir(), Logs: t.TempDir()}
	for _, ref := range at {
		o.Hosts[ref] = host{do: do}
	}
	return o
}

var (
	hostA = facts.Ref{Pair: "p", Host: "a"}
	hostB = facts.Ref{Pair: "p", Host: "b"}
	other = facts.Ref{Pair: "q", Host: "a"}
)

func TestApplyKeepsTheOrder(t *testing.T) {
	p := &Plan{Steps: []Step{
		stepAt("p", "a", "one"), stepAt("p", "b", "two"),
		stepAt("p", "a", "three", "p/a/one", "p/b/two"),
		stepAt("p", "b", "four", "p/a/three"),
	}}
	// The first two only end when both are under way.
	var both sync.WaitGroup
	both.Add(2)
	l := &listener{}
	err := Apply(context.Background(), p, options(t, l, func(_ context.Context, c remote.Cmd) error {
		if c.Name == "one" || c.Name == "two" {
			both.Done()
			both.Wait()
		}
		return nil
	}, hostA, hostB))
	if err != nil {
		t.Fatal(err)
	}
	at := func(event string) int {
		i := slices.Index(l.events, event)
		if i < 0 {
			t.Fatalf("no %q in %q", event, l.events)
		}
		return i
	}
	for _, order := range [][2]string{{"end p/a/one", "begin p/a/three"}, {"end p/b/two", "begin p/a/three"}, {"end p/a/three", "begin p/b/four"}} {
		if at(order[0]) > at(order[1]) {
			t.Errorf("%q comes after %q: %q", order[0], order[1], l.events)
		}
	}
}

// A failed step ends its pair, but neither what is under way nor other pairs.
func TestApplyStopsThePairThatFails(t *testing.T) {
	p := &Plan{Steps: []Step{
		stepAt("p", "a", "bad"), stepAt("p", "b", "slow"),
		stepAt("p", "a", "never", "p/a/bad"),
		stepAt("q", "a", "first"), stepAt("q", "a", "second", "q/a/first"),
	}}
	failed := make(chan struct{})
	l := &listener{}
	err := Apply(context.Background(), p, options(t, l, func(_ context.Context, c remote.Cmd) error {
		switch c.Name {
		case "bad":
			defer close(failed)
			return &remote.ExitError{Host: "a", Cmd: "bad", Code: 3, Stderr: []byte("first\nthe unit is broken\n")}
		case "slow":
			<-failed
		}
		return nil
	}, hostA, hostB, other))
	var step *StepError
	if !errors.As(err, &step) || step.Step.Title != "bad" {
		t.Fatalf("got %v", err)
	}
	if want := "p/a: bad: the unit is broken"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if !slices.Equal(step.Output, []string{"first", "the unit is broken"}) || step.State == "" || step.Next == "" {
		t.Errorf("got %+v", step)
	}
	for _, want := range []string{"failed p/a/bad", "end p/b/slow", "end q/a/second"} {
		if !slices.Contains(l.events, want) {
			t.Errorf("no %q in %q", want, l.events)
		}
	}
	if slices.Contains(l.events, "begin p/a/never") {
		t.Errorf("a step begins after one that it waits for has failed: %q", l.events)
	}
}

// The first Ctrl-C lets the steps under way end, the second ends them.
func TestApplyStops(t *testing.T) {
	steps := []Step{stepAt("p", "a", "one"), stepAt("p", "b", "two"), stepAt("p", "a", "three", "p/a/one"), stepAt("p", "b", "four", "p/b/two", "p/a/three")}
	t.Run("at the next step", func(t *testing.T) {
		stop := make(chan struct{})
		l := &listener{}
		o := options(t, l, func(_ context.Context, c remote.Cmd) error {
			if c.Name == "one" {
				close(stop) // and it goes on regardless
			}
			return nil
		}, hostA, hostB)
		o.Stop = stop
		err := Apply(context.Background(), &Plan{Steps: steps}, o)
		var stopped *Stopped
		if !errors.As(err, &stopped) {
			t.Fatalf("got %v", err)
		}
		if len(stopped.Done) != 2 || len(stopped.Left) != 2 || len(stopped.Cut) != 0 || err.Error() != "stopped after 2 of 4 steps" {
			t.Errorf("got %v: %+v", err, stopped)
		}
	})
	t.Run("at once", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		l := &listener{}
		l.begun = func(s Step) {
			if s.Title == "three" {
				cancel()
			}
		}
		err := Apply(ctx, &Plan{Steps: steps}, options(t, l, func(ctx context.Context, c remote.Cmd) error {
			if c.Name == "three" {
				<-ctx.Done()
				return c.Interrupted(ctx, "a")
			}
			return nil
		}, hostA, hostB))
		var stopped *Stopped
		if !errors.As(err, &stopped) || len(stopped.Cut) != 1 || stopped.Cut[0].Title != "three" || len(stopped.Left) != 1 {
			t.Fatalf("got %v: %+v", err, stopped)
		}
		if want := "interrupted after 2 of 4 steps, in the middle of 1"; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	})
	t.Run("too late", func(t *testing.T) {
		stop := make(chan struct{})
		o := options(t, &listener{}, func(_ context.Context, c remote.Cmd) error {
			if c.Name == "four" {
				close(stop)
			}
			return nil
		}, hostA, hostB)
		o.Stop = stop
		if err := Apply(context.Background(), &Plan{Steps: steps}, o); err != nil {
			t.Errorf("all was done, and still: %v", err)
		}
	})
}

// A plan that was read from a file holds neither the secrets nor the pairs
// that its steps need.
func TestApplyRefusesWhatWasReadFromAFile(t *testing.T) {
	for name, s := range map[string]Step{
		"secret": {ID: "p/a/files", At: hostA, Place: &Place{Files: []File{{Path: "/x", SHA256: sum([]byte("secret"))}}}},
		"pair":   {ID: "p/start", At: facts.Ref{Pair: "p"}, Pair: &Running{Do: TaskStart}},
	} {
		t.Run(name, func(t *testing.T) {
			err := Apply(context.Background(), &Plan{Steps: []Step{s}}, options(t, &listener{}, func(context.Context, remote.Cmd) error { return nil }, hostA))
			if err == nil || !strings.Contains(err.Error(), "read from a file") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Several pairs that want the same build wait for one.
func TestApplyBuildsOnce(t *testing.T) {
	r := source.Recipe{Product: "redis", Version: "1.0", SHA256: strings.Repeat("0", 64), URLs: []string{"/nowhere"}}
	cache := t.TempDir()
	key := r.Key("x")
	content := []byte("built")
	write := func(name string, text []byte) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Join(cache, "artifacts"), 0o700), os.WriteFile(filepath.Join(cache, "artifacts", name), text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write(key+".tar.gz", content)
	write(key+".sha256", []byte(sum(content)))
	build := Step{ID: "p/a/build", At: hostA, Title: "build", Build: &Program{Recipe: r, Platform: "x"}}
	o := options(t, &listener{}, func(context.Context, remote.Cmd) error { return errors.New("builds again") }, hostA)
	o.Cache = cache
	if err := Apply(context.Background(), &Plan{Steps: []Step{build}}, o); err != nil {
		t.Error(err)
	}
	write(key+".tar.gz", []byte("damaged"))
	err := Apply(context.Background(), &Plan{Steps: []Step{build}}, o)
	if err == nil || !strings.Contains(err.Error(), "fetch redis 1.0: /nowhere: no such file") {
		t.Errorf("a damaged build is trusted: %v", err)
	}
}

// TestScripts runs the shell of this package against stand-ins for the
// programs that change a host.
func TestScripts(t *testing.T) {
	stubs := t.TempDir()
	record := filepath.Join(stubs, "calls")
	for name, extra := range map[string]string{
		"systemctl": `case "$1 $*" in "restart "*broken*) exit 1 ;; esac`, "journalctl": "echo it is broken", "dpkg": "", "apt-get": `case $* in *update*) exit 100 ;; esac`,
		"apt-cache": `[ "$2" = redis-server ] && echo "redis-server | 5:7.0.16-1 | http://mirror bookworm/main" && echo "redis-server | 5:7.0.15-1~deb12u10 | http://mirror bookworm/main"`,
		"dnf": `case $* in
*repoquery*) printf 'loading\nredis 7.0.15-1.fc42\n\nredis 7.0.150-1.fc42\nvalkey-compat-redis 7.0.15-9.fc42\nredis 7.0.15-2.fc42\n' ;;
*make*) [ -e ` + stubs + `/made ] || { touch ` + stubs + `/made; echo "Failed to obtain rpm transaction lock. Another transaction is in progress."; exit 1; } ;;
esac`,
		"zypper": `[ -n "$ZYPP_LOCK_TIMEOUT" ] || exit 7
case $* in
*" search "*) echo '<solvable status="other-version" name="redis" kind="package" edition="7.0.15-1.2" arch="x86_64" repository="oss"/>' ;;
*restart*) exit 102 ;;
*skipped*) exit 106 ;;
*script*) echo "a script failed" >&2; exit 107 ;;
esac`,
		"sleep": "", "groupadd": "", "useradd": "touch " + stubs + "/made",
		"getent": `[ "$2" = old ] || [ -e ` + stubs + `/made ]`,
	} {
		text := fmt.Sprintf("#!/bin/sh\nprintf '%%s\\n' \"%s $*\" >>%s\n%s\n", name, record, extra)
		if err := os.WriteFile(filepath.Join(stubs, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l := remotetest.NewLocal(t, "a", "PATH="+stubs+":"+os.Getenv("PATH"))
	for name, c := range map[string]struct {
		script string
		args   []string
		want   string
		fails  string
	}{
		"apt": {packagesScript, []string{"apt", "gcc", "redis-server=7.0.15", "--", "redis-server.service", "redis.service"}, `
systemctl mask --quiet -- redis-server.service
systemctl stop --quiet -- redis-server.service
systemctl mask --quiet -- redis.service
systemctl stop --quiet -- redis.service
dpkg --configure -a
apt-get -q update
apt-cache madison redis-server
apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install -- gcc redis-server=5:7.0.15-1~deb12u10
`, ""},
		"no such version": {packagesScript, []string{"apt", "redis-server=7.0.1", "--"}, `
dpkg --configure -a
apt-get -q update
apt-cache madison redis-server
`, "redis-server has no version 7.0.1 here; there is: 5:7.0.16-1 5:7.0.15-1~deb12u10"},
		"dnf": {packagesScript, []string{"dnf", "gcc", "redis=7.0.15", "--"}, `
dnf -q repoquery --queryformat %{name} %{version}-%{release}\n redis
dnf -y --setopt=install_weak_deps=False install gcc redis-7.0.15-2.fc42
`, ""},
		"dnf 5 is locked": {packagesScript, []string{"dnf", "make", "--"}, `
dnf -y --setopt=install_weak_deps=False install make
sleep 1
dnf -y --setopt=install_weak_deps=False install make
`, ""},
		"zypper": {packagesScript, []string{"zypper", "gcc", "redis=7.0", "--"}, `
zypper --non-interactive --xmlout search --details --match-exact --type package redis
zypper --non-interactive install --no-recommends --oldpackage -- gcc redis=7.0.15-1.2
`, ""},
		"wants a restart":    {packagesScript, []string{"zypper", "restart", "--"}, "\nzypper --non-interactive install --no-recommends --oldpackage -- restart\n", ""},
		"skips a repository": {packagesScript, []string{"zypper", "skipped", "--"}, "\nzypper --non-interactive install --no-recommends --oldpackage -- skipped\n", ""},
		"package's script":   {packagesScript, []string{"zypper", "script", "--"}, "\nzypper --non-interactive install --no-recommends --oldpackage -- script\n", "a script failed"},
		"new account": {accountScript, []string{"redisadmin", "develop", "/r"}, `
getent group develop
groupadd --system -- develop
getent passwd redisadmin
useradd --system --gid develop --home-dir /r --no-create-home --shell /usr/sbin/nologin -- redisadmin
getent passwd redisadmin
`, ""},
		"known account": {accountScript, []string{"old", "old", "/r"}, "\ngetent group old\ngetent passwd old\ngetent passwd old\n", ""},
		"units": {unitsScript, (&Units{Disable: []string{"d"}, Stop: []string{"s"}, Reload: true, Enable: []string{"e"}, Restart: []string{"r"}, Renew: []string{"n"}}).orders(), `
systemctl disable --quiet --now -- d
systemctl stop -- s
systemctl daemon-reload
systemctl enable --quiet -- e
systemctl restart -- r
systemctl is-active --quiet -- r
systemctl reload-or-restart -- n
systemctl is-active --quiet -- n
`, ""},
		"broken unit": {unitsScript, []string{"restart broken"}, `
systemctl restart -- broken
journalctl --no-pager --quiet --output=cat --lines=12 --unit=broken
`, "restart of broken failed:\nit is broken"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, file := range []string{record, filepath.Join(stubs, "made")} {
				if err := os.RemoveAll(file); err != nil {
					t.Fatal(err)
				}
			}
			err := script(context.Background(), l, name, c.script, nil, c.args...)
			var exit *remote.ExitError
			switch {
			case c.fails == "" && err != nil:
				t.Error(err)
			case c.fails != "" && (!errors.As(err, &exit) || strings.TrimSpace(string(exit.Stderr)) != c.fails):
				t.Errorf("got %v, want %q", err, c.fails)
			}
			got, _ := os.ReadFile(record)
			if string(got) != strings.TrimPrefix(c.want, "\n") {
				t.Errorf("called\n%swant%s", got, c.want)
			}
		})
	}
}

// Placing is real: folders, backups, files and removals in a folder of the test.
func TestPlace(t *testing.T) {
	l := remotetest.NewLocal(t, "a")
	in := func(name string) string { return filepath.Join(l.Dir(), name) }
	for name, content := range map[string]string{"conf": "theirs\n", "gone": "x"} {
		if err := os.WriteFile(in(name), []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(in("empty"), 0o755), os.Mkdir(in("full"), 0o755), os.WriteFile(in("full/x"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	p := &Place{
		Dirs:       []Dir{{Path: in("new/deep"), Mode: 0o750, Owner: "root:root"}},
		Files:      []File{{Path: in("conf"), Mode: 0o600, Owner: "root:root", SHA256: sum([]byte("ours\n")), Text: "ours\n", Backup: in("conf-bak")}},
		Remove:     []string{in("gone"), in("never-there")},
		RemoveDirs: []string{in("empty"), in("full"), in("never-there-either")},
	}
	if err := place(context.Background(), l, p); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"conf": "ours\n", "conf-bak": "theirs\n"} {
		if got, err := os.ReadFile(in(name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v", name, got, err)
		}
	}
	for name, want := range map[string]os.FileMode{"new": 0o755, "new/deep": 0o750, "full": 0o755} {
		if info, err := os.Stat(in(name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	for _, name := range []string{"gone", "empty", "conf-bak.hapair"} {
		if _, err := os.Stat(in(name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
}
