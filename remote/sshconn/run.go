package sshconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"hapair/remote"
)

// stdinGrace is how long Run waits, once the command has ended, for a Read of
// its Stdin that is under way.
const stdinGrace = 100 * time.Millisecond

func (h *host) Run(ctx context.Context, c remote.Cmd) (remote.Result, error) {
	if err := c.Check(); err != nil {
		return remote.Result{}, err
	}
	// An error of c.Stdout or c.Stderr ends the command, as ctx does.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := remote.NewOutput(c)
	stdout := &outlet{to: out.Stdout(), fail: cancel}
	stderr := &outlet{to: out.Stderr(), fail: cancel}
	end := func(err error) (remote.Result, error) {
		stdout.shut()
		stderr.shut()
		return out.Result(), err
	}

	if err := h.acquire(ctx); err != nil {
		if ctx.Err() != nil {
			err = c.Interrupted(ctx, h.name)
		}
		return end(err)
	}
	done := make(chan error, 1)
	if !h.spawn(func() { done <- h.session(ctx, c, stdout, stderr) }) {
		<-h.slots
		return end(context.Cause(h.gone))
	}
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
	}
	switch exit := (*ssh.ExitError)(nil); {
	case stdout.err() != nil:
		return end(fmt.Errorf("%s: output of the command: %w", h.name, stdout.err()))
	case stderr.err() != nil:
		return end(fmt.Errorf("%s: output of the command: %w", h.name, stderr.err()))
	case ctx.Err() != nil:
		return end(c.Interrupted(ctx, h.name))
	case errors.As(err, &exit):
		res, _ := end(nil)
		return res, c.Exit(h.name, exit.ExitStatus(), res.Stderr)
	case err != nil:
		return end(h.failed(err))
	}
	return end(nil)
}

// acquire waits for one of the connection's session slots.
func (h *host) acquire(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-h.gone.Done():
		return context.Cause(h.gone)
	}
}

// refusalPatience is how long a connection without other sessions may refuse
// one: sshd counts a session until its last process has ended.
const refusalPatience = 2 * time.Second

// openSession opens a channel in the slot that its caller holds. An sshd that
// allows fewer sessions than there are slots refuses; then this slot is given
// up for good, and another one awaited. After an error no slot is held.
func (h *host) openSession(ctx context.Context, kind string, data []byte) (ssh.Channel, <-chan *ssh.Request, error) {
	started := time.Now()
	for {
		h.active.Add(1)
		channel, requests, err := h.client.OpenChannel(kind, data)
		if err == nil {
			return channel, requests, nil
		}
		others := h.active.Add(-1)
		var refused *ssh.OpenChannelError
		switch {
		case !errors.As(err, &refused), others == 0 && time.Since(started) > refusalPatience:
			<-h.slots
			return nil, nil, fmt.Errorf("open session: %w", err)
		case others == 0:
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done(): // the next answer is as good as this one, and the last
				started = time.Time{}
			}
		default:
			if err := h.acquire(ctx); err != nil {
				return nil, nil, err
			}
		}
	}
}

// sessions is h as a client that opens its sessions by openSession, and leaves
// the channel of the last one in opened.
func (h *host) sessions(ctx context.Context, opened *ssh.Channel) *ssh.Client {
	return &ssh.Client{Conn: sessionConn{h.client.Conn, func(kind string, data []byte) (ssh.Channel, <-chan *ssh.Request, error) {
		channel, requests, err := h.openSession(ctx, kind, data)
		*opened = channel
		return channel, requests, err
	}}}
}

type sessionConn struct {
	ssh.Conn
	open func(kind string, data []byte) (ssh.Channel, <-chan *ssh.Request, error)
}

func (c sessionConn) OpenChannel(kind string, data []byte) (ssh.Channel, <-chan *ssh.Request, error) {
	return c.open(kind, data)
}

func (h *host) release() {
	h.active.Add(-1)
	<-h.slots
}

// session runs c to its end. When ctx ends first, it asks the host to end the
// command and waits for that, which may take as long as the connection lives.
func (h *host) session(ctx context.Context, c remote.Cmd, stdout, stderr io.Writer) error {
	var channel ssh.Channel
	s, err := h.sessions(ctx, &channel).NewSession()
	if err != nil {
		return err
	}
	defer h.release()
	defer s.Close()
	s.Stdout, s.Stderr = stdout, stderr
	var stdin io.WriteCloser
	if c.Stdin != nil {
		if stdin, err = s.StdinPipe(); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() {
		_ = s.Signal(ssh.SIGTERM)
		s.Close()
	})
	defer stop()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := s.Start(remote.Quote(c.Argv...)); err != nil {
		return fmt.Errorf("start command: %w", err)
	}
	var fed chan struct{}
	if stdin != nil {
		fed = make(chan struct{})
		// Not one of the host's tasks: it ends when its reader does.
		go func() {
			defer close(fed)
			_, _ = io.Copy(stdin, readUntil(ctx, c.Stdin)) // a command may end before it has read everything
			_ = stdin.Close()
		}()
	}
	err = s.Wait()
	if fed != nil {
		select {
		case <-fed:
		case <-ctx.Done():
		case <-time.After(stdinGrace):
		}
	}
	return err
}

// readUntil is r until ctx ends; a Read that is under way then goes on.
func readUntil(ctx context.Context, r io.Reader) io.Reader {
	return readFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// outlet is a writer that can be shut: nothing passes once Run has returned.
type outlet struct {
	mu     sync.Mutex
	to     io.Writer
	fail   context.CancelCauseFunc
	closed bool
	failed error
}

func (o *outlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return len(p), nil // to the sink; the session is being ended
	}
	n, err := o.to.Write(p)
	if err != nil {
		o.failed, o.closed = err, true
		o.fail(err)
		return len(p), nil
	}
	return n, nil
}

func (o *outlet) shut() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
}

func (o *outlet) err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failed
}
