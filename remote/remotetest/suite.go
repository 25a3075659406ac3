package remotetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hapair/remote"
)

// Suite is what a remote.Host promises, tried on the one that open connects
// to. Greeter is an address, as seen from the host, where a server speaks
// first and then waits: an sshd will do.
//
// It writes below a directory that the host's mktemp makes, and removes it.
func Suite(t *testing.T, open func(t *testing.T) remote.Host, greeter string) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s *suite)
	}{
		{"ExitCodes", exitCodes},
		{"Arguments", arguments},
		{"RefusesSecretArgument", refusesSecretArgument},
		{"LargeStdin", largeStdin},
		{"StdinNotRead", stdinNotRead},
		{"StdinNeverEnds", stdinNeverEnds},
		{"StreamsApart", streamsApart},
		{"StreamsAsTheyCome", streamsAsTheyCome},
		{"LargeOutput", largeOutput},
		{"WriterFails", writerFails},
		{"Cancel", cancel},
		{"Deadline", deadline},
		{"ManyAtOnce", manyAtOnce},
		{"WriteFiles", writeFiles},
		{"WriteFilesAllOrNone", writeFilesAllOrNone},
		{"WriteFilesCut", writeFilesCut},
		{"RemoveFiles", removeFiles},
		{"Upload", upload},
		{"UploadFails", uploadFails},
		{"UploadCancel", uploadCancel},
		{"Dial", dial},
		{"DialRefused", dialRefused},
		{"DialDeadline", dialDeadline},
		{"CloseEndsAll", closeEndsAll},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, before) })
			s := &suite{Host: open(t), greeter: greeter}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			test.run(t, s)
		})
	}
}

// patience is for what a slow machine does in a moment.
const patience = 30 * time.Second

type suite struct {
	remote.Host
	greeter string
}

func (s *suite) sh(t *testing.T, script string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	res, err := s.Run(ctx, shell(script, args...))
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return string(res.Stdout)
}

func shell(script string, args ...string) remote.Cmd {
	return remote.Cmd{Argv: append([]string{"sh", "-c", script, "sh"}, args...)}
}

// dir is a directory on the host that is gone after the test.
func (s *suite) dir(t *testing.T) string {
	t.Helper()
	dir := strings.TrimSpace(s.sh(t, "mktemp -d"))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if _, err := s.Run(ctx, remote.Cmd{Argv: []string{"rm", "-rf", dir}}); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return dir
}

// user is who the commands run as, and another user where that one may give
// files away.
func (s *suite) users(t *testing.T) (self, selfGroup, other, otherGroup string) {
	f := strings.Fields(s.sh(t, "id -u; id -un; id -gn"))
	if f[0] == "0" {
		return f[1], f[2], "daemon", "mail"
	}
	return f[1], f[2], f[1], f[2]
}

func within(t *testing.T, limit time.Duration, what string, do func()) {
	t.Helper()
	start := time.Now()
	do()
	if took := time.Since(start); took > limit {
		t.Errorf("%s took %s, more than %s", what, took, limit)
	}
}

func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("waited %s for %s", patience, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func exitCodes(t *testing.T, s *suite) {
	s.sh(t, "true")
	for script, code := range map[string]int{
		"exit 1": 1, "exit 42": 42, "exit 255": 255,
		"kill -TERM $$": 128 + 15, "kill -KILL $$": 128 + 9,
		"no-such-command-anywhere": 127,
	} {
		_, err := s.Run(t.Context(), shell(script))
		var exit *remote.ExitError
		if !errors.As(err, &exit) || exit.Code != code {
			t.Errorf("%s: got %v, want exit code %d", script, err, code)
			continue
		}
		if exit.Host != s.String() || !strings.HasPrefix(err.Error(), s.String()+": ") {
			t.Errorf("%s: %v does not begin with the host %s", script, err, s)
		}
	}
	_, err := s.Run(t.Context(), remote.Cmd{
		Argv:    []string{"sh", "-c", "cat >&2; echo the reason >&2; exit 3"},
		Stdin:   strings.NewReader("first hunter2\n"),
		Secrets: []string{"hunter2"},
	})
	var exit *remote.ExitError
	if !errors.As(err, &exit) || !strings.HasSuffix(err.Error(), ": the reason") {
		t.Fatalf("got %v, want an ExitError that ends with the last line of stderr", err)
	}
	if strings.Contains(string(exit.Stderr), "hunter2") {
		t.Errorf("a secret stands in the error: %q", exit.Stderr)
	}
}

func arguments(t *testing.T, s *suite) {
	args := []string{
		"", " ", "a b", "'", "''", `"`, `\`, `\\n`, "$HOME", "${HOME}", "$(id)", "`id`", "*", "?", "[a]", "~", "!x", "#c",
		"a;b", "a&b", "a|b", "a>b", "-n", "--", "%s", "new\nline", "\ttab", "é☃", "\x01\x7f", "{a,b}", "a=b", "()", "'\"'\"'",
	}
	out := s.sh(t, `for a; do printf '%s\0' "$a"; done`, args...)
	got := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	if !slices.Equal(got, args) {
		t.Errorf("arguments changed on the way:\n got %q\nwant %q", got, args)
	}
}

func refusesSecretArgument(t *testing.T, s *suite) {
	dir := s.dir(t)
	c := shell(`touch "$1/ran"`, dir, "x=hunter2")
	c.Secrets = []string{"hunter2"}
	_, err := s.Run(t.Context(), c)
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want a refusal without the secret", err)
	}
	if out := s.sh(t, `ls "$1"`, dir); out != "" {
		t.Errorf("the command ran: %q", out)
	}
}

func noise(n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{1}), n)
}

func noiseSum(n int64) string {
	h := sha256.New()
	_, _ = io.Copy(h, noise(n))
	return hex.EncodeToString(h.Sum(nil))
}

func largeStdin(t *testing.T, s *suite) {
	const size = 32 << 20
	c := shell("sha256sum")
	c.Stdin = noise(size)
	res, err := s.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if sum, _, _ := strings.Cut(string(res.Stdout), " "); sum != noiseSum(size) {
		t.Errorf("32 MiB arrived as %s", sum)
	}
}

func stdinNotRead(t *testing.T, s *suite) {
	within(t, patience, "a command that reads 10 bytes of 64 MiB", func() {
		c := shell("head -c 10 >/dev/null; echo done")
		c.Stdin = noise(64 << 20)
		res, err := s.Run(t.Context(), c)
		if err != nil || string(res.Stdout) != "done\n" {
			t.Errorf("got %q, %v", res.Stdout, err)
		}
	})
}

func stdinNeverEnds(t *testing.T, s *suite) {
	r, w := io.Pipe()
	defer w.Close()
	within(t, patience, "a command that reads nothing", func() {
		c := shell("echo done")
		c.Stdin = r
		if res, err := s.Run(t.Context(), c); err != nil || string(res.Stdout) != "done\n" {
			t.Errorf("got %q, %v", res.Stdout, err)
		}
	})
}

func streamsApart(t *testing.T, s *suite) {
	res, err := s.Run(t.Context(), shell("echo out; echo err >&2; echo out2; echo err2 >&2"))
	if err != nil || string(res.Stdout) != "out\nout2\n" || string(res.Stderr) != "err\nerr2\n" {
		t.Errorf("got %q and %q, %v", res.Stdout, res.Stderr, err)
	}
	var both bytes.Buffer
	c := shell("echo out; echo err >&2")
	c.Stdout, c.Stderr = &both, &both
	if _, err := s.Run(t.Context(), c); err != nil {
		t.Error(err)
	}
	if got := both.String(); got != "out\nerr\n" && got != "err\nout\n" {
		t.Errorf("one writer for both got %q", got)
	}
}

func streamsAsTheyCome(t *testing.T, s *suite) {
	r, w := io.Pipe()
	defer w.Close()
	var lines []string
	var out, errs *remote.Lines
	seen := func(line string) {
		lines = append(lines, line)
		if n := len(lines); n < 4 {
			// Only now can the command go on: it was read while it ran.
			go fmt.Fprintf(w, "go %d\n", n)
		}
	}
	out, errs = remote.NewLines(seen), remote.NewLines(seen)
	c := shell(`echo 1; read x; echo "2 $x" >&2; read x; echo "3 $x"; read x; echo 4`)
	c.Stdin, c.Stdout, c.Stderr = r, out, errs
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := s.Run(ctx, c); err != nil {
		t.Fatal(err)
	}
	if want := []string{"1", "2 go 1", "3 go 2", "4"}; !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
}

func largeOutput(t *testing.T, s *suite) {
	c := shell("head -c 33554432 /dev/zero; head -c 1048576 /dev/zero >&2; echo last >&2; exit 7")
	var n countWriter
	c.Stdout = &n
	res, err := s.Run(t.Context(), c)
	var exit *remote.ExitError
	if !errors.As(err, &exit) || n != 32<<20 {
		t.Fatalf("streamed %d bytes: %v", n, err)
	}
	if len(res.Stdout) > 64<<10 || len(res.Stderr) > 64<<10 || !bytes.HasSuffix(res.Stderr, []byte("last\n")) {
		t.Errorf("kept %d bytes of stdout and %d of stderr, want the last 64 KiB at most", len(res.Stdout), len(res.Stderr))
	}
	res, err = s.Run(t.Context(), shell("head -c 8388608 /dev/zero"))
	if err != nil || len(res.Stdout) != 8<<20 {
		t.Errorf("kept %d bytes of 8 MiB: %v", len(res.Stdout), err)
	}
	if _, err = s.Run(t.Context(), shell("head -c 70000000 /dev/zero")); err == nil || !strings.Contains(err.Error(), "64 MiB") {
		t.Errorf("70 MB that nobody streams: got %v, want an error", err)
	}
}

type countWriter int64

func (n *countWriter) Write(p []byte) (int, error) {
	*n += countWriter(len(p))
	return len(p), nil
}

func writerFails(t *testing.T, s *suite) {
	broken := errors.New("broken pipe on our side")
	c := shell("while :; do echo x; done")
	c.Stdout = writeFunc(func([]byte) (int, error) { return 0, broken })
	within(t, patience, "ending a command whose output nobody takes", func() {
		if _, err := s.Run(t.Context(), c); !errors.Is(err, broken) {
			t.Errorf("got %v, want the writer's error", err)
		}
	})
}

// sleeper runs a command that sleeps until ctx ends, and returns what it left
// and the process id of what slept.
func (s *suite) sleeper(ctx context.Context, started func()) (pid string, err error) {
	var once sync.Once
	c := shell("echo $$; exec sleep 300")
	c.Stdout = remote.NewLines(func(line string) {
		pid = line
		once.Do(started)
	})
	_, err = s.Run(ctx, c)
	return pid, err
}

func (s *suite) ends(t *testing.T, pid string) {
	t.Helper()
	if _, err := strconv.Atoi(pid); err != nil {
		t.Fatalf("no process id: %v", err)
	}
	poll(t, "the cancelled command to end", func() bool {
		// One that is a zombie has ended; its new parent may be slow to notice.
		return s.sh(t, `! grep -qs '^State:.[^ZX]' "/proc/$1/status" || echo runs`, pid) == ""
	})
}

func cancel(t *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var cancelled time.Time
	pid, err := s.sleeper(ctx, func() {
		cancelled = time.Now()
		cancel()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if took := time.Since(cancelled); took > 5*time.Second {
		t.Errorf("Run returned %s after it was cancelled", took)
	}
	s.ends(t, pid)

	if _, err := s.Run(ctx, shell("true")); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: got %v", err)
	}
	s.sh(t, "true") // the host is as usable as before
}

func deadline(t *testing.T, s *suite) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var pid string
	within(t, 7*time.Second, "a command with a deadline of 2 s", func() {
		var err error
		pid, err = s.sleeper(ctx, func() {})
		var exit *remote.ExitError
		if !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &exit) {
			t.Errorf("got %v, want context.DeadlineExceeded", err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), s.String()+": ") {
			t.Errorf("%v does not name the host", err)
		}
	})
	s.ends(t, pid)
}

func manyAtOnce(t *testing.T, s *suite) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			c := shell(`read x; echo "$1 $x"`, strconv.Itoa(i))
			c.Stdin = strings.NewReader(fmt.Sprintf("in%d\n", i))
			res, err := s.Run(ctx, c)
			if want := fmt.Sprintf("%d in%d\n", i, i); err != nil || string(res.Stdout) != want {
				t.Errorf("got %q, %v, want %q", res.Stdout, err, want)
			}
		})
	}
	all.Wait()
}

// listing is name, mode, owner and content sum of everything in dir.
func (s *suite) listing(t *testing.T, dir string) string {
	return s.sh(t, `cd "$1"; for f in .[!.]* *; do
		[ -e "$f" ] || continue
		echo "$f $(stat -c '%a %U:%G %s' "$f")"
	done | LC_ALL=C sort`, dir)
}

func writeFiles(t *testing.T, s *suite) {
	dir := s.dir(t)
	self, selfGroup, other, otherGroup := s.users(t)
	binary, _ := io.ReadAll(noise(300_000))
	s.sh(t, `echo old >"$1/old"; chmod 644 "$1/old"; ln -s /etc/passwd "$1/link"`, dir)
	inode := s.sh(t, `ls -i "$1/old"`, dir)
	files := []remote.File{
		{Path: dir + "/old", Content: []byte("new\n"), Mode: 0o640, Owner: self, Group: selfGroup},
		{Path: dir + "/empty", Mode: 0o600, Owner: self, Group: selfGroup},
		{Path: dir + "/binary", Content: binary, Mode: 0o755, Owner: other, Group: otherGroup},
		{Path: dir + "/setuid", Content: []byte("x"), Mode: 0o755 | fs.ModeSetuid, Owner: other, Group: otherGroup},
		{Path: dir + "/link", Content: []byte("a file now"), Mode: 0o444, Owner: self, Group: selfGroup},
		{Path: dir + "/it's a $(name) 100% *", Content: []byte("no\nlast newline"), Mode: 0o644, Owner: self, Group: selfGroup},
		{Path: dir + "/64KiB", Content: binary[:64<<10], Mode: 0o644, Owner: self, Group: selfGroup},
	}
	if err := remote.WriteFiles(t.Context(), s, files); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range files {
		want = append(want, fmt.Sprintf("%s %o %s:%s %d", strings.TrimPrefix(f.Path, dir+"/"), remote.UnixMode(f.Mode), f.Owner, f.Group, len(f.Content)))
		sum := sha256.Sum256(f.Content)
		if got := s.sh(t, `sha256sum <"$1"`, f.Path); !strings.HasPrefix(got, hex.EncodeToString(sum[:])) {
			t.Errorf("%s has another content", f.Path)
		}
	}
	slices.Sort(want)
	if got := s.listing(t, dir); got != strings.Join(want, "\n")+"\n" {
		t.Errorf("directory:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
	if s.sh(t, `ls -i "$1/old"`, dir) == inode {
		t.Error("the old file was written over, not replaced")
	}
	if err := remote.WriteFiles(t.Context(), s, nil); err != nil {
		t.Error(err)
	}
}

func writeFilesAllOrNone(t *testing.T, s *suite) {
	dir := s.dir(t)
	self, group, _, _ := s.users(t)
	s.sh(t, `echo old >"$1/old"; mkdir "$1/directory"; chmod 600 "$1/old"; chmod 700 "$1/directory"`, dir)
	before := s.listing(t, dir)
	good := remote.File{Path: dir + "/old", Content: []byte("new\n"), Mode: 0o644, Owner: self, Group: group}
	for _, bad := range []remote.File{
		{Path: dir + "/missing/file", Mode: 0o644, Owner: self, Group: group},
		{Path: dir + "/directory", Mode: 0o644, Owner: self, Group: group},
		{Path: dir + "/nobody's", Mode: 0o644, Owner: "no-such-user", Group: group},
		{Path: "relative", Mode: 0o644},
		{Path: dir + "/line\nbreak", Mode: 0o644},
	} {
		err := remote.WriteFiles(t.Context(), s, []remote.File{good, bad})
		if err == nil {
			t.Errorf("%q: no error", bad.Path)
			continue
		}
		if name := strings.TrimPrefix(bad.Path, dir); !strings.Contains(err.Error(), strings.Trim(strconv.Quote(name), `"`)) {
			t.Errorf("%q: the error does not name the file: %v", bad.Path, err)
		}
		if after := s.listing(t, dir); after != before {
			t.Errorf("%q: the directory changed:\n%s\nit was:\n%s", bad.Path, after, before)
		}
	}
}

// cutRunner loses the end of every standard input.
type cutRunner struct{ remote.Runner }

func (r cutRunner) Run(ctx context.Context, c remote.Cmd) (remote.Result, error) {
	all, err := io.ReadAll(c.Stdin)
	if err != nil {
		return remote.Result{}, err
	}
	c.Stdin = bytes.NewReader(all[:len(all)*2/3])
	return r.Runner.Run(ctx, c)
}

func writeFilesCut(t *testing.T, s *suite) {
	dir := s.dir(t)
	self, group, _, _ := s.users(t)
	content, _ := io.ReadAll(noise(200_000))
	files := []remote.File{
		{Path: dir + "/first", Content: content, Mode: 0o644, Owner: self, Group: group},
		{Path: dir + "/second", Content: content, Mode: 0o644, Owner: self, Group: group},
	}
	if err := remote.WriteFiles(t.Context(), cutRunner{s}, files); err == nil || !strings.Contains(err.Error(), "cut") {
		t.Errorf("a stream that was cut: got %v", err)
	}
	if left := s.listing(t, dir); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

func removeFiles(t *testing.T, s *suite) {
	dir := s.dir(t)
	s.sh(t, `cd "$1"; mkdir d; touch a 'b c' keep; ln -s keep link`, dir)
	if err := remote.RemoveFiles(t.Context(), s, []string{dir + "/a", dir + "/b c", dir + "/link", dir + "/never was"}); err != nil {
		t.Error(err)
	}
	if got := s.sh(t, `ls "$1"`, dir); got != "d\nkeep\n" {
		t.Errorf("left %q", got)
	}
	if err := remote.RemoveFiles(t.Context(), s, []string{dir + "/d"}); err == nil || !strings.Contains(err.Error(), dir+"/d") {
		t.Errorf("removing a directory: %v", err)
	}
}

// nothingStaged looks for what uploads may leave outside their directory. What
// is there because of another test goes away by itself.
func (s *suite) nothingStaged(t *testing.T) {
	t.Helper()
	list := func() []string { return strings.Fields(s.sh(t, "ls -d /var/tmp/.hapair.* 2>/dev/null || :")) }
	seen := list()
	poll(t, fmt.Sprintf("%q to be removed", seen), func() bool {
		now := list()
		return !slices.ContainsFunc(seen, func(name string) bool { return slices.Contains(now, name) })
	})
}

func upload(t *testing.T, s *suite) {
	dir := s.dir(t)
	const size = 20<<20 + 12345
	path := dir + "/big file"
	for _, mode := range []fs.FileMode{0o755, 0o600} { // the second replaces the first
		if err := s.Upload(t.Context(), noise(size), size, path, mode); err != nil {
			t.Fatal(err)
		}
		if sum, _, _ := strings.Cut(s.sh(t, `sha256sum <"$1"`, path), " "); sum != noiseSum(size) {
			t.Errorf("arrived as %s", sum)
		}
		self, group, _, _ := s.users(t)
		if got, want := s.listing(t, dir), fmt.Sprintf("big file %o %s:%s %d\n", mode, self, group, size); got != want {
			t.Errorf("directory has %q, want %q", got, want)
		}
	}
	if err := s.Upload(t.Context(), strings.NewReader(""), 0, dir+"/empty", 0o644); err != nil {
		t.Error(err)
	}
	s.nothingStaged(t)
}

func uploadFails(t *testing.T, s *suite) {
	dir := s.dir(t)
	s.sh(t, `echo old >"$1/old"; chmod 600 "$1/old"; mkdir "$1/d"`, dir)
	before := s.listing(t, dir)
	broken := errors.New("the disk here is broken")
	for what, try := range map[string]struct {
		path string
		r    io.Reader
	}{
		"missing directory": {dir + "/missing/file", noise(1 << 20)},
		"a directory":       {dir + "/d", noise(1 << 20)},
		"content too short": {dir + "/old", noise(1000)},
		"content broken":    {dir + "/old", io.MultiReader(noise(100_000), readFunc(func([]byte) (int, error) { return 0, broken }))},
	} {
		err := s.Upload(t.Context(), try.r, 1<<20, try.path, 0o644)
		var told *remote.Error
		if !errors.As(err, &told) || told.Op != "upload" || told.Host != s.String() || !strings.Contains(err.Error(), try.path) {
			t.Errorf("%s: got %v, want an upload error that names host and file", what, err)
		}
		if after := s.listing(t, dir); after != before {
			t.Errorf("%s: the directory changed:\n%s\nit was:\n%s", what, after, before)
		}
	}
	s.nothingStaged(t)
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func uploadCancel(t *testing.T, s *suite) {
	dir := s.dir(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	defer w.Close()
	half := make(chan struct{})
	go func() {
		defer close(half)
		_, _ = io.Copy(w, noise(1<<20))
		cancel()
	}()
	within(t, patience, "a cancelled upload", func() {
		if err := s.Upload(ctx, r, 2<<20, dir+"/file", 0o644); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
	r.Close()
	<-half
	poll(t, "nothing to be left of the upload", func() bool { return s.listing(t, dir) == "" })
	s.nothingStaged(t)
}

func dial(t *testing.T, s *suite) {
	conn, err := s.Dial(t.Context(), "tcp", s.greeter)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	greeting := make([]byte, 4)
	if _, err := io.ReadFull(conn, greeting); err != nil {
		t.Fatal(err)
	}
	if got := conn.RemoteAddr().String(); got != s.greeter {
		t.Errorf("RemoteAddr is %s, want %s", got, s.greeter)
	}
	// The server waits for us now, and so does a Read, but no longer than told.
	if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	within(t, patience, "a read with a deadline", func() {
		if _, err := io.Copy(io.Discard, conn); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want os.ErrDeadlineExceeded", err)
		}
	})
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if _, err := conn.Read(greeting); err == nil {
		t.Error("a closed connection reads on")
	}
}

func dialRefused(t *testing.T, s *suite) {
	within(t, patience, "dialling a port where nothing listens", func() {
		_, err := s.Dial(t.Context(), "tcp", "127.0.0.1:1")
		if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") || !strings.Contains(err.Error(), "refused") {
			t.Errorf("got %v, want a refusal that names the address", err)
		}
	})
	if _, err := s.Dial(t.Context(), "unix", "/nothing/there"); err == nil {
		t.Error("a socket that is not there: no error")
	}
}

func dialDeadline(t *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if conn, err := s.Dial(ctx, "tcp", s.greeter); err == nil {
		conn.Close()
		t.Error("dialled with a context that has ended")
	}
}

func closeEndsAll(t *testing.T, s *suite) {
	conn, err := s.Dial(t.Context(), "tcp", s.greeter)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	within(t, patience, "closing a host that is in use", func() {
		_, err = s.sleeper(t.Context(), func() {
			go s.Close()
		})
	})
	var exit *remote.ExitError
	if err == nil || errors.As(err, &exit) {
		t.Errorf("a command on a closed host: got %v, want another error than an exit code", err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience)) // fails where the connection is known to be closed
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a connection outlived its host")
	}
	if _, err := s.Run(t.Context(), shell("true")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run on a closed host: got %v, want net.ErrClosed", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}
