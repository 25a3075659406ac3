package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"hapair/cmd/internal/view"
	"hapair/plan/pair"
	"hapair/plan/spec"
)

type statusOptions struct {
	pairOptions
	json  bool
	watch bool
}

func newCmdStatus(a *app, run func(*statusOptions) error) *cobra.Command {
	o := &statusOptions{}
	cmd := &cobra.Command{
		Use:     "status",
		GroupID: groupRun,
		Short:   "Show both hosts at a glance",
		Long: `status shows who holds the VIP, VRRP states, Redis roles, link and lag, versions
and the last events of both hosts, and says what is wrong and what to do about
it. A host that cannot be reached is part of the picture.

Its exit codes are those of monitoring systems, so it can be a check of one.`,
		Example: `  hapair status
  hapair status --watch
  hapair status --json | jq '.pairs[].healthy'`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			if run != nil {
				return run(o)
			}
			return statusRun(a.stop.asked, a, o)
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &healthError{pair.Unknown, &usageError{cmd, err}}
	})
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "look again every second, until Ctrl-C")
	return cmd
}

func statusRun(ctx context.Context, a *app, o *statusOptions) error {
	v := a.show(o.json)
	s, err := o.load(v)
	if err != nil {
		return &healthError{pair.Unknown, err}
	}
	hosts := a.connect(ctx, s, v)
	defer hosts.close()
	if o.watch {
		return watchRun(ctx, v, s, hosts)
	}
	seen := observe(ctx, hosts.pairs(s))
	if ctx.Err() != nil {
		return &healthError{pair.Unknown, context.Cause(ctx)}
	}
	v.Status(seen)
	return verdict(seen)
}

// observe looks at all pairs at once.
func observe(ctx context.Context, pairs []*pair.Pair) []view.PairStatus {
	seen := make([]view.PairStatus, len(pairs))
	var looking errgroup.Group
	looking.SetLimit(dialsAtOnce)
	for i, p := range pairs {
		looking.Go(func() error {
			state := p.Observe(ctx)
			seen[i] = view.PairStatus{State: state, Health: pair.Assess(state)}
			return nil
		})
	}
	looking.Wait()
	return seen
}

// verdict is the worst of all pairs, as an exit code will have it.
func verdict(seen []view.PairStatus) error {
	worst := pair.Healthy
	for _, p := range seen {
		worst = max(worst, p.Health.Level)
	}
	if worst == pair.Healthy {
		return nil
	}
	return &healthError{level: worst}
}

const watchInterval = time.Second

// watchRun looks again and again, until it is told to end; what it saw last is
// the result.
func watchRun(ctx context.Context, v view.View, s *spec.Spec, hosts *connections) error {
	show, done := v.WatchStatus()
	defer done()
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	var result error = &healthError{level: pair.Unknown}
	for {
		seen := observe(ctx, hosts.pairs(s))
		if ctx.Err() == nil {
			show(seen)
			result = verdict(seen)
		}
		select {
		case <-tick.C:
			hosts.redial(ctx, s, seen)
		case <-ctx.Done():
			return result
		}
	}
}
