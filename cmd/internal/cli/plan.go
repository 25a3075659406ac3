package cli

import (
	"context"

	"github.com/spf13/cobra"

	"hapair/cmd/internal/view"
	"hapair/plan"
	"hapair/plan/spec"
)

type planOptions struct {
	pairOptions
	json             bool
	detailedExitCode bool
}

func newCmdPlan(a *app, run func(*planOptions) error) *cobra.Command {
	o := &planOptions{}
	cmd := &cobra.Command{
		Use:     "plan",
		GroupID: groupPair,
		Short:   "Show what would change, touching nothing",
		Long: `plan looks at both hosts, with one connection and one read-only command each,
and shows what apply would change: files with their differences, packages,
programs, services, and what has drifted. It ends with what each documented
failure would cost, by the spec's own timing.`,
		Example: `  hapair plan
  hapair plan --detailed-exitcode     2 when there are changes: for CI
  hapair plan --json | jq 'select(.type == "change_summary")'`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			if run != nil {
				return run(o)
			}
			return planRun(a.stop.asked, a, o)
		},
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON, one object a line")
	cmd.Flags().BoolVar(&o.detailedExitCode, "detailed-exitcode", false, "exit 2 when there are changes")
	return cmd
}

func planRun(ctx context.Context, a *app, o *planOptions) error {
	v := a.show(o.json)
	s, err := o.load(v)
	if err != nil {
		return err
	}
	hosts, err := a.connectAll(ctx, s, v)
	if err != nil {
		return err
	}
	defer hosts.close()
	p, err := compare(ctx, v, s, hosts)
	if err != nil {
		return err
	}
	v.Plan(p)
	if p.Empty() {
		return nil
	}
	v.Next([]view.Hint{o.hint(s, "apply", "make it so")})
	if o.detailedExitCode {
		return errChanges
	}
	return nil
}

// compare looks at the hosts and says what would change.
func compare(ctx context.Context, v view.View, s *spec.Spec, hosts *connections) (*plan.Plan, error) {
	defer v.Wait("Looking at the hosts")()
	return plan.Compare(ctx, s, hosts.hosts, "")
}
