package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"hapair/remote/redisctl"
)

const (
	// peerTimeout is for an answer of the peer's Redis.
	peerTimeout = 500 * time.Millisecond
	// dialTimeout is for the peer's kernel to answer, which it does in no time
	// while it lives; it is asked again after dialAgain, as a packet may get lost.
	dialTimeout = 50 * time.Millisecond
	dialAgain   = 20 * time.Millisecond
)

// server is one of the two Redis, as this host reaches it.
//
// What is decided about a Redis is decided for that run of it: what it did before
// it died does not bind the next. So a command goes over the connection that the
// look went over, or not at all.
type server struct {
	client  *redisctl.Client
	looking bool // a connection may be made
	reached bool // the last try to connect was accepted
	blocked Rank // the rank of the primary whose writes this hook stopped; 0: none
	seen    Redis
}

// errSince is why a command is not sent.
var errSince = errors.New("the connection ended since it was looked at")

func newServer(addr, password string, timeout time.Duration) *server {
	s := &server{}
	s.client = redisctl.New(redisctl.Options{
		Addr: addr, Password: password, DialTimeout: dialTimeout, IOTimeout: timeout, Dialer: s.dial,
	})
	return s
}

func (s *server) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if !s.looking {
		return nil, errSince
	}
	s.blocked, s.reached = 0, false
	conn, err := dialTwice(ctx, network, addr)
	s.reached = err == nil
	return conn, err
}

// dialTwice tries once more while the first try goes on: TCP itself repeats its
// first packet only after a second.
func dialTwice(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type dialed struct {
		conn net.Conn
		err  error
	}
	tries := make(chan dialed, 2)
	try := func() {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		tries <- dialed{conn, err}
	}
	go try()
	select {
	case first := <-tries:
		return first.conn, first.err
	case <-time.After(dialAgain):
		go try()
	}
	first := <-tries
	if first.err == nil {
		go func() { // the other one may have been accepted as well
			if second := <-tries; second.conn != nil {
				second.conn.Close()
			}
		}()
	}
	return first.conn, first.err
}

// look asks the Redis what it is.
func (s *server) look(ctx context.Context) Redis {
	s.looking = true
	defer func() { s.looking = false }()
	r, err := s.ask(ctx)
	if errors.Is(err, redisctl.Lost) { // since the last look: there may be another one
		r, err = s.ask(ctx)
	}
	switch {
	case err == nil, errors.Is(err, redisctl.MasterDown):
		r.Health = Up
	case errors.Is(err, redisctl.Misconf):
		r.Health = Sick
	case errors.Is(err, redisctl.Loading):
		r.Health = Loading
	case errors.Is(err, redisctl.Busy):
		r.Health = Busy
	case errors.Is(err, redisctl.NoAuth):
		r.Health = Denied
	case errors.Is(err, redisctl.Refused):
		r.Health = Dead
	case s.reached:
		r.Health = Hung
	}
	return r
}

// onlineLag is for how long at most a replica that is in sync has said nothing,
// in Redis' whole seconds.
const onlineLag = 2 * time.Second

// ask returns what PING made of it as the error, and the rest as far as it is
// told.
func (s *server) ask(ctx context.Context) (r Redis, err error) {
	replies := make([]any, 4)
	s.client.Pipeline(ctx, [][]any{
		{"PING"}, {"CONFIG", "GET", "slave-priority"}, {"CONFIG", "GET", "min-slaves-to-write"}, {"INFO"},
	}, func(i int, reply any, e error) {
		replies[i] = reply
		if i == 0 || err == nil && e != nil && !errors.Is(e, redisctl.Loading) {
			err = e
		}
	})
	text, _ := replies[3].(string)
	info, parseErr := redisctl.ParseInfo(text)
	if parseErr != nil {
		if err == nil {
			err = parseErr
		}
		return r, err
	}
	r.Rank, r.Floor = Rank(number(replies[1])), number(replies[2])
	r.Primary, r.Offset, r.Empty = info.Role == redisctl.Primary, info.Offset, info.Empty()
	r.Linked, r.Down, r.Syncing = info.LinkUp, info.LinkDownFor, info.Syncing
	if host, _, err := net.SplitHostPort(info.Primary); err == nil && host != placeholder {
		r.Follows = host
	}
	for _, c := range info.Replicas {
		if c.State == "online" && c.Lag <= onlineLag {
			r.Online++
		}
	}
	return r, err
}

// number is the value in the answer to CONFIG GET.
func number(reply any) int {
	if pair, ok := reply.([]any); ok && len(pair) == 2 {
		if text, ok := pair[1].(string); ok {
			n, _ := strconv.Atoi(text)
			return n
		}
	}
	return 0
}

// placeholder is whom a fenced Redis follows: nobody can be there, on port 1.
const placeholder = "127.0.0.1"

// do sends commands in one go, to the Redis that was looked at.
func (s *server) do(ctx context.Context, commands ...[]any) (err error) {
	s.client.Pipeline(ctx, commands, func(_ int, _ any, e error) {
		if err == nil {
			err = e
		}
	})
	return err
}

// same is nil while the Redis that was seen still runs, as what it was.
func (s *server) same(ctx context.Context) error {
	now, err := s.ask(ctx)
	switch {
	case err != nil && !errors.Is(err, redisctl.MasterDown) && !errors.Is(err, redisctl.Misconf):
		return err
	case !now.is(s.seen):
		return errChanged
	}
	return nil
}

// errChanged is why nothing is done about what was seen.
var errChanged = errors.New("its role or its link changed since it was looked at")

// isBlocked reports whether the writes are stopped of the primary that was seen: by
// this hook, and it has not been promoted again since.
func (s *server) isBlocked() bool {
	return s.blocked != 0 && s.seen.Primary && s.seen.Rank == s.blocked
}

// letClientsGo ends all clients' connections but this one.
func (s *server) letClientsGo(ctx context.Context, byType bool) error {
	if byType {
		return s.do(ctx, []any{"CLIENT", "KILL", "TYPE", "normal"}, []any{"CLIENT", "KILL", "TYPE", "pubsub"})
	}
	// One by one, where CLIENT KILL knows no TYPE. Replicas and the link to a
	// primary carry the flags S and M; this connection asks for the list.
	reply, err := s.client.Do(ctx, "CLIENT", "LIST")
	if err != nil {
		return err
	}
	list, _ := reply.(string)
	for line := range strings.Lines(list) {
		if strings.Contains(line, " flags=S ") || strings.Contains(line, " flags=M ") || strings.Contains(line, " cmd=client") {
			continue
		}
		for field := range strings.FieldsSeq(line) {
			if addr, ok := strings.CutPrefix(field, "addr="); ok {
				_, _ = s.client.Do(ctx, "CLIENT", "KILL", addr) // it may have ended
			}
		}
	}
	return nil
}

// password reads the file that redis-cli is fed with, too: AUTH and the password,
// quoted as hapair quotes it, which is as Go does, or not at all.
func password(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	arg, ok := strings.CutPrefix(strings.TrimRight(string(text), "\n"), "AUTH ")
	if strings.HasPrefix(arg, `"`) {
		arg, err = strconv.Unquote(arg)
	} else if strings.Contains(arg, " ") {
		ok = false
	}
	if err != nil || !ok || arg == "" {
		return "", fmt.Errorf("%s does not hold AUTH and one password", path)
	}
	return arg, nil
}
