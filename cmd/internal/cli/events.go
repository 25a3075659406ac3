package cli

import (
	"context"

	"github.com/spf13/cobra"

	"hapair/plan/spec"
)

type eventsOptions struct {
	pairOptions
	json   bool
	follow bool
	lines  int
}

func newCmdEvents(a *app, run func(*eventsOptions) error) *cobra.Command {
	o := &eventsOptions{}
	cmd := &cobra.Command{
		Use:     "events",
		GroupID: groupRun,
		Short:   "Show what has happened on both hosts, in one timeline",
		Long: `events merges the state logs of both hosts (every decision of a hook, with what
it saw and why) with what keepalived and systemd did to the pair, by the time.
The times are those of the hosts' clocks.`,
		Example: `  hapair events
  hapair events --follow
  hapair events --lines 200 --json | jq 'select(.by == "master")'`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			if run != nil {
				return run(o)
			}
			return eventsRun(a.stop.asked, a, o)
		},
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON, one object a line")
	cmd.Flags().BoolVarP(&o.follow, "follow", "F", false, "go on with what happens from now on, until Ctrl-C")
	cmd.Flags().IntVarP(&o.lines, "lines", "n", 20, "begin with so many of either kind and host")
	return cmd
}

func eventsRun(ctx context.Context, a *app, o *eventsOptions) error {
	v := a.show(o.json)
	p, err := o.loadOne(v)
	if err != nil {
		return err
	}
	hosts := a.connect(ctx, &spec.Spec{Pairs: []*spec.Pair{p}}, v)
	defer hosts.close()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	running := hosts.pair(p)
	if o.follow {
		return running.FollowTimeline(ctx, o.lines, v.Timeline)
	}
	happened, err := running.Timeline(ctx, o.lines)
	v.Timeline(happened)
	return err
}
