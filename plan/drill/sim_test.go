package drill

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hapair/plan/pair"
	"hapair/plan/spec"
	"hapair/remote"
	"hapair/remote/redisctl"
	"hapair/templates"
)

// sim is a pair that lives in memory: two fake servers, an address that one of
// them holds, and hosts that answer what a drill asks of them. How it takes a
// fault is set by the test.
type sim struct {
	spec    *spec.Pair
	servers [2]*fakeRedis
	hosts   [2]*simHost

	// failover is how long the VIP is nowhere after a fault; the peer is
	// promoted at its end.
	failover time.Duration
	stuck    bool          // the peer does not take over
	unfenced bool          // a primary that lives on goes on taking writes
	proof    error         // of the fault script, instead of its proof
	mute     bool          // the fault script does nothing and says nothing
	broken   error         // of Recover
	silent   bool          // nothing answers for the VIP where it was: connections hang
	impostor bool          // it is the other Redis that answers at the VIP
	locked   bool          // another run has the lock
	remote   bool          // the controller reaches Redis through SSH only
	boots    time.Duration // how long a host that is reset is away
	stays    bool          // a reset does nothing to a host
	stale    bool          // once both hosts have been reset, the older data wins
	retakes  bool          // once a partition has ended, the older primary has the VIP for a moment
	forgets  bool          // and the newest promotion follows it
	// What else goes wrong: once the peer has taken over, and once the struck
	// host is back.
	onFault, onRecover func(s *sim, struck int)

	mu        sync.Mutex
	holder    int
	epoch     int
	running   [2]bool // keepalived
	recovered []string
	ended     []string  // faults, as "a: undo faults"
	left      *Standing // how the drill left the pair
	parted    bool
	later     sync.WaitGroup
	marks     [2]simMark
}

// simMark is what keepalived's hooks say of its state.
type simMark struct {
	state string
	at    time.Time // by the controller's clock
}

func (s *sim) mark(i int, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marks[i] = simMark{state, time.Now()}
}

var simVIP = netip.MustParseAddr("192.168.1.220")

func newSim() *sim {
	s := &sim{
		spec: &spec.Pair{
			Name: "cache",
			VIPs: []netip.Prefix{netip.PrefixFrom(simVIP, 32)},
			Hosts: [2]spec.Host{
				{Name: "a", Address: netip.MustParseAddr("192.168.1.218"), Priority: 240},
				{Name: "b", Address: netip.MustParseAddr("192.168.1.219"), Priority: 239},
			},
			Redis:      spec.Redis{Port: 6379},
			Keepalived: spec.Keepalived{AdvertInterval: 100 * time.Millisecond},
			Check:      spec.Check{Interval: 200 * time.Millisecond, Timeout: time.Second},
		},
		failover: 300 * time.Millisecond,
		boots:    2 * time.Second,
		running:  [2]bool{true, true},
		epoch:    1,
	}
	for i := range s.servers {
		s.servers[i] = newFakeRedis()
		s.servers[i].runID = "run-" + s.spec.Hosts[i].Name
		s.hosts[i] = &simHost{sim: s, index: i, clock: time.Duration(i+1) * time.Hour, cut: make(chan struct{})}
	}
	s.mark(0, "MASTER")
	s.mark(1, "BACKUP")
	s.servers[1].role = "slave"
	s.servers[1].primary = s.spec.Hosts[0].Address.String()
	s.servers[0].replica = s.servers[1]
	return s
}

func (s *sim) close() {
	s.later.Wait()
	for _, f := range s.servers {
		f.close()
	}
}

func (s *sim) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if s.remote {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.EHOSTUNREACH}
	}
	return s.connect(ctx, addr)
}

func (s *sim) connect(ctx context.Context, addr string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(addr)
	for i, h := range s.spec.Hosts {
		if h.Address.String() == host {
			return s.servers[i].dial(ctx, "tcp", addr)
		}
	}
	s.mu.Lock()
	holder := s.holder
	s.mu.Unlock()
	if host != simVIP.String() || holder < 0 {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED} // the reset rule
	}
	if s.impostor {
		holder = 1 - holder
	}
	return s.servers[holder].dial(ctx, "tcp", addr)
}

// hold moves the VIP; -1 is nowhere. Connections through it end.
func (s *sim) hold(i int) {
	s.mu.Lock()
	before := s.holder
	s.holder = i
	s.mu.Unlock()
	if before >= 0 && before != i {
		s.hosts[before].tell(fmt.Sprintf("[%s] Deleted 2: eth3    inet %s/32 scope global eth3", s.hosts[before].stamp(), simVIP))
		if s.silent {
			s.servers[before].muteAll()
		} else {
			s.servers[before].set((*fakeRedis).hangUp)
		}
	}
	if i >= 0 && before != i {
		s.hosts[i].tell(fmt.Sprintf("[%s] 2: eth3    inet %s/32 scope global eth3\\       valid_lft forever", s.hosts[i].stamp(), simVIP))
	}
}

// follow makes host i a replica of the other one, with all that it holds.
func (s *sim) follow(i int) {
	f, primary := s.servers[i], s.servers[1-i]
	primary.mu.Lock()
	defer primary.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.role, f.primary, f.linkUp, f.replica, f.down = "slave", s.spec.Hosts[1-i].Address.String(), true, nil, false
	f.strings, f.expires, f.offset = maps.Clone(primary.strings), maps.Clone(primary.expires), primary.offset
	for key, value := range f.strings {
		f.strings[key] = slices.Clone(value)
	}
	primary.replica = f
	primary.syncs++
}

func (s *sim) promote(i int) {
	s.servers[i].set(func(f *fakeRedis) { f.role = "master" })
	s.mu.Lock()
	s.epoch++
	s.mu.Unlock()
}

// fault is what the pair makes of one.
func (s *sim) fault(struck int, fault Fault) {
	f := s.servers[struck]
	switch {
	case fault == CutPeerLink:
		s.part()
		return
	case fault == PowerOff && s.role(struck) == "slave":
		f.die()
		s.servers[1-struck].set(func(f *fakeRedis) { f.replica = nil })
		s.mu.Lock()
		s.running[struck] = false
		s.mu.Unlock()
		return
	case fault == PowerOff && s.role(1-struck) == "":
		f.die()
		s.hold(-1)
		s.later.Go(func() {
			time.Sleep(s.boots)
			first := struck
			if s.stale {
				first = 1 - struck
			}
			s.servers[first].set(func(f *fakeRedis) { f.role, f.down = "master", false })
			s.hold(first)
			s.follow(1 - first)
			s.mu.Lock()
			s.running = [2]bool{true, true}
			s.mu.Unlock()
			s.mark(first, "MASTER")
			s.mark(1-first, "BACKUP")
		})
		return
	}
	if fault != StopKeepalived {
		f.die()
	} else if !s.unfenced {
		f.set(func(f *fakeRedis) { f.role = "slave"; f.linkUp = false; f.primary = "127.0.0.1" })
	}
	s.mu.Lock()
	s.running[struck] = false
	s.mu.Unlock()
	s.mark(struck, "STOP")
	s.hold(-1)
	f.set(func(f *fakeRedis) { f.replica = nil })
	if s.stuck {
		return
	}
	s.later.Go(func() {
		time.Sleep(s.failover)
		s.promote(1 - struck)
		s.hold(1 - struck)
		s.mark(1-struck, "MASTER")
		if s.onFault != nil {
			s.onFault(s, struck)
		}
	})
}

func (s *sim) role(i int) string {
	f := s.servers[i]
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return ""
	}
	return f.role
}

// part cuts the hosts off from each other: the replica is promoted and has the
// VIP, which the old primary keeps, too.
func (s *sim) part() {
	s.mu.Lock()
	old, again := s.holder, s.parted
	s.parted = true
	s.mu.Unlock()
	if again {
		return // on the other host
	}
	s.servers[old].set(func(f *fakeRedis) { f.replica = nil })
	s.later.Go(func() {
		time.Sleep(s.failover)
		s.promote(1 - old)
		s.mu.Lock()
		s.holder = 1 - old // clients have heard of it last
		s.mu.Unlock()
		s.servers[old].set((*fakeRedis).hangUp)
		s.hosts[1-old].vip(true)
	})
}

// rejoin ends that, and reports whether they were.
func (s *sim) rejoin() bool {
	s.mu.Lock()
	newest, was := s.holder, s.parted
	s.parted = false
	s.mu.Unlock()
	if !was {
		return false
	}
	old := 1 - newest
	s.later.Go(func() {
		time.Sleep(50 * time.Millisecond) // until they hear of each other
		if s.retakes {
			s.hosts[newest].vip(false)
			time.Sleep(200 * time.Millisecond)
			s.hosts[newest].vip(true)
		}
		if s.forgets {
			s.follow(newest)
			s.hold(old)
			return
		}
		s.hosts[old].vip(false)
		s.follow(old)
	})
	return true
}

func (s *sim) Spec() *spec.Pair         { return s.spec }
func (s *sim) Layout() templates.Layout { return pair.Layout(s.spec) }
func (s *sim) Host(i int) remote.Host   { return s.hosts[i] }

func (s *sim) Observe(ctx context.Context) pair.State {
	st := pair.State{Name: s.spec.Name, VIPs: []netip.Addr{simVIP}, Port: s.spec.Redis.Port}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, h := range s.spec.Hosts {
		f := s.servers[i]
		f.mu.Lock()
		unit := pair.Unit{Installed: true, Active: "active", PID: 100}
		stopped := pair.Unit{Installed: true, Active: "inactive"}
		host := pair.HostState{Name: h.Name, Address: h.Address, Keepalived: pair.Keepalived{Unit: stopped}, Redis: pair.Redis{Unit: stopped, Rank: pair.NoRank}}
		if s.running[i] {
			host.Keepalived = pair.Keepalived{Unit: unit, VRRP: pair.Backup}
		}
		if s.holder == i {
			host.VIPs = []netip.Addr{simVIP}
			host.Keepalived.VRRP = pair.Master
		}
		if !f.down {
			info, err := redisctl.ParseInfo(f.info())
			if err != nil {
				panic(err)
			}
			host.Redis = pair.Redis{Unit: unit, Info: &info, Rank: pair.Rank(4*s.epoch + 3)}
			if info.Role == redisctl.Replica {
				host.Redis.Rank = pair.Rank(4*s.epoch + 2)
			}
		}
		f.mu.Unlock()
		st.Hosts[i] = host
	}
	return st
}

func (s *sim) Recover(ctx context.Context, ev pair.Events, hosts ...string) error {
	s.later.Wait()
	s.mu.Lock()
	s.recovered = append(s.recovered, hosts...)
	s.mu.Unlock()
	if len(hosts) == 0 { // whichever need it: none does
		s.mu.Lock()
		s.recovered = append(s.recovered, "a", "b")
		s.mu.Unlock()
		ev.Step("", "see that the VIP has not moved").Done("in sync", nil)
		return s.broken
	}
	step := ev.Step(hosts[0], "start Redis")
	if err := sleep(ctx, 400*time.Millisecond); err != nil {
		return err
	}
	if s.broken != nil {
		step.Done("", s.broken)
		return s.broken
	}
	step.Done("a replica, in sync", nil)
	i := 0
	if hosts[0] == "b" {
		i = 1
	}
	s.mu.Lock()
	s.running[i] = true
	stuck := s.holder < 0
	s.mu.Unlock()
	if stuck { // nobody serves: what was the primary is again
		s.mark(i, "MASTER")
		s.servers[i].set(func(f *fakeRedis) { f.role, f.down = "master", false })
		s.hold(i)
		s.follow(1 - i)
		return nil
	}
	if s.holder != i {
		s.mark(i, "BACKUP")
		s.servers[i].set(func(f *fakeRedis) { f.runID, f.syncs = f.runID+"+", 0 })
		s.follow(i)
	}
	if s.onRecover != nil {
		s.onRecover(s, i)
	}
	return nil
}

func (s *sim) Switchover(ctx context.Context, ev pair.Events, to string) error {
	i := 0
	if to == "b" {
		i = 1
	}
	s.servers[1-i].set(func(f *fakeRedis) { f.role = "slave" })
	if err := sleep(ctx, 20*time.Millisecond); err != nil {
		return err
	}
	s.promote(i)
	s.hold(i)
	s.mark(i, "MASTER")
	s.mark(1-i, "BACKUP")
	s.follow(1 - i)
	s.servers[i].set(func(f *fakeRedis) { f.syncs-- }) // a partial one
	return nil
}

// simHost is a host of a sim.
type simHost struct {
	sim   *sim
	index int
	clock time.Duration // ahead of the controller's

	mu    sync.Mutex
	watch io.Writer // standard output of the watch
	boot  int
	cut   chan struct{} // closed when the host is reset
	back  time.Time     // when it is here again
}

// reset has the host go, and come back in another boot.
func (h *simHost) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.cut)
	h.cut = make(chan struct{})
	h.boot++
	h.back = time.Now().Add(h.sim.boots)
}

// here is the boot of a host that can be reached, and what the end of it closes.
func (h *simHost) here() (boot int, cut <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Now().Before(h.back) {
		return 0, nil, &remote.Error{Host: h.String(), Op: "connect", Err: syscall.EHOSTUNREACH}
	}
	return h.boot, h.cut, nil
}

func (h *simHost) lost() error {
	return &remote.Error{Host: h.String(), Op: "connection lost", Err: io.EOF}
}

// vip tells that the VIP has come or gone.
func (h *simHost) vip(here bool) {
	change := "Deleted "
	if here {
		change = ""
	}
	h.tell(fmt.Sprintf("[%s] %s2: eth3    inet %s/32 scope global eth3", h.stamp(), change, simVIP))
}

func (h *simHost) String() string { return h.sim.spec.Hosts[h.index].Name }
func (h *simHost) Close() error   { return nil }

func (h *simHost) Upload(context.Context, io.Reader, int64, string, fs.FileMode) error {
	return errors.New("a drill uploads nothing")
}

func (h *simHost) Dial(ctx context.Context, _, addr string) (net.Conn, error) {
	time.Sleep(20 * time.Millisecond)
	return h.sim.connect(ctx, addr)
}

func (h *simHost) now() time.Time  { return time.Now().Add(h.clock) }
func (h *simHost) stamp() string   { return h.now().UTC().Format("2006-01-02T15:04:05.000000") }
func (h *simHost) seconds() string { return secondsOf(h.now()) }

func secondsOf(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }

func (h *simHost) tell(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watch != nil {
		io.WriteString(h.watch, line+"\n")
	}
}

func (h *simHost) Run(ctx context.Context, c remote.Cmd) (remote.Result, error) {
	boot, cut, err := h.here()
	if err != nil {
		return remote.Result{}, err
	}
	if fault, ok := strings.CutPrefix(c.Name, "fault "); ok {
		return remote.Result{}, h.runFault(ctx, c, Fault(fault))
	}
	switch c.Name {
	case "see that it has booted":
		if was := c.Argv[len(c.Argv)-1]; was == strconv.Itoa(boot) {
			return remote.Result{}, &remote.ExitError{Host: h.String(), Code: exitUnproven, Stderr: []byte("it is still the boot " + was)}
		}
		fmt.Fprintf(c.Stdout, "verified %s another boot, %d\n", h.seconds(), boot)
		return remote.Result{}, nil
	case "undo faults", "disarm faults":
		if h.sim.rejoin() {
			fmt.Fprintf(c.Stdout, "undone %s %s\n", h.seconds(), CutPeerLink)
		}
		h.sim.mu.Lock()
		defer h.sim.mu.Unlock()
		h.sim.ended = append(h.sim.ended, h.String()+": "+c.Name)
		return remote.Result{}, nil
	}
	if c.Name != "watch the VIP" {
		return remote.Result{}, fmt.Errorf("%s: %s: not known", h, c.Name)
	}
	if h.sim.locked {
		return remote.Result{}, &remote.ExitError{Host: h.String(), Code: remote.ExitLocked, Stderr: []byte("ann\n")}
	}
	h.mu.Lock()
	h.watch = c.Stdout
	h.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		told := ""
		for in := bufio.NewScanner(c.Stdin); in.Scan(); {
			if in.Text() == "" {
				continue
			}
			time.Sleep(time.Millisecond)
			if n, ok := strings.CutPrefix(in.Text(), "ping "); ok {
				answer := "pong " + n + " " + h.seconds()
				time.Sleep(time.Millisecond)
				h.tell(answer)
				h.sim.mu.Lock()
				mark := h.sim.marks[h.index]
				h.sim.mu.Unlock()
				if mark.state != told {
					told = mark.state
					h.tell("vrrp " + mark.state + " " + secondsOf(mark.at.Add(h.clock)))
				}
				continue
			}
			h.sim.mu.Lock()
			holds := h.sim.holder == h.index
			h.sim.mu.Unlock()
			if holds {
				h.tell("2: eth3    inet 192.168.1.220/32 scope global eth3")
			}
			h.tell("looked")
		}
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		return remote.Result{}, c.Interrupted(ctx, h.String())
	case <-cut:
		err = h.lost()
	}
	h.mu.Lock()
	h.watch = nil
	h.mu.Unlock()
	return remote.Result{}, err
}

func (h *simHost) runFault(ctx context.Context, c remote.Cmd, fault Fault) error {
	if err := sleep(ctx, 30*time.Millisecond); err != nil {
		return c.Interrupted(ctx, h.String())
	}
	if h.sim.mute {
		return nil
	}
	if fault == PowerOff {
		boot, _, _ := h.here()
		fmt.Fprintf(c.Stdout, "boot %d\ninjected %s reset of the host\n", boot, h.seconds())
		if h.sim.proof != nil {
			return h.sim.proof
		}
		if !h.sim.stays {
			h.sim.fault(h.index, fault)
			h.reset()
		}
		return h.lost()
	}
	fmt.Fprintf(c.Stdout, "injected %s SIGKILL to Redis, process 100\n", h.seconds())
	h.sim.fault(h.index, fault)
	if err := sleep(ctx, 5*time.Millisecond); err != nil {
		return c.Interrupted(ctx, h.String())
	}
	if h.sim.proof != nil {
		return h.sim.proof
	}
	fmt.Fprintf(c.Stdout, "verified %s process 100 is gone\n", h.seconds())
	return nil
}

// heard collects the events of a drill.
type heard struct {
	mu      sync.Mutex
	started []string
	events  []Event
	results []*Result
}

func (h *heard) Started(pair string, d Drill) { h.started = append(h.started, pair+"/"+d.Name) }
func (h *heard) Finished(r *Result)           { h.results = append(h.results, r) }
func (h *heard) Happened(e Event) {
	if !h.mu.TryLock() {
		panic("two events at the same time")
	}
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

func drillNamed(t *testing.T, name string) Drill {
	t.Helper()
	d, ok := ByName(Catalogue(), name)
	if !ok {
		t.Fatalf("no drill is called %s", name)
	}
	return d
}
