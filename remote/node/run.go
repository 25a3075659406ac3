package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// Verbs are what hapair-node can be asked for, and who asks.
var Verbs = []struct{ Name, Does string }{
	{"check", "keepalived, all the time: is this host's Redis well?"},
	{"master", "keepalived: this host became VRRP MASTER"},
	{"backup", "keepalived: this host is VRRP BACKUP"},
	{"fault", "keepalived: this host is in VRRP FAULT"},
	{"stop", "keepalived: it stops, and has taken the VIP away"},
	{"release", "systemd, before it stops keepalived: hand over while the VIP is here"},
	{"after-stop", "systemd, after keepalived has ended, however it ended"},
	{"redis-down", "systemd, after Redis has ended, however it ended"},
	{"act", "the check, where something is to be done"},
	{"promote", "the operator, with --force: this host's data is the one to keep"},
	{"status", "whoever wants to know what is seen here and would be decided; --json"},
}

// ErrUsage is a verb or an option that is not known.
var ErrUsage = errors.New("not known")

// ErrUnwell is what the check says with its exit code.
var ErrUnwell = errors.New("this host is not to have the VIP")

// Run does what args ask for. It may be called late, twice or out of order: what
// it does depends on what is so.
func Run(ctx context.Context, s *Settings, args []string, out io.Writer) error {
	if len(args) == 0 {
		return ErrUsage
	}
	verb, option := args[0], ""
	if len(args) > 1 {
		option = args[1]
	}
	h := &host{Settings: s, by: verb}
	if verb == "redis-down" {
		return h.redisDown(ctx)
	}
	k, err := h.newHook()
	if err != nil {
		h.log(alarm, err.Error())
		return err
	}
	defer k.close()
	sync := time.Duration(s.SyncTimeout)
	switch verb {
	case "check":
		if !k.check(ctx) {
			return ErrUnwell
		}
		return nil
	case "master", "backup", "fault":
		if option != "again" { // keepalived says so
			if err := h.vrrp(verb); err != nil {
				return err
			}
		}
		if err := h.lock(lockTimeout); err != nil {
			h.log(warning, err.Error())
			return err
		}
		return k.work(ctx, sync)
	case "stop":
		// keepalived kills this hook after one second, from 2.0 on: only what takes
		// no waiting is done here. release came before, after-stop comes next.
		if err := h.vrrp(verb); err != nil || !h.tryLock() {
			return err
		}
		return k.work(ctx, 0)
	case "release":
		k.leaving = true
		return k.release(ctx)
	case "after-stop":
		return k.afterStop(ctx)
	case "act":
		if !h.tryLock() {
			return nil // somebody acts already
		}
		return k.work(ctx, sync)
	case "promote":
		if option != "--force" {
			return fmt.Errorf("%w: promote takes --force, so that nobody does it by accident", ErrUsage)
		}
		return k.force(ctx)
	case "status":
		return k.status(ctx, option == "--json", out)
	}
	return fmt.Errorf("%w: %s", ErrUsage, verb)
}

// vrrp marks keepalived's state. keepalived starts a hook for each without waiting
// for the one before: the one that was started last has the last word.
func (h *host) vrrp(verb string) error {
	state := map[string]string{"master": "MASTER", "backup": "BACKUP", "fault": "FAULT", "stop": "STOP"}[verb]
	if err := os.MkdirAll(h.Run, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(h.mark(markVRRPOrder), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := flock(f); err != nil {
		return err
	}
	var started, pid uint64
	_, _ = fmt.Fscan(f, &started, &pid) // the first one finds nothing
	mine, id := startedAt(), uint64(os.Getpid())
	if mine < started || mine == started && id < pid {
		return nil
	}
	if _, err := f.WriteAt(fmt.Appendf(nil, "%d %d\n", mine, id), 0); err != nil {
		return err
	}
	return h.setMark(markVRRP, state)
}

// startedAt is when this process was started, in ticks since the host booted. Its
// exec of this program did not count.
func startedAt() uint64 {
	stat, _ := os.ReadFile("/proc/self/stat")
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return 0
	}
	ticks, _ := strconv.ParseUint(fields[19], 10, 64)
	return ticks
}

// releaseLockTimeout is short: keepalived is stopped all the same.
const releaseLockTimeout = 5 * time.Second

// release hands over while the VIP, and with it the clients, are still here.
func (h *hook) release(ctx context.Context) error {
	if err := h.lock(releaseLockTimeout); err != nil {
		h.log(warning, err.Error()+": going on without the lock")
	}
	for end := time.Now().Add(time.Duration(h.SyncTimeout)); h.me.look(ctx).Health == Busy && time.Now().Before(end); {
		time.Sleep(longestNap)
	}
	if me := h.me.look(ctx); me.Health == Hung {
		h.log(alarm, "Redis hangs: killing it")
		return h.kill(ctx)
	}
	return h.work(ctx, time.Duration(h.SyncTimeout))
}

// afterStop clears up behind keepalived. One that was killed leaves its VIP on the
// interface, and pid files that block the next start.
func (h *hook) afterStop(ctx context.Context) error {
	if err := h.vrrp("stop"); err != nil {
		return err
	}
	if err := h.lock(lockTimeout); err != nil {
		h.log(warning, err.Error())
		return err
	}
	if h.hasVIP() {
		h.log(warning, "keepalived ended without taking the VIP away", "vip=yes")
		h.leaving = true
		if err := h.work(ctx, time.Duration(h.SyncTimeout)); err != nil {
			h.log(warning, err.Error())
		}
		h.leaving = false
		h.dropVIPs(ctx)
	}
	for _, path := range h.KeepalivedPIDs {
		_ = os.Remove(path)
	}
	limit := time.Duration(h.FollowTimeout)
	if me := h.me.look(ctx); me.Health == Up && !me.Primary {
		limit = time.Duration(h.HandedTimeout)
	}
	return h.work(ctx, limit)
}

// redisDown tells keepalived, which watches the file, and with it the peer, that
// this host has no Redis any more. Whoever comes back to the VIP until it has left
// is refused: a Redis that is started meanwhile is fenced.
func (h *host) redisDown(ctx context.Context) error {
	err := h.setMark(markDown, "1")
	h.unmark(markSynced)
	err = errors.Join(err, h.setMark(markClaim, strconv.Itoa(claimNone)), h.gate(true))
	h.log(notice, "Redis has ended: "+os.Getenv("SERVICE_RESULT")+" "+os.Getenv("EXIT_STATUS"), "vip="+yesNo(h.hasVIP()))
	return err
}

// force is the operator's decision on a host that holds.
func (h *hook) force(ctx context.Context) error {
	if err := h.lock(lockTimeout); err != nil {
		return err
	}
	if err := h.setMark(markForce, ""); err != nil {
		return err
	}
	h.log(notice, "the operator forces a promotion")
	h.unmark(markOusted, markHold)
	return h.work(ctx, time.Duration(h.SyncTimeout))
}

// status says what is seen on this host, and what would be done about it.
func (h *hook) status(ctx context.Context, asJSON bool, out io.Writer) error {
	h.began, h.limit = time.Now(), time.Duration(h.SyncTimeout)
	s := h.see(ctx)
	d := Decide(h.config(), s)
	if !asJSON {
		_, err := fmt.Fprintf(out, "vip   %s\nhere  %v\npeer  %v\nkept  rank %d\nnext  %s %v\n", yesNo(s.VIP), s.Me, s.Peer, s.Kept, d.Why, d.Actions)
		return err
	}
	return json.NewEncoder(out).Encode(struct {
		Seen     Seen     `json:"seen"`
		Decision Decision `json:"decision"`
	}{s, d})
}
