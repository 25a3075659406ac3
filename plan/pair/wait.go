package pair

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"hapair/remote"
)

// Error is a step that did not come about, told so that its reader knows where
// things stand and what to do.
type Error struct {
	Host string // empty: the pair as a whole
	Step string // "start keepalived"
	Err  error
	Seen string   // what was seen last
	Log  []string // what the host said about it, oldest first
	Hint string   // what to do now
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.Host != "" {
		b.WriteString(e.Host + ": ")
	}
	fmt.Fprintf(&b, "%s: %v", e.Step, e.Err)
	if e.Seen != "" {
		fmt.Fprintf(&b, "; seen last: %s", e.Seen)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Next is what to do now.
func (e *Error) Next() string { return e.Hint }

// ErrStalled is a wait in which nothing moved any more.
var ErrStalled = errors.New("gave up waiting")

const (
	// A wait looks again soon at first, then ever less often: it costs a tenth
	// of its length at most, and does not keep a host busy with answers.
	pollMin = 50 * time.Millisecond
	pollMax = 500 * time.Millisecond
	// waitMax bounds a wait in which something moves all the time, as in a link
	// that comes up and breaks again.
	waitMax = time.Hour
)

// patience is how long a wait goes on while it sees nothing move. VRRP takes
// four adverts, the check one interval to notice and another to act, each hook
// up to the sync timeout; the rest is for a slow host.
func (p *Pair) patience() time.Duration {
	return 15*time.Second + 4*p.spec.Keepalived.AdvertInterval + 2*p.checkTakes() + p.spec.Failover.SyncTimeout
}

// holdPatience is how long a host may hold before a wait gives up. A hold may
// be a memory of how things were: each check looks whether it still stands.
func (p *Pair) holdPatience() time.Duration { return 5*time.Second + 2*p.checkTakes() }

// checkTakes is the longest from one check's begin to the end of the next.
func (p *Pair) checkTakes() time.Duration {
	c := p.spec.Check
	return c.Interval + time.Duration(c.Retries+1)*c.Timeout + time.Duration(c.Retries)*c.RetryDelay
}

// unitTimeout is for a host that falls silent while systemctl runs there; the
// units have shorter timeouts of their own, the longest of them for a Redis
// that saves all its data.
const unitTimeout = 15 * time.Minute

// look says what it sees, and whether that is what one waits for. An error
// ends the wait: it will not come any more.
type look func(ctx context.Context) (seen string, done bool, err error)

// wait looks until it is done. It gives up with an error that wraps
// ErrStalled once nothing has moved for the pair's patience.
func (p *Pair) wait(ctx context.Context, step Step, look look) (seen string, err error) {
	start := time.Now()
	moved := start
	for {
		now, done, err := look(ctx)
		if ctx.Err() != nil {
			return seen, fmt.Errorf("stopped while waiting: %w", context.Cause(ctx))
		}
		if done || err != nil {
			return now, err
		}
		if now != seen {
			seen, moved = now, time.Now()
			step.Progress(seen)
		}
		switch {
		case time.Since(moved) > p.patience():
			return seen, fmt.Errorf("%w: nothing moved for %s", ErrStalled, p.patience())
		case time.Since(start) > waitMax:
			return seen, fmt.Errorf("%w after %s", ErrStalled, waitMax)
		}
		pause := time.NewTimer(min(max(time.Since(start)/10, pollMin), pollMax))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
}

// step runs one step and reports it. do returns what has come of it; seen is
// what it saw last, for an error.
func (p *Pair) step(ctx context.Context, ev Events, i int, what, hint string, do func(Step) (result string, err error)) error {
	host := ""
	if i >= 0 {
		host = p.spec.Hosts[i].Name
	}
	step := ev.Step(host, what)
	if ctx.Err() != nil { // before anything is asked of a host
		step.Done("", context.Cause(ctx))
		return context.Cause(ctx)
	}
	result, err := do(step)
	if err == nil {
		step.Done(result, nil)
		return nil
	}
	told, ok := err.(*Error)
	if !ok {
		told = &Error{Host: host, Step: what, Err: err, Seen: result, Hint: hint}
		if i >= 0 && ctx.Err() == nil {
			told.Log = p.lastWords(ctx, i)
		}
	}
	step.Done(result, told)
	return told
}

// pairwide is a step that is about both hosts.
const pairwide = -1

// lastWords is the end of the host's state log.
func (p *Pair) lastWords(ctx context.Context, i int) []string {
	log := p.observe(ctx, i).Log
	return log[max(0, len(log)-5):]
}

// systemctl runs one verb on one unit of host i.
func (p *Pair) systemctl(ctx context.Context, i int, verb, unit string, options ...string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, unitTimeout, fmt.Errorf("systemctl %s %s took more than %s", verb, unit, unitTimeout))
	defer cancel()
	if verb == "start" {
		// A unit that failed too often of late is not started again. This fails
		// where there is nothing to reset.
		_, _ = p.hosts[i].Run(ctx, remote.Cmd{Argv: []string{"systemctl", "reset-failed", unit}})
	}
	_, err := p.hosts[i].Run(ctx, remote.Cmd{Argv: append([]string{"systemctl", verb, unit}, options...)})
	var exit *remote.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	return &Error{
		Host: p.spec.Hosts[i].Name, Step: "systemctl " + verb + " " + unit, Err: err,
		Log:  p.journal(ctx, i, unit),
		Hint: "See `systemctl status " + unit + "` on the host.",
	}
}

// journal is the end of what systemd noted about a unit of host i, and of what
// its programs said.
func (p *Pair) journal(ctx context.Context, i int, unit string) []string {
	res, err := p.hosts[i].Run(ctx, remote.Cmd{
		Argv: []string{"journalctl", "--unit", unit, "--lines", "10", "--output", "cat", "--no-pager", "--quiet"},
	})
	text := strings.TrimSpace(string(res.Stdout))
	if err != nil || text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
