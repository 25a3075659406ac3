package drill

import (
	"context"
	"errors"
	"strings"
	"time"

	"hapair/remote/redisctl"
)

// Load is what the writers do.
type Load struct {
	Eager    int `json:"eager"`    // writers of this kind
	Ordinary int `json:"ordinary"` // writers of this kind
	Rate     int `json:"rate"`     // writes per second of each
}

// DefaultLoad is enough to see an outage to some milliseconds, and little
// enough for a pair in production.
var DefaultLoad = Load{Eager: 4, Ordinary: 2, Rate: 250}

// deadlines are how patient a client is.
type deadlines struct{ dial, io time.Duration }

var patience = map[Client]deadlines{
	Eager:    {50 * time.Millisecond, 100 * time.Millisecond},
	Ordinary: {5 * time.Second, 5 * time.Second},
}

const (
	// retryAfter is how long a client waits after a write that failed.
	retryAfter = 5 * time.Millisecond
	// maxBehind is how much of its rate a writer makes up for after a slow
	// write; what an outage cost stays undone, or its end would be a flood.
	maxBehind = 10 * time.Millisecond
)

// writer is one client: it writes its own sequence through the VIP.
type writer struct {
	index    int
	account  *account
	client   *redisctl.Client
	keys     keys
	interval time.Duration
	clock    clock
}

// run writes until stop ends. The write under way then still gets its answer,
// within the client's own deadlines.
func (w *writer) run(stop context.Context) {
	defer w.client.Close()
	ctx := context.WithoutCancel(stop)
	prepared := -1 // the segment that is known to be there
	pause := time.NewTimer(0)
	defer pause.Stop()
	<-pause.C
	for due := w.clock.now(); stop.Err() == nil; {
		n := w.account.send(w.clock.now())
		var err error
		if prepared != n/segmentBits {
			err = w.keys.prepare(ctx, w.client, w.index, n)
		}
		if err == nil {
			prepared = n / segmentBits
			err = w.keys.set(ctx, w.client, w.index, n)
		}
		now := w.clock.now()
		w.account.end(n, now, failure(err))
		due = max(due+w.interval, now-maxBehind)
		if err != nil {
			// Perhaps it is another server next time, without the segment.
			prepared = -1
			due = now + retryAfter
		}
		if due <= now {
			continue
		}
		pause.Reset(due - now)
		select {
		case <-stop.Done():
		case <-pause.C:
		}
	}
}

// failure is an error as the ledger counts it, and empty for none.
func failure(err error) string {
	if err == nil {
		return ""
	}
	var e *redisctl.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	if e.Kind != "" {
		return string(e.Kind)
	}
	const limit = 80
	return strings.ToValidUTF8(e.Err.Error()[:min(limit, len(e.Err.Error()))], "")
}

// clock counts from the start of a drill, monotonically.
type clock struct{ start time.Time }

func (c clock) now() time.Duration { return time.Since(c.start) }
