package cli

import (
	"context"

	"github.com/spf13/cobra"

	"hapair/plan/pair"
)

func newCmdRecover(a *app, run func(*lifecycleOptions) error) *cobra.Command {
	o := &lifecycleOptions{}
	cmd := &cobra.Command{
		Use:     "recover",
		GroupID: groupRun,
		Short:   "Bring a failed host back as replica",
		Long: `recover brings hosts back into a pair whose other host serves: Redis, then
keepalived, until the host is a replica in sync. The VIP does not move. When no
host serves, it does what start does. It is safe to run twice.`,
		Example: `  hapair recover                      whichever host needs it
  hapair recover --host a`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			if run != nil {
				return run(o)
			}
			return lifecycleRun(a, o, "recover", func(ctx context.Context, p *pair.Pair, ev pair.Events) error {
				return p.Recover(ctx, ev, o.hosts()...)
			})
		},
	}
	o.addFlags(cmd, "recover this host `NAME` alone")
	return cmd
}
