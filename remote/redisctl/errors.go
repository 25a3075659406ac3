package redisctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// Kind is what a failed command says of the server. It is an error itself, so
// that errors.Is(err, redisctl.ReadOnly) asks for one.
type Kind string

func (k Kind) Error() string { return string(k) }

const (
	Refused    Kind = "connection refused"       // the host lives, nothing listens
	Lost       Kind = "connection lost"          // closed or reset while in use
	Timeout    Kind = "no answer in time"        // from the network or the server
	Loading    Kind = "loading its data"         // alive, answers soon
	Busy       Kind = "busy with a script"       // alive, answers nothing else
	ReadOnly   Kind = "read-only"                // a replica
	MasterDown Kind = "link to the primary down" // a replica that serves no stale data
	NoReplicas Kind = "too few replicas"         // min-replicas-to-write
	Misconf    Kind = "cannot save its data"     // stop-writes-on-bgsave-error
	NoAuth     Kind = "password missing or wrong"
)

// Error is a command that got no good answer.
type Error struct {
	Addr    string
	Command string // its first word; arguments may be secret
	Kind    Kind   // empty: none of those named
	Err     error
}

func (e *Error) Error() string {
	return fmt.Sprintf("redis at %s: %s: %v", e.Addr, e.Command, e.Err)
}

// Unwrap lets errors.Is find both the Kind and what is behind it.
func (e *Error) Unwrap() []error {
	if e.Kind == "" {
		return []error{e.Err}
	}
	return []error{e.Kind, e.Err}
}

// answers are how the error replies of Redis 2.8 to 8 begin.
var answers = []struct {
	prefix string
	kind   Kind
}{
	{"LOADING", Loading},
	{"BUSY ", Busy},
	{"READONLY", ReadOnly},
	{"MASTERDOWN", MasterDown},
	{"NOREPLICAS", NoReplicas},
	{"MISCONF", Misconf},
	{"NOAUTH", NoAuth},
	{"WRONGPASS", NoAuth},
	{"ERR operation not permitted", NoAuth}, // NOAUTH, in the first 2.8
	{"ERR invalid password", NoAuth},        // WRONGPASS, before 6.0
	{"ERR Client sent AUTH, but no password is set", NoAuth},
	{"ERR AUTH <password> called without any password", NoAuth}, // the same, from 6.0 on
}

func kindOf(err error) Kind {
	if err == nil {
		return ""
	}
	text := err.Error()
	text = strings.TrimPrefix(text, "failed to authenticate: ")
	for _, a := range answers {
		if strings.HasPrefix(text, a.prefix) {
			return a.kind
		}
	}
	var ne net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return ""
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &ne) && ne.Timeout():
		return Timeout
	// An SSH server says so in words when a host refuses what it dials for us.
	case errors.Is(err, syscall.ECONNREFUSED), strings.Contains(strings.ToLower(text), "connection refused"):
		return Refused
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED):
		return Lost
	}
	return ""
}
