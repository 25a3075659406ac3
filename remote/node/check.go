package node

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// check judges this host's Redis for keepalived: true keeps the VIP here, or lets
// it come.
//
// A Redis that is dead, hangs or takes no writes is not well, after the retries.
// What is only slow (loading, a long script) is alive. A refused password is our
// own mistake: an alarm, not a failover. Every question has a deadline, so the
// check never hangs.
//
// It also notices what no hook was called for, and starts one; it waits for none.
func (h *hook) check(ctx context.Context) bool {
	me, stopped := h.lookForLife(ctx)
	for tries := 0; !well(me); tries++ {
		if stopped || tries >= h.Check.Retries {
			h.unwell(ctx, me)
			return false
		}
		time.Sleep(time.Duration(h.Check.RetryDelay))
		me, stopped = h.lookForLife(ctx)
	}
	if h.marked(markUnwell) {
		h.unmark(markUnwell)
		h.log(notice, "Redis is well again")
	}
	h.track(markDown, 0)
	if me.Health == Denied {
		if !h.marked(markDenied) {
			h.log(alarm, "Redis refuses the password in "+h.Auth+": mend it; until then nothing here can tell how Redis is")
			_ = h.setMark(markDenied, "")
		}
		return true
	}
	h.unmark(markDenied)
	if me.Health == Up {
		h.began, h.limit = time.Now(), time.Duration(h.SyncTimeout)
		age, ousted := h.since(markOusted)
		seen := h.see(ctx)
		switch d := Decide(h.config(), seen); {
		case seen.Cut && h.tryLock():
			// The peer is about to be promoted: there is no time for another look.
			h.tell(seen, d, time.Since(h.began), h.carryOut(ctx, d, h.began))
		case len(d.Actions) > 0, d.Again, ousted && age > oustedFor:
			h.again()
		}
	}
	return !h.marked(markHold)
}

const (
	// stoppedFor is how long a process is stopped before it counts as frozen:
	// others stop it for a moment, to look at its memory.
	stoppedFor = 100 * time.Millisecond
	// stateEvery is how often it is looked at while it does not answer.
	stateEvery = 10 * time.Millisecond
)

// lookForLife asks this host's Redis, but not for long when its process is
// stopped: one that is busy may yet answer, that one can't.
func (h *hook) lookForLife(ctx context.Context) (me Redis, stopped bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answer := make(chan Redis, 1)
	go func() { answer <- h.me.look(ctx) }()
	tick := time.NewTicker(stateEvery)
	defer tick.Stop()
	var since time.Time
	for {
		select {
		case me = <-answer:
			return me, false
		case now := <-tick.C:
			switch {
			case !h.isStopped():
				since = time.Time{}
			case since.IsZero():
				since = now
			case now.Sub(since) >= stoppedFor:
				cancel()
				me = <-answer
				me.Health = Hung
				return me, true
			}
		}
	}
}

// isStopped: Redis' process is stopped, by a signal or a debugger, see proc(5).
func (h *host) isStopped() bool {
	stat, err := os.ReadFile("/proc/" + line(h.RedisPID) + "/stat")
	if err != nil {
		return false
	}
	// "PID (NAME) STATE …", where the name may hold anything.
	rest := stat[bytes.LastIndexByte(stat, ')')+1:]
	return len(rest) > 1 && (rest[1] == 'T' || rest[1] == 't')
}

func well(r Redis) bool {
	switch r.Health {
	case Up, Loading, Busy, Denied:
		return true
	case Sick:
		return !r.Primary
	}
	return false
}

// unwell is what a Redis that is not well comes to. The clients of one that is
// frozen, or takes no writes, are told before the VIP leaves, or they would wait
// in silence.
func (h *hook) unwell(ctx context.Context, me Redis) {
	if !h.marked(markUnwell) {
		_ = h.setMark(markUnwell, me.Health.String())
		h.log(alarm, "Redis is "+me.Health.String()+": the VIP is not to be here", "vip="+yesNo(h.hasVIP()))
	}
	switch me.Health {
	case Hung:
		if err := h.kill(ctx); err != nil {
			h.log(alarm, "kill Redis, which hangs: "+err.Error())
		}
	case Sick:
		if !h.marked(markGate) {
			_ = h.gate(true)
			_ = h.me.letClientsGo(ctx, h.CanKillType)
		}
	}
}

// track writes a number that keepalived watches, if it is another one.
func (h *host) track(name string, n int) {
	text := strconv.Itoa(n)
	if line(h.mark(name)) != text {
		_ = h.setMark(name, text)
	}
}

// again starts a hook of its own, which outlives this one.
func (h *host) again() {
	program, err := os.Executable()
	if err != nil {
		return
	}
	cmd := exec.Command(program, "act")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if cmd.Start() == nil {
		_ = cmd.Process.Release()
	}
}
