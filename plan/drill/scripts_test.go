package drill

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hapair/plan/pair"
	"hapair/plan/spec"
	"hapair/remote"
	"hapair/remote/remotetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hostWith is this machine as a host on which the named programs are scripts.
func hostWith(t *testing.T, programs map[string]string, env ...string) *remotetest.Local {
	t.Helper()
	dir := t.TempDir()
	for name, script := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nset -eu\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return remotetest.NewLocal(t, "a", append(env, "PATH="+dir+":"+os.Getenv("PATH"))...)
}

// victim is a process for a fault to end. Like a daemon's, its end is noticed
// at once.
func victim(t *testing.T) (pid string) {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	return strconv.Itoa(cmd.Process.Pid)
}

// systemctl stands for systemd with two units, whose main processes are given
// in the environment.
const systemctl = `
echo "$*" >>"$CALLED"
case "$*" in
"show --property=MainPID hapair-cache-redis.service") echo "MainPID=$REDIS" ;;
"show --property=MainPID hapair-cache-keepalived.service") echo "MainPID=$KEEPALIVED" ;;
"stop hapair-cache-keepalived.service") kill -s "$HOW" "$KEEPALIVED" ;;
"kill --signal=KILL hapair-cache-redis.service hapair-cache-keepalived.service") kill -9 "$REDIS" "$KEEPALIVED" ;;
"kill --signal=KILL hapair-cache-keepalived.service") kill -9 "$KEEPALIVED" ;;
"stop hapair-cache-drill") ;;
*) echo "systemctl $*: not known" >&2; exit 1 ;;
esac
`

// systemdRun notes what it is to run.
const systemdRun = `echo "systemd-run $*" >>"$CALLED"`

// rigOn is a rig for a host that this machine plays.
func rigOn(t *testing.T, h remote.Host) (g rig, run string) {
	t.Helper()
	dir := t.TempDir()
	g = rig{host: h, drill: "try-1", lock: dir + "/lock",
		layout: pair.Layout(&spec.Pair{Name: "cache", Keepalived: spec.Keepalived{Prefix: dir}})}
	if err := os.MkdirAll(filepath.Dir(g.layout.HooksConf()), 0o755); err != nil {
		t.Fatal(err)
	}
	conf := "pair=cache run=" + dir + "/run auth='' redis_unit=hapair-cache-redis.service keepalived_unit=hapair-cache-keepalived.service\n"
	if err := os.WriteFile(g.layout.HooksConf(), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	held, err := os.Create(g.lock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { held.Close() })
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return g, dir + "/run/drill"
}

func TestFaultScript(t *testing.T) {
	alive := func(pid string) bool {
		_, err := os.Stat("/proc/" + pid)
		return err == nil
	}
	tests := []struct {
		name       string
		fault      Fault
		env        []string
		diesRedis  bool
		diesKeepal bool
		what       string
		err        string
	}{
		{name: "kill Redis", fault: KillRedis, diesRedis: true, what: "SIGKILL to Redis, process "},
		{name: "stop keepalived", fault: StopKeepalived, env: []string{"HOW=TERM"}, diesKeepal: true, what: "systemctl stop hapair-cache-keepalived.service, process "},
		{name: "kill keepalived", fault: KillKeepalived, diesKeepal: true, what: "SIGKILL to every process of keepalived, "},
		{name: "kill both", fault: KillBoth, diesRedis: true, diesKeepal: true, what: "SIGKILL to Redis and keepalived, processes "},
		{name: "Redis does not run", fault: KillRedis, env: []string{"REDIS=0"}, err: "hapair-cache-redis.service does not run: there is nothing to stop"},
		{name: "keepalived does not run", fault: KillBoth, env: []string{"KEEPALIVED=0"}, err: "hapair-cache-keepalived.service does not run"},
		{name: "keepalived stays", fault: StopKeepalived, env: []string{"HOW=0"}, what: "systemctl stop", err: "is still there 4 s later"},
		{name: "no such fault", fault: "melt", err: "fault melt is not known"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			redis, keepalived := victim(t), victim(t)
			called := filepath.Join(t.TempDir(), "called")
			h := hostWith(t, map[string]string{"systemctl": systemctl, "systemd-run": systemdRun},
				append([]string{"CALLED=" + called, "REDIS=" + redis, "KEEPALIVED=" + keepalived}, tt.env...)...)
			g, left := rigOn(t, h)
			before := time.Now()
			var heard []report
			err := g.inject(t.Context(), tt.fault, func(r report) { heard = append(heard, r) })
			after := time.Now()
			if _, err := os.Stat(left); (err == nil) != (tt.what != "") {
				t.Errorf("what undoes it: %v", err)
			}

			var u *unproven
			switch {
			case tt.err == "" && err != nil:
				t.Fatal(err)
			case tt.err != "" && (!errors.As(err, &u) || !strings.Contains(err.Error(), tt.err)):
				t.Fatalf("got the error %v, want %q", err, tt.err)
			}
			if alive(redis) == tt.diesRedis || alive(keepalived) == tt.diesKeepal {
				t.Errorf("Redis lives: %t, keepalived lives: %t", alive(redis), alive(keepalived))
			}
			if tt.what == "" {
				if len(heard) > 0 {
					t.Errorf("reported %+v", heard)
				}
				return
			}
			first, last := heard[0], heard[len(heard)-1]
			if !strings.HasPrefix(first.what, tt.what) || !first.verified.IsZero() {
				t.Errorf("first reported %+v, want %q", first, tt.what)
			}
			if first.injected.Before(before) || first.injected.After(after) {
				t.Errorf("injected at %v, not between %v and %v", first.injected, before, after)
			}
			if tt.err == "" && (!strings.Contains(last.evidence, "gone") || last.verified.Before(first.injected) || last.verified.After(after)) {
				t.Errorf("last reported %+v", last)
			}
		})
	}
}

// A fault that lasts is ended by the drill, by the next one, or by the host
// itself; and an end that comes twice does no harm.
func TestLastingFault(t *testing.T) {
	for _, how := range []string{"undo", "disarm", "the host"} {
		t.Run(how, func(t *testing.T) {
			redis := victim(t)
			state := func() string {
				stat, err := os.ReadFile("/proc/" + redis + "/stat")
				if err != nil {
					t.Fatal(err)
				}
				return strings.Fields(string(stat))[2]
			}
			called := filepath.Join(t.TempDir(), "called")
			h := hostWith(t, map[string]string{"systemctl": systemctl + "\n", "systemd-run": systemdRun},
				"CALLED="+called, "REDIS="+redis, "KEEPALIVED=1")
			g, left := rigOn(t, h)
			if err := g.inject(t.Context(), FreezeRedis, func(report) {}); err != nil || state() != "T" {
				t.Fatalf("%v; Redis is %s", err, state())
			}
			asked, _ := os.ReadFile(called)
			if want := "systemd-run --quiet --unit=hapair-cache-drill flock " + g.lock + " sh " + left + "/end\n"; !strings.Contains(string(asked), want) {
				t.Errorf("called\n%s, want %s", asked, want)
			}
			other := g
			other.drill = "try-2"
			if err := other.inject(t.Context(), FreezeRedis, func(report) {}); err == nil || !strings.Contains(err.Error(), "a fault of the drill try-1 is still here") {
				t.Errorf("another drill at the same time: %v", err)
			}
			var ended []undone
			var err error
			switch how {
			case "undo":
				ended, err = g.undo(t.Context())
			case "disarm":
				ended, err = other.disarm(t.Context())
			default:
				_, err = h.Run(t.Context(), remote.Cmd{Argv: []string{"sh", left + "/end"}})
			}
			var exit *remote.ExitError // of systemctl start, which is none here
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if state() == "T" {
				t.Error("Redis is still stopped")
			}
			if how != "the host" && (len(ended) != 1 || ended[0].fault != FreezeRedis) {
				t.Errorf("ended %v", ended)
			}
			if _, err := g.disarm(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(left); !os.IsNotExist(err) {
				t.Errorf("left behind: %v", err)
			}
		})
	}
}

// A reset is proved by the boot that comes after it.
func TestResetScript(t *testing.T) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	boot := strings.TrimSpace(string(id))
	programs := func(reboot string) map[string]string {
		return map[string]string{
			"sync": "", "sleep": "",
			"systemctl": `[ "$*" = "--force --force reboot" ] || exit 9; ` + reboot,
		}
	}
	never := func() bool { return false }

	t.Run("the host falls silent", func(t *testing.T) {
		asked := filepath.Join(t.TempDir(), "asked")
		g, left := rigOn(t, hostWith(t, programs(": >"+asked+"; exec tail -f /dev/null")))
		var told report
		silent := func() bool { _, err := os.Stat(asked); return err == nil }
		if got, err := g.reset(t.Context(), PowerOff, silent, func(r report) { told = r }); err != nil || got != boot {
			t.Errorf("the boot %q, %v; want %q", got, err, boot)
		}
		if told.injected.IsZero() || !told.verified.IsZero() || told.what != "reset of the host: systemctl --force --force reboot" {
			t.Errorf("reported %+v", told)
		}
		if _, err := os.Stat(left); err == nil {
			t.Error("there is something to undo on a host that forgets it")
		}
	})
	refusals := map[string]struct {
		reboot, lasting string
		err             string
	}{
		"systemd refuses":     {reboot: "echo Access denied >&2; exit 1", err: "Access denied"},
		"nothing comes of it": {err: "the host is still here 60 s later"},
		"another fault lasts": {lasting: "undo.disk-full", err: "disk-full is still here, and after a reset nobody would end it"},
	}
	for name, c := range refusals {
		t.Run(name, func(t *testing.T) {
			g, drill := rigOn(t, hostWith(t, programs(c.reboot)))
			if c.lasting != "" {
				if err := errors.Join(os.MkdirAll(drill, 0o755), os.WriteFile(filepath.Join(drill, c.lasting), nil, 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			got, err := g.reset(t.Context(), PowerOff, never, func(report) {})
			var u *unproven
			if !errors.As(err, &u) || !strings.Contains(err.Error(), c.err) || got != "" {
				t.Errorf("the boot %q, %v; want %q", got, err, c.err)
			}
		})
	}
	t.Run("it ends with its context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		g, _ := rigOn(t, hostWith(t, programs("exec tail -f /dev/null")))
		got, err := g.reset(ctx, PowerOff, never, func(report) { cancel() })
		if !errors.Is(err, context.Canceled) || got != boot {
			t.Errorf("the boot %q, %v", got, err)
		}
	})

	g, _ := rigOn(t, hostWith(t, programs("")))
	var told report
	if err := g.returned(t.Context(), &reset{fault: PowerOff, boot: "another", hear: func(r report) { told = r }}); err != nil || told.evidence != "another boot, "+boot {
		t.Errorf("%v; reported %+v", err, told)
	}
	var u *unproven
	if err := g.returned(t.Context(), &reset{fault: PowerOff, boot: boot}); !errors.As(err, &u) || !strings.Contains(err.Error(), "it is still the boot "+boot) {
		t.Errorf("it was not reset, and is told to be back: %v", err)
	}
}

// Without the lock of the pair nobody would know that the drill has ended.
func TestFaultNeedsTheLock(t *testing.T) {
	redis := victim(t)
	g, left := rigOn(t, hostWith(t, map[string]string{"systemctl": systemctl, "systemd-run": systemdRun}, "CALLED=/dev/null", "REDIS="+redis))
	g.lock += "-nobody-has"
	if err := g.inject(t.Context(), FreezeRedis, func(report) {}); err == nil || !strings.Contains(err.Error(), "the drill has lost the lock of the pair") {
		t.Error(err)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
}

func TestFaultEndsWithItsContext(t *testing.T) {
	h := hostWith(t, map[string]string{"systemctl": "sleep 60"})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	g, _ := rigOn(t, h)
	err := g.inject(ctx, KillRedis, func(report) {})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// ip stands for iproute2: its monitor prints what is written to a pipe, and
// leaves a file behind while it lives.
const ip = `
case "$*" in
"-o -ts monitor address")
	trap 'kill "$!" || :; rm -f "$PIPE.here"; exit 0' TERM
	: >"$PIPE.here"
	while :; do cat "$PIPE" & wait "$!"; done ;;
"-o address show to 192.168.1.220")
	echo '2: eth3    inet 192.168.1.220/32 scope global eth3\       valid_lft forever preferred_lft forever' ;;
"-o address show to fd00::220") ;;
*) echo "ip $*: not known" >&2; exit 1 ;;
esac
`

func TestWatchScript(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "changes")
	if out, err := exec.Command("mkfifo", pipe).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	h := hostWith(t, map[string]string{"ip": ip}, "PIPE="+pipe)
	c := clock{time.Now()}
	tl := &timeline{events: Quiet{}}
	tr := &track{host: "a", timeline: tl}
	w := newWatch(h, pairLock{filepath.Join(filepath.Dir(pipe), "lock"), time.Minute, "ann"}, filepath.Dir(pipe), []netip.Addr{netip.MustParseAddr("192.168.1.220"), netip.MustParseAddr("fd00::220")}, tr, c)
	ctx, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		if err := w.run(ctx); err != nil {
			t.Error(err)
		}
	})
	<-w.ready
	state := func() string {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		return tr.vip.state()
	}
	if got := state(); got != "" {
		t.Errorf("with one of two VIPs the host is told to have %q", got)
	}
	for _, change := range []struct{ line, want string }{
		{"Deleted 2: eth3    inet 192.168.1.7/24 scope global eth3", ""},
		{`2: eth3    inet6 fd00::220/128 scope global tentative \       valid_lft forever`, stateHeld},
		{`Deleted 2: eth3    inet 192.168.1.220/32 scope global eth3\       valid_lft forever`, ""},
		{`2: eth3    inet 192.168.1.220/32 scope global eth3\       valid_lft forever`, stateHeld},
	} {
		at := time.Now()
		line := "[" + at.UTC().Format("2006-01-02T15:04:05.000000") + "] " + change.line + "\n"
		f, err := os.OpenFile(pipe, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString(line)
		f.Close()
		for deadline := time.Now().Add(10 * time.Second); state() != change.want; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("after %q the host is told to have %q", line, state())
			}
		}
		tr.mu.Lock()
		since := tr.vip.since()
		tr.mu.Unlock()
		offset, trip := w.clocks()
		if off := since - at.Sub(c.start); change.want == stateHeld && off.Abs() > trip.Duration()+time.Millisecond {
			t.Errorf("the change is %v off; the clocks were compared within %s (ahead by %s)", off, trip, offset)
		}
	}
	if offset, trip := w.clocks(); offset.Duration().Abs() > trip.Duration() || trip <= 0 {
		t.Errorf("this machine's clock is ahead of itself by %s, round trip %s", offset, trip)
	}
	if len(tl.sorted()) != 3 {
		t.Errorf("events %+v", tl.sorted())
	}
	stop()
	watching.Wait()
	if _, err := os.Stat(pipe + ".here"); !os.IsNotExist(err) {
		t.Error("ip monitor goes on after the watch")
	}
}

// The state that keepalived's hooks mark is told with the time of the mark: not
// when it was looked at.
func TestWatchScriptTellsVRRP(t *testing.T) {
	h := hostWith(t, map[string]string{"ip": "case $* in *monitor*) exec sleep 60 ;; esac"})
	dir := t.TempDir()
	mark := func(text string, at time.Time) {
		t.Helper()
		temp := filepath.Join(dir, "temp")
		if err := errors.Join(os.WriteFile(temp, []byte(text), 0o644), os.Chtimes(temp, at, at), os.Rename(temp, filepath.Join(dir, "vrrp"))); err != nil {
			t.Fatal(err)
		}
	}
	c := clock{time.Now()}
	tl := &timeline{events: Quiet{}}
	tr := &track{host: "a", timeline: tl}
	w := newWatch(h, pairLock{filepath.Join(dir, "lock"), time.Minute, "ann"}, dir, nil, tr, c)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx) }()
	<-w.ready
	if len(tr.history(0).VRRP) > 0 {
		t.Errorf("without a mark it is told: %v", tr.history(0).VRRP)
	}
	await := func(states int) []Band {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			bands := tr.history(0).VRRP
			if len(bands) == states {
				return bands
			}
			if time.Now().After(deadline) {
				t.Fatalf("told %v, want %d states", bands, states)
			}
		}
	}
	// Long before the drill, so from when the drill began to look.
	mark("BACKUP\n", c.start.Add(-time.Hour))
	if first := await(1)[0]; first.State != "BACKUP" || first.From <= 0 {
		t.Errorf("first it was told %+v", first)
	}
	mark("", time.Now()) // a hook is about to write
	at := time.Now()
	mark("MASTER\n", at)
	got := await(2)[1]
	_, trip := w.clocks()
	if off := got.From.Duration() - at.Sub(c.start); got.State != "MASTER" || off.Abs() > trip.Duration()+time.Millisecond {
		t.Errorf("told %+v, %v off; the clocks were compared within %s", got, off, trip)
	}
	mark("STOP\n", time.Now())
	await(3)
	var told []string
	for _, e := range tl.sorted() {
		told = append(told, string(e.Type)+" "+e.Text)
	}
	if want := []string{"vrrp_change VRRP: BACKUP → MASTER", "vrrp_change VRRP: MASTER → stopped"}; !slices.Equal(told, want) {
		t.Errorf("events %q, want %q", told, want)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// One drill at a time: the second one is told so, and may begin once the first
// has ended.
func TestOneWatchAtATime(t *testing.T) {
	h := hostWith(t, map[string]string{"ip": "case $* in *monitor*) exec sleep 60 ;; esac"})
	dir := t.TempDir()
	watching := func() (w *watch, end func() error) {
		w = newWatch(h, pairLock{filepath.Join(dir, "lock"), time.Minute, "ann"}, dir, nil, &track{timeline: &timeline{events: Quiet{}}}, clock{time.Now()})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.run(ctx) }()
		return w, func() error { stop(); return <-ended }
	}
	first, end := watching()
	<-first.ready
	second := newWatch(h, pairLock{filepath.Join(dir, "lock"), time.Minute, "ann"}, dir, nil, &track{timeline: &timeline{events: Quiet{}}}, clock{time.Now()})
	var why *inconclusive
	if err := second.run(t.Context()); !errors.As(err, &why) || why.reason != "a: another run of hapair is at work: ann" {
		t.Errorf("got %v", err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	third, end := watching()
	<-third.ready
	if err := end(); err != nil {
		t.Error(err)
	}
}

// A host believes in a drill that it does not hear of for a while only.
func TestWatchThatIsForgotten(t *testing.T) {
	h := hostWith(t, map[string]string{"ip": "case $* in *monitor*) exec sleep 60 ;; esac"})
	dir := t.TempDir()
	questions, ask := io.Pipe()
	defer ask.Close()
	_, err := h.Run(t.Context(), remote.Cmd{Argv: []string{"sh", "-c", watchScript, "watch", filepath.Join(dir, "lock"), "0.2", "ann", dir}, Stdin: questions})
	var exit *remote.ExitError
	if !errors.As(err, &exit) || exit.Code != 129 {
		t.Errorf("got %v, want that it ends by itself", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v, want the file of the lock", left, err)
	}
}

func TestWatchThatBreaks(t *testing.T) {
	h := hostWith(t, map[string]string{"ip": "exit 1"})
	w := newWatch(h, pairLock{filepath.Join(t.TempDir(), "lock"), time.Minute, "ann"}, t.TempDir(), nil, &track{timeline: &timeline{events: Quiet{}}}, clock{time.Now()})
	err := w.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "ip monitor has ended") {
		t.Errorf("got %v", err)
	}
}

func TestParseChange(t *testing.T) {
	vip := netip.MustParseAddr("192.168.1.220")
	at := time.Date(2026, 11, 22, 12, 42, 22, 407747000, time.UTC)
	for _, tt := range []struct {
		line string
		want addrChange
		ok   bool
	}{
		{`[2026-11-22T12:42:22.407747] 1: eth3    inet 192.168.1.220/32 scope global eth3\       valid_lft forever preferred_lft forever`, addrChange{at, false, vip}, true},
		{`[2026-11-22T12:42:22.407747] Deleted 1: eth3    inet 192.168.1.220/32 scope global eth3\       valid_lft forever`, addrChange{at, true, vip}, true},
		{`1: eth3    inet 192.168.1.220/32 scope global eth3`, addrChange{time.Time{}, false, vip}, true},
		{`1: eth3    inet 192.168.1.220 peer 10.0.0.1/32 scope global eth3`, addrChange{time.Time{}, false, vip}, true},
		{`1: eth3    inet6 fd00::220/128 scope global tentative`, addrChange{time.Time{}, false, netip.MustParseAddr("fd00::220")}, true},
		{`[yesterday] 1: eth3    inet 192.168.1.220/32`, addrChange{}, false},
		{`[2026-11-22T12:42:22.407747] 2: eth3: <BROADCAST,UP> mtu 1500`, addrChange{}, false},
		{``, addrChange{}, false},
	} {
		got, ok := parseChange(tt.line)
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("%q: got %+v %t", tt.line, got, ok)
		}
	}
}
