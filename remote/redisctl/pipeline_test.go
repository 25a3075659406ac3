package redisctl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// pipe dials a server that answers like one of serve, but without a network: so
// its clock can be that of a synctest bubble.
func pipe(t *testing.T, reply func(args []string) string) func(context.Context, string, string) (net.Conn, error) {
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		serving.Go(func() { answer(far, reply) })
		return near, nil
	}
}

func TestPipelineReturnsReplies(t *testing.T) {
	s := serve(t, redis28(func(args []string) string {
		switch args[0] {
		case "GET":
			return "$-1\r\n"
		case "INCR":
			return ":7\r\n"
		case "sadd":
			return "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
		default:
			return "+PONG\r\n"
		}
	}))
	c := client(t, Options{Addr: s.Addr().String()})
	for range 2 {
		var got []string
		c.Pipeline(t.Context(), [][]any{{"PING"}, {"GET", "absent"}, {"sadd", "k", "v"}, {"INCR", "n"}}, func(i int, reply any, err error) {
			got = append(got, fmt.Sprint(i, " ", reply, " ", err))
		})
		want := []string{
			"0 PONG <nil>",
			"1 <nil> <nil>",
			"2 <nil> redis at " + c.Addr() + ": SADD: WRONGTYPE Operation against a key holding the wrong kind of value",
			"3 7 <nil>",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
	if n := s.conns.Load(); n != 1 {
		t.Errorf("%d connections; one command's error is no reason for another one", n)
	}
	c.Pipeline(t.Context(), nil, func(int, any, error) { t.Error("an answer to nothing") })
}

func TestPipelineWithoutAConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	answers := 0
	client(t, Options{Addr: l.Addr().String()}).Pipeline(t.Context(), [][]any{{"PING"}, {"PING"}, {"PING"}}, func(i int, _ any, err error) {
		if i != answers || !errors.Is(err, Refused) {
			t.Errorf("answer %d is to command %d: %v", answers, i, err)
		}
		answers++
	})
	if answers != 3 {
		t.Errorf("%d answers to 3 commands", answers)
	}
}

func TestPipelineEndsWithItsContext(t *testing.T) {
	for name, test := range map[string]struct {
		ctx  func(context.Context) (context.Context, context.CancelFunc)
		want error
	}{
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, Timeout},
		"cancelled": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := client(t, Options{Dialer: pipe(t, redis28(func(args []string) string {
					if args[0] == "WAIT" {
						return "hang"
					}
					return "+PONG\r\n"
				}))})
				ctx, cancel := test.ctx(t.Context())
				defer cancel()
				start := time.Now()
				var got []error
				c.Pipeline(ctx, [][]any{{"PING"}, {"WAIT"}, {"PING"}}, func(_ int, _ any, err error) { got = append(got, err) })
				if len(got) != 3 || got[0] != nil || !errors.Is(got[1], test.want) || !errors.Is(got[2], test.want) {
					t.Errorf("got %v", got)
				}
				if took := time.Since(start); took != time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// Every command of a pipeline gets its own answer at its own time, once, however
// the server treats the others: it takes its time, refuses some, and ends the
// connection or falls silent before it has answered all.
func TestPipelineTellsCommandsApart(t *testing.T) {
	const deadline = 100*time.Millisecond + time.Microsecond // no reply comes at that very time
	type answer struct {
		Reply any
		Err   Kind
		At    time.Duration
	}
	type step struct {
		after time.Duration
		text  string // "": ends the connection, "hang": is silent from then on
	}
	steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			time.Duration(rapid.SampledFrom([]int{0, 0, 0, 1, 7, 30}).Draw(t, "ms")) * time.Millisecond,
			rapid.SampledFrom([]string{
				":0\r\n", ":0\r\n", ":0\r\n", ":1\r\n", "-LOADING Redis is loading\r\n", "-READONLY You can't write\r\n", "", "hang",
			}).Draw(t, "reply"),
		}
	}), 1, 30)
	rapid.Check(t, func(rt *rapid.T) {
		script := steps.Draw(rt, "script")
		var want, got []answer
		var now time.Duration
		var ended Kind
		for _, s := range script {
			if ended == "" {
				now += s.after
				switch {
				case now > deadline || s.text == "hang":
					ended, now = Timeout, deadline
				case s.text == "":
					ended = Lost
				}
			}
			a := answer{nil, ended, now}
			if ended == "" {
				switch s.text[0] {
				case ':':
					a.Reply = int64(s.text[1] - '0')
				case '-':
					a.Err = kindOf(errors.New(s.text[1:]))
				}
			}
			want = append(want, a)
		}
		synctest.Test(t, func(t *testing.T) {
			next := 0
			c := client(t, Options{IOTimeout: deadline, Dialer: pipe(t, redis28(func(args []string) string {
				if args[0] == "PING" {
					return "+PONG\r\n"
				}
				s := script[next]
				next++
				time.Sleep(s.after)
				return s.text
			}))})
			if err := c.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			commands := make([][]any, len(script))
			for i := range commands {
				commands[i] = []any{"SETBIT", "k", i, 1}
			}
			start := time.Now()
			c.Pipeline(t.Context(), commands, func(i int, reply any, err error) {
				if i != len(got) {
					t.Errorf("answer %d is to command %d", len(got), i)
				}
				a := answer{Reply: reply, At: time.Since(start)}
				if e := (*Error)(nil); errors.As(err, &e) {
					a.Err = e.Kind
				}
				got = append(got, a)
			})
			if err := c.Ping(t.Context()); err != nil {
				t.Errorf("the next command: %v", err)
			}
		})
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Errorf("-want +got\n%s", diff)
		}
	})
}
