// Package redisctl talks to one Redis server over one connection, to probe and
// to steer it. It is the only importer of go-redis, and uses it for the
// protocol alone: go-redis is made for applications, whose interest is not to
// see a failure, and a probe's whole interest is to see it, at once.
package redisctl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// go-redis writes of its pool's troubles to the process's standard error. All
// that it has to say here is in the errors too.
func init() { logging.Disable() }

// Options are where a server is and how long to wait for it.
type Options struct {
	Addr     string // "host:port"
	Password string // empty: none is sent
	// DialTimeout bounds the connecting, IOTimeout the wait for each reply
	// (a first command has two or three: HELLO, AUTH). 0 means 5 s.
	DialTimeout, IOTimeout time.Duration
	// Dialer opens the connection; nil is the controller's own network.
	// remote.Host.Dial reaches what a host sees as 127.0.0.1. What it returns
	// must honour deadlines.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)
}

// DefaultTimeout is what a 0 in Options means.
const DefaultTimeout = 5 * time.Second

// Client is a connection to one server, opened at the first command and, after
// a failure, again at the next one: every command gets one try, which either
// is answered or says why not. One call at a time uses the connection.
type Client struct {
	opts Options
	mu   sync.Mutex
	link *link // nil: not connected
}

// New is a Client that is not connected yet.
func New(o Options) *Client {
	o.DialTimeout = cmp.Or(o.DialTimeout, DefaultTimeout)
	o.IOTimeout = cmp.Or(o.IOTimeout, DefaultTimeout)
	if o.Dialer == nil {
		o.Dialer = (&net.Dialer{}).DialContext
	}
	return &Client{opts: o}
}

// Addr is the server's "host:port".
func (c *Client) Addr() string { return c.opts.Addr }

// Close ends the connection. The Client may be used again.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop()
	return nil
}

// Do sends one command and returns its reply: nil, string, int64 or []any of
// these. Any error is an *Error. After one that is not the server's own answer
// nobody knows whether the server has carried out the command.
func (c *Client) Do(ctx context.Context, args ...any) (reply any, err error) {
	c.Pipeline(ctx, [][]any{args}, func(_ int, r any, e error) { reply, err = r, e })
	return reply, err
}

// Pipeline sends commands in one go, and calls answered once for each of them,
// in their order, with what Do would return: at the moment its reply is there;
// or, for all that are still without one, when the connection fails or the
// IOTimeout since they were sent is over. answered must not use the Client.
func (c *Client) Pipeline(ctx context.Context, commands [][]any, answered func(i int, reply any, err error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	broken := false
	settle := func(i int, reply any, err error) {
		if err != nil {
			broken = broken || breaks(err)
			reply, err = nil, c.failed(ctx, commands[i], err)
		}
		answered(i, reply, err)
	}
	queue := make([]queued, len(commands))
	cmds := make([]redis.Cmder, len(commands))
	for i, args := range commands {
		queue[i] = queued{Cmd: redis.NewCmd(ctx, args...), i: i, settle: settle}
		cmds[i] = &queue[i]
	}
	err := c.exec(ctx, cmds)
	for i := range queue {
		queue[i].SetErr(cmp.Or(err, io.ErrUnexpectedEOF)) // of what go-redis has said nothing
	}
	if broken {
		c.drop()
	}
}

func (c *Client) exec(ctx context.Context, cmds []redis.Cmder) error {
	if c.link == nil {
		var err error
		if c.link, err = c.connect(ctx); err != nil {
			return err
		}
	}
	// go-redis heeds a context's deadline, but not its cancellation.
	stop := context.AfterFunc(ctx, c.link.conn.hangUp)
	pipe := c.link.redis.Pipeline()
	_ = pipe.BatchProcess(ctx, cmds...) // only queues them
	_, err := pipe.Exec(ctx)
	if hungUp := !stop(); hungUp {
		c.drop()
	}
	return err
}

// breaks reports whether an error leaves a connection behind that is of no use.
func breaks(err error) bool {
	switch kindOf(err) {
	case NoAuth, ReadOnly: // go-redis hangs up by itself
		return true
	}
	var answer redis.Error
	return !errors.As(err, &answer)
}

func (c *Client) failed(ctx context.Context, args []any, err error) *Error {
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	e := &Error{Addr: c.opts.Addr, Kind: kindOf(err), Err: err}
	if len(args) > 0 {
		e.Command = strings.ToUpper(fmt.Sprint(args[0]))
	}
	return e
}

// queued is a command of a pipeline.
type queued struct {
	*redis.Cmd
	i       int
	settle  func(i int, reply any, err error)
	settled bool
}

// SetErr is how go-redis says what became of a command, as soon as it knows.
// When the connection fails before the end of a pipeline, it then says so of
// the commands that have been answered, too. The first word is the true one.
func (q *queued) SetErr(err error) {
	if q.settled {
		return
	}
	q.settled = true
	q.Cmd.SetErr(err)
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	q.settle(q.i, q.Val(), err)
}

// link is a connection with a go-redis client for it alone. go-redis' own pool
// answers from memory after a failed dial and tries again only every second,
// so it must never see one.
type link struct {
	conn  *conn
	redis *redis.Client
}

func (c *Client) connect(ctx context.Context) (*link, error) {
	dialCtx, cancel := context.WithTimeout(ctx, c.opts.DialTimeout)
	defer cancel()
	nc, err := c.opts.Dialer(dialCtx, "tcp", c.opts.Addr)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	l := &link{conn: &conn{Conn: nc}}
	l.redis = redis.NewClient(&redis.Options{
		Addr:                     c.opts.Addr,
		Dialer:                   func(context.Context, string, string) (net.Conn, error) { return l.conn, nil },
		Password:                 c.opts.Password,
		Protocol:                 2, // the only one that every Redis since 2.8 speaks
		ReadTimeout:              c.opts.IOTimeout,
		WriteTimeout:             c.opts.IOTimeout,
		ContextTimeoutEnabled:    true,
		MaxRetries:               -1,
		DialerRetries:            1,
		PoolSize:                 1,
		PipelinePoolSize:         -1,
		ConnMaxIdleTime:          -1,
		DisableIdentity:          true, // CLIENT SETINFO is an error before 7.2
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	return l, nil
}

func (c *Client) drop() {
	if c.link != nil {
		_ = c.link.redis.Close()
		c.link.conn.hangUp()
		c.link = nil
	}
}

// conn hides all but net.Conn's methods from go-redis: it would look at the
// socket before each command, and dial again by itself.
type conn struct{ net.Conn }

func (c *conn) hangUp() { _ = c.Close() }

// Ping is nil when the server answers PONG. A server that is loading, busy or
// unwilling answers too: that is an *Error of its Kind.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.Do(ctx, "PING")
	return err
}

// Info is the server's INFO.
func (c *Client) Info(ctx context.Context) (Info, error) {
	reply, err := c.Do(ctx, "INFO")
	if err != nil {
		return Info{}, err
	}
	text, _ := reply.(string)
	info, err := ParseInfo(text)
	if err != nil {
		return Info{}, &Error{Addr: c.opts.Addr, Command: "INFO", Err: err}
	}
	return info, nil
}
