package node

import (
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
	me := h.me.look(ctx)
	for tries := 0; !well(me); tries++ {
		if tries >= h.Check.Retries {
			h.unwell(ctx, me)
			return false
		}
		time.Sleep(time.Duration(h.Check.RetryDelay))
		me = h.me.look(ctx)
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
		if d := Decide(h.config(), h.see(ctx)); len(d.Actions) > 0 || d.Again || ousted && age > oustedFor {
			h.again()
		}
	}
	return !h.marked(markHold)
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
			_ = h.gate(ctx, true)
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
