package remote_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hapair/remote"
	"hapair/remote/remotetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "correct horse"

// login is this machine, with a login user that is not root and a sudo that is
// configured as env says (testdata/bin).
func login(t testing.TB, env ...string) *spy {
	t.Helper()
	bin, err := filepath.Abs("testdata/bin")
	if err != nil {
		t.Fatal(err)
	}
	return &spy{Host: remotetest.NewLocal(t, "a", append(env, "PATH="+bin+":"+os.Getenv("PATH"))...)}
}

// spy remembers what the login user ran and uploaded.
type spy struct {
	remote.Host
	mu       sync.Mutex
	lines    []string
	uploaded string
}

func (s *spy) Upload(ctx context.Context, r io.Reader, size int64, path string, mode fs.FileMode) error {
	s.uploaded = path
	return s.Host.Upload(ctx, r, size, path, mode)
}

func (s *spy) Run(ctx context.Context, c remote.Cmd) (remote.Result, error) {
	s.mu.Lock()
	s.lines = append(s.lines, c.String())
	s.mu.Unlock()
	return s.Host.Run(ctx, c)
}

func TestSudoSuite(t *testing.T) {
	greeter := remotetest.Greeter(t)
	for name, test := range map[string]struct {
		env    string
		become remote.Become
	}{
		"no password":         {"SUDO_TEST=nopasswd", remote.Become{Method: "sudo"}},
		"password":            {"SUDO_TEST=password", remote.Become{Method: "sudo", Password: password}},
		"password, not asked": {"SUDO_TEST=lecture", remote.Become{Method: "sudo", Password: password}},
		"none":                {"", remote.Become{Method: "none", Password: password}},
		"doas":                {"DOAS_TEST=permit", remote.Become{Method: "doas"}},
	} {
		t.Run(name, func(t *testing.T) {
			remotetest.Suite(t, func(t *testing.T) remote.Host {
				return remote.Sudo(login(t, test.env), test.become)
			}, greeter)
		})
	}
}

// A host that answers for itself is none the wiser.
func TestSudoNone(t *testing.T) {
	h := remotetest.NewScripted("a").On("^uptime$", remotetest.Reply{Stdout: "up\n", Stderr: "load\n", Code: 3})
	res, err := remote.Sudo(h, remote.Become{}).Run(t.Context(), remote.Cmd{Argv: []string{"uptime"}})
	var exit *remote.ExitError
	if !errors.As(err, &exit) || exit.Code != 3 || string(res.Stdout) != "up\n" || string(res.Stderr) != "load\n" {
		t.Errorf("got %q and %q, %v", res.Stdout, res.Stderr, err)
	}
}

// The password goes to sudo alone, and the input to the command alone.
func TestSudoPassword(t *testing.T) {
	input := "first line\n" + strings.Repeat("more\n", 100_000)
	for _, env := range []string{"SUDO_TEST=password", "SUDO_TEST=nopasswd", "SUDO_TEST=lecture"} {
		h := login(t, env)
		res, err := remote.Sudo(h, remote.Become{Method: "sudo", Password: password}).Run(t.Context(), remote.Cmd{
			Argv:  []string{"sh", "-c", "cat; echo words >&2"},
			Stdin: strings.NewReader(input),
		})
		if err != nil {
			t.Errorf("%s: %v", env, err)
		}
		if string(res.Stdout) != input {
			t.Errorf("%s: the command read %d bytes that begin with %.30q", env, len(res.Stdout), res.Stdout)
		}
		if string(res.Stderr) != "words\n" {
			t.Errorf("%s: stderr is %q, want the command's alone", env, res.Stderr)
		}
		if all := strings.Join(h.lines, "\n"); strings.Contains(all, "horse") {
			t.Errorf("%s: the password stands in a command line: %s", env, all)
		}
	}
}

func TestSudoStreams(t *testing.T) {
	h := remote.Sudo(login(t, "SUDO_TEST=lecture"), remote.Become{Method: "sudo"})
	var stdout, stderr bytes.Buffer
	_, err := h.Run(t.Context(), remote.Cmd{Argv: []string{"sh", "-c", "echo out; echo err >&2; exit 3"}, Stdout: &stdout, Stderr: &stderr})
	var exit *remote.ExitError
	if !errors.As(err, &exit) || exit.Code != 3 || string(exit.Stderr) != "err\n" || exit.Cmd != "sh -c 'echo out; echo err >&2; exit 3'" {
		t.Errorf("got %#v, want the command's own end", exit)
	}
	if stdout.String() != "out\n" || stderr.String() != "err\n" {
		t.Errorf("streamed %q and %q", &stdout, &stderr)
	}
}

func TestSudoRefused(t *testing.T) {
	empty := t.TempDir()
	for _, name := range []string{"sh", "id"} {
		path := filepath.Join("testdata/bin", name)
		if name == "sh" {
			path = "/bin/sh"
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(abs, filepath.Join(empty, name)); err != nil {
			t.Fatal(err)
		}
	}
	defer remote.SetBecomeTimeout(500 * time.Millisecond)()
	for name, test := range map[string]struct {
		env    []string
		become remote.Become
		err    string
		hint   string
	}{
		"wrong password":    {[]string{"SUDO_TEST=password"}, remote.Become{Method: "sudo", Password: "wrong"}, "sudo refused the password", "not root's"},
		"password needed":   {[]string{"SUDO_TEST=password"}, remote.Become{Method: "sudo"}, "a password is required", "NOPASSWD"},
		"no right":          {[]string{"SUDO_TEST=denied"}, remote.Become{Method: "sudo"}, "guest is not in the sudoers file", "Grant it"},
		"no right, asked":   {[]string{"SUDO_TEST=denied"}, remote.Become{Method: "sudo", Password: password}, "guest is not in the sudoers file", "Grant it"},
		"terminal needed":   {[]string{"SUDO_TEST=requiretty"}, remote.Become{Method: "sudo"}, "must have a tty", "!requiretty"},
		"no answer":         {[]string{"SUDO_TEST=silent"}, remote.Become{Method: "sudo"}, "no answer within 500ms", "by hand"},
		"another question":  {[]string{"SUDO_TEST=token"}, remote.Become{Method: "sudo", Password: password}, "One-time password", "by hand"},
		"not installed":     {[]string{"PATH=" + empty}, remote.Become{Method: "sudo"}, "not found", "Install sudo"},
		"doas refuses":      {[]string{"DOAS_TEST=denied"}, remote.Become{Method: "doas"}, "Operation not permitted", "permit nopass"},
		"doas and password": {nil, remote.Become{Method: "doas", Password: password}, "only from a terminal", "permit nopass"},
	} {
		t.Run(name, func(t *testing.T) {
			var host remote.Host = login(t, test.env...)
			if strings.HasPrefix(strings.Join(test.env, ""), "PATH") {
				host = remotetest.NewLocal(t, "a", test.env...)
			}
			start := time.Now()
			// The input never ends: that must not matter.
			in, feed := io.Pipe()
			defer feed.Close()
			_, err := remote.Sudo(host, test.become).Run(t.Context(), remote.Cmd{Argv: []string{"true"}, Stdin: in})
			var told *remote.Error
			var exit *remote.ExitError
			if !errors.As(err, &told) || told.Op != "become root" || told.Host != "a" || errors.As(err, &exit) {
				t.Fatalf("got %v, want an error of \"become root\"", err)
			}
			if !strings.Contains(told.Error(), test.err) || !strings.Contains(told.Hint, test.hint) {
				t.Errorf("got %v\n%s\nwant %q, and as hint %q", told, told.Hint, test.err, test.hint)
			}
			if strings.Contains(told.Error()+told.Hint, test.become.Password) && test.become.Password != "" {
				t.Errorf("the password stands in the error: %v %s", told, told.Hint)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// An upload whose second half fails leaves nothing of the first.
func TestSudoUploadDenied(t *testing.T) {
	user := login(t, "SUDO_TEST=denied")
	h := remote.Sudo(user, remote.Become{Method: "sudo"})
	err := h.Upload(t.Context(), strings.NewReader("content"), 7, filepath.Join(t.TempDir(), "file"), 0o644)
	var told *remote.Error
	if !errors.As(err, &told) || told.Op != "become root" {
		t.Errorf("got %v, want an error of \"become root\"", err)
	}
	if _, err := os.Stat(user.uploaded); user.uploaded == "" || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %q: %v", user.uploaded, err)
	}
}
