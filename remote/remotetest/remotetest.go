// Package remotetest is for tests of what uses or implements remote.Host.
// Local is this machine as a host; Scripted answers from a script and records
// what it was asked; Suite is what every implementation must pass.
package remotetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"hapair/remote"
)

// Local is this machine as a Host: commands run here, as the user that runs
// the test, in a working directory that is removed with it. Absolute paths are
// the machine's own, so give it only such as lie under Dir.
type Local struct {
	name string
	dir  string
	env  []string

	open  context.Context
	shut  context.CancelCauseFunc
	mu    sync.Mutex
	conns []net.Conn
}

// NewLocal opens a Local that is closed with the test. Env is added to the
// environment of its commands, as "NAME=value".
func NewLocal(t testing.TB, name string, env ...string) *Local {
	l := &Local{name: name, dir: t.TempDir(), env: env}
	l.open, l.shut = context.WithCancelCause(context.Background())
	t.Cleanup(func() { l.Close() })
	return l
}

// Dir is the working directory of the commands.
func (l *Local) Dir() string { return l.dir }

func (l *Local) String() string { return l.name }

// Close ends every command and connection.
func (l *Local) Close() error {
	l.shut(&remote.Error{Host: l.name, Op: "run", Err: net.ErrClosed})
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		c.Close()
	}
	return nil
}

// Run runs c as sshd does: through a shell, in a process group of its own.
func (l *Local) Run(ctx context.Context, c remote.Cmd) (remote.Result, error) {
	if err := c.Check(); err != nil {
		return remote.Result{}, err
	}
	if l.open.Err() != nil {
		return remote.Result{}, context.Cause(l.open)
	}
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.open, cancel)()

	cmd := exec.CommandContext(running, "/bin/sh", "-c", remote.Quote(c.Argv...))
	cmd.Dir = l.dir
	cmd.Env = append(os.Environ(), l.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = time.Second
	out := remote.NewOutput(c)
	failed := &firstError{}
	cmd.Stdout, cmd.Stderr = failed.watch(out.Stdout()), failed.watch(out.Stderr())
	var stdin io.WriteCloser
	if c.Stdin != nil {
		var err error
		if stdin, err = cmd.StdinPipe(); err != nil {
			return remote.Result{}, err
		}
	}
	if err := cmd.Start(); err != nil {
		return remote.Result{}, fmt.Errorf("%s: start command: %w", l.name, err)
	}
	if stdin != nil {
		go func() { // ends when its reader does
			_, _ = io.Copy(stdin, c.Stdin)
			_ = stdin.Close()
		}()
	}
	err := cmd.Wait()
	res := out.Result()
	var exit *exec.ExitError
	switch {
	case failed.get() != nil:
		return res, fmt.Errorf("%s: output of the command: %w", l.name, failed.get())
	case ctx.Err() != nil:
		return res, c.Interrupted(ctx, l.name)
	case l.open.Err() != nil:
		return res, context.Cause(l.open)
	case errors.As(err, &exit):
		code := exit.ExitCode()
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			code = 128 + int(status.Signal())
		}
		return res, c.Exit(l.name, code, res.Stderr)
	}
	return res, err
}

// Dial opens a connection from this machine.
func (l *Local) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if l.open.Err() != nil {
		return nil, context.Cause(l.open)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.conns = append(l.conns, conn)
	l.mu.Unlock()
	return conn, nil
}

// Upload writes a file of this machine.
func (l *Local) Upload(ctx context.Context, r io.Reader, size int64, path string, mode fs.FileMode) error {
	err := remote.UploadByRun(ctx, l, r, size, path, mode)
	if err != nil && ctx.Err() == nil {
		return remote.UploadError(ctx, l, path, size, err)
	}
	return err
}

// firstError remembers which writer failed first.
type firstError struct {
	mu  sync.Mutex
	err error
}

func (f *firstError) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *firstError) watch(w io.Writer) io.Writer {
	return writeFunc(func(p []byte) (int, error) {
		n, err := w.Write(p)
		if err != nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.err == nil {
				f.err = err
			}
		}
		return n, err
	})
}

type writeFunc func(p []byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }
