package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"hapair/plan/pair"
)

type promoteOptions struct {
	lifecycleOptions
	force bool
}

func newCmdPromote(a *app, run func(*promoteOptions) error) *cobra.Command {
	o := &promoteOptions{}
	cmd := &cobra.Command{
		Use:     "promote",
		GroupID: groupRun,
		Short:   "Decide that a host which holds becomes primary",
		Long: `promote is the operator's decision when a host holds: when it cannot tell
whether its data is the newest, it takes no writes and waits for its peer. If
the peer will not come back, promote makes this host the primary with the data
it has.
Writes that only the peer has are then given up, which is why it wants --force.`,
		Example: `  hapair status                       says which host holds, and why
  hapair promote --host b --force`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			if run != nil {
				return run(o)
			}
			return promoteRun(a, o)
		},
	}
	o.addFlags(cmd, "the host `NAME` that becomes primary (required)")
	cmd.Flags().BoolVar(&o.force, "force", false, "give up writes that only the peer has (required)")
	return cmd
}

func promoteRun(a *app, o *promoteOptions) error {
	a.show(o.json)
	if o.host == "" {
		return errors.New("promote wants to know which host: --host NAME")
	}
	if !o.force {
		return errors.New("promote gives up writes that only the other host has. If that is what you want, add --force; hapair status shows how both hosts stand")
	}
	return lifecycleRun(a, &o.lifecycleOptions, "promote", func(ctx context.Context, p *pair.Pair, ev pair.Events) error {
		return p.Promote(ctx, ev, o.host)
	})
}
