package drill

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Client is a kind of application that the writers stand for.
type Client string

const (
	// Eager dials for 50 ms, waits 100 ms for a reply and tries again after
	// 5 ms: it measures the pair.
	Eager Client = "eager"
	// Ordinary waits 5 s for either, as most applications do: it measures what
	// they feel.
	Ordinary Client = "ordinary"
)

// Ledger is the account of every write of a drill: when it was sent, and when
// and how it ended. All times are offsets from the start of the drill, on the
// controller's monotonic clock, to the microsecond.
type Ledger struct {
	accounts []*account
}

// account is the part of one writer, which alone adds to it. The numbers of
// its writes count from 0 and are never used twice.
type account struct {
	client Client

	mu       sync.Mutex
	pages    [][]write // all full but the last
	outcomes []string  // what write.outcome stands for; [0] is acknowledged
	last     time.Duration
}

const (
	pageSize = 4096
	// maxRun is how long a ledger can go on: 32 bits of microseconds are 71
	// minutes.
	maxRun = time.Hour
)

// write is 8 bytes, so that a minute of 40,000 writes/s is 20 MB.
type write struct {
	sent uint32 // µs
	end  uint32 // outcome<<24 | µs since sent
}

const (
	tookBits = 24
	maxTook  = 1<<tookBits - 1 // µs: 16.7 s, more than any client waits

	acknowledged = 0
	pending      = 0xff // no end yet
)

func (w write) outcome() int { return int(w.end >> tookBits) }

func (w write) sentAt() time.Duration { return time.Duration(w.sent) * time.Microsecond }

func (w write) took() time.Duration { return time.Duration(w.end&maxTook) * time.Microsecond }

func (w write) ended() time.Duration { return w.sentAt() + w.took() }

// open adds the account of one more writer.
func (l *Ledger) open(c Client) *account {
	a := &account{client: c, outcomes: []string{""}}
	l.accounts = append(l.accounts, a)
	return a
}

// send enters a write that is about to be sent, and returns its number.
func (a *account) send(at time.Duration) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.pages); n == 0 || len(a.pages[n-1]) == pageSize {
		a.pages = append(a.pages, make([]write, 0, pageSize))
	}
	page := &a.pages[len(a.pages)-1]
	*page = append(*page, write{sent: uint32(at / time.Microsecond), end: pending << tookBits})
	return (len(a.pages)-1)*pageSize + len(*page) - 1
}

// end enters how write n ended. An empty failure means it was acknowledged.
func (a *account) end(n int, at time.Duration, failure string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	outcome := slices.Index(a.outcomes, failure)
	if outcome < 0 {
		outcome = len(a.outcomes)
		a.outcomes = append(a.outcomes, failure)
	}
	w := &a.pages[n/pageSize][n%pageSize]
	took := min(uint32((at-w.sentAt())/time.Microsecond), maxTook)
	w.end = uint32(outcome)<<tookBits | took
	if outcome == acknowledged {
		a.last = at
	}
}

// each calls f for every write that has ended, in the order of their numbers.
func (a *account) each(f func(n int, w write)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p, page := range a.pages {
		for i, w := range page {
			if w.outcome() != pending {
				f(p*pageSize+i, w)
			}
		}
	}
}

// size is the number of writes sent so far.
func (a *account) size() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.pages) == 0 {
		return 0
	}
	return (len(a.pages)-1)*pageSize + len(a.pages[len(a.pages)-1])
}

// Window is an interval of a drill.
type Window struct{ From, To time.Duration }

func (w Window) contains(t time.Duration) bool { return w.From <= t && t <= w.To }

// Len is how long the window is.
func (w Window) Len() time.Duration { return w.To - w.From }

// anyAck reports whether a client of the kind was acknowledged a write after t.
func (l *Ledger) anyAck(c Client, t time.Duration) bool {
	return slices.ContainsFunc(l.of(c), func(a *account) bool { return a.lastAck() > t })
}

// allAck reports whether every client was.
func (l *Ledger) allAck(t time.Duration) bool {
	return !slices.ContainsFunc(l.accounts, func(a *account) bool { return a.lastAck() <= t })
}

func (a *account) lastAck() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

func (l *Ledger) of(c Client) []*account {
	var of []*account
	for _, a := range l.accounts {
		if a.client == c {
			of = append(of, a)
		}
	}
	return of
}

// gap is the longest interval without an acknowledgement to any of the
// accounts that touches the window. It begins with the last acknowledgement
// before, however early, and ends with the first one after, or with the window
// when there is none: then it is open.
func gap(accounts []*account, w Window) (longest Window, open bool) {
	var before time.Duration // the last acknowledgement before the window
	var acks []time.Duration
	for _, a := range accounts {
		a.each(func(_ int, e write) {
			if e.outcome() != acknowledged {
				return
			}
			if at := e.ended(); at < w.From {
				before = max(before, at)
			} else if at <= w.To {
				acks = append(acks, at)
			}
		})
	}
	slices.Sort(acks)
	for _, at := range acks {
		if at-before > longest.Len() {
			longest = Window{before, at}
		}
		before = at
	}
	if w.To-before > longest.Len() {
		return Window{before, w.To}, true
	}
	return longest, false
}

// tally is what the clients of one kind met in a window.
func (l *Ledger) tally(c Client, w Window) Tally {
	t := Tally{Errors: map[string]int{}}
	var took []time.Duration
	for _, a := range l.of(c) {
		t.Clients++
		a.each(func(_ int, e write) {
			switch at := e.ended(); {
			case !w.contains(at):
			case e.outcome() == acknowledged:
				took = append(took, e.took())
			default:
				t.Errors[a.outcomes[e.outcome()]]++
			}
		})
		one, _ := gap([]*account{a}, w)
		t.WorstClient = max(t.WorstClient, Millis(one.Len()))
	}
	longest, open := gap(l.of(c), w)
	t.Outage, t.OutageFrom, t.Open = Millis(longest.Len()), Millis(longest.From), open
	t.Acknowledged = len(took)
	if w.Len() > 0 {
		t.Rate = float64(len(took)) / w.Len().Seconds()
	}
	slices.Sort(took)
	t.P50, t.P99, t.Max = Millis(quantile(took, 0.50)), Millis(quantile(took, 0.99)), Millis(quantile(took, 1))
	return t
}

// balance compares the ledger with what the primary and the replica hold. What
// was acknowledged after served (0: never) is the new primary's word. Losses
// are told relative to zero.
func (l *Ledger) balance(primary, replica []bitmap, served, zero time.Duration) Balance {
	var b Balance
	for i, a := range l.accounts {
		b.Sent += a.size()
		wasLost := false // the acknowledged write before
		a.each(func(n int, w write) {
			here, there := primary[i].has(n), replica[i].has(n)
			if here != there {
				b.Diverged++
			}
			if w.outcome() != acknowledged {
				if here {
					b.Unconfirmed++
				}
				return
			}
			b.Acknowledged++
			if !here {
				b.Lost++
				at := Millis(w.ended() - zero)
				if served > 0 && w.ended() > served {
					b.LostLate++
				}
				if wasLost {
					run := &b.Losses[len(b.Losses)-1]
					run.Last, run.To = n, at
					run.Count++
				} else {
					b.Losses = append(b.Losses, Loss{Writer: i, Client: a.client, Count: 1, First: n, Last: n, From: at, To: at})
				}
			}
			wasLost = !here
		})
	}
	return b
}

// quantile is the smallest of the sorted values that at least the share q of
// them does not exceed.
func quantile[T cmp.Ordered](sorted []T, q float64) T {
	if len(sorted) == 0 {
		var zero T
		return zero
	}
	rank := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[max(0, min(rank, len(sorted)-1))]
}

// bucketLength is what one point of a plot stands for.
const bucketLength = 50 * time.Millisecond

// series is what all clients saw in a window, in short stretches relative to
// zero.
func (l *Ledger) series(w Window, zero time.Duration) []Bucket {
	if w.Len() <= 0 {
		return nil
	}
	all := make([]Bucket, (w.Len()+bucketLength-1)/bucketLength)
	took := make([][]time.Duration, len(all))
	for _, a := range l.accounts {
		a.each(func(_ int, e write) {
			i := int((e.ended() - w.From) / bucketLength)
			switch {
			case !w.contains(e.ended()) || i >= len(all):
			case e.outcome() == acknowledged:
				took[i] = append(took[i], e.took())
			default:
				all[i].Failed++
			}
		})
	}
	for i := range all {
		from := w.From + time.Duration(i)*bucketLength
		slices.Sort(took[i])
		all[i].From, all[i].To = Millis(from-zero), Millis(min(from+bucketLength, w.To)-zero)
		all[i].Acknowledged = len(took[i])
		all[i].P50, all[i].Max = Millis(quantile(took[i], 0.50)), Millis(quantile(took[i], 1))
	}
	return all
}
