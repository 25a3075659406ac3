package redisctl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server answers each command with what reply returns, as RESP; an empty reply
// closes the connection, and "hang" is silence.
type server struct {
	net.Listener
	conns atomic.Int32
}

func serve(t *testing.T, reply func(args []string) string) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: l}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			go answer(c, reply)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return s
}

func answer(c net.Conn, reply func(args []string) string) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		args, err := readCommand(r)
		if err != nil {
			return
		}
		switch text := reply(args); text {
		case "":
			return
		case "hang":
			_, _ = io.Copy(io.Discard, r) // until the client hangs up
			return
		default:
			if _, err := io.WriteString(c, text); err != nil {
				return
			}
		}
	}
}

func readCommand(r *bufio.Reader) ([]string, error) {
	n, err := readHeader(r, '*')
	if err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		size, err := readHeader(r, '$')
		if err != nil {
			return nil, err
		}
		buf := make([]byte, size+2)
		if _, err := io.ReadFull(r, buf); err != nil {
			return nil, err
		}
		args[i] = string(buf[:size])
	}
	return args, nil
}

func readHeader(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("got %q, want %q", line, kind)
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}

// redis28 answers like a server that knows no HELLO.
func redis28(rest func(args []string) string) func(args []string) string {
	return func(args []string) string {
		if strings.EqualFold(args[0], "HELLO") {
			return "-ERR unknown command 'hello'\r\n"
		}
		return rest(args)
	}
}

func client(t *testing.T, o Options) *Client {
	t.Helper()
	c := New(o)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestDoReturnsReplies(t *testing.T) {
	s := serve(t, redis28(func(args []string) string {
		switch args[0] {
		case "GET":
			return "$-1\r\n"
		case "INCR":
			return ":7\r\n"
		case "CONFIG":
			return "*2\r\n$14\r\nslave-priority\r\n$2\r\n27\r\n"
		default:
			return "+PONG\r\n"
		}
	}))
	c := client(t, Options{Addr: s.Addr().String()})
	ctx := t.Context()
	if err := c.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Do(ctx, "GET", "absent"); got != nil || err != nil {
		t.Errorf("GET of an absent key = %v, %v; want nil, nil", got, err)
	}
	if got, err := c.Do(ctx, "INCR", "n"); got != int64(7) || err != nil {
		t.Errorf("INCR = %v, %v; want 7", got, err)
	}
	got, err := c.Do(ctx, "CONFIG", "GET", "slave-priority")
	if diff := cmp.Diff([]any{"slave-priority", "27"}, got); diff != "" || err != nil {
		t.Errorf("CONFIG GET: %v, -want +got\n%s", err, diff)
	}
	if n := s.conns.Load(); n != 1 {
		t.Errorf("%d connections for 4 commands, want 1", n)
	}
}

func TestPasswordGoesThroughAuthWhereThereIsNoHello(t *testing.T) {
	const password = "open-sesame"
	s := serve(t, redis28(func(args []string) string {
		if args[0] == "auth" && args[1] == password {
			return "+OK\r\n"
		}
		if args[0] == "auth" {
			return "-ERR invalid password\r\n"
		}
		return "+PONG\r\n"
	}))
	if err := client(t, Options{Addr: s.Addr().String(), Password: password}).Ping(t.Context()); err != nil {
		t.Error(err)
	}
	err := client(t, Options{Addr: s.Addr().String(), Password: "wrong-" + password}).Ping(t.Context())
	if !errors.Is(err, NoAuth) {
		t.Errorf("wrong password: got %v, want %v", err, NoAuth)
	}
	if err != nil && strings.Contains(err.Error(), password) {
		t.Errorf("the error shows the password: %v", err)
	}
}

func TestErrorRepliesHaveKinds(t *testing.T) {
	for reply, want := range map[string]Kind{
		"LOADING Redis is loading the dataset in memory":                                               Loading,
		"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.":       Busy,
		"READONLY You can't write against a read only slave.":                                          ReadOnly,
		"MASTERDOWN Link with MASTER is down and slave-serve-stale-data is set to 'no'.":               MasterDown,
		"NOREPLICAS Not enough good slaves to write.":                                                  NoReplicas,
		"MISCONF Redis is configured to save RDB snapshots, but is currently not able to persist.":     Misconf,
		"NOAUTH Authentication required.":                                                              NoAuth,
		"ERR unknown command 'x'":                                                                      "",
		"BUSYGROUP Consumer Group name already exists":                                                 "",
		"ERR something about READONLY, which is not its code":                                          "",
		"ERR AUTH <password> called without any password configured for the default user. Are you sur": NoAuth,
	} {
		s := serve(t, redis28(func([]string) string { return "-" + reply + "\r\n" }))
		c := client(t, Options{Addr: s.Addr().String()})
		_, err := c.Do(t.Context(), "set", "secret-key", "secret-value")
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%q: got %v, want an *Error", reply, err)
			continue
		}
		if e.Kind != want || want != "" && !errors.Is(err, want) {
			t.Errorf("%q: kind %q, want %q", reply, e.Kind, want)
		}
		if e.Command != "SET" || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v should name the command, and no argument", reply, err)
		}
	}
}

// An outage is measured by these errors: each try must reach for the server,
// and end as soon as the answer is there.
func TestEveryTryDials(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	dials := 0
	c := client(t, Options{Addr: addr, Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials++
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}})
	start := time.Now()
	for range 20 {
		if err := c.Ping(t.Context()); !errors.Is(err, Refused) {
			t.Fatalf("got %v, want %v", err, Refused)
		}
	}
	if dials != 20 {
		t.Errorf("%d dials for 20 tries", dials)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("20 refusals took %s", took)
	}
}

func TestRefusalByAnSSHServerIsARefusal(t *testing.T) {
	c := client(t, Options{Addr: "127.0.0.1:6379", Dialer: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("ssh: rejected: connect failed (Connection refused)")
	}})
	if err := c.Ping(t.Context()); !errors.Is(err, Refused) {
		t.Errorf("got %v, want %v", err, Refused)
	}
}

func TestLostConnectionIsReplacedByTheNextTry(t *testing.T) {
	s := serve(t, redis28(func(args []string) string {
		if args[0] == "die" {
			return ""
		}
		return "+PONG\r\n"
	}))
	c := client(t, Options{Addr: s.Addr().String()})
	ctx := t.Context()
	if err := c.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(ctx, "die"); !errors.Is(err, Lost) {
		t.Errorf("got %v, want %v", err, Lost)
	}
	if err := c.Ping(ctx); err != nil {
		t.Errorf("after a lost connection: %v", err)
	}
	if n := s.conns.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

func TestSilenceEndsInTime(t *testing.T) {
	s := serve(t, redis28(func([]string) string { return "hang" }))
	const short, long = 50 * time.Millisecond, time.Minute
	deadline := func(t *testing.T) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), short)
		t.Cleanup(cancel)
		return ctx
	}
	cancelled := func(t *testing.T) context.Context {
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(short, cancel)
		t.Cleanup(func() { timer.Stop(); cancel() })
		return ctx
	}
	forever := func(t *testing.T) context.Context { return t.Context() }
	for _, test := range []struct {
		name string
		io   time.Duration
		ctx  func(*testing.T) context.Context
		want error
	}{
		{"reply deadline", short, forever, Timeout},
		{"context deadline", long, deadline, Timeout},
		{"cancelled", long, cancelled, context.Canceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := client(t, Options{Addr: s.Addr().String(), IOTimeout: test.io})
			start := time.Now()
			if err := c.Ping(test.ctx(t)); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if took := time.Since(start); took > 10*short {
				t.Errorf("took %s", took)
			}
		})
	}
}

// go-redis hangs up on a server that is read-only. The next try is not to pay
// for it.
func TestReadOnlyServerIsAskedAgain(t *testing.T) {
	s := serve(t, func([]string) string { return "-READONLY You can't write against a read only replica.\r\n" })
	c := New(Options{Addr: s.Addr().String()})
	defer c.Close()
	for try := range 3 {
		if _, err := c.Do(t.Context(), "SET", "k", "v"); !errors.Is(err, ReadOnly) {
			t.Errorf("try %d: got %v, want %v", try, err, ReadOnly)
		}
	}
}
