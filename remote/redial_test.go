package remote_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hapair/remote"
	"hapair/remote/remotetest"
)

// A host that can be connected to again is a host like any other.
func TestRedialedHost(t *testing.T) {
	greeter := remotetest.Greeter(t)
	remotetest.Suite(t, func(t *testing.T) remote.Host {
		lost := remotetest.NewScripted("here").On("", remotetest.Reply{Err: lostConnection("here")})
		h := remote.Redial(lost, func(context.Context) (remote.Host, error) { return remotetest.NewLocal(t, "here"), nil })
		if _, err := h.Run(t.Context(), remote.Cmd{Argv: []string{"true"}}); !remote.Lost(err) {
			t.Fatalf("got %v, want a lost connection", err)
		}
		return h
	}, greeter)
}

func lostConnection(host string) error {
	return &remote.Error{Host: host, Op: "connection lost", Err: errors.New("it broke")}
}

func TestLost(t *testing.T) {
	for _, test := range []struct {
		err  error
		want bool
	}{
		{lostConnection("a"), true},
		{fmt.Errorf("observe: %w", lostConnection("a")), true},
		{&net.OpError{Op: "dial", Net: "tcp", Err: lostConnection("a")}, true},
		{&remote.Error{Host: "a", Op: "connect", Err: errors.New("refused")}, false},
		{&remote.ExitError{Host: "a", Code: 255}, false},
		{nil, false},
	} {
		if got := remote.Lost(test.err); got != test.want {
			t.Errorf("%v: %t", test.err, got)
		}
	}
}

// dialler gives out connections to one host, and remembers them.
type dialler struct {
	takes time.Duration
	down  int // so many attempts fail first

	mu     sync.Mutex
	dialed []time.Time
	conns  []*remotetest.Scripted
}

func (d *dialler) dial(ctx context.Context) (remote.Host, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dialed = append(d.dialed, time.Now())
	select {
	case <-time.After(d.takes):
	case <-ctx.Done():
		return nil, &remote.Error{Host: "a", Op: "connect", Err: ctx.Err()}
	}
	if len(d.dialed) <= d.down {
		return nil, &remote.Error{Host: "a", Op: "connect", Err: errors.New("no route to host")}
	}
	conn := remotetest.NewScripted("a").On("", remotetest.Reply{Stdout: "hello"})
	d.conns = append(d.conns, conn)
	return conn, nil
}

func (d *dialler) times() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.dialed)
}

var hello = remote.Cmd{Argv: []string{"hello"}}

// A call that meets the end of the connection is not made again; the next ones
// share one new connection, and the old one is closed.
func TestRedial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := remotetest.NewScripted("a").On("", remotetest.Reply{Stdout: "hello"}, remotetest.Reply{Err: lostConnection("a")})
		d := &dialler{takes: time.Second}
		h := remote.Redial(first, d.dial)
		if _, err := h.Run(t.Context(), hello); err != nil || d.times() > 0 {
			t.Fatalf("%v; dialled %d times", err, d.times())
		}
		if _, err := h.Run(t.Context(), hello); !remote.Lost(err) || len(first.Calls()) != 2 {
			t.Fatalf("got %v; calls: %q", err, first.Lines())
		}
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if res, err := h.Run(t.Context(), hello); err != nil || string(res.Stdout) != "hello" {
					t.Errorf("%q, %v", res.Stdout, err)
				}
			})
		}
		all.Wait()
		if d.times() != 1 || len(d.conns[0].Calls()) != 5 {
			t.Errorf("dialled %d times", d.times())
		}
		if _, err := first.Run(t.Context(), hello); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the lost connection is still open: %v", err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if _, err := d.conns[0].Run(t.Context(), hello); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the new connection is still open: %v", err)
		}
	})
}

// Calls have their own deadlines while the host is away. The attempts to reach
// it do not end with them, and are no flood.
func TestRedialWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &dialler{takes: 100 * time.Millisecond, down: 20}
		h := remote.Redial(remotetest.NewScripted("a").On("", remotetest.Reply{Err: lostConnection("a")}), d.dial)
		defer h.Close()
		_, _ = h.Run(t.Context(), hello)

		if _, err := h.Run(t.Context(), hello); err == nil || !strings.Contains(err.Error(), "no route to host") {
			t.Errorf("got %v, want what the attempt met", err)
		}
		began := time.Now()
		var err error
		for tries := 0; tries == 0 || err != nil; tries++ {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond) // less than an attempt takes
			before := time.Now()
			_, err = h.Dial(ctx, "tcp", "127.0.0.1:6379")
			cancel()
			if time.Since(before) > 20*time.Millisecond {
				t.Fatalf("a call with 20 ms took %v", time.Since(before))
			}
			if err != nil && strings.Contains(err.Error(), "the test has no answer") {
				break // the host itself answers
			}
			if time.Since(began) > time.Minute {
				t.Fatalf("still %v", err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		for i := 2; i < len(d.dialed); i++ {
			if gap := d.dialed[i].Sub(d.dialed[i-1]); gap < 350*time.Millisecond {
				t.Errorf("attempt %d came %v after the one before", i, gap)
			}
		}
	})
}

// Close ends an attempt that is under way, and the calls that wait for it.
func TestRedialClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &dialler{takes: time.Hour}
		h := remote.Redial(remotetest.NewScripted("a").On("", remotetest.Reply{Err: lostConnection("a")}), d.dial)
		_, _ = h.Run(t.Context(), hello)
		ended := make(chan error, 1)
		go func() { _, err := h.Run(t.Context(), hello); ended <- err }()
		synctest.Wait()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err == nil || !errors.Is(err, context.Canceled) {
			t.Errorf("the call that waited got %v", err)
		}
		if _, err := h.Run(t.Context(), hello); !errors.Is(err, net.ErrClosed) || d.times() != 1 {
			t.Errorf("after Close: %v; dialled %d times", err, d.times())
		}
	})
}
