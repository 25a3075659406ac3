package cli

import (
	"context"

	"github.com/spf13/cobra"

	"hapair/remote/lab"
)

func newCmdLabDown(a *app, run func(*pairOptions) error) *cobra.Command {
	o := &pairOptions{}
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Remove the hosts and all that belongs to them",
		Long: `lab down leaves nothing of the lab: no process, mount, namespace or file. What
it keeps is the base system in the cache. Without a lab it does nothing.`,
		Example: `  hapair lab down`,
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			if run != nil {
				return run(o)
			}
			return labDownRun(a.stop.asked, a, o)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func labDownRun(ctx context.Context, a *app, o *pairOptions) error {
	v := a.human()
	p, err := o.loadOne(v)
	if err != nil {
		return err
	}
	done := v.Wait("Taking the lab down")
	err = lab.Down(ctx, labName(p))
	done()
	if err != nil {
		return err
	}
	v.Say("The lab " + labName(p) + " is gone.")
	return nil
}
