package cli

import (
	"context"

	"github.com/spf13/cobra"

	"hapair/plan/pair"
)

func newCmdSwitchover(a *app, run func(*lifecycleOptions) error) *cobra.Command {
	o := &lifecycleOptions{}
	cmd := &cobra.Command{
		Use:     "switchover",
		GroupID: groupRun,
		Short:   "Hand the VIP and the primary's role over, with nothing lost",
		Long: `switchover has the two hosts change roles: writes wait on the primary until its
peer has the last one, the peer is promoted with the VIP, and the old primary
follows it. It refuses when the peer is not a replica in sync: then data could
be lost. A host that serves already stays as it is.`,
		Example: `  hapair switchover                   to the host that is the replica now
  hapair switchover --to a`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			if run != nil {
				return run(o)
			}
			return lifecycleRun(a, o, "switchover", func(ctx context.Context, p *pair.Pair, ev pair.Events) error {
				return p.Switchover(ctx, ev, o.host)
			})
		},
	}
	o.pairOptions.addFlags(cmd)
	o.lockOptions.addFlags(cmd)
	cmd.Flags().StringVar(&o.host, "to", "", "have this host `NAME` serve; without it the one that does not")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON, one object a line")
	return cmd
}
