package drill

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"hapair/remote"
)

// returnTimeout is for a host to boot. Some servers test their memory for
// minutes first.
var returnTimeout = 10 * time.Minute // shorter in tests

// reset is a host that was reset and is not back yet.
type reset struct {
	fault   Fault
	boot    string          // the id of the boot that was to end
	hear    func(report)    // the proof
	watched <-chan struct{} // closed once it is watched again
	gone    error           // it was waited for, and did not come
}

// gone is a host that has not come back.
type gone struct {
	host string
	err  error
}

func (e *gone) Error() string {
	return fmt.Sprintf("%s was reset and is not back: %v; see its console, and run `hapair recover` once it is", e.host, e.err)
}
func (e *gone) Unwrap() error { return e.err }

// reset does a fault that resets the host, and returns once the host has fallen
// silent: it may take long until the connection to it breaks. The id of the
// boot that ends is told, with an error or without, if it may have been reset;
// the proof is that it comes back in another one.
func (g rig) reset(ctx context.Context, fault Fault, silent func() bool, hear func(report)) (boot string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var begun atomic.Bool
	var told report
	ended := make(chan error, 1)
	go func() {
		var err error
		told, err = g.run(ctx, "fault "+string(fault), func(r report) {
			begun.Store(true)
			hear(r)
		}, g.injecting(fault)...)
		ended <- err
	}()
	look := time.NewTicker(pollEvery)
	defer look.Stop()
	for {
		select {
		case err := <-ended:
			if err == nil {
				err = errSaidNothing
			}
			var exit *remote.ExitError
			switch {
			case ctx.Err() != nil:
				return told.boot, err
			case errors.As(err, &exit), told.boot == "":
				return "", &unproven{fault, g.host.String(), err}
			}
			return told.boot, nil
		case <-look.C:
			if begun.Load() && silent() {
				cancel()
				<-ended
				return told.boot, nil
			}
		}
	}
}

// returned waits until a host that was reset is back, in another boot. An error
// is *gone, or *unproven when it is here and has never been away.
func (g rig) returned(ctx context.Context, lost *reset) error {
	ctx, cancel := context.WithTimeoutCause(ctx, returnTimeout, fmt.Errorf("no answer within %v", returnTimeout))
	defer cancel()
	for {
		told, err := g.run(ctx, "see that it has booted", lost.hear, "booted", lost.boot)
		var exit *remote.ExitError
		switch {
		case err == nil && !told.verified.IsZero():
			return nil
		case errors.As(err, &exit) && exit.Code == exitUnproven:
			return &unproven{lost.fault, g.host.String(), err}
		}
		if cause := sleep(ctx, lookEvery); cause != nil {
			return &gone{g.host.String(), fmt.Errorf("%w; the last try: %v", cause, err)}
		}
	}
}

// reset resets a host.
func (r *run) reset(ctx context.Context, i int, fault Fault, entry func(report)) error {
	watched := r.watches[i].expectReset()
	boot, err := r.rigs[i].reset(ctx, fault, r.watches[i].silent, func(told report) {
		if !told.injected.IsZero() {
			r.watches[i].wasReset(told.injected)
		}
		entry(told)
	})
	if boot != "" {
		r.resets[i] = &reset{fault: fault, boot: boot, hear: entry, watched: watched}
	}
	return err
}

// comeBack waits until a host that was reset is back, if it was. What cannot be
// judged by then ends the drill, but does not keep the pair from being recovered.
func (r *run) comeBack(ctx context.Context, i int) error {
	lost, name := r.resets[i], r.tracks[i].host
	if lost == nil {
		return nil
	}
	if lost.gone != nil {
		return lost.gone
	}
	err := r.rigs[i].returned(ctx, lost)
	var u *unproven
	if err != nil && !errors.As(err, &u) {
		if ctx.Err() == nil {
			lost.gone = err
		}
		return err
	}
	r.resets[i] = nil
	switch {
	case err != nil:
		r.fail(&inconclusive{u.Error()})
		return nil
	case !r.proved(lost.fault, name):
		r.fail(&inconclusive{fmt.Sprintf("%s landed on %s, which did not get to say when", lost.fault, name)})
		return nil
	}
	r.timeline.add(r.clock.now(), Event{Type: FaultUndone, Host: name, Text: string(lost.fault) + " has ended: the host is back"})
	select {
	case <-lost.watched:
	case <-ctx.Done():
	case <-time.After(examineTimeout):
		r.fail(&inconclusive{fmt.Sprintf("%s is back, but does not let itself be watched", name)})
	}
	return nil
}

// proved reports whether a fault on a host has its evidence.
func (r *run) proved(fault Fault, host string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.res.Faults {
		if f.Fault == fault && f.Host == host && f.Evidence != "" {
			return true
		}
	}
	return false
}
