package cli

import (
	"context"

	"github.com/spf13/cobra"

	"hapair/plan/pair"
)

func newCmdStop(a *app, run func(*lifecycleOptions) error) *cobra.Command {
	o := &lifecycleOptions{}
	cmd := &cobra.Command{
		Use:     "stop",
		GroupID: groupRun,
		Short:   "Stop the pair, start in reverse",
		Long: `stop takes the pair down without losing a write: keepalived on the replica; then
keepalived on the primary, which is drained and fenced; then both Redis, the
primary's last. With --host its peer takes over first. It is safe to run twice.`,
		Example: `  hapair stop
  hapair stop --host a                a's work goes to its peer first`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			if run != nil {
				return run(o)
			}
			return lifecycleRun(a, o, "stop", func(ctx context.Context, p *pair.Pair, ev pair.Events) error {
				return p.Stop(ctx, ev, o.hosts()...)
			})
		},
	}
	o.addFlags(cmd, "stop this host `NAME` alone")
	return cmd
}
