package drill

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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

// longestBetween is the truth about an outage, from a server's own record.
func longestBetween(acks []time.Time) time.Duration {
	var longest time.Duration
	for i := 1; i < len(acks); i++ {
		longest = max(longest, acks[i].Sub(acks[i-1]))
	}
	return longest
}

// The outage that the ledger tells is the server's own, and the losses are the
// planted ones, for every way in which a server can fail its clients.
func TestLedgerFindsWhatWasPlanted(t *testing.T) {
	tests := []struct {
		name   string
		fail   func(f *fakeRedis)
		mend   func(f *fakeRedis)
		lies   int
		kept   int             // writes that the server keeps and does not acknowledge
		errors []redisctl.Kind // that clients are told, and no others
	}{
		{
			name:   "dies",
			fail:   (*fakeRedis).die,
			mend:   func(f *fakeRedis) { f.set(func(f *fakeRedis) { f.down = false }) },
			errors: []redisctl.Kind{redisctl.Refused, redisctl.Lost},
		},
		{
			name:   "stalls",
			fail:   func(f *fakeRedis) { f.set(func(f *fakeRedis) { f.stall = make(chan struct{}) }) },
			mend:   func(f *fakeRedis) { f.set(func(f *fakeRedis) { close(f.stall); f.stall = nil }) },
			kept:   DefaultLoad.Eager, // had given up when the answer came
			errors: []redisctl.Kind{redisctl.Timeout},
		},
		{
			name:   "becomes a replica",
			fail:   func(f *fakeRedis) { f.set(func(f *fakeRedis) { f.role = "slave" }) },
			mend:   func(f *fakeRedis) { f.set(func(f *fakeRedis) { f.role = "master" }) },
			errors: []redisctl.Kind{redisctl.ReadOnly},
		},
		{
			name: "lies",
			fail: func(f *fakeRedis) { f.set(func(f *fakeRedis) { f.lie = 137 }) },
			mend: func(*fakeRedis) {},
			lies: 137,
		},
		{
			name: "keeps writes and does not say so",
			fail: func(f *fakeRedis) { f.set(func(f *fakeRedis) { f.swallow = 9 }) },
			mend: func(*fakeRedis) {},
			kept: 9, errors: []redisctl.Kind{redisctl.Lost},
		},
		{
			name: "lies, then dies",
			fail: func(f *fakeRedis) {
				f.set(func(f *fakeRedis) { f.lie = 40 })
				time.Sleep(500 * time.Millisecond)
				f.die()
			},
			mend: func(f *fakeRedis) { f.set(func(f *fakeRedis) { f.down = false }) },
			lies: 40, errors: []redisctl.Kind{redisctl.Refused, redisctl.Lost},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeRedis()
				defer f.close()
				b := startWriters(DefaultLoad, f.dial)
				time.Sleep(time.Second)
				fault := b.clock.now()
				tt.fail(f)
				time.Sleep(1234 * time.Millisecond)
				tt.mend(f)
				time.Sleep(6 * time.Second)
				end := b.clock.now()
				b.stop()

				w := Window{fault, end}
				eager := b.ledger.tally(Eager, w)
				truth := longestBetween(f.acks)
				all, open := gap(b.ledger.accounts, w)
				if diff := all.Len() - truth; diff.Abs() > 10*time.Millisecond || open {
					t.Errorf("the outage is %v, open=%t; the server's own record says %v", all.Len(), open, truth)
				}
				if diff := eager.Outage.Duration() - truth; diff.Abs() > 10*time.Millisecond {
					t.Errorf("the outage of eager clients is %v; the server's own record says %v", eager.Outage, truth)
				}
				var told []redisctl.Kind
				for kind := range eager.Errors {
					told = append(told, redisctl.Kind(kind))
				}
				slices.Sort(told)
				slices.Sort(tt.errors)
				if !slices.Equal(told, tt.errors) {
					t.Errorf("errors %v, want the kinds %q", eager.Errors, tt.errors)
				}

				held := b.readBack(t)
				got := b.ledger.balance(held, held, 0, fault)
				if got.Lost != tt.lies || f.lied != tt.lies {
					t.Errorf("%d writes are lost; planted %d", got.Lost, f.lied)
				}
				if got.Unconfirmed != tt.kept {
					t.Errorf("%d writes are there unconfirmed; planted %d", got.Unconfirmed, tt.kept)
				}
				if got.Acknowledged > len(f.acks) {
					t.Errorf("%d writes are acknowledged; the server says %d", got.Acknowledged, len(f.acks))
				}
				count := 0
				for _, loss := range got.Losses {
					count += loss.Count
				}
				if count != tt.lies {
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

// An ordinary client that hangs on a silent server hangs for its whole
// deadline, and only its own figures show it.
func TestClientsAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeRedis()
		defer f.close()
		b := startWriters(DefaultLoad, f.dial)
		time.Sleep(time.Second)
		fault := b.clock.now()
		// Connections that exist fall silent for good; new ones are served, as
		// after the VIP has moved.
		f.muteAll()
		time.Sleep(8 * time.Second)
		w := Window{fault, b.clock.now()}
		b.stop()

		eager, ordinary := b.ledger.tally(Eager, w), b.ledger.tally(Ordinary, w)
		if got := eager.Outage.Duration(); got < 100*time.Millisecond || got > 115*time.Millisecond {
			t.Errorf("eager clients missed %v; their deadline is 100 ms", got)
		}
		if got := ordinary.Outage.Duration(); got < 5*time.Second || got > 5015*time.Millisecond {
			t.Errorf("ordinary clients missed %v; their deadline is 5 s", got)
		}
	})
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
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := newFakeRedis()
	var serving sync.WaitGroup
	serving.Go(func() { f.listen(ln) })
	defer func() { ln.Close(); f.close(); serving.Wait() }()

	late := startLateness()
	b := startWriters(DefaultLoad, func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, ln.Addr().String())
	})
	for !b.ledger.allAck(200 * time.Millisecond) {
		time.Sleep(time.Millisecond)
	}
	fault := b.clock.now()
	f.set(func(f *fakeRedis) { f.lie = 25 })
	for told := false; !told; time.Sleep(time.Millisecond) {
		f.set(func(f *fakeRedis) { told = f.lie == 0 })
	}
	f.die()
	for died := b.clock.now(); b.clock.now() < died+400*time.Millisecond; {
		time.Sleep(time.Millisecond)
	}
	f.set(func(f *fakeRedis) { f.down = false })
	mended := b.clock.now()
	for !b.ledger.allAck(mended + 100*time.Millisecond) {
		time.Sleep(time.Millisecond)
	}
	end := b.clock.now()
	b.stop()
	tolerance := 10*time.Millisecond + late.stop()

	truth := longestBetween(f.acks)
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

func BenchmarkLedger(b *testing.B) {
	var l Ledger
	a := l.open(Eager)
	for i := 0; b.Loop(); i++ {
		at := time.Duration(i%1e9) * time.Microsecond
		a.end(a.send(at), at+100*time.Microsecond, "")
	}
}

// BenchmarkWriters writes as fast as it can, to a server in the same process
// over TCP: the ceiling of the measuring itself.
func BenchmarkWriters(b *testing.B) {
	for _, clients := range []int{1, 4, 16} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			f := newFakeRedis()
			var serving sync.WaitGroup
			serving.Go(func() { f.listen(ln) })
			defer func() { ln.Close(); f.close(); serving.Wait() }()
			w := startWriters(Load{Eager: clients, Rate: 1e6}, func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, ln.Addr().String())
			})
			sent := func() int {
				n := 0
				for _, a := range w.ledger.accounts {
					n += a.size()
				}
				return n
			}
			b.ResetTimer()
			for before := sent(); sent()-before < b.N; {
				time.Sleep(100 * time.Microsecond)
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
			w.stop()
			if !slices.IsSortedFunc(f.acks, time.Time.Compare) {
				b.Error("the server's record is out of order")
			}
		})
	}
}
