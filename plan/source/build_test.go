package source

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hapair/remote/remotetest"
)

// The scripts of this package run as root on hosts, and so do their tests.
func needRoot(t *testing.T) {
	if u, err := user.Current(); err != nil || u.Uid != "0" {
		t.Fatal("this test gives files to root: run it as root")
	}
}

// makefile builds two programs, one of them under two names, as Redis' does.
const makefile = `all:
	cp server.in src/redis-server
	cp server.in src/redis-sentinel
	cp cli.in src/redis-cli
	touch src/redis-cli.o src/redis-cli.d
	chmod +x src/redis-*
	echo flags: $(FLAG)
test:
	exit 3
`

func fakeRedis(t *testing.T) Recipe {
	server := "#!/bin/sh\necho server of 7.0.15\n"
	content := tarball(t, version, file("r/Makefile", makefile), program("r/server.in", server),
		program("r/cli.in", "#!/bin/sh\necho cli\n"), program("r/src/mkreleasehdr.sh", ""))
	path := filepath.Join(t.TempDir(), "r.tar.gz")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return Recipe{Product: "redis", Version: "7.0.15", URLs: []string{path}, SHA256: sum(content)}
}

type lab struct {
	*remotetest.Local
	Cache
	to  Target
	log bytes.Buffer
	did []string
}

const platform = Platform("test")

func newLab(t *testing.T) *lab {
	l := &lab{Local: remotetest.NewLocal(t, "a"), Cache: Cache{Dir: t.TempDir()}}
	l.to = Target{Prefix: filepath.Join(l.Local.Dir(), "prefix"), State: filepath.Join(l.Local.Dir(), "state"), Group: "root"}
	if err := errors.Join(os.Mkdir(l.to.Prefix, 0o755), os.Mkdir(l.to.State, 0o755)); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lab) build(r Recipe) error {
	path, err := l.Fetch(context.Background(), r, nil)
	if err != nil {
		return err
	}
	at := Site{Host: l.Local, Dir: filepath.Join(l.Local.Dir(), "build"), Log: &l.log,
		Stage: func(what string) { l.did = append(l.did, what) }}
	return l.Cache.Build(context.Background(), at, r, platform, path)
}

func (l *lab) installed(t *testing.T) []string {
	out, err := exec.Command("find", l.to.Prefix, "-mindepth", "1", "-printf", "%P %m %y %l\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(out)) {
		all = append(all, strings.TrimSpace(line))
	}
	slices.Sort(all)
	return all
}

func TestBuildAndInstall(t *testing.T) {
	needRoot(t)
	l := newLab(t)
	r := fakeRedis(t)
	r.Args = []string{"FLAG=a b"}
	r.Patches = []Patch{NewPatch("/p/hello.patch", []byte("--- a/cli.in\n+++ b/cli.in\n@@ -1,2 +1,2 @@\n #!/bin/sh\n-echo cli\n+echo patched\n"))}
	stale := filepath.Join(l.Local.Dir(), "build", "redis-"+r.ID()[:12]+".half")
	if err := os.MkdirAll(filepath.Join(stale, "src"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := l.build(r); err != nil {
		t.Fatalf("%v\n%s", err, &l.log)
	}
	if want := []string{"unpack", "patch 001-hello.patch", "compile", "pack"}; !slices.Equal(l.did, want) {
		t.Errorf("stages %q, want %q", l.did, want)
	}
	if !strings.Contains(l.log.String(), "flags: a b") {
		t.Errorf("the arguments did not reach make:\n%s", &l.log)
	}
	if _, err := os.Stat(filepath.Join(l.Local.Dir(), "build")); !os.IsNotExist(err) {
		t.Errorf("the folder of builds is left on the host: %v", err)
	}
	if builds, err := l.Builds(); err != nil || !builds[r.Key(platform)] {
		t.Errorf("not in the cache: %v, %v", builds, err)
	}

	install := func() {
		t.Helper()
		if err := l.Install(context.Background(), l.Local, r, platform, l.to, nil); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"bin 755 d",
		"bin/redis-cli 750 f",
		"bin/redis-sentinel 777 l redis-server",
		"bin/redis-server 750 f",
	}
	for range 2 { // twice is once
		install()
		if got := l.installed(t); !slices.Equal(got, want) {
			t.Fatalf("installed %q, want %q", got, want)
		}
	}
	out, err := exec.Command(filepath.Join(l.to.Prefix, "bin/redis-cli")).Output()
	if err != nil || string(out) != "patched\n" {
		t.Errorf("redis-cli says %q, %v", out, err)
	}
	stat, err := os.ReadFile(filepath.Join(l.to.State, "redis.stat"))
	if head, rest, _ := strings.Cut(string(stat), "\n"); err != nil || head != r.ID()+" 7.0.15 "+l.to.Prefix || strings.Count(rest, "\n") != 3 {
		t.Errorf("redis.stat is %q, %v", stat, err)
	}
	if out, err := exec.Command("sha256sum", "-c", filepath.Join(l.to.State, "redis.sums")).CombinedOutput(); err != nil {
		t.Errorf("the record does not match: %s", out)
	}
}

func TestUpgradeRemovesWhatIsGone(t *testing.T) {
	needRoot(t)
	l := newLab(t)
	for i := range 2 {
		r := fakeRedis(t)
		if i == 1 {
			r.Patches = []Patch{NewPatch("less.patch", []byte("--- a/Makefile\n+++ b/Makefile\n@@ -1,5 +1,4 @@\n all:\n \tcp server.in src/redis-server\n-\tcp server.in src/redis-sentinel\n \tcp cli.in src/redis-cli\n \ttouch src/redis-cli.o src/redis-cli.d\n"))}
		}
		if err := l.build(r); err != nil {
			t.Fatalf("%v\n%s", err, &l.log)
		}
		if err := l.Install(context.Background(), l.Local, r, platform, l.to, nil); err != nil {
			t.Fatal(err)
		}
		_, err := os.Lstat(filepath.Join(l.to.Prefix, "bin/redis-sentinel"))
		if there := err == nil; there != (i == 0) {
			t.Errorf("version %d: redis-sentinel there: %v", i, there)
		}
	}
}

func TestUninstall(t *testing.T) {
	needRoot(t)
	l := newLab(t)
	r := fakeRedis(t)
	if err := l.build(r); err != nil {
		t.Fatalf("%v\n%s", err, &l.log)
	}
	if err := l.Install(context.Background(), l.Local, r, platform, l.to, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(l.to.Prefix, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 { // twice is once
		if err := Uninstall(context.Background(), l.Local, filepath.Join(l.to.State, "redis")); err != nil {
			t.Fatal(err)
		}
		if got, want := l.installed(t), []string{"data 755 d"}; !slices.Equal(got, want) {
			t.Errorf("left %q, want %q", got, want)
		}
		if left, _ := os.ReadDir(l.to.State); len(left) != 0 {
			t.Errorf("records are left: %v", left)
		}
	}
}

func TestBuildFails(t *testing.T) {
	needRoot(t)
	for name, c := range map[string]struct {
		change func(*Recipe)
		stage  string
		log    string
	}{
		"compile": {func(r *Recipe) { r.Args = []string{"nothing-to-make"} }, "compile", "No rule to make target"},
		"patch": {func(r *Recipe) {
			r.Patches = []Patch{NewPatch("bad", []byte("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"))}
		}, "patch 001-bad", "can't find file to patch"},
		"test": {func(r *Recipe) { r.Test = "yes" }, "test", "Error 3"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			r := fakeRedis(t)
			c.change(&r)
			err := l.build(r)
			var failed *BuildError
			if !errors.As(err, &failed) || failed.Stage != c.stage {
				t.Fatalf("got %v, want a *BuildError at %q", err, c.stage)
			}
			if !strings.Contains(l.log.String(), c.log) {
				t.Errorf("the log lacks %q:\n%s", c.log, &l.log)
			}
			if builds, err := l.Builds(); err != nil || len(builds) != 0 {
				t.Errorf("a failed build is in the cache: %v, %v", builds, err)
			}
			if left, _ := os.ReadDir(filepath.Join(l.Local.Dir(), "build")); len(left) != 0 {
				t.Errorf("left on the host: %v", left)
			}
		})
	}
	t.Run("tolerated", func(t *testing.T) {
		l := newLab(t)
		r := fakeRedis(t)
		r.Test = "warn"
		if err := l.build(r); err != nil {
			t.Fatal(err)
		}
	})
}

func TestInstallRefuses(t *testing.T) {
	needRoot(t)
	l := newLab(t)
	r := fakeRedis(t)
	if err := l.Install(context.Background(), l.Local, r, platform, l.to, nil); err == nil {
		t.Error("installs what was never built")
	}
	if err := l.build(r); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.Cache.build(r.Key(platform)), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := l.Install(context.Background(), l.Local, r, platform, l.to, nil)
	if err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("got %v, want a word on the damage", err)
	}
	if builds, _ := l.Builds(); len(builds) != 0 {
		t.Errorf("the damaged build stays: %v", builds)
	}
	if left, _ := os.ReadDir(l.to.Prefix); len(left) != 0 {
		t.Errorf("left in the prefix: %v", left)
	}
}

func TestID(t *testing.T) {
	base := Recipe{Product: "redis", Version: "7.0.15", SHA256: "ab", Args: []string{"A=1", "B=2"}, Prefix: "/p"}
	same := base
	same.Version, same.URLs, same.Prefix, same.Test = "7.0", []string{"/x"}, "/q", "yes"
	if base.ID() != same.ID() {
		t.Error("what does not change the program changes its ID")
	}
	for name, change := range map[string]func(*Recipe){
		"tarball":   func(r *Recipe) { r.SHA256 = "cd" },
		"arguments": func(r *Recipe) { r.Args = []string{"A=1 B=2"} },
		"patches":   func(r *Recipe) { r.Patches = []Patch{NewPatch("p", []byte("x"))} },
		"product":   func(r *Recipe) { r.Product = "valkey" },
	} {
		other := base
		change(&other)
		if other.ID() == base.ID() {
			t.Errorf("%s: the ID stays", name)
		}
	}
	if base.Key("debian 12") == base.Key("debian 13") {
		t.Error("the key does not know the platform")
	}
}
