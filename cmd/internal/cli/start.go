package cli

import (
	"context"

	"github.com/spf13/cobra"

	"hapair/plan/pair"
)

func newCmdStart(a *app, run func(*lifecycleOptions) error) *cobra.Command {
	o := &lifecycleOptions{}
	cmd := &cobra.Command{
		Use:     "start",
		GroupID: groupRun,
		Short:   "Start the pair in the documented order",
		Long: `start brings the pair up, each step verified before the next: Redis on both
hosts; their data comparable; keepalived on the host whose data is newer (the
preferred one when they are equal), until it is MASTER, holds the VIP and its
Redis is the primary; then the other, until it is a replica in sync.

What runs already is left alone: start is safe to run twice.`,
		Example: `  hapair start
  hapair start --host b               this host alone`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			if run != nil {
				return run(o)
			}
			return lifecycleRun(a, o, "start", func(ctx context.Context, p *pair.Pair, ev pair.Events) error {
				return p.Start(ctx, ev, o.hosts()...)
			})
		},
	}
	o.addFlags(cmd, "start this host `NAME` alone")
	return cmd
}
