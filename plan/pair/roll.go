package pair

import (
	"context"
	"errors"
	"fmt"
	"path"

	"hapair/remote"
	"hapair/templates"
)

// Change is what has to happen on a host for changed files to count.
type Change struct {
	Redis      bool    `json:"redis,omitempty"` // restart it
	Keepalived Renewal `json:"keepalived,omitempty"`
}

// Renewal is how keepalived takes over a change. The higher one includes the
// lower.
type Renewal int

const (
	Keep    Renewal = iota // nothing changed
	Reload                 // its configuration did
	Restart                // its program or unit did
)

var renewals = [...]string{Keep: "keep", Reload: "reload", Restart: "restart"}

func (r Renewal) String() string { return renewals[r] }

// MarshalText writes the renewal as a word.
func (r Renewal) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (r *Renewal) UnmarshalText(text []byte) error {
	for i, word := range renewals {
		if word == string(text) {
			*r = Renewal(i)
			return nil
		}
	}
	return fmt.Errorf("parse renewal: %q is none", text)
}

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
// with two hosts that speak VRRP differently: each would take the VIP. Only
// what a change needs is done:
//
//	replica: keepalived stops, Redis restarts
//	primary: keepalived reloads, and keeps the VIP
//	replica: keepalived starts, it is in sync again
//	primary: hands over, Redis restarts, keepalived starts, it is in sync again
//
// A keepalived whose program changed, or that cannot be trusted to reload
// (before 2.0), has to let go of the VIP. Then the replica's starts only when
// the primary's has, which takes the adverts that it waits for in vain, three
// to four.
//
// What does not run is left alone: it has the changes once it is started. A
// pair that does not serve, although parts of it run, is stopped and started.
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
		if changes[i].Keepalived == Reload && !reloads(h.Keepalived.Version) {
			changes[i].Keepalived = Restart
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
	mine, its := changes[primary], changes[replica]
	joined := s.Hosts[replica].Keepalived.Running()
	if mine.Redis || mine.Keepalived == Restart {
		if err := canTakeOver(s, replica, true); err != nil {
			return &Error{
				Host: s.Hosts[primary].Name, Step: "restart", Err: err,
				Hint: "Nothing was changed. Run `hapair recover --host " + s.Hosts[replica].Name + "` first: it has to take over meanwhile.",
			}
		}
	}

	if joined && (its != Change{} || mine.Keepalived != Keep) {
		if err := p.stopKeepalived(ctx, ev, replica); err != nil {
			return err
		}
	}
	if its.Redis {
		if err := p.restartRedis(ctx, ev, replica); err != nil {
			return err
		}
	}
	if mine.Keepalived == Restart {
		if its.Redis {
			if err := p.attach(ctx, ev, replica); err != nil {
				return err
			}
		}
		if err := p.handOver(ctx, ev, primary, false); err != nil {
			return err
		}
	} else {
		if mine.Keepalived == Reload {
			if err := p.reloadKeepalived(ctx, ev, primary); err != nil {
				return err
			}
		}
		if joined {
			if err := p.join(ctx, ev, replica); err != nil {
				return err
			}
		}
		if !mine.Redis {
			return nil
		}
		if err := p.handOver(ctx, ev, primary, true); err != nil {
			return err
		}
	}
	if mine.Redis {
		if err := p.restartRedis(ctx, ev, primary); err != nil {
			return err
		}
	}
	return p.join(ctx, ev, primary)
}

// reloads reports whether a keepalived keeps its VIP while it reads its
// configuration anew, whatever changed in it.
func reloads(version string) bool {
	v, err := templates.ParseVersion(version)
	return err == nil && v.AtLeast(2, 0, 0)
}

// reloadKeepalived has keepalived on host i, which serves, read its
// configuration anew while the other host's is stopped.
func (p *Pair) reloadKeepalived(ctx context.Context, ev Events, i int) error {
	err := p.step(ctx, ev, i, "reload keepalived", "", func(Step) (string, error) {
		return "done", p.systemctl(ctx, i, "reload", p.layout.KeepalivedUnit())
	})
	if err != nil {
		return err
	}
	return p.awaitServing(ctx, ev, i)
}

// restartRedis restarts Redis on host i, which does not serve.
func (p *Pair) restartRedis(ctx context.Context, ev Events, i int) error {
	if err := p.stopRedis(ctx, ev, i); err != nil {
		return err
	}
	return p.startRedis(ctx, ev, i)
}

// attach has host i follow the other one while its keepalived, which would
// have called the hook, is stopped.
func (p *Pair) attach(ctx context.Context, ev Events, i int) error {
	hook := remote.Cmd{Argv: []string{path.Join(p.layout.Hooks(), "backup.sh"), "again"}}
	return p.step(ctx, ev, i, "become a replica in sync", "See "+p.layout.StateLog()+" on the host for what the hooks decided.", func(step Step) (string, error) {
		return p.wait(ctx, step, func(ctx context.Context) (string, bool, error) {
			// It ends after the sync timeout with an exit code when a sync takes
			// longer; the next look calls it again.
			var exit *remote.ExitError
			if _, err := p.hosts[i].Run(ctx, hook); err != nil && !errors.As(err, &exit) {
				return err.Error(), false, nil
			}
			seen, ok := p.Observe(ctx).replicaInSync(i)
			return seen, ok, nil
		})
	})
}
