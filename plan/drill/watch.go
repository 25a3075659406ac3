package drill

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"hapair/remote"
)

//go:embed watch.sh
var watchScript string

// pingEvery is how often a watch compares clocks. Only the fastest answer
// counts, so a few seconds of it tell the offset to a fraction of a round trip.
const pingEvery = 100 * time.Millisecond

// watch tells from inside a host, over one SSH session, when the VIP comes and
// goes, what keepalived's state is, and how far the host's clock is from the
// controller's.
type watch struct {
	host  remote.Host
	lock  pairLock
	dir   string // on the host, of what is so now
	vips  []netip.Addr
	track *track
	clock clock

	mu     sync.Mutex
	held   map[netip.Addr]bool
	ready  chan struct{} // closed once the addresses are known
	once   sync.Once
	offset time.Duration // the host's clock less the controller's
	trip   time.Duration // of the exchange that told the offset; 0: none yet
	heard  time.Duration // when the host said anything last
	again  chan struct{} // while the host is about to be reset: closed once it is watched again
	struck time.Duration // when it was
}

// pairLock keeps others off the pair while a drill is under way.
type pairLock struct {
	file   string        // on the host
	lease  time.Duration // how long the host believes in a drill that it does not hear of
	holder string        // who has it then
}

func newWatch(h remote.Host, l pairLock, dir string, vips []netip.Addr, t *track, c clock) *watch {
	return &watch{host: h, lock: l, dir: dir, vips: vips, track: t, clock: c, held: map[netip.Addr]bool{}, ready: make(chan struct{})}
}

// run watches until stop ends; that is no error. Nor is the end of a host that
// is to be reset: it is watched again once it is back.
func (w *watch) run(stop context.Context) error {
	for {
		err := w.session(stop)
		var why *inconclusive
		if err == nil || errors.As(err, &why) || !w.left() {
			return err
		}
		if sleep(stop, pingEvery) != nil {
			return nil
		}
	}
}

// session watches for as long as the host lives.
func (w *watch) session(stop context.Context) error {
	questions, ask := io.Pipe()
	ctx, cancel := context.WithCancel(context.WithoutCancel(stop))
	defer cancel()
	done := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		defer ask.Close()
		w.ask(stop, done, ask)
	})
	// The end of its input ends the script. One that does not hear of it, as
	// its host is gone, is left alone.
	unhook := context.AfterFunc(stop, func() {
		ask.Close()
		time.AfterFunc(closeTimeout, cancel)
	})
	defer unhook()
	lease := strconv.FormatFloat((w.lock.lease / 2).Seconds(), 'f', 3, 64)
	argv := []string{"sh", "-c", watchScript, "watch", w.lock.file, lease, w.lock.holder, w.dir}
	for _, vip := range w.vips {
		argv = append(argv, vip.String())
	}
	out := remote.NewLines(w.line)
	_, err := w.host.Run(ctx, remote.Cmd{Name: "watch the VIP", Argv: argv, Stdin: questions, Stdout: out})
	close(done)
	questions.Close()
	asking.Wait()
	if stop.Err() != nil {
		return nil
	}
	var exit *remote.ExitError
	switch {
	case err == nil:
		err = errors.New("it ended by itself")
	case errors.As(err, &exit) && exit.Code == remote.ExitLocked:
		return &inconclusive{(&remote.LockedError{Host: w.host.String(), Holder: strings.TrimSpace(string(exit.Stderr))}).Error()}
	}
	return fmt.Errorf("watch the VIP on %s: %w", w.host, err)
}

// closeTimeout is for a watch to end when its input has.
const closeTimeout = 2 * time.Second

func (w *watch) ask(stop context.Context, done <-chan struct{}, ask io.Writer) {
	// An empty question is taken once the session is there: no ping counts the
	// time that takes.
	if _, err := io.WriteString(ask, "\n"); err != nil {
		return
	}
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		question := fmt.Sprintf("ping %d\n", w.clock.now().Microseconds())
		if n == 1 {
			// By now the changes are being listened to.
			question += "look\n"
		}
		if _, err := io.WriteString(ask, question); err != nil {
			return
		}
		select {
		case <-stop.Done():
			return
		case <-done:
			return
		case <-tick.C:
		}
	}
}

// expectReset says that the host is about to be reset. The channel is closed
// once it is watched again.
func (w *watch) expectReset() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.again = make(chan struct{})
	return w.again
}

// wasReset says when the host was reset, by its clock.
func (w *watch) wasReset(told time.Time) {
	at := w.local(told)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.struck = at
}

// left enters that the host has gone with all that it was, and reports whether
// that was to be.
func (w *watch) left() bool {
	w.mu.Lock()
	at, expected := max(w.heard, w.struck), w.again != nil
	if expected {
		clear(w.held)
		w.trip = 0 // its clock may have lost the time
	}
	w.mu.Unlock()
	if expected {
		w.track.wasReset(at)
	}
	return expected
}

// silent reports whether the host has missed several questions.
func (w *watch) silent() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock.now()-w.heard > 5*pingEvery
}

// line takes one line of the script's output.
func (w *watch) line(text string) {
	at := w.clock.now()
	w.mu.Lock()
	w.heard = at
	w.mu.Unlock()
	switch fields := strings.Fields(text); {
	case text == "looked":
		w.announce(at)
		w.once.Do(func() { close(w.ready) })
		w.mu.Lock()
		if w.again != nil {
			close(w.again)
			w.again = nil
		}
		w.mu.Unlock()
	case len(fields) == 3 && fields[0] == "pong":
		sent, err := strconv.ParseInt(fields[1], 10, 64)
		told, ok := parseSeconds(fields[2])
		if err == nil && ok {
			w.compare(time.Duration(sent)*time.Microsecond, at, told)
		}
	case len(fields) > 0 && fields[0] == "vrrp":
		if state, since, ok := parseVRRP(text); ok {
			w.track.sawVRRP(min(at, w.local(since)), at, state)
		}
	default:
		c, ok := parseChange(text)
		if !ok {
			return
		}
		w.mu.Lock()
		w.held[c.addr] = !c.deleted
		w.mu.Unlock()
		if !c.at.IsZero() {
			w.announce(min(at, w.local(c.at)))
		}
	}
}

// announce tells the track whether the host has the VIP: all of them.
func (w *watch) announce(at time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, vip := range w.vips {
		if !w.held[vip] {
			w.track.sawVIP(at, false)
			return
		}
	}
	w.track.sawVIP(at, true)
}

// compare takes an exchange that tells the host's clock.
func (w *watch) compare(sent, received time.Duration, told time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	trip := received - sent
	if w.trip == 0 || trip < w.trip {
		w.trip = trip
		w.offset = told.Sub(w.clock.start.Round(0)) - (sent+received)/2
	}
}

// local is a time of the host's clock on the drill's.
func (w *watch) local(t time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return t.Sub(w.clock.start.Round(0)) - w.offset
}

// clocks is how far the host's clock is ahead, and the time of the exchange
// that told so.
func (w *watch) clocks() (offset, trip Millis) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Millis(w.offset), Millis(w.trip)
}

// addrChange is a line of ip-monitor(8) or ip-address(8).
type addrChange struct {
	at      time.Time // zero: not a change, it is there
	deleted bool
	addr    netip.Addr
}

// parseChange reads "[2026-11-22T12:42:22.407747] Deleted 3: eth3    inet
// 192.168.1.220/32 scope global eth3\ …", where the time, the "Deleted" and
// everything after the address may be missing.
func parseChange(line string) (c addrChange, ok bool) {
	if rest, found := strings.CutPrefix(line, "["); found {
		stamp, rest, _ := strings.Cut(rest, "]")
		at, err := time.Parse("2006-01-02T15:04:05.999999", stamp)
		if err != nil {
			return addrChange{}, false
		}
		c.at, line = at, rest
	}
	fields := strings.Fields(line)
	if len(fields) > 0 && fields[0] == "Deleted" {
		c.deleted, fields = true, fields[1:]
	}
	if len(fields) < 4 || fields[2] != "inet" && fields[2] != "inet6" {
		return addrChange{}, false
	}
	addr, _, _ := strings.Cut(fields[3], "/")
	var err error
	c.addr, err = netip.ParseAddr(addr)
	return c, err == nil
}

// parseSeconds reads what `date +%s.%N` prints.
func parseSeconds(text string) (time.Time, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	s, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || len(fraction) != 9 {
		return time.Time{}, false
	}
	ns, err := strconv.ParseInt(fraction, 10, 64)
	return time.Unix(s, ns), err == nil
}
