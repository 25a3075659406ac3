package cli

import (
	"context"

	"github.com/spf13/cobra"
)

type labSSHOptions struct {
	pairOptions
	host string
	args []string
}

func newCmdLabSSH(a *app, run func(*labSSHOptions) error) *cobra.Command {
	o := &labSSHOptions{}
	cmd := &cobra.Command{
		Use:   "ssh HOST [-- COMMAND [ARGUMENT...]]",
		Short: "Log in to a host of the lab as root",
		Long:  `lab ssh is an ordinary ssh to a host of the lab. The exit code is ssh's own.`,
		Example: `  hapair lab ssh a
  hapair lab ssh a -- journalctl -f`,
		Args: someArguments("the name of a host"),
		RunE: func(_ *cobra.Command, args []string) error {
			o.host, o.args = args[0], args[1:]
			if run != nil {
				return run(o)
			}
			return labSSHRun(a, o)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func labSSHRun(a *app, o *labSSHOptions) error {
	l, err := openLab(a, &o.pairOptions)
	if err != nil {
		return err
	}
	if _, err := l.Host(o.host); err != nil {
		return err
	}
	cmd := l.SSH(context.Background(), o.host, o.args...)
	if cmd.Err != nil {
		return cmd.Err
	}
	return become(cmd.Path, cmd.Args, labEnv(l))
}
