package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"hapair/plan/pair"
	"hapair/plan/spec"
)

// lifecycleOptions are those of start, stop, recover, switchover and promote, which differ
// in the one call they make.
type lifecycleOptions struct {
	pairOptions
	lockOptions
	json bool
	host string // empty: both, or those that need it
}

func (o *lifecycleOptions) addFlags(cmd *cobra.Command, hostUsage string) {
	o.pairOptions.addFlags(cmd)
	o.lockOptions.addFlags(cmd)
	cmd.Flags().StringVar(&o.host, "host", "", hostUsage)
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON, one object a line")
}

func (o *lifecycleOptions) hosts() []string {
	if o.host == "" {
		return nil
	}
	return []string{o.host}
}

// lifecycleRun connects to the pair, does one thing with it, and shows how it
// stands then.
func lifecycleRun(a *app, o *lifecycleOptions, command string, do func(context.Context, *pair.Pair, pair.Events) error) error {
	v := a.show(o.json)
	p, err := o.loadOne(v)
	if err != nil {
		return err
	}
	if o.host != "" {
		if err := checkHost(p, o.host); err != nil {
			return err
		}
	}
	s := &spec.Spec{Pairs: []*spec.Pair{p}}
	hosts := a.connect(a.stop.asked, s, v)
	defer hosts.close()
	if a.stop.asked.Err() != nil {
		return context.Cause(a.stop.asked)
	}
	locked, err := hosts.lock(a.stop.asked, v, s, command, o.lockOptions)
	if err != nil {
		return err
	}
	defer locked.release()
	running := hosts.pair(p)
	defer a.stop.answer(v)()
	events, done := v.Lifecycle(p.Name, [2]string{p.Hosts[0].Name, p.Hosts[1].Name})
	ctx, end := locked.during(a.stop.now)
	defer end()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err = do(ctx, running, &untilAsked{Events: events, asked: a.stop.asked, stop: cancel})
	done()
	if err != nil {
		return err
	}
	if !o.json {
		v.Status(observe(a.stop.asked, []*pair.Pair{running}))
	}
	return nil
}

// untilAsked lets the step under way end after the first Ctrl-C, and none
// begin.
type untilAsked struct {
	pair.Events
	asked context.Context
	stop  context.CancelCauseFunc
}

// Step implements pair.Events.
func (u *untilAsked) Step(host, what string) pair.Step {
	if u.asked.Err() != nil {
		u.stop(halt(fmt.Sprintf("stopped before it came to %q on %s: what was done stays so, and the same command goes on from there", what, host)))
		return pair.Quiet{}.Step(host, what)
	}
	return u.Events.Step(host, what)
}
