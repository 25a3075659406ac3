// Package remote knows what one can do on a machine: run a command, stream its
// output, open a connection from there, and put files in place. It knows
// nothing of Redis, keepalived or plans. Package sshconn implements Host over
// SSH; package remotetest holds the suite that every implementation passes.
package remote

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
)

// Cmd is one command to run on a host. Argv is quoted where the command line
// is built, so an argument never changes its meaning on the way.
type Cmd struct {
	Argv []string
	// Name is what errors call the command, instead of the command line: for
	// those that bring a script along.
	Name string
	// Stdin is empty when nil. Run may return while a Read of it is blocked:
	// a command that needs no more input does not wait for any.
	Stdin io.Reader
	// Stdout and Stderr, when set, receive the output while the command runs.
	// What the Result keeps is then only the tail needed for an error. They
	// are never written at the same time. An error of theirs ends the command.
	Stdout, Stderr io.Writer
	// Secrets are texts that must not appear in errors or logs; they travel on
	// Stdin only. A Cmd with one of them in Argv is refused before it is run.
	Secrets []string
}

// String is the command as a shell would read it.
func (c Cmd) String() string { return Quote(c.Argv...) }

// Result is what a finished command left. Stdout and Stderr are apart; of
// Stderr only the last 64 KiB are kept, and more than 64 MiB of Stdout that is
// not streamed is an error.
type Result struct {
	Stdout, Stderr []byte
}

// Runner runs one command to its end. A command that exits with another code
// than 0 is an *ExitError; anything else (connection lost, deadline) is not.
// When ctx ends, Run returns at once with an error that wraps ctx.Err(), and
// the command is asked to end.
type Runner interface {
	Run(ctx context.Context, c Cmd) (Result, error)
}

// Dialer opens a connection as seen from the host: "127.0.0.1:6379" is the
// host's own. The connection honours deadlines.
type Dialer interface {
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
}

// Uploader streams size bytes to a file on the host, through a temporary name
// in the same directory, so that path is either the old file or the whole new
// one. Large artefacts go this way; configuration goes through WriteFiles.
type Uploader interface {
	Upload(ctx context.Context, r io.Reader, size int64, path string, mode fs.FileMode) error
}

// Host is a machine that one is connected to. String is its name in the spec.
type Host interface {
	fmt.Stringer
	Runner
	Dialer
	Uploader
	io.Closer
}

// ExitError is a command that ran and ended with a code other than 0.
type ExitError struct {
	Host   string
	Cmd    string // its name, or the command as a shell would read it; secrets masked
	Code   int    // 128+N when signal N ended it
	Stderr []byte // its last 4 KiB
}

// Error is short; the full evidence is in the fields.
func (e *ExitError) Error() string {
	last := strings.TrimSpace(string(e.Stderr))
	if i := strings.LastIndexByte(last, '\n'); i >= 0 {
		last = last[i+1:]
	}
	if last == "" {
		return fmt.Sprintf("%s: %s: exit code %d", e.Host, brief(e.Cmd), e.Code)
	}
	return fmt.Sprintf("%s: %s: exit code %d: %s", e.Host, brief(e.Cmd), e.Code, last)
}

// brief is as much of a command line as one wants to see in a message.
func brief(cmd string) string {
	const limit = 120
	short, _, cut := strings.Cut(cmd, "\n")
	if len(short) > limit {
		short, cut = strings.ToValidUTF8(short[:limit], ""), true
	}
	if cut {
		short += " …"
	}
	return short
}

// Error is a failure of the way to a host, told so that its reader knows what
// to do: what was tried, where, why it failed, and a hint.
type Error struct {
	Host string // the host's name in the spec
	Op   string // "connect", "verify host key", "authenticate", "become root", "upload", "open tunnel", "connection lost", "run" (on a closed host)
	Err  error
	Hint string // what to do now; may hold several lines
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %v", e.Host, e.Op, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// File is one file to put on a host, or to remove from it.
type File struct {
	Path         string
	Content      []byte
	Mode         fs.FileMode // permission bits, with setuid and setgid as in package fs
	Owner, Group string      // names; empty means root
}
