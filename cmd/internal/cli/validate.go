package cli

import (
	"github.com/spf13/cobra"
)

type validateOptions struct {
	specOptions
	json bool
}

func newCmdValidate(a *app, run func(*validateOptions) error) *cobra.Command {
	o := &validateOptions{}
	cmd := &cobra.Command{
		Use:     "validate",
		GroupID: groupSpec,
		Short:   "Check the spec, touching no host",
		Long: `validate reads the spec and says everything that is wrong with it: where, why,
and what to write instead. It touches no host.`,
		Example: `  hapair validate
  hapair validate -f production.hcl --var-file secrets.hcl
  hapair validate --json | jq 'select(.type == "diagnostic")'`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			if run != nil {
				return run(o)
			}
			return validateRun(a, o)
		},
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON, one object a line")
	return cmd
}

func validateRun(a *app, o *validateOptions) error {
	v := a.show(o.json)
	s, files, err := o.load(v)
	if err != nil {
		return err
	}
	v.Validated(s, files.Names())
	return nil
}
