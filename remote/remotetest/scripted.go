package remotetest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"

	"hapair/remote"
)

// Call is one thing that a Scripted was asked to do.
type Call struct {
	Line  string // the command's name, or its line; "upload PATH", "dial NETWORK ADDR"
	Argv  []string
	Stdin []byte // also the content of an upload
	Mode  fs.FileMode
}

// Files is what a call of remote.WriteFiles was to put in place.
func (c Call) Files() ([]remote.File, error) {
	in := bufio.NewReader(bytes.NewReader(c.Stdin))
	line := func() string {
		s, _ := in.ReadString('\n')
		return strings.TrimSuffix(s, "\n")
	}
	line() // the random word
	var files []remote.File
	for {
		var size, mode uint32
		var owner string
		head := line()
		if head == "end" {
			return files, nil
		}
		if _, err := fmt.Sscanf(head, "%d %o %s", &size, &mode, &owner); err != nil {
			return nil, fmt.Errorf("%s is not a stream of files: %q: %w", c.Line, head, err)
		}
		f := remote.File{Path: line(), Mode: remote.FileMode(mode), Content: make([]byte, size)}
		f.Owner, f.Group, _ = strings.Cut(owner, ":")
		if _, err := io.ReadFull(in, f.Content); err != nil {
			return nil, fmt.Errorf("%s: content of %s: %w", c.Line, f.Path, err)
		}
		files = append(files, f)
	}
}

// Reply is what a command leaves.
type Reply struct {
	Stdout, Stderr string
	Code           int
	Err            error // instead of all that: the way to the host failed
	// Do, when set, is called instead, with what the command read. It may
	// block, to see what happens meanwhile.
	Do func(ctx context.Context, call Call) (remote.Result, error)
}

// Scripted is a Host that does nothing but answer, and remembers what it was
// asked. It can be used from several goroutines.
type Scripted struct {
	name string

	mu     sync.Mutex
	rules  []*rule
	calls  []Call
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	closed bool
}

type rule struct {
	match   *regexp.Regexp
	replies []Reply
}

// NewScripted makes a host that refuses everything until On says otherwise.
func NewScripted(name string) *Scripted { return &Scripted{name: name} }

// On gives replies to the commands whose Call.Line matches the regular
// expression: one after the other, the last one for ever. Later rules win.
func (s *Scripted) On(pattern string, replies ...Reply) *Scripted {
	if len(replies) == 0 {
		replies = []Reply{{}}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(s.rules, &rule{regexp.MustCompile(pattern), replies})
	return s
}

// OnDial answers Dial.
func (s *Scripted) OnDial(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *Scripted {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dial = dial
	return s
}

// Calls is what was asked so far, in order.
func (s *Scripted) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Lines is Calls by their lines alone.
func (s *Scripted) Lines() []string {
	var lines []string
	for _, c := range s.Calls() {
		lines = append(lines, c.Line)
	}
	return lines
}

func (s *Scripted) String() string { return s.name }

func (s *Scripted) Run(ctx context.Context, c remote.Cmd) (remote.Result, error) {
	if err := c.Check(); err != nil {
		return remote.Result{}, err
	}
	call := Call{Line: c.Name, Argv: c.Argv}
	if call.Line == "" {
		call.Line = c.String()
	}
	if c.Stdin != nil {
		var err error
		if call.Stdin, err = io.ReadAll(c.Stdin); err != nil {
			return remote.Result{}, fmt.Errorf("%s: standard input: %w", s.name, err)
		}
	}
	res, err := s.answer(ctx, call)
	out := remote.NewOutput(c)
	_, errOut := out.Stdout().Write(res.Stdout)
	_, errErr := out.Stderr().Write(res.Stderr)
	if err == nil {
		err = errors.Join(errOut, errErr)
	}
	return out.Result(), err
}

// Upload answers as Run does, to the line "upload PATH".
func (s *Scripted) Upload(ctx context.Context, r io.Reader, size int64, path string, mode fs.FileMode) error {
	if err := remote.CheckPath(path); err != nil {
		return err
	}
	content, err := io.ReadAll(io.LimitReader(r, size))
	if err != nil {
		return err
	}
	_, err = s.answer(ctx, Call{Line: "upload " + path, Stdin: content, Mode: mode})
	return err
}

// Dial answers by OnDial.
func (s *Scripted) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	s.mu.Lock()
	dial := s.dial
	s.calls = append(s.calls, Call{Line: "dial " + network + " " + addr})
	s.mu.Unlock()
	if dial == nil {
		return nil, fmt.Errorf("%s: dial %s %s: the test has no answer", s.name, network, addr)
	}
	return dial(ctx, network, addr)
}

// Close makes everything else fail.
func (s *Scripted) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

func (s *Scripted) answer(ctx context.Context, call Call) (remote.Result, error) {
	if ctx.Err() != nil {
		return remote.Result{}, fmt.Errorf("%s: %s: %w", s.name, call.Line, ctx.Err())
	}
	s.mu.Lock()
	closed := s.closed
	s.calls = append(s.calls, call)
	reply, ok := s.next(call.Line)
	s.mu.Unlock()
	switch {
	case closed:
		return remote.Result{}, &remote.Error{Host: s.name, Op: "run", Err: net.ErrClosed}
	case !ok:
		return remote.Result{}, fmt.Errorf("%s: %s: the test has no answer to this command", s.name, call.Line)
	case reply.Do != nil:
		return reply.Do(ctx, call)
	case reply.Err != nil:
		return remote.Result{}, reply.Err
	}
	res := remote.Result{Stdout: []byte(reply.Stdout), Stderr: []byte(reply.Stderr)}
	if reply.Code != 0 {
		return res, remote.Cmd{Name: strings.TrimSpace(call.Line)}.Exit(s.name, reply.Code, res.Stderr)
	}
	return res, nil
}

func (s *Scripted) next(line string) (Reply, bool) {
	for _, r := range slices.Backward(s.rules) {
		if !r.match.MatchString(line) {
			continue
		}
		reply := r.replies[0]
		if len(r.replies) > 1 {
			r.replies = r.replies[1:]
		}
		return reply, true
	}
	return Reply{}, false
}
