package remote

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed lock.sh
var lockScript string

// LockLease is how long a host believes in a holder of its lock that it does not
// hear of: a controller may sleep, or a network stall.
const LockLease = 30 * time.Second

var lockLease = LockLease // shorter in tests

const (
	// renewLock is how often a holder says that it is there.
	renewLock = 10 * time.Second
	// releaseTimeout is for the session to end when its input has.
	releaseTimeout = 2 * time.Second
)

// ExitLocked is the code with which a script says that another one has the
// lock, after EX_TEMPFAIL of sysexits.h.
const ExitLocked = 75

// LockedError says that another run has the lock on a host.
type LockedError struct {
	Host   string
	Holder string // as it wrote down itself
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("%s: another run of hapair is at work: %s", e.Host, e.Holder)
}

// Next says what to do about it.
func (e *LockedError) Next() string {
	return "Wait for it to end. If it hangs, `hapair unlock` takes the lock away from it: it then stops."
}

// Lock is held on one host. It lasts as long as the session that took it: when
// hapair dies, the host frees it at once, and when the connection breaks
// without a word, within half a minute.
type Lock struct {
	renew    *io.PipeWriter // its end is the lock's
	cancel   context.CancelFunc
	released chan struct{}
	release  sync.Once
	broken   chan struct{}
	done     chan struct{} // closed when the session has ended,
	err      error         // and how
}

// TakeLock waits for the lock on the file path, for as long as wait, and writes
// there who has it. Another one's is a *LockedError. The file stays on the host.
func TakeLock(ctx context.Context, h Host, path, holder string, wait time.Duration) (*Lock, error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	holding, cancel := context.WithCancel(context.WithoutCancel(ctx))
	renewals, renew := io.Pipe()
	l := &Lock{renew: renew, cancel: cancel, released: make(chan struct{}), broken: make(chan struct{}), done: make(chan struct{})}
	taken := make(chan struct{})
	var once sync.Once
	go l.hold(holding, h, Cmd{
		Name: "lock " + path,
		Argv: []string{"sh", "-c", lockScript, "lock", path,
			strconv.FormatFloat(wait.Seconds(), 'f', 3, 64), strconv.Itoa(int(lockLease.Seconds())), holder},
		Stdin:  renewals,
		Stdout: NewLines(func(string) { once.Do(func() { close(taken) }) }),
	})
	go l.renewals()
	select {
	case <-taken:
		return l, nil
	case <-ctx.Done():
		l.cancel() // the host may still be waiting for the lock
		l.Release()
		return nil, context.Cause(ctx)
	case <-l.done:
	}
	l.Release()
	var exit *ExitError
	switch {
	case errors.As(l.err, &exit) && exit.Code == ExitLocked:
		return nil, &LockedError{Host: h.String(), Holder: strings.TrimSpace(string(exit.Stderr))}
	case l.err == nil:
		return nil, &LockedError{Host: h.String(), Holder: "nobody: the lock was broken at once"}
	}
	return nil, l.err
}

// hold is the session on the host.
func (l *Lock) hold(ctx context.Context, h Host, c Cmd) {
	defer close(l.done)
	_, l.err = h.Run(ctx, c)
	l.renew.Close()
	select {
	case <-l.released:
		return
	default:
	}
	var exit *ExitError
	if l.err == nil || errors.As(l.err, &exit) {
		close(l.broken)
	}
}

// renewals tell the host that the holder is there, until the session ends.
func (l *Lock) renewals() {
	tick := time.NewTicker(renewLock)
	defer tick.Stop()
	for {
		if _, err := l.renew.Write([]byte(".")); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-l.done:
			return
		}
	}
}

// Broken is closed when the lock is taken away: by BreakLock, or by the host,
// which heard nothing for too long. It is not when the connection is lost:
// whoever uses the host hears of that.
func (l *Lock) Broken() <-chan struct{} { return l.broken }

// Release gives the lock back. It may be called again.
func (l *Lock) Release() {
	l.release.Do(func() {
		close(l.released)
		l.renew.Close()
		// One that does not hear of it, as its host is gone, is left alone.
		late := time.AfterFunc(releaseTimeout, l.cancel)
		<-l.done
		late.Stop()
		l.cancel()
	})
}

// BreakLock takes the lock on the file path away from whoever has it, and
// returns who that was; "" if nobody.
func BreakLock(ctx context.Context, r Runner, path string) (holder string, err error) {
	if err := CheckPath(path); err != nil {
		return "", err
	}
	res, err := r.Run(ctx, Cmd{Name: "break the lock " + path, Argv: []string{"sh", "-c", lockScript, "break", path}})
	return strings.TrimSpace(string(res.Stdout)), err
}
