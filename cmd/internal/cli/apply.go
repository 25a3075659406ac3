package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"hapair/cmd/internal/view"
	"hapair/plan"
)

type applyOptions struct {
	pairOptions
	lockOptions
	json        bool
	autoApprove bool
}

func newCmdApply(a *app, run func(*applyOptions) error) *cobra.Command {
	o := &applyOptions{}
	cmd := &cobra.Command{
		Use:     "apply",
		GroupID: groupPair,
		Short:   "Show what would change, ask, and make it so",
		Long: `apply plans as plan does, asks, and executes exactly that plan. Every step
looks, acts and verifies; what touches the running service goes in an order that
keeps it up, replica first.

It can be interrupted: the first Ctrl-C lets the steps under way end and begins
no other, the second drops everything at once. The next apply goes on from there.`,
		Example: `  hapair apply
  hapair apply --auto-approve         ask nothing: for CI`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			if run != nil {
				return run(o)
			}
			return applyRun(a, o)
		},
	}
	o.pairOptions.addFlags(cmd)
	o.lockOptions.addFlags(cmd)
	cmd.Flags().BoolVar(&o.autoApprove, "auto-approve", false, "do not ask")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON, one object a line; needs --auto-approve")
	return cmd
}

func applyRun(a *app, o *applyOptions) error {
	v := a.show(o.json)
	switch {
	case o.autoApprove:
	case o.json:
		return errors.New("apply --json cannot ask: add --auto-approve")
	case !a.mayAsk():
		return errors.New("apply has to ask, and input is switched off: add --auto-approve")
	}
	s, err := o.load(v)
	if err != nil {
		return err
	}
	hosts, err := a.connectAll(a.stop.asked, s, v)
	if err != nil {
		return err
	}
	defer hosts.close()
	locked, err := hosts.lock(a.stop.asked, v, s, "apply", o.lockOptions)
	if err != nil {
		return err
	}
	defer locked.release()
	p, err := compare(a.stop.asked, v, s, hosts)
	if err != nil {
		return err
	}
	v.Plan(p)
	if p.Empty() {
		return nil
	}
	if !o.autoApprove {
		ctx, done := locked.during(a.stop.asked)
		err := approve(ctx, v)
		done()
		if err != nil {
			return err
		}
	}

	start := time.Now()
	defer a.stop.answer(v)()
	hooks, done := v.Apply(p)
	ctx, end := locked.during(a.stop.now)
	defer end()
	err = plan.Apply(ctx, p, plan.Options{Hosts: hosts.hosts, Hooks: hooks, Stop: a.stop.asked.Done()})
	done()
	if err != nil {
		if ctx.Err() != nil && a.stop.now.Err() == nil {
			err = fmt.Errorf("%v: %w", context.Cause(ctx), err)
		}
		return err
	}
	v.Applied(p, time.Since(start))
	v.Next([]view.Hint{
		o.hint(s, "status", "both hosts at a glance"),
		o.hint(s, "drill documented", "prove the failover, measured"),
		o.hint(s, "plan", "nothing is left to do"),
	})
	return nil
}

// approve asks whether the plan is to be applied.
func approve(ctx context.Context, v view.View) error {
	answer, err := v.Ask(ctx, "\nApply these changes? Only \"yes\" does:")
	if err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	if answer != "yes" {
		return errors.New("nothing was changed: the answer was not \"yes\"")
	}
	return nil
}
