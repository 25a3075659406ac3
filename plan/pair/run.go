package pair

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"hapair/remote"
	"hapair/remote/redisctl"
)

// Start brings the pair up in the documented order: Redis on both; their data
// comparable; keepalived on the host whose data is newer (the preferred one
// when they are equal), until it is MASTER, holds the VIP and its Redis is the
// primary; then the other, until it is a replica in sync. What runs already is
// left alone. With hosts named, it is Recover of these.
func (p *Pair) Start(ctx context.Context, ev Events, hosts ...string) error {
	if len(hosts) > 0 {
		return p.Recover(ctx, ev, hosts...)
	}
	if _, err := p.see(ctx, "start the pair"); err != nil {
		return err
	}
	var both sync.WaitGroup
	var errs [2]error
	for i := range p.hosts {
		both.Go(func() { errs[i] = p.startRedis(ctx, ev, i) })
	}
	both.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	var d decision
	err := p.step(ctx, ev, pairwide, "compare data", "", func(Step) (string, error) {
		s, err := p.see(ctx, "compare data")
		if err == nil {
			d, err = decideFirst(s)
		}
		return d.why, err
	})
	if err != nil {
		return err
	}
	if err := p.serve(ctx, ev, d.first); err != nil {
		return err
	}
	return p.join(ctx, ev, 1-d.first)
}

// Stop is Start in reverse: keepalived on the replica; keepalived on the
// primary, which is drained and fenced first; then both Redis, the primary's
// last. With one host named, its peer takes over before it stops.
func (p *Pair) Stop(ctx context.Context, ev Events, hosts ...string) error {
	chosen, err := p.chosen(hosts)
	if err != nil {
		return err
	}
	s, err := p.see(ctx, "stop")
	if err != nil {
		return err
	}
	if len(chosen) == 1 {
		i := chosen[0]
		if serving, ok := s.Serving(); ok && serving == i {
			if err := p.handOver(ctx, ev, i, true); err != nil {
				return err
			}
		}
		if err := p.stopKeepalived(ctx, ev, i); err != nil {
			return err
		}
		return p.stopRedis(ctx, ev, i)
	}
	last, ok := s.Primary()
	if !ok {
		last, _ = s.Holder() // or the preferred one
	}
	for _, stop := range []func(context.Context, Events, int) error{p.stopKeepalived, p.stopRedis} {
		for _, i := range []int{1 - last, last} {
			if err := stop(ctx, ev, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// Recover brings the named hosts, or those that need it, back into a pair
// whose other host serves: Redis, then keepalived, until it is a replica in
// sync. The VIP does not move. When no host serves, it is Start; and when the
// other host cannot be reached either, the one that can comes up alone, if its
// data is the newest as far as it knows.
func (p *Pair) Recover(ctx context.Context, ev Events, hosts ...string) error {
	chosen, err := p.chosen(hosts)
	if err != nil {
		return err
	}
	s := p.Observe(ctx)
	serving, ok := s.Serving()
	if !ok {
		switch a, b := s.Hosts[0].Reachable(), s.Hosts[1].Reachable(); {
		case a && b:
			return p.Start(ctx, ev)
		case a:
			return p.comeUpAlone(ctx, ev, 0)
		case b:
			return p.comeUpAlone(ctx, ev, 1)
		}
		_, err := p.see(ctx, "recover")
		return err
	}
	if len(hosts) == 0 {
		chosen = needsRecovery(s)
	}
	for _, i := range chosen {
		if i == serving {
			continue
		}
		if err := reachable(s.Hosts[i], "recover"); err != nil {
			return err
		}
		if err := p.startRedis(ctx, ev, i); err != nil {
			return err
		}
		if err := p.join(ctx, ev, i); err != nil {
			return err
		}
	}
	return p.step(ctx, ev, pairwide, "see that the VIP has not moved", "", func(Step) (string, error) {
		s := p.Observe(ctx)
		name := s.Hosts[serving].Name
		if seen, ok := s.servingAt(serving); !ok {
			return seen, fmt.Errorf("%s no longer serves", name)
		}
		seen, _ := s.replicaInSync(1 - serving)
		return fmt.Sprintf("%s serves; %s: %s", name, s.Hosts[1-serving].Name, seen), nil
	})
}

// comeUpAlone starts host i while nobody knows how the other one is. Its hooks
// decide whether its data may be served.
func (p *Pair) comeUpAlone(ctx context.Context, ev Events, i int) error {
	if err := p.startRedis(ctx, ev, i); err != nil {
		return err
	}
	return p.serve(ctx, ev, i)
}

// Promote makes host the primary on the operator's word, although it holds.
// What the other host has written since is lost to the pair, but set aside
// there. It is refused while the other host serves: that is a Switchover.
func (p *Pair) Promote(ctx context.Context, ev Events, host string) error {
	chosen, err := p.chosen([]string{host})
	if err != nil {
		return err
	}
	i := chosen[0]
	s := p.Observe(ctx)
	if err := reachable(s.Hosts[i], "promote"); err != nil {
		return err
	}
	if serving, ok := s.Serving(); ok && serving != i {
		return &Error{
			Host: host, Step: "promote", Err: fmt.Errorf("%s serves as the primary", s.Hosts[serving].Name),
			Hint: "Run `hapair stop --host " + s.Hosts[serving].Name + "`, which hands over and loses nothing, then `hapair recover`.",
		}
	}
	if err := p.startRedis(ctx, ev, i); err != nil {
		return err
	}
	err = p.step(ctx, ev, i, "decide for this host's data", "", func(Step) (string, error) {
		if s := p.Observe(ctx); s.Hosts[i].Redis.Role() == redisctl.Primary {
			return "it is the primary already", nil
		}
		_, err := p.hosts[i].Run(ctx, remote.Cmd{Argv: []string{path.Join(p.layout.Hooks(), "promote.sh"), "--force"}})
		return "done", err
	})
	if err != nil {
		return err
	}
	return p.serve(ctx, ev, i)
}

// Switchover hands the VIP and the primary's role over to host, or, where that is
// "", to the host that does not serve, with nothing lost. The old primary follows.
func (p *Pair) Switchover(ctx context.Context, ev Events, to string) error {
	s, err := p.see(ctx, "switch over")
	if err != nil {
		return err
	}
	serving, ok := s.Serving()
	i := 1 - serving
	switch {
	case to != "":
		chosen, err := p.chosen([]string{to})
		if err != nil {
			return err
		}
		i = chosen[0]
	case !ok:
		return &Error{
			Step: "switch over", Err: errors.New("no host serves"),
			Hint: "Run `hapair status` to see why, and `hapair recover` to have the pair serve again.",
		}
	}
	if !ok || serving != i {
		if err := p.handOver(ctx, ev, 1-i, true); err != nil {
			return err
		}
	}
	return p.join(ctx, ev, 1-i)
}

// see is Observe where both hosts have to be reachable.
func (p *Pair) see(ctx context.Context, step string) (State, error) {
	s := p.Observe(ctx)
	return s, errors.Join(reachable(s.Hosts[0], step), reachable(s.Hosts[1], step))
}

func reachable(h HostState, step string) error {
	if h.Reachable() {
		return nil
	}
	return &Error{
		Host: h.Name, Step: step, Err: unreachableError{h},
		Hint: hintOf(h.Err, "Bring the host back first. To start the other one alone, if its data allows that, run `hapair recover`."),
	}
}

// hintOf is what the way to a host has to say about its failure, or else.
func hintOf(err error, otherwise string) string {
	var told *remote.Error
	if errors.As(err, &told) && told.Hint != "" {
		return told.Hint
	}
	return otherwise
}

// unreachableError is why a host could not be observed, without its name, which
// stands before it wherever it is shown.
type unreachableError struct{ h HostState }

func (e unreachableError) Error() string {
	return "cannot be reached: " + strings.TrimPrefix(e.h.Err.Error(), e.h.Name+": ")
}
func (e unreachableError) Unwrap() error { return e.h.Err }

// chosen are the indices of the named hosts, or both.
func (p *Pair) chosen(names []string) ([]int, error) {
	var chosen []int
	for i, h := range p.spec.Hosts {
		if len(names) == 0 || slices.Contains(names, h.Name) {
			chosen = append(chosen, i)
		}
	}
	for _, name := range names {
		if name != p.spec.Hosts[0].Name && name != p.spec.Hosts[1].Name {
			return nil, fmt.Errorf("pair %s has no host %q: its hosts are %s and %s",
				p.spec.Name, name, p.spec.Hosts[0].Name, p.spec.Hosts[1].Name)
		}
	}
	return chosen, nil
}

// startRedis has Redis run on host i, with all its data loaded.
func (p *Pair) startRedis(ctx context.Context, ev Events, i int) error {
	hint := "See Redis' log " + p.layout.RedisLog() + " on the host."
	return p.step(ctx, ev, i, "start Redis", hint, func(step Step) (string, error) {
		h := p.observe(ctx, i)
		if err := reachable(h, "start Redis"); err != nil {
			return "", err
		}
		seen, ok := h.answering()
		if ok && h.Redis.Running() {
			return "already " + seen, nil
		}
		if !h.Redis.Running() {
			if err := p.systemctl(ctx, i, "start", p.layout.RedisUnit()); err != nil {
				return "", err
			}
		}
		return p.wait(ctx, step, func(ctx context.Context) (string, bool, error) {
			h := p.observe(ctx, i)
			seen, ok := h.answering()
			if h.Reachable() && h.Redis.Down() {
				return seen, false, fmt.Errorf("it has ended again (%s)", h.Redis.Active)
			}
			return seen, ok, nil
		})
	})
}

// startKeepalived has keepalived run on host i; what it does then is another
// step.
func (p *Pair) startKeepalived(ctx context.Context, ev Events, i int) error {
	return p.step(ctx, ev, i, "start keepalived", "", func(Step) (string, error) {
		h := p.observe(ctx, i)
		if err := reachable(h, "start keepalived"); err != nil {
			return "", err
		}
		if h.Keepalived.Running() {
			return "already running", nil
		}
		return "running", p.systemctl(ctx, i, "start", p.layout.KeepalivedUnit())
	})
}

// serve has clients served by host i.
func (p *Pair) serve(ctx context.Context, ev Events, i int) error {
	if err := p.startKeepalived(ctx, ev, i); err != nil {
		return err
	}
	return p.awaitServing(ctx, ev, i)
}

func (p *Pair) awaitServing(ctx context.Context, ev Events, i int) error {
	return p.await(ctx, ev, i, "become MASTER and primary", func(s State) (string, bool, error) {
		seen, ok := s.servingAt(i)
		if ok {
			seen += " " + vipList(s)
		}
		return seen, ok, nil
	})
}

// join has host i be a replica in sync of the other one, which serves.
func (p *Pair) join(ctx context.Context, ev Events, i int) error {
	if err := p.startKeepalived(ctx, ev, i); err != nil {
		return err
	}
	return p.await(ctx, ev, i, "become a replica in sync", func(s State) (string, bool, error) {
		seen, ok := s.replicaInSync(i)
		if len(s.Hosts[i].VIPs) > 0 {
			return seen, false, errors.New("the VIP moved here")
		}
		return seen, ok && s.Hosts[i].Keepalived.Running(), nil
	})
}

// await is a step that waits until the hooks of host i have done their part.
func (p *Pair) await(ctx context.Context, ev Events, i int, what string, done func(State) (string, bool, error)) error {
	return p.step(ctx, ev, i, what, "", func(step Step) (string, error) {
		var h HostState
		var held time.Time
		seen, err := p.wait(ctx, step, func(ctx context.Context) (string, bool, error) {
			s := p.Observe(ctx)
			h = s.Hosts[i]
			seen, ok, err := done(s)
			switch {
			case ok || err != nil:
			case h.Reachable() && h.Keepalived.Down():
				err = errors.New("keepalived has ended")
			case h.Hold == "":
				held = time.Time{}
			case held.IsZero():
				held = time.Now()
			case time.Since(held) > p.holdPatience():
				err = errors.New("the host holds")
			}
			return seen, ok, err
		})
		if err == nil || ctx.Err() != nil {
			return seen, err
		}
		e := &Error{
			Host: h.Name, Step: what, Err: err, Seen: seen, Log: append(p.journal(ctx, i, p.layout.KeepalivedUnit()), h.Log...),
			Hint: fmt.Sprintf("See on the host %s for what the hooks decided, and %s and %s.", p.layout.StateLog(), p.layout.KeepalivedLog(), p.layout.RedisLog()),
		}
		if h.Hold != "" {
			e.Hint = "Bring the other host back, or, if the data of " + h.Name + " is the one to keep, run `hapair promote --host " + h.Name + " --force`."
		}
		return seen, e
	})
}

// stopKeepalived has keepalived stopped on host i and the VIP gone from there.
// The unit drains and fences a primary before.
func (p *Pair) stopKeepalived(ctx context.Context, ev Events, i int) error {
	return p.stopUnit(ctx, ev, i, "stop keepalived", p.layout.KeepalivedUnit(), func(h HostState) (string, bool) {
		if len(h.VIPs) > 0 {
			return "the VIP is still here", false
		}
		return "keepalived is " + h.Keepalived.Active, h.Keepalived.Down()
	})
}

func (p *Pair) stopRedis(ctx context.Context, ev Events, i int) error {
	return p.stopUnit(ctx, ev, i, "stop Redis", p.layout.RedisUnit(), func(h HostState) (string, bool) {
		if h.Redis.Info != nil {
			return "Redis still answers", false
		}
		return "Redis is " + h.Redis.Active, h.Redis.Down()
	})
}

func (p *Pair) stopUnit(ctx context.Context, ev Events, i int, what, unit string, stopped func(HostState) (string, bool)) error {
	return p.step(ctx, ev, i, what, "", func(step Step) (string, error) {
		h := p.observe(ctx, i)
		if err := reachable(h, what); err != nil {
			return "", err
		}
		if _, ok := stopped(h); ok {
			return "already stopped", nil
		}
		if err := p.systemctl(ctx, i, "stop", unit); err != nil {
			return "", err
		}
		return p.wait(ctx, step, func(ctx context.Context) (string, bool, error) {
			h := p.observe(ctx, i)
			if !h.Reachable() {
				return unreachableError{h}.Error(), false, nil
			}
			seen, ok := stopped(h)
			return seen, ok, nil
		})
	})
}

// handOver has the other host take over from host i, which serves, by stopping
// keepalived there: its unit drains Redis, fences it and lets the VIP go. The
// other host's keepalived runs by then; or it is started only once the VIP is
// free, for two that must not meet. It is not begun unless the other host is
// fit for it, and keepalived is started again when that does not take over
// after all.
func (p *Pair) handOver(ctx context.Context, ev Events, i int, running bool) error {
	to := 1 - i
	name := p.spec.Hosts[to].Name
	what := "hand over to " + name
	unit := p.layout.KeepalivedUnit()
	hint := "Run `hapair start`: it brings up the host with the newer data."
	return p.step(ctx, ev, i, what, hint, func(step Step) (string, error) {
		s, err := p.see(ctx, what)
		if err != nil {
			return "", err
		}
		if err := canTakeOver(s, to, running); err != nil {
			return "", &Error{
				Host: s.Hosts[i].Name, Step: what, Err: err,
				Hint: "Run `hapair recover --host " + name + "` first. " + s.Hosts[i].Name + " goes on serving.",
			}
		}
		var seen string
		if running {
			err = p.systemctl(ctx, i, "stop", unit)
		} else {
			// The stop ends only when the other host has taken over.
			if err = p.systemctl(ctx, i, "stop", unit, "--no-block"); err == nil {
				seen, err = p.wait(ctx, step, func(ctx context.Context) (string, bool, error) {
					seen, ok := p.observe(ctx, i).released()
					return seen, ok, nil
				})
			}
			if err == nil {
				err = p.systemctl(ctx, to, "start", unit)
			}
		}
		if err == nil {
			seen, err = p.wait(ctx, step, func(ctx context.Context) (string, bool, error) {
				seen, ok := p.Observe(ctx).servingAt(to)
				return name + ": " + seen, ok, nil
			})
		}
		if err != nil && ctx.Err() == nil {
			if again := p.systemctl(ctx, i, "start", unit); again == nil {
				err = fmt.Errorf("%w (keepalived was started again on %s)", err, s.Hosts[i].Name)
			}
		}
		return seen, err
	})
}

// released reports whether the host has let go of the service: fenced, no VIP.
func (h HostState) released() (seen string, ok bool) {
	switch {
	case !h.Reachable():
		return unreachableError{h}.Error(), false
	case h.Redis.Role() == redisctl.Primary:
		return h.Name + " is still the primary", false
	case len(h.VIPs) > 0:
		return h.Name + " still holds the VIP", false
	}
	return h.Name + " has let go", true
}

func vipList(s State) string {
	var list []string
	for _, vip := range s.VIPs {
		list = append(list, vip.String())
	}
	return strings.Join(list, ", ")
}
