package cli

import (
	"context"

	"github.com/spf13/cobra"
)

type labExecOptions struct {
	pairOptions
	argv []string
}

func newCmdLabExec(a *app, run func(*labExecOptions) error) *cobra.Command {
	o := &labExecOptions{}
	cmd := &cobra.Command{
		Use:   "exec -- COMMAND [ARGUMENT...]",
		Short: "Run a command of this machine in the lab's network",
		Long: `lab exec runs a command of this machine where it can reach the lab's hosts and
the virtual IP. hapair finds the hosts' keys there by itself (by way of
` + sshConfigVar + `, an ssh_config that it reads instead of ~/.ssh/config).

The exit code is the command's own.`,
		Example: `  hapair lab exec -- hapair apply
  hapair lab exec -- redis-cli -h 192.168.1.220 set greeting hello`,
		Args: someArguments("a command to run"),
		RunE: func(_ *cobra.Command, argv []string) error {
			o.argv = argv
			if run != nil {
				return run(o)
			}
			return labExecRun(a, o)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func labExecRun(a *app, o *labExecOptions) error {
	l, err := openLab(a, &o.pairOptions)
	if err != nil {
		return err
	}
	cmd := l.Command(context.Background(), o.argv...)
	if cmd.Err != nil {
		return cmd.Err
	}
	return become(cmd.Path, cmd.Args, labEnv(l))
}
