package drill

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"hapair/remote/redisctl"
)

// bench is a ledger and writers on one fake server.
type bench struct {
	ledger *Ledger
	keys   keys
	clock  clock
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	stop   func()
}

func startWriters(load Load, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *bench {
	b := &bench{ledger: &Ledger{}, keys: keys{"test"}, clock: clock{time.Now()}, dial: dial}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for c, n := range map[Client]int{Eager: load.Eager, Ordinary: load.Ordinary} {
		for range n {
			w := &writer{
				index: len(b.ledger.accounts), account: b.ledger.open(c), client: b.client(patience[c]),
				keys: b.keys, interval: time.Second / time.Duration(load.Rate), clock: b.clock,
			}
			all.Go(func() { w.run(ctx) })
		}
	}
	b.stop = func() { cancel(); all.Wait() }
	return b
}

func (b *bench) client(d deadlines) *redisctl.Client {
	return redisctl.New(redisctl.Options{Addr: "10.0.0.9:6379", DialTimeout: d.dial, IOTimeout: d.io, Dialer: b.dial})
}

func (b *bench) readBack(t *testing.T) []bitmap {
	t.Helper()
	c := b.client(patience[Ordinary])
	defer c.Close()
	held, err := b.keys.readBack(t.Context(), c, b.ledger)
	if err != nil {
		t.Fatal(err)
	}
	return held
}

// loads are of clients that wait for each answer, and of clients that do not.
var loads = map[string]Load{
	"one at a time": DefaultLoad,
	"pipelined":     {Eager: 2, Ordinary: 1, Rate: 5000},
}

// disputes are where the ledger and the server's own record differ, write by
// write, to the microsecond.
func (b *bench) disputes(f *fakeRedis) []string {
	synctest.Wait() // for the server to enter what it has said last
	var all []string
	dispute := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	arrived := 0
	for i, a := range b.ledger.accounts {
		ended := 0
		a.each(func(n int, w write) {
			ended++
			f, ok := f.fates[bit{b.keys.bits(i, n/segmentBits), n % segmentBits}]
			if ok {
				arrived++
			}
			told := ok && !f.told.IsZero()
			if told != (w.outcome() == acknowledged) {
				dispute("writer %d, write %d: %q at %v; the server has acknowledged it: %t", i, n, a.outcomes[w.outcome()], w.ended(), told)
			} else if told && f.told.Sub(b.clock.start).Truncate(time.Microsecond) != w.ended() {
				dispute("writer %d, write %d: acknowledged at %v; by the server at %v", i, n, w.ended(), f.told.Sub(b.clock.start))
			}
		})
		if ended != a.size() {
			dispute("writer %d: %d of %d writes have ended", i, ended, a.size())
		}
	}
	if arrived != len(f.fates) {
		dispute("%d writes of the ledger have come to the server, of %d that did", arrived, len(f.fates))
	}
	return all
}

// planted is what the server knows of its losses: writes that it acknowledged
// and does not have, and those that it has and did not acknowledge.
func (f *fakeRedis) planted() (lost, unconfirmed int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fate := range f.fates {
		switch told := !fate.told.IsZero(); {
		case told && !fate.kept:
			lost++
		case fate.kept && !told:
			unconfirmed++
		}
	}
	return lost, unconfirmed
}

// outage is the truth about one, from the server's own record: the longest time
// without an acknowledgement that touches the window.
func (b *bench) outage(f *fakeRedis, w Window) time.Duration {
	var longest, last time.Duration
	for _, told := range f.acknowledgements() {
		at := told.Sub(b.clock.start).Truncate(time.Microsecond)
		if at > w.To {
			break
		}
		if at >= w.From {
			longest = max(longest, at-last)
		}
		last = at
	}
	return max(longest, w.To-last)
}

// The losses and the outages that the ledger tells are those that were planted,
// and each write in it ended as and when it did at the server, for every way in
// which a server can fail its clients.
func TestLedgerFindsWhatWasPlanted(t *testing.T) {
	const lasts = 1234 * time.Millisecond
	tests := []struct {
		name   string
		fail   func(f *fakeRedis)
		mend   func(f *fakeRedis)
		outage time.Duration
		lost   int
		kept   func(Load) int // writes that the server has and did not acknowledge
		// What eager clients are told, and nothing else; ordinary ones are told
		// nothing else either, or nothing at all when they are patient enough.
		errors  []redisctl.Kind
		patient bool
	}{
		{
			name:   "dies",
			fail:   (*fakeRedis).die,
			mend:   func(f *fakeRedis) { f.set(func(f *fakeRedis) { f.down = false }) },
			outage: lasts, errors: []redisctl.Kind{redisctl.Refused, redisctl.Lost},
		},
		{
			name: "dies, and comes back without its last writes",
			fail: (*fakeRedis).die,
			mend: func(f *fakeRedis) {
				f.loseTail(53)
				f.set(func(f *fakeRedis) { f.down = false })
			},
			outage: lasts, lost: 53, errors: []redisctl.Kind{redisctl.Refused, redisctl.Lost},
		},
		{
			name:   "stalls",
			fail:   func(f *fakeRedis) { f.set(func(f *fakeRedis) { f.stall = make(chan struct{}) }) },
			mend:   func(f *fakeRedis) { f.set(func(f *fakeRedis) { close(f.stall); f.stall = nil }) },
			outage: lasts, errors: []redisctl.Kind{redisctl.Timeout}, patient: true,
			// Eager clients had given up when the answers came, each on what it
			// sends in one go.
			kept: func(l Load) int { return l.Eager * max(1, l.Rate/1000) },
		},
		{
			name:   "becomes a replica",
			fail:   func(f *fakeRedis) { f.set(func(f *fakeRedis) { f.role = "slave" }) },
			mend:   func(f *fakeRedis) { f.set(func(f *fakeRedis) { f.role = "master" }) },
			outage: lasts, errors: []redisctl.Kind{redisctl.ReadOnly},
		},
		{
			name: "lies",
			fail: func(f *fakeRedis) { f.set(func(f *fakeRedis) { f.lie = 137 }) },
			mend: func(*fakeRedis) {},
			lost: 137,
		},
		{
			name: "keeps writes and does not say so",
			fail: func(f *fakeRedis) { f.set(func(f *fakeRedis) { f.swallow = 3 }) },
			mend: func(*fakeRedis) {},
			kept: func(Load) int { return 3 }, errors: []redisctl.Kind{redisctl.Lost},
		},
		{
			name: "lies, then dies",
			fail: func(f *fakeRedis) {
				f.set(func(f *fakeRedis) { f.lie = 40 })
				time.Sleep(500 * time.Millisecond)
				f.die()
			},
			mend:   func(f *fakeRedis) { f.set(func(f *fakeRedis) { f.down = false }) },
			outage: lasts, lost: 40, errors: []redisctl.Kind{redisctl.Refused, redisctl.Lost},
		},
	}
	for _, tt := range tests {
		for name, load := range loads {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFakeRedis()
					defer f.close()
					b := startWriters(load, f.dial)
					time.Sleep(time.Second + 100*time.Microsecond) // no write is under way
					fault := b.clock.now()
					tt.fail(f)
					time.Sleep(lasts)
					tt.mend(f)
					time.Sleep(time.Second)
					end := b.clock.now()
					b.stop()

					for _, d := range b.disputes(f) {
						t.Error(d)
					}
					w := Window{fault, end}
					all, open := gap(b.ledger.accounts, w)
					if truth := b.outage(f, w); all.Len() != truth || open {
						t.Errorf("the outage is %v, open=%t; the server's own record says %v", all.Len(), open, truth)
					}
					for who, outage := range map[string]time.Duration{
						"all clients":      all.Len(),
						"eager clients":    b.ledger.tally(Eager, w).Outage.Duration(),
						"ordinary clients": b.ledger.tally(Ordinary, w).Outage.Duration(),
					} {
						if outage < tt.outage || outage > tt.outage+10*time.Millisecond {
							t.Errorf("the outage of %s is %v; planted %v", who, outage, tt.outage)
						}
					}

					var want []string
					for _, kind := range tt.errors {
						want = append(want, string(kind))
					}
					slices.Sort(want)
					if got := slices.Sorted(maps.Keys(b.ledger.tally(Eager, w).Errors)); !slices.Equal(got, want) {
						t.Errorf("eager clients are told %q, want %q", got, want)
					}
					for got, n := range b.ledger.tally(Ordinary, w).Errors {
						if tt.patient || !slices.Contains(want, got) {
							t.Errorf("ordinary clients are told %q, %d times", got, n)
						}
					}

					held := b.readBack(t)
					got := b.ledger.balance(held, held, 0, fault)
					lost, unconfirmed := f.planted()
					if got.Lost != tt.lost || lost != tt.lost {
						t.Errorf("%d writes are lost; planted %d, and the server says %d", got.Lost, tt.lost, lost)
					}
					kept := 0
					if tt.kept != nil {
						kept = tt.kept(load)
					}
					if got.Unconfirmed != kept || unconfirmed != kept {
						t.Errorf("%d writes are there unconfirmed; planted %d, and the server says %d", got.Unconfirmed, kept, unconfirmed)
					}
					if acks := len(f.acknowledgements()); got.Acknowledged != acks {
						t.Errorf("%d writes are acknowledged; the server says %d", got.Acknowledged, acks)
					}
					count := 0
					for _, loss := range got.Losses {
						count += loss.Count
					}
					if count != tt.lost {
						t.Errorf("the losses name %d writes: %+v", count, got.Losses)
					}
					for key := range f.strings {
						if !f.expires[key] {
							t.Errorf("%s never expires", key)
						}
					}
				})
			})
		}
	}
}

// Whatever a server does to its clients, and in whatever order, the ledger and
// the server agree on every write.
func TestLedgerAgreesWithTheServer(t *testing.T) {
	type fault struct {
		name        string
		after, last time.Duration
		n           int
	}
	ms := func(from, to int) *rapid.Generator[time.Duration] {
		return rapid.Map(rapid.IntRange(from, to), func(n int) time.Duration { return time.Duration(n) * time.Millisecond })
	}
	faults := map[string]struct{ fail, mend func(f *fakeRedis, n int) }{
		"dies": {
			func(f *fakeRedis, _ int) { f.die() },
			func(f *fakeRedis, _ int) { f.set(func(f *fakeRedis) { f.down = false }) },
		},
		"dies and forgets": {
			func(f *fakeRedis, _ int) { f.die() },
			func(f *fakeRedis, n int) { f.loseTail(n); f.set(func(f *fakeRedis) { f.down = false }) },
		},
		"drops its connections": {
			func(f *fakeRedis, _ int) { f.set((*fakeRedis).hangUp) },
			func(*fakeRedis, int) {},
		},
		"falls silent": {
			func(f *fakeRedis, _ int) { f.muteAll() },
			func(*fakeRedis, int) {},
		},
		"stalls": {
			func(f *fakeRedis, _ int) { f.set(func(f *fakeRedis) { f.stall = make(chan struct{}) }) },
			func(f *fakeRedis, _ int) { f.set(func(f *fakeRedis) { close(f.stall); f.stall = nil }) },
		},
		"is slow": {
			func(f *fakeRedis, n int) { f.set(func(f *fakeRedis) { f.slow = time.Duration(n) * time.Millisecond }) },
			func(f *fakeRedis, _ int) { f.set(func(f *fakeRedis) { f.slow = 0 }) },
		},
		"becomes a replica": {
			func(f *fakeRedis, _ int) { f.set(func(f *fakeRedis) { f.role = "slave" }) },
			func(f *fakeRedis, _ int) { f.set(func(f *fakeRedis) { f.role = "master" }) },
		},
		"lies": {
			func(f *fakeRedis, n int) { f.set(func(f *fakeRedis) { f.lie = n }) },
			func(*fakeRedis, int) {},
		},
		"swallows": {
			func(f *fakeRedis, n int) { f.set(func(f *fakeRedis) { f.swallow = n }) },
			func(*fakeRedis, int) {},
		},
	}
	script := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) fault {
		return fault{
			name:  rapid.SampledFrom(slices.Sorted(maps.Keys(faults))).Draw(t, "fault"),
			after: ms(0, 100).Draw(t, "after"), last: ms(0, 400).Draw(t, "last"),
			n: rapid.IntRange(1, 60).Draw(t, "n"),
		}
	}), 1, 4)
	rapid.Check(t, func(rt *rapid.T) {
		load := Load{
			Eager:    rapid.IntRange(0, 3).Draw(rt, "eager"),
			Ordinary: rapid.IntRange(0, 2).Draw(rt, "ordinary"),
			Rate:     rapid.SampledFrom([]int{40, 250, 1000, 1001, 3000, 9000}).Draw(rt, "rate"),
		}
		script := script.Draw(rt, "script")
		var disputes []string
		synctest.Test(t, func(t *testing.T) {
			f := newFakeRedis()
			defer f.close()
			b := startWriters(load, f.dial)
			time.Sleep(50 * time.Millisecond)
			for _, s := range script {
				time.Sleep(s.after)
				faults[s.name].fail(f, s.n)
				time.Sleep(s.last)
				faults[s.name].mend(f, s.n)
			}
			time.Sleep(50 * time.Millisecond)
			end := b.clock.now()
			b.stop()
			disputes = b.disputes(f)
			dispute := func(what string, got, want any) {
				if got != want {
					disputes = append(disputes, fmt.Sprintf("%s: %v, the server says %v", what, got, want))
				}
			}
			if load.Eager+load.Ordinary > 0 {
				w := Window{50 * time.Millisecond, end}
				longest, _ := gap(b.ledger.accounts, w)
				dispute("outage", longest.Len(), b.outage(f, w))
			}
			held := b.readBack(t)
			balance := b.ledger.balance(held, held, 0, 0)
			lost, unconfirmed := f.planted()
			dispute("acknowledged", balance.Acknowledged, len(f.acknowledgements()))
			dispute("lost", balance.Lost, lost)
			dispute("unconfirmed", balance.Unconfirmed, unconfirmed)
		})
		for _, d := range disputes {
			rt.Error(d)
		}
	})
}

// An ordinary client that hangs on a silent server hangs for its whole
// deadline, and only its own figures show it.
func TestClientsAreToldApart(t *testing.T) {
	for name, load := range loads {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeRedis()
				defer f.close()
				b := startWriters(load, f.dial)
				time.Sleep(time.Second)
				fault := b.clock.now()
				// Connections that exist fall silent for good; new ones are served, as
				// after the VIP has moved.
				f.muteAll()
				time.Sleep(6 * time.Second)
				w := Window{fault, b.clock.now()}
				b.stop()

				eager, ordinary := b.ledger.tally(Eager, w), b.ledger.tally(Ordinary, w)
				if got := eager.Outage.Duration(); got < 100*time.Millisecond || got > 115*time.Millisecond {
					t.Errorf("eager clients missed %v; their deadline is 100 ms", got)
				}
				if got := ordinary.Outage.Duration(); got < 5*time.Second || got > 5015*time.Millisecond {
					t.Errorf("ordinary clients missed %v; their deadline is 5 s", got)
				}
				for _, d := range b.disputes(f) {
					t.Error(d)
				}
			})
		})
	}
}

// A client writes at its rate, however that is come by: one write at a time up
// to 1,000 a second, and faster ones in as many goes; and it goes on into new
// segments.
func TestWritersKeepTheirRate(t *testing.T) {
	for _, rate := range []int{1, 250, 1000, 1001, 1999, 10000, 40000} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const lasts = 3 * time.Second
				f := newFakeRedis()
				defer f.close()
				goes := map[time.Time]int{}
				b := startWriters(Load{Eager: 1, Rate: rate}, f.dial)
				time.Sleep(lasts)
				b.stop()
				for _, d := range b.disputes(f) {
					t.Error(d)
				}
				for _, at := range f.acknowledgements() {
					goes[at]++
				}
				want, most := rate*int(lasts.Seconds()), max(1, (rate+999)/1000)
				if got := b.ledger.accounts[0].size(); got < want-most || got > want+most {
					t.Errorf("%d writes in %v, want %d", got, lasts, want)
				}
				for at, n := range goes {
					if n > most {
						t.Errorf("%d writes in one go after %v, want %d", n, at.Sub(b.clock.start), most)
					}
				}
				for key := range f.strings {
					if !f.expires[key] {
						t.Errorf("%s never expires", key)
					}
				}
			})
		})
	}
}

// A segment that is lost with its server comes back with its time to live.
func TestKeysExpireAfterFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRedis()
		defer f.close()
		b := startWriters(DefaultLoad, f.dial)
		time.Sleep(time.Second)
		f.die()
		f.set(func(f *fakeRedis) { clear(f.strings); clear(f.expires); f.down = false })
		time.Sleep(time.Second)
		b.stop()
		if len(f.strings) != len(b.ledger.accounts) {
			t.Errorf("%d keys for %d writers", len(f.strings), len(b.ledger.accounts))
		}
		for key := range f.strings {
			if !f.expires[key] {
				t.Errorf("%s never expires", key)
			}
		}
	})
}

// The same over the machine's own network. The clock here is real, so the
// tolerance of 10 ms grows by what the machine made the test itself wait.
func TestLedgerOverTCP(t *testing.T) {
	for name, load := range loads {
		t.Run(name, func(t *testing.T) { testLedgerOverTCP(t, load) })
	}
}

func testLedgerOverTCP(t *testing.T, load Load) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := newFakeRedis()
	var serving sync.WaitGroup
	serving.Go(func() { f.listen(ln) })
	defer func() { ln.Close(); f.close(); serving.Wait() }()

	poll := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: not in 30 s", what)
			}
		}
	}
	late := startLateness()
	b := startWriters(load, func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, ln.Addr().String())
	})
	defer b.stop()
	poll("clients write", func() bool { return b.ledger.allAck(200 * time.Millisecond) })
	fault := b.clock.now()
	f.set(func(f *fakeRedis) { f.lie = 25 })
	poll("all lies are told", func() bool { lost, _ := f.planted(); return lost == 25 })
	lied := b.clock.now()
	poll("all lies have been heard", func() bool { return b.ledger.allAck(lied) })
	f.die()
	died := b.clock.now()
	poll("the outage is over", func() bool { return b.clock.now() >= died+400*time.Millisecond })
	f.set(func(f *fakeRedis) { f.down = false })
	mended := b.clock.now()
	poll("clients write again", func() bool { return b.ledger.allAck(mended + 100*time.Millisecond) })
	end := b.clock.now()
	b.stop()
	tolerance := 10*time.Millisecond + late.stop()

	truth := b.outage(f, Window{fault, end})
	got, open := gap(b.ledger.accounts, Window{fault, end})
	if diff := got.Len() - truth; diff.Abs() > tolerance || open || truth < 400*time.Millisecond {
		t.Errorf("the outage is %v, open=%t; the server's own record says %v (to %v)", got.Len(), open, truth, tolerance)
	}
	held := b.readBack(t)
	if got := b.ledger.balance(held, held, 0, fault); got.Lost != 25 {
		t.Errorf("%d writes are lost; planted 25", got.Lost)
	}
}

// lateness measures how long the machine keeps a goroutine waiting that is due.
type lateness struct {
	cancel context.CancelFunc
	done   chan time.Duration
}

func startLateness() *lateness {
	ctx, cancel := context.WithCancel(context.Background())
	l := &lateness{cancel, make(chan time.Duration)}
	go func() {
		var worst time.Duration
		for ctx.Err() == nil {
			due := time.Now().Add(time.Millisecond)
			time.Sleep(time.Millisecond)
			worst = max(worst, time.Since(due))
		}
		l.done <- worst
	}()
	return l
}

func (l *lateness) stop() time.Duration {
	l.cancel()
	return <-l.done
}

func TestBothWritable(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	run := func(from, to int) stretch { // probes of 2 ms
		return stretch{probe{ms(from), ms(from + 2)}, probe{ms(to), ms(to + 2)}}
	}
	tests := []struct {
		name string
		a, b []stretch
		want time.Duration
	}{
		{"one after the other", []stretch{run(0, 100)}, []stretch{run(110, 200)}, 0},
		{"answers cross, writes may not have", []stretch{run(0, 100)}, []stretch{run(99, 200)}, 0},
		{"overlap", []stretch{run(0, 100)}, []stretch{run(50, 200)}, ms(48)},
		{"one within the other", []stretch{run(0, 300)}, []stretch{run(50, 100)}, ms(48)},
		{"one write in the other's time", []stretch{run(0, 300)}, []stretch{run(50, 50)}, ms(2)},
		{"one write at the edge", []stretch{run(0, 300)}, []stretch{run(299, 299)}, 0},
		{"two single writes", []stretch{run(10, 10)}, []stretch{run(10, 10)}, 0},
		{"several", []stretch{run(0, 100), run(200, 300)}, []stretch{run(90, 220)}, ms(8 + 18)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := bothWritable(tt.a, tt.b); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if got := bothWritable(tt.b, tt.a); got != tt.want {
				t.Errorf("the other way round: got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestVIPMoves(t *testing.T) {
	at := func(changes ...int) bands { // held from the 1st, gone from the 2nd, …
		var b bands
		for i, ms := range changes {
			b.set(time.Duration(ms)*time.Millisecond, []string{stateHeld, ""}[i%2])
		}
		return b
	}
	tests := []struct {
		name string
		a, b bands
		want int
	}{
		{"stays", at(0), nil, 0},
		{"moves", at(0, 100), at(120), 1},
		{"moves before it is let go", at(0, 100), at(90), 1},
		{"goes and comes back", at(0, 100, 130), nil, 0},
		{"there and back", at(0, 100, 300), at(120, 290), 2},
		{"moves outside of the window", at(0, 2000), at(2010), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tracks := [2]*track{{vip: tt.a}, {vip: tt.b}}
			if got := vipMoves(tracks, Window{50 * time.Millisecond, time.Second}); got != tt.want {
				t.Errorf("got %d moves, want %d", got, tt.want)
			}
		})
	}
}

// A ledger holds what it was told, over the borders of its pages, and forgets
// nothing to the microsecond.
func TestLedgerKeepsEveryWrite(t *testing.T) {
	var l Ledger
	a := l.open(Eager)
	for i := range 3*pageSize + 7 {
		n := a.send(time.Duration(i) * time.Millisecond)
		if n != i {
			t.Fatalf("write %d got the number %d", i, n)
		}
		kind := ""
		if i%10 == 3 {
			kind = "read-only"
		}
		a.end(n, time.Duration(i)*time.Millisecond+time.Duration(i%500)*time.Microsecond, kind)
	}
	a.send(time.Hour) // never ends
	seen := 0
	a.each(func(n int, w write) {
		seen++
		want := time.Duration(n)*time.Millisecond + time.Duration(n%500)*time.Microsecond
		if w.ended() != want {
			t.Fatalf("write %d ended at %v, want %v", n, w.ended(), want)
		}
		if failed := w.outcome() != acknowledged; failed != (n%10 == 3) {
			t.Fatalf("write %d failed: %t", n, failed)
		}
	})
	if want := 3*pageSize + 7; seen != want || a.size() != want+1 {
		t.Errorf("%d of %d writes have ended, want %d", seen, a.size(), want)
	}
}

func TestGap(t *testing.T) {
	ms := time.Millisecond
	ledger := func(acks ...[]int) *Ledger {
		l := &Ledger{}
		for _, of := range acks {
			a := l.open(Eager)
			for _, at := range of {
				a.end(a.send(time.Duration(at)*ms), time.Duration(at)*ms, "")
			}
		}
		return l
	}
	tests := []struct {
		name string
		l    *Ledger
		want Window
		open bool
	}{
		{"in the middle", ledger([]int{90, 110, 300, 410, 500}), Window{110 * ms, 300 * ms}, false},
		{"begins before the window", ledger([]int{10, 400, 500}), Window{10 * ms, 400 * ms}, false},
		{"has no end", ledger([]int{90, 110}), Window{110 * ms, 500 * ms}, true},
		{"ends after the window", ledger([]int{90, 110, 900}), Window{110 * ms, 500 * ms}, true},
		{"of one client only", ledger([]int{90, 500}, []int{100, 200, 290, 390, 480}), Window{100 * ms, 200 * ms}, false},
		{"never a write", ledger(nil), Window{0, 500 * ms}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, open := gap(tt.l.accounts, Window{100 * ms, 500 * ms})
			if got != tt.want || open != tt.open {
				t.Errorf("got %v open=%t, want %v open=%t", got, open, tt.want, tt.open)
			}
		})
	}
}

func TestQuantile(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	for _, tt := range []struct {
		of   []int
		q    float64
		want int
	}{
		{hundred, 0.5, 50}, {hundred, 0.99, 99}, {hundred, 1, 100}, {[]int{7}, 0.5, 7}, {[]int{1, 2}, 0.99, 2}, {nil, 0.5, 0},
	} {
		if got := quantile(tt.of, tt.q); got != tt.want {
			t.Errorf("quantile %v of %d values is %d, want %d", tt.q, len(tt.of), got, tt.want)
		}
	}
}
