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
	// A client of up to 1,000 writes per second waits for each answer before it
	// goes on, as most applications do. A faster one pipelines: each turn it
	// sends all writes that have become due, in one go. The system calls, which
	// are what a write costs, are then made once a turn; and none of the figures
	// becomes coarser than it.
	turn = time.Millisecond
	// maxPipelined of them are less than go-redis' write buffer, and so one
	// system call.
	maxPipelined = 256
)

// writer is one client: it writes its own sequence through the VIP.
type writer struct {
	index    int
	account  *account
	client   *redisctl.Client
	keys     keys
	interval time.Duration
	clock    clock

	prepared bool // the segment of the latest write is known to be there
}

// run writes until stop ends. The writes under way then still get their answer,
// within the client's own deadlines.
func (w *writer) run(stop context.Context) {
	defer w.client.Close()
	ctx := context.WithoutCancel(stop)
	pause := time.NewTimer(0)
	defer pause.Stop()
	<-pause.C
	for due := w.clock.now(); stop.Err() == nil; {
		sent, ok := w.write(ctx, w.overdue(w.clock.now()-due))
		now := w.clock.now()
		due = max(due+time.Duration(sent)*w.interval, now-maxBehind)
		next := due + max(0, turn-w.interval)
		if !ok {
			due = now + retryAfter
			next = due
		}
		if next <= now {
			continue
		}
		pause.Reset(next - now)
		select {
		case <-stop.Done():
		case <-pause.C:
		}
	}
}

// overdue is how many writes to send in one go when the first of them is late.
func (w *writer) overdue(late time.Duration) int {
	if w.interval >= turn {
		return 1
	}
	return min(1+int(late/max(1, w.interval)), maxPipelined)
}

// write sends the next writes, count of them at most, and waits for them to end.
func (w *writer) write(ctx context.Context, count int) (sent int, ok bool) {
	first := w.account.size()
	room := segmentBits - first%segmentBits
	prepare := !w.prepared || room == segmentBits
	if prepare {
		count = 1 // nobody knows what it meets
	}
	count = min(count, room)
	for range count {
		w.account.send(w.clock.now())
	}
	ok = true
	ended := func(n int, err error) {
		w.account.end(n, w.clock.now(), failure(err))
		ok = ok && err == nil
	}
	var err error
	if prepare {
		err = w.keys.prepare(ctx, w.client, w.index, first)
	}
	if err == nil {
		w.keys.set(ctx, w.client, w.index, first, count, ended)
	} else {
		ended(first, err)
	}
	w.prepared = ok // if not, the next server may be another one
	return count, ok
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
