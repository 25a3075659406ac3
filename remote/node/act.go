package node

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// act does one thing. An error means that it was not done, or not seen to be
// done: look again.
func (h *hook) act(ctx context.Context, a Action) error {
	switch a.Do {
	case BlockMe:
		return h.block(ctx, h.me)
	case BlockPeer:
		return h.block(ctx, h.peer)
	case UnblockMe:
		return h.unblock(ctx, h.me)
	case UnblockPeer:
		return h.unblock(ctx, h.peer)
	case RankMe:
		return h.me.do(ctx, liveRank(a.Rank))
	case RankPeer:
		return h.peer.do(ctx, liveRank(a.Rank))
	case FenceMe:
		if err := h.fence(ctx, h.me, a.Rank); err != nil {
			return err
		}
		return h.setMark(markClaim, strconv.Itoa(claimNone))
	case FencePeer:
		return h.fence(ctx, h.peer, a.Rank)
	case Promote:
		return h.promote(ctx, a.Rank)
	case SetAside:
		return h.aside(ctx)
	case Follow:
		h.unmark(markSynced)
		if err := h.setMark(markClaim, strconv.Itoa(claimNone)); err != nil {
			return err
		}
		return h.me.do(ctx, []any{"SLAVEOF", h.Peer.String(), h.Port})
	case KeepRank:
		if err := h.keepRank(a.Rank, func() error { return h.me.same(ctx) }); err != nil {
			return err
		}
		return h.me.do(ctx, liveRank(a.Rank))
	case Floor:
		return h.me.do(ctx, floor(a.N))
	case Claim:
		return h.setMark(markClaim, strconv.Itoa(a.N))
	case OpenGate, CloseGate:
		return h.gate(a.Do == CloseGate)
	case LetClientsGo:
		return h.me.letClientsGo(ctx, h.CanKillType)
	case KillRedis:
		return h.kill(ctx)
	case MarkSynced:
		return h.setMark(markSynced, "")
	case MarkLetGo:
		return h.setMark(markLetGo, "")
	case MarkOusted:
		return h.setMark(markOusted, "")
	case Hold:
		return h.hold(ctx, a.Text)
	case Unhold:
		h.unmark(markHold)
		return nil
	}
	return fmt.Errorf("node: %v is not known", a.Do)
}

func liveRank(r Rank) []any { return []any{"CONFIG", "SET", "slave-priority", int(r)} }
func floor(n int) []any     { return []any{"CONFIG", "SET", "min-slaves-to-write", n} }

// shut is a floor that no pair reaches.
const shut = 99999

// block keeps writes from a Redis. A pause ends by itself, should nobody be left
// to end it.
func (h *hook) block(ctx context.Context, s *server) error {
	command := floor(shut)
	if h.CanPause {
		limit := time.Duration(h.SyncTimeout) + 2*time.Second
		command = []any{"CLIENT", "PAUSE", limit.Milliseconds(), "WRITE"}
	}
	if err := s.do(ctx, command); err != nil {
		return err
	}
	s.blocked = s.seen.Rank
	return nil
}

func (h *hook) unblock(ctx context.Context, s *server) error {
	command := floor(h.alone())
	if h.CanPause {
		command = []any{"CLIENT", "UNPAUSE"}
	}
	s.blocked = 0
	return s.do(ctx, command)
}

// alone is min-replicas-to-write of a primary that has no replica yet.
func (h *hook) alone() int {
	if h.Durability == "strict" {
		return 1
	}
	return 0
}

// fence: not writable from here on. Its clients are let go while their
// connections can still be answered: once the VIP has left, they would wait in
// silence.
func (h *hook) fence(ctx context.Context, s *server, r Rank) error {
	commands := [][]any{{"SLAVEOF", placeholder, 1}}
	if r != 0 {
		commands = append(commands, liveRank(r))
	}
	if h.CanPause {
		commands = append(commands, []any{"CLIENT", "UNPAUSE"})
	}
	s.blocked = 0
	if err := s.do(ctx, commands...); err != nil {
		return err
	}
	return s.letClientsGo(ctx, h.CanKillType)
}

// promote makes this Redis the primary. It takes no write yet: its rank is to be
// on disk first.
func (h *hook) promote(ctx context.Context, r Rank) error {
	commands := [][]any{liveRank(r), floor(shut)}
	if h.CanPause {
		commands = append(commands, []any{"CLIENT", "UNPAUSE"})
	}
	if err := h.me.do(ctx, append(commands, []any{"SLAVEOF", "NO", "ONE"})...); err != nil {
		return err
	}
	h.unmark(markForce, markSynced, markLetGo, markOusted)
	return h.setMark(markClaim, strconv.Itoa(claimNewest))
}

// aside sets the data aside, or holds.
func (h *hook) aside(ctx context.Context) error {
	if err := h.saved(ctx); err != nil {
		return h.cannot(ctx, err)
	}
	into, err := h.setAside(ctx, h.me.seen.Rank)
	if err != nil {
		return h.cannot(ctx, err)
	}
	if into != "" {
		h.log(notice, "set this host's data aside in "+into)
	}
	return nil
}

// cannot holds because of err.
func (h *hook) cannot(ctx context.Context, err error) error {
	return errors.Join(errHeld, err, h.hold(ctx, err.Error()))
}

// saveTimeout is for a snapshot of the data.
const saveTimeout = time.Minute

// saved sees that the data is on disk: without an append-only file it is in
// memory alone.
func (h *hook) saved(ctx context.Context) error {
	info, err := h.me.client.Info(ctx)
	if err != nil || info.AOF {
		return err
	}
	if err := h.me.do(ctx, []any{"BGSAVE"}); err != nil {
		return err
	}
	for end := time.Now().Add(saveTimeout); ; time.Sleep(20 * time.Millisecond) {
		info, err := h.me.client.Info(ctx)
		switch {
		case err != nil:
			return err
		case !info.Saving && info.LastSaveOK:
			return nil
		case !info.Saving || time.Now().After(end):
			return fmt.Errorf("this host's data could not be saved before it follows %s", h.PeerName)
		}
	}
}

// hold: not writable and no VIP until the peer or the operator tells more. If
// the VIP is here it leaves with the next check, and no client is to be in the
// middle of anything then.
func (h *hook) hold(ctx context.Context, why string) error {
	if line(h.mark(markHold)) == why {
		return nil
	}
	if err := h.gate(true); err != nil {
		return err
	}
	h.log(warning, "holding: "+why)
	return h.setMark(markHold, why)
}

// kill ends a Redis that hangs, and with it its clients' connections, while these
// can still be told. A large process takes a while to go.
func (h *hook) kill(ctx context.Context) error {
	if err := h.gate(true); err != nil {
		return err
	}
	if err := systemctl(ctx, "kill", "--signal=KILL", h.RedisUnit); err != nil {
		return err
	}
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if h.me.look(ctx).Health == Dead {
			return nil
		}
	}
	return nil
}
