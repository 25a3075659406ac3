package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"hapair/remote"
	"hapair/remote/remotetest"
)

func TestQuote(t *testing.T) {
	h := remotetest.NewLocal(t, "a")
	rapid.Check(t, func(t *rapid.T) {
		args := rapid.SliceOfN(rapid.StringMatching(`[^\x00]*`), 1, 5).Draw(t, "args")
		res, err := h.Run(context.Background(), remote.Cmd{Argv: append([]string{"printf", `%s\0`}, args...)})
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Split(strings.TrimSuffix(string(res.Stdout), "\x00"), "\x00")
		if !slices.Equal(got, args) {
			t.Fatalf("%q arrived as %q", args, got)
		}
	})
}

func TestCheck(t *testing.T) {
	for _, c := range []remote.Cmd{
		{},
		{Argv: []string{""}},
		{Argv: []string{"echo", "a\x00b"}},
		{Argv: []string{"redis-cli", "-a", "hunter2"}, Secrets: []string{"hunter2"}},
		{Argv: []string{"sh", "-c", "PASSWORD='hunter2' run"}, Secrets: []string{"", "hunter2"}},
		{Argv: []string{"hunter2"}, Secrets: []string{"hunter2"}},
	} {
		err := c.Check()
		if err == nil {
			t.Errorf("%q passed", c.Argv)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error holds the secret: %v", err)
		}
	}
	if err := (remote.Cmd{Argv: []string{"true", ""}, Secrets: []string{""}}).Check(); err != nil {
		t.Error(err)
	}
}

func TestExitError(t *testing.T) {
	script := remote.Cmd{Argv: []string{"sh", "-c", "set -eu\nlong\nscript"}}
	for _, test := range []struct {
		err  error
		want string
	}{
		{remote.Cmd{Argv: []string{"ls", "a b"}}.Exit("a", 2, []byte("first\nlast\n")), "a: ls 'a b': exit code 2: last"},
		{remote.Cmd{Argv: []string{"false"}}.Exit("a", 1, nil), "a: false: exit code 1"},
		{script.Exit("a", 1, nil), "a: sh -c 'set -eu …: exit code 1"},
		{remote.Cmd{Name: "observe", Argv: script.Argv}.Exit("a", 1, nil), "a: observe: exit code 1"},
		{remote.Cmd{Argv: []string{"x"}, Secrets: []string{"pass"}}.Exit("a", 1, []byte("no pass")), "a: x: exit code 1: no (sensitive value)"},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
	long := remote.Cmd{Argv: []string{"x"}}.Exit("a", 1, []byte(strings.Repeat("x", 10_000)+"end"))
	if len(long.Stderr) != 4<<10 || !strings.HasSuffix(string(long.Stderr), "end") {
		t.Errorf("kept %d bytes of stderr", len(long.Stderr))
	}
}

func TestLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ab\n]{0,40}`).Draw(t, "text")
		var got []string
		l := remote.NewLines(func(line string) { got = append(got, line) })
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			if written, err := l.Write([]byte(rest[:n])); written != n || err != nil {
				t.Fatalf("wrote %d: %v", written, err)
			}
			rest = rest[n:]
		}
		l.Close()
		var want []string
		for line := range strings.Lines(text) {
			want = append(want, strings.TrimSuffix(line, "\n"))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q came as %q", text, got)
		}
	})
	var n int
	l := remote.NewLines(func(string) { n++ })
	for range 100 {
		fmt.Fprint(l, strings.Repeat("x", 10_000)) // a line that never ends
	}
	if n == 0 {
		t.Error("a line of 1 MB is kept whole")
	}
}

func TestFileMode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.Uint32Max(0o7777).Draw(t, "mode")
		if got := remote.UnixMode(remote.FileMode(m)); got != m {
			t.Fatalf("%o became %o", m, got)
		}
	})
	if got := remote.UnixMode(fs.ModeSetuid | 0o755); got != 0o4755 {
		t.Errorf("setuid 0755 is %o", got)
	}
}

// All files travel in one command and one stream.
func TestWriteFilesStream(t *testing.T) {
	h := remotetest.NewScripted("a").On("^write files$")
	want := []remote.File{
		{Path: "/etc/a file", Content: []byte("end\nof\nstory"), Mode: 0o640, Owner: "redis", Group: "develop"},
		{Path: "/bin/x", Content: []byte{}, Mode: 0o755 | fs.ModeSetuid, Owner: "root", Group: "root"},
	}
	sent := slices.Clone(want)
	sent[1].Owner, sent[1].Group = "", ""
	if err := remote.WriteFiles(t.Context(), h, sent); err != nil {
		t.Fatal(err)
	}
	calls := h.Calls()
	if len(calls) != 1 {
		t.Fatalf("it took %d commands", len(calls))
	}
	got, err := calls[0].Files()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUploadError(t *testing.T) {
	df := "Filesystem 1024-blocks Used Available Capacity Mounted on\ntmpfs 10240 9216 1024 90% /srv\n"
	h := remotetest.NewScripted("a").On("^df ", remotetest.Reply{Stdout: df})
	err := remote.UploadError(t.Context(), h, "/srv/big", 5<<20, errors.New("sftp: \"Failure\" (SSH_FX_FAILURE)"))
	var told *remote.Error
	if !errors.As(err, &told) || told.Op != "upload" || !strings.Contains(err.Error(), "a: upload: /srv/big: no space left on device: 5.0 MiB needed, 1.0 MiB free") {
		t.Errorf("got %v", err)
	}
	cause := errors.New("permission denied")
	if err := remote.UploadError(t.Context(), h, "/srv/small", 1<<10, cause); !errors.Is(err, cause) || strings.Contains(err.Error(), "space") {
		t.Errorf("got %v", err)
	}
	lost := &remote.Error{Host: "a", Op: "connection lost", Err: cause}
	if err := remote.UploadError(t.Context(), h, "/srv/big", 5<<20, lost); err != error(lost) {
		t.Errorf("got %v, want what it was", err)
	}
}

// TestUploadIsCutAnywhere ends an upload a little later each time. Whatever the
// host was doing, nothing is left of it.
func TestUploadIsCutAnywhere(t *testing.T) {
	h := remotetest.NewLocal(t, "a")
	dir := t.TempDir()
	for after := time.Duration(0); after < 12*time.Millisecond; after += 50 * time.Microsecond {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		content, never := io.Pipe()
		go never.Write([]byte("half"))
		err := remote.UploadByRun(ctx, h, content, 8, dir+"/file", 0o600)
		cancel()
		content.Close()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("cut after %v: %v", after, err)
		}
	}
	if err := h.Close(); err != nil { // waits for what was cut
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
