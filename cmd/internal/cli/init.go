package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"hapair/cmd/internal/view"
	"hapair/plan/spec"
	"hapair/remote"
)

type initOptions struct {
	file string
}

func newCmdInit(a *app, run func(*initOptions) error) *cobra.Command {
	o := &initOptions{}
	cmd := &cobra.Command{
		Use:     "init",
		GroupID: groupSpec,
		Short:   "Write a commented starter spec",
		Long: `init writes a spec to start from. Every line that has to be changed is marked,
and everything else says what it means and what its default is. A file that is
there already is never touched.`,
		Example: `  hapair init
  hapair init -f cache.hcl`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			if run != nil {
				return run(o)
			}
			return initRun(a, o)
		},
	}
	cmd.Flags().StringVarP(&o.file, "file", "f", spec.DefaultFile, "the `FILE` to write")
	return cmd
}

func initRun(a *app, o *initOptions) error {
	v := a.human()
	f, err := os.OpenFile(o.file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and init never overwrites: move it away, or name another file with -f", o.file)
	}
	if err != nil {
		return fmt.Errorf("write the spec: %w", err)
	}
	_, err = f.Write(spec.Starter())
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the spec: %w", err)
	}
	v.Text("Wrote " + o.file + ".")
	named := ""
	if o.file != spec.DefaultFile {
		named = " -f " + remote.Quote(o.file)
	}
	v.Next([]view.Hint{
		{Command: "$EDITOR " + remote.Quote(o.file), Why: "name your hosts and the virtual IP"},
		{Command: program() + " validate" + named, Why: "check it, touching no host"},
		{Command: program() + " plan" + named, Why: "see what would change"},
	})
	return nil
}
