package remote

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"sync"
	"time"
)

const (
	// redialTimeout bounds an attempt to connect again, over and above the
	// deadlines that it has of its own.
	redialTimeout = time.Minute
	// redialPause lies between two attempts, so that calls in quick succession
	// are no flood of connections to a host that is still booting.
	redialPause = 250 * time.Millisecond
)

// Lost reports whether err is that the connection to a host broke: not that a
// command failed, nor that the host could not be connected to.
func Lost(err error) bool {
	var told *Error
	return errors.As(err, &told) && told.Op == opLost
}

const opLost = "connection lost"

// Redial is h for whom it may restart: once the connection is lost, the next
// call connects anew, with dial. It owns h and what dial returns.
//
// No call is made twice, as nobody knows how far the first one came: one that
// is under way when the connection breaks ends with an error that is Lost, and
// so do the connections that were opened through it. A call that has to connect
// first waits for that as long as its context lets it; the attempt then goes on
// for the calls to come.
func Redial(h Host, dial func(ctx context.Context) (Host, error)) Host {
	r := &redialHost{name: h.String(), dial: dial, host: h}
	r.open, r.shut = context.WithCancel(context.Background())
	return r
}

type redialHost struct {
	name string
	dial func(ctx context.Context) (Host, error)

	open  context.Context // until Close
	shut  context.CancelFunc
	tasks sync.WaitGroup // attempts, and the closing of what was lost

	mu      sync.Mutex
	host    Host     // nil: lost
	attempt *attempt // to replace it, the latest; nil: there was none
}

// attempt is one try to connect again.
type attempt struct {
	done chan struct{} // closed when it has ended
	host Host          // then; nil: it failed
	err  error
}

func (h *redialHost) String() string { return h.name }

func (h *redialHost) Run(ctx context.Context, c Cmd) (Result, error) {
	if err := c.Check(); err != nil {
		return Result{}, err
	}
	host, err := h.connected(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = c.Interrupted(ctx, h.name)
		}
		return Result{}, err
	}
	res, err := host.Run(ctx, c)
	h.note(host, err)
	return res, err
}

func (h *redialHost) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, err := h.connected(ctx)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	conn, err := host.Dial(ctx, network, addr)
	h.note(host, err)
	return conn, err
}

func (h *redialHost) Upload(ctx context.Context, r io.Reader, size int64, path string, mode fs.FileMode) error {
	host, err := h.connected(ctx)
	if err != nil {
		return err
	}
	err = host.Upload(ctx, r, size, path, mode)
	h.note(host, err)
	return err
}

// Close ends the connection there is, or the attempt at one.
func (h *redialHost) Close() error {
	h.mu.Lock()
	h.shut() // there are no more tasks
	h.mu.Unlock()
	h.tasks.Wait()
	if h.host == nil {
		return nil
	}
	return h.host.Close()
}

// connected is the host, connected to anew if need be.
func (h *redialHost) connected(ctx context.Context) (Host, error) {
	h.mu.Lock()
	host, a := h.host, h.attempt
	switch {
	case host != nil:
	case h.open.Err() != nil:
		a = &attempt{done: make(chan struct{}), err: &Error{Host: h.name, Op: "run", Err: net.ErrClosed}}
		close(a.done)
	case a == nil || a.ended():
		a = h.redial(a != nil)
	}
	h.mu.Unlock()
	if host != nil {
		return host, nil
	}
	select {
	case <-a.done:
		return a.host, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (a *attempt) ended() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// redial begins an attempt. Its caller has the lock.
func (h *redialHost) redial(again bool) *attempt {
	a := &attempt{done: make(chan struct{})}
	h.attempt = a
	h.tasks.Go(func() {
		defer close(a.done)
		ctx, cancel := context.WithTimeout(h.open, redialTimeout)
		defer cancel()
		if again {
			pause := time.NewTimer(redialPause)
			defer pause.Stop()
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
		}
		a.host, a.err = h.dial(ctx)
		if a.err != nil {
			return
		}
		h.mu.Lock()
		h.host = a.host
		h.mu.Unlock()
	})
	return a
}

// note gives the connection up when the outcome of a call says that it is lost.
func (h *redialHost) note(host Host, err error) {
	if !Lost(err) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.host != host || h.open.Err() != nil {
		return // another call has noticed, or Close will close it
	}
	h.host = nil
	h.tasks.Go(func() { host.Close() }) // it is lost: there is nothing to be said about its end
}
