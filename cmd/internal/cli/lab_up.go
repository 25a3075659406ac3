package cli

import (
	"context"

	"github.com/spf13/cobra"

	"hapair/cmd/internal/view"
	"hapair/remote/lab"
)

type labUpOptions struct {
	pairOptions
	recreate bool
}

func newCmdLabUp(a *app, run func(*labUpOptions) error) *cobra.Command {
	o := &labUpOptions{}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make the hosts and boot them",
		Long: `lab up makes the hosts of the spec's pair and returns when their sshd answers.
The first time it builds the base system with the machine's own Debian mirror,
which takes a minute; later labs take seconds.

Each host accepts the lab's key for root, for deploy (sudo without a password)
and for ops (sudo with one), and installs packages through the lab.`,
		Example: `  hapair lab up
  hapair lab up --recreate            fresh hosts, whatever was there`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			if run != nil {
				return run(o)
			}
			return labUpRun(a.stop.asked, a, o)
		},
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.recreate, "recreate", false, "take down a lab of that name first")
	return cmd
}

func labUpRun(ctx context.Context, a *app, o *labUpOptions) error {
	v := a.human()
	p, err := o.loadOne(v)
	if err != nil {
		return err
	}
	cfg := labConfig(p)
	cfg.Recreate = o.recreate
	progress, done := v.Stages(cfg.Name)
	l, err := lab.Up(ctx, cfg, progress)
	done(err)
	if err != nil {
		return err
	}
	var hosts []view.LabHost
	for _, h := range l.Hosts() {
		hosts = append(hosts, view.LabHost{Name: h.Name, Address: h.Address.String(), Interface: h.Interface})
	}
	v.LabUp(l.Name(), l.SSHConfig(), hosts)
	call := program() + " lab "
	v.Next([]view.Hint{
		{Command: call + "exec" + o.flags() + " -- " + program() + " plan" + o.flags(), Why: "run hapair in the lab's network"},
		{Command: call + "ssh" + o.flags() + " " + p.Hosts[0].Name, Why: "look around on a host"},
		{Command: call + "down" + o.flags(), Why: "remove all of it"},
	})
	return nil
}
