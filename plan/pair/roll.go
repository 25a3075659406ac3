package pair

import (
	"context"

	"hapair/templates"
)

// Restart restarts Redis and keepalived of the pair, or of the named hosts:
// the replica's, then, after a handover, the old primary's.
func (p *Pair) Restart(ctx context.Context, ev Events, hosts ...string) error {
	chosen, err := p.chosen(hosts)
	if err != nil {
		return err
	}
	var changes [2]Change
	for _, i := range chosen {
		changes[i] = Change{Redis: true}
	}
	return p.Roll(ctx, ev, changes)
}

// Roll carries out changes on both hosts with at most one handover, and never
// with two hosts that speak VRRP differently: each would take the VIP.
//
//	replica:  keepalived stops
//	primary:  keepalived takes over its change, alone; the VIP stays
//	replica:  Redis restarts, keepalived starts, it is in sync again
//	primary:  hands over; Redis restarts, keepalived starts, it is in sync again
//
// Only what a change needs is done. What does not run is left alone: it has the
// changes once it is started. A pair that does not serve, although parts of it
// run, is stopped and started. A keepalived that cannot be
// reloaded (before 2.0) or whose program changed is restarted on the primary,
// which interrupts the service for about four adverts.
func (p *Pair) Roll(ctx context.Context, ev Events, changes [2]Change) error {
	s, err := p.see(ctx, "restart")
	if err != nil {
		return err
	}
	for i, h := range s.Hosts {
		if h.Redis.Down() {
			changes[i].Redis = false
		}
		if h.Keepalived.Down() {
			changes[i].Keepalived = Keep
		}
	}
	if changes == ([2]Change{}) {
		return nil
	}
	primary, ok := s.Serving()
	if !ok { // there is nothing to interrupt
		if err := p.Stop(ctx, ev); err != nil {
			return err
		}
		return p.Start(ctx, ev)
	}
	replica := 1 - primary
	joined := s.Hosts[replica].Keepalived.Running()
	if changes[primary].Redis {
		if err := canTakeOver(s, replica); err != nil {
			return &Error{
				Host: s.Hosts[primary].Name, Step: "restart Redis", Err: err,
				Hint: "Nothing was changed. Run `hapair recover --host " + s.Hosts[replica].Name + "` first: it has to take over meanwhile.",
			}
		}
	}

	if joined && (changes[replica] != Change{} || changes[primary].Keepalived != Keep) {
		if err := p.stopKeepalived(ctx, ev, replica); err != nil {
			return err
		}
	}
	if renewal := changes[primary].Keepalived; renewal != Keep {
		if err := p.renewKeepalived(ctx, ev, primary, renewal); err != nil {
			return err
		}
	}
	if changes[replica].Redis {
		if err := p.restartRedis(ctx, ev, replica); err != nil {
			return err
		}
	}
	if joined {
		if err := p.join(ctx, ev, replica); err != nil {
			return err
		}
	}
	if !changes[primary].Redis {
		return nil
	}
	if err := p.handOver(ctx, ev, primary); err != nil {
		return err
	}
	if err := p.restartRedis(ctx, ev, primary); err != nil {
		return err
	}
	return p.join(ctx, ev, primary)
}

// renewKeepalived has keepalived on host i, which serves, take over a change
// while the other host's is stopped.
func (p *Pair) renewKeepalived(ctx context.Context, ev Events, i int, how Renewal) error {
	unit := p.layout.KeepalivedUnit()
	verb, what := "reload", "reload keepalived"
	h := p.observe(ctx, i)
	if how == Restart || !reloads(h.Keepalived.Version) {
		verb, what = "restart", "restart keepalived"
	}
	err := p.step(ctx, ev, i, what, "", func(Step) (string, error) {
		return "done", p.systemctl(ctx, i, verb, unit)
	})
	if err != nil {
		return err
	}
	return p.awaitServing(ctx, ev, i)
}

// reloads reports whether a keepalived keeps its VIP while it reads its
// configuration anew, whatever changed. Before 2.0 it is not to be trusted.
func reloads(version string) bool {
	v, err := templates.ParseVersion(version)
	return err == nil && v.AtLeast(2, 0, 0)
}

// restartRedis restarts Redis on host i, which does not serve.
func (p *Pair) restartRedis(ctx context.Context, ev Events, i int) error {
	if err := p.stopRedis(ctx, ev, i); err != nil {
		return err
	}
	return p.startRedis(ctx, ev, i)
}
