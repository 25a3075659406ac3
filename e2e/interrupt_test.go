package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestInterrupted ends an apply in the middle of every step that it has, one
// after the other, in each of the ways in which an apply ends too early. The
// next one goes on from there, and in the end the pair is as if nothing had
// happened.
func TestInterrupted(t *testing.T) {
	for name, c := range map[string]struct {
		signal os.Signal
		exits  int
	}{
		"ctrl-c":  {syscall.SIGINT, 130},
		"kill -9": {syscall.SIGKILL, -1},
		"hangup":  {syscall.SIGHUP, 130},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, "int-"+strings.Trim(name, " -9"), quickstart(t))
			seen := map[string]bool{}
			first := p.interruptEach(c.signal, c.exits, seen)
			if first < 10 {
				t.Errorf("the first apply was interrupted at %d points, want at least 10", first)
			}
			p.settled()
		})
	}
}

// interruptEach applies again and again. Each run gets the signal in the middle
// of the first step that has not been interrupted yet, until one runs to its
// end. It returns how many were interrupted.
func (p *testPair) interruptEach(signal os.Signal, exits int, seen map[string]bool) (n int) {
	p.t.Helper()
	for ; ; n++ {
		o, step := p.applyUntil(signal, seen)
		if step == "" {
			o.exits(0)
			return n
		}
		// The step may have been the last one, and done before the signal came.
		if o.code != exits && o.code != 0 {
			p.t.Fatalf("interrupted in step %s: exit code %d, want %d\n%s", step, o.code, exits, o)
		}
		p.t.Logf("interrupted in step %s", step)
		p.oneWriter()
	}
}

// applyUntil applies, and sends the signal as soon as a step begins that is not
// in seen, where it then is. The step is "" if there was none.
func (p *testPair) applyUntil(signal os.Signal, seen map[string]bool) (o *outcome, step string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	cmd := p.command(ctx, "apply", "--auto-approve", "--json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	o = &outcome{t: p.t, args: cmd.Args[3:]}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		o.out += lines.Text() + "\n"
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			p.t.Errorf("%v: %s", err, lines.Text())
		}
		if step == "" && e.Type == "apply_start" && !seen[e.Step] {
			step = e.Step
			seen[step] = true
			if err := cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
				p.t.Error(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		p.t.Error(err)
	}
	o.err, o.code = errs.String(), cmd.ProcessState.ExitCode()
	return o, step
}

// oneWriter fails the test if both Redis accept writes.
func (p *testPair) oneWriter() {
	p.t.Helper()
	primaries := 0
	for _, host := range []string{"a", "b"} {
		out := p.sh(host, `cli=/usr/local/redis/bin/redis-cli; [ ! -x $cli ] || timeout 5 $cli INFO replication || :`)
		if strings.Contains(out, "role:master") {
			primaries++
		}
	}
	if primaries > 1 {
		p.t.Error("two primaries")
	}
}
