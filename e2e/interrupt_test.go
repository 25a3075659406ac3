package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// interruptions are the ways in which an apply ends too early: the signals it
// gets, the second when it has answered the first, and its exit code then.
var interruptions = []struct {
	name    string
	signals []os.Signal
	exits   int
}{
	{"ctrl-c", []os.Signal{syscall.SIGINT}, 130},
	{"ctrl-c twice", []os.Signal{syscall.SIGINT, syscall.SIGINT}, 130},
	{"kill -9", []os.Signal{syscall.SIGKILL}, -1},
}

// TestInterrupted ends an apply in the middle of every step that it has, one
// after the other. The next one goes on from there, and in the end the pair is
// as if nothing had happened: after the first apply, and after changes to a
// pair in service, which never loses what it acknowledged.
func TestInterrupted(t *testing.T) {
	for i, how := range interruptions {
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, fmt.Sprintf("stop-%d", i), quickstart(t))
			p.env = append(p.env, "HAPAIR_VAR_secret=changeit")
			if n := p.interruptEach(how.signals, how.exits); n < 10 {
				t.Errorf("the first apply was interrupted at %d points, want at least 10", n)
			}
			p.settled()
			for i, edit := range [][]string{
				// Rolling, replica first.
				{"appendonly = true", "appendonly = true\n      timeout = 300", "priority  = 239", "priority  = 238"},
				// Both stop and start: they do not let each other in meanwhile.
				{`pair "quickstart" {`, "variable \"secret\" {\n  type = string\n  sensitive = true\n}\n\npair \"quickstart\" {",
					"  redis {", "  redis {\n    password = var.secret"},
			} {
				key := fmt.Sprint("written-", i)
				p.redis("SET", key, "before")
				p.edit(edit...)
				if n := p.interruptEach(how.signals, how.exits); n < 5 {
					t.Errorf("change %d was interrupted at %d points, want at least 5", i, n)
				}
				p.settled()
				p.env = append(p.env, "REDISCLI_AUTH=changeit") // where there is a password by now
				if got := p.redis("--no-auth-warning", "GET", key); !strings.HasSuffix(got, "before") {
					t.Errorf("change %d: what was written is %q now", i, got)
				}
			}
		})
	}
}

// TestHostDies cuts a host's power in the middle of an apply: before the pair
// is there, and while it is changed in service. hapair says which host is gone,
// the other one goes on with what it did, and the next apply ends the work.
func TestHostDies(t *testing.T) {
	t.Parallel()
	p := newPair(t, "dies", quickstart(t))
	applyAndCut := func(host, step, says string) {
		t.Helper()
		cut := false
		o := p.watchApply(func(_ *os.Process, e event) {
			if !cut && e.Type == "apply_start" && e.At == "quickstart/"+host && e.Title == step {
				cut = true
				if err := p.PowerOff(t.Context(), host); err != nil {
					t.Error(err)
				}
			}
		}).exits(1)
		if !cut {
			t.Fatalf("no step %q on %s\n%s", step, host, o)
		}
		o.says(says)
	}
	restored := func(host string) {
		t.Helper()
		if err := p.PowerOn(t.Context(), host); err != nil {
			t.Fatal(err)
		}
		p.apply()
		p.settled()
	}

	applyAndCut("b", "install redis 7.0.15", "b: connection lost: ")
	if left := p.sh("a", "systemctl list-unit-files --no-legend --state=enabled 'hapair*' || :; ps -e -o comm= | grep -E '^(redis|keepalived)' || :"); left != "" {
		t.Errorf("a runs or will run its part of a pair that is not there:\n%s", left)
	}
	restored("b")

	p.redis("SET", "written", "before")
	p.edit("appendonly = true", "appendonly = true\n      timeout = 300")
	applyAndCut("b", "stop Redis", "b: stop Redis: cannot be reached: connection lost: ") // the replica: the primary goes on
	p.reads("written", "before")
	restored("b")
	p.reads("written", "before")
}

// interruptEach applies again and again. Each run gets the signals in the
// middle of the first step that has not been interrupted yet, until one runs to
// its end. It returns how many were interrupted.
func (p *testPair) interruptEach(signals []os.Signal, exits int) (n int) {
	p.t.Helper()
	seen := map[string]bool{}
	for ; ; n++ {
		o, step := p.applyUntil(signals, seen)
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

// applyUntil applies, and sends the first signal as soon as a step begins that
// is not in seen, where it then is. The step is "" if there was none.
func (p *testPair) applyUntil(signals []os.Signal, seen map[string]bool) (o *outcome, step string) {
	p.t.Helper()
	o = p.watchApply(func(hapair *os.Process, e event) {
		switch {
		case step == "" && e.Type == "apply_start" && !seen[e.Step]:
			step = e.Step
			seen[step] = true
		case e.Type != "stopping": // the answer to the first Ctrl-C
			return
		}
		if len(signals) > 0 {
			if err := hapair.Signal(signals[0]); err != nil && !errors.Is(err, os.ErrProcessDone) {
				p.t.Error(err)
			}
			signals = signals[1:]
		}
	})
	return o, step
}

// watchApply applies and shows each event as it comes.
func (p *testPair) watchApply(show func(hapair *os.Process, e event)) *outcome {
	p.t.Helper()
	return p.watch(show, "apply", "--auto-approve")
}

// watch runs hapair to its end and shows each event as it comes.
func (p *testPair) watch(show func(hapair *os.Process, e event), args ...string) *outcome {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience())
	defer cancel()
	cmd := p.command(ctx, append(args, "--json")...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	o := &outcome{t: p.t, args: args}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		o.out += lines.Text() + "\n"
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			p.t.Errorf("%v: %s", err, lines.Text())
		}
		show(cmd.Process, e)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		p.t.Error(err)
	}
	o.err, o.code = errs.String(), cmd.ProcessState.ExitCode()
	return o
}

// oneWriter fails the test if both Redis accept writes.
func (p *testPair) oneWriter() {
	p.t.Helper()
	primaries := 0
	for _, host := range []string{"a", "b"} {
		out := p.sh(host, `
			cli=/usr/local/redis/bin/redis-cli
			[ ! -x $cli ] || { cat /usr/local/redis/conf/auth 2>/dev/null; echo INFO replication; } | timeout 5 $cli || :`)
		if strings.Contains(out, "role:master") {
			primaries++
		}
	}
	if primaries > 1 {
		p.t.Error("two primaries")
	}
}
