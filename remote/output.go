package remote

import (
	"fmt"
	"io"
	"sync"
)

// What a Result keeps, so that no host can fill the controller's memory.
const (
	stdoutKept = 64 << 20 // of a command whose Stdout is not streamed; more is an error
	tailKept   = 64 << 10 // of a stream that only has to explain an error
)

// Output receives what a command writes and makes its Result of it, by the
// rules of Cmd. Every Runner has one for each command.
type Output struct {
	stdout, stderr kept
}

// NewOutput is the Output of c.
func NewOutput(c Cmd) *Output {
	var streams sync.Mutex // Stdout and Stderr are often one writer
	o := &Output{
		stdout: kept{limit: stdoutKept, whole: true},
		stderr: kept{limit: tailKept},
	}
	if c.Stdout != nil {
		o.stdout = kept{limit: tailKept, stream: c.Stdout, order: &streams}
	}
	if c.Stderr != nil {
		o.stderr.stream, o.stderr.order = c.Stderr, &streams
	}
	return o
}

// Stdout takes the command's standard output, from one goroutine.
func (o *Output) Stdout() io.Writer { return &o.stdout }

// Stderr takes the command's standard error, from one goroutine.
func (o *Output) Stderr() io.Writer { return &o.stderr }

// Result is what was kept. Both streams must have ended.
func (o *Output) Result() Result {
	return Result{Stdout: o.stdout.bytes(), Stderr: o.stderr.bytes()}
}

// kept hands on what is written to it and keeps the last limit bytes, or,
// where the whole is wanted, refuses more.
type kept struct {
	limit  int
	whole  bool
	stream io.Writer
	order  *sync.Mutex
	buf    []byte
}

func (k *kept) Write(p []byte) (int, error) {
	if k.stream != nil {
		k.order.Lock()
		n, err := k.stream.Write(p)
		k.order.Unlock()
		if err != nil {
			return n, err
		}
	}
	if k.whole && len(k.buf)+len(p) > k.limit {
		return 0, fmt.Errorf("the command printed more than %d MiB: give it a Stdout to stream to", k.limit>>20)
	}
	k.buf = append(k.buf, p...)
	if !k.whole && len(k.buf) > 2*k.limit {
		k.buf = append(k.buf[:0], k.buf[len(k.buf)-k.limit:]...)
	}
	return len(p), nil
}

func (k *kept) bytes() []byte {
	if !k.whole && len(k.buf) > k.limit {
		return k.buf[len(k.buf)-k.limit:]
	}
	return k.buf
}
