package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"hapair/plan/spec"
)

type fmtOptions struct {
	paths []string
	check bool
	diff  bool
}

func newCmdFmt(a *app, run func(*fmtOptions) error) *cobra.Command {
	o := &fmtOptions{}
	cmd := &cobra.Command{
		Use:     "fmt",
		GroupID: groupSpec,
		Short:   "Format the spec",
		Long: `fmt rewrites spec files in the usual layout and prints the names of those that
it changed. A file with a syntax error is left as it is.`,
		Example: `  hapair fmt
  hapair fmt --check --diff           write nothing, show what would change: for CI`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			if run != nil {
				return run(o)
			}
			return fmtRun(a, o)
		},
	}
	cmd.Flags().StringArrayVarP(&o.paths, "file", "f", nil, "spec `FILE_OR_DIR`; repeatable (default hapair.hcl)")
	cmd.Flags().BoolVar(&o.check, "check", false, "write nothing; exit 3 when something would change")
	cmd.Flags().BoolVar(&o.diff, "diff", false, "show the differences")
	return cmd
}

func fmtRun(a *app, o *fmtOptions) error {
	v := a.human()
	names, diags := spec.Find(o.paths)
	if err := diags.Err(); err != nil {
		return err
	}
	var failures []error
	changed := false
	for _, name := range names {
		before, err := os.ReadFile(name)
		if err != nil {
			failures = append(failures, fmt.Errorf("read the spec: %w", err))
			continue
		}
		after, diags := spec.Format(before, name)
		if err := diags.Err(); err != nil {
			failures = append(failures, err)
			continue
		}
		if bytes.Equal(before, after) {
			continue
		}
		changed = true
		v.Formatted(name, before, after, o.diff)
		if o.check {
			continue
		}
		if err := rewrite(name, after); err != nil {
			failures = append(failures, err)
		}
	}
	if len(failures) > 0 {
		return errors.Join(failures...)
	}
	if changed && o.check {
		return errUnformatted
	}
	return nil
}

// rewrite puts content in the place of a file in one step, so that an
// interruption never costs a spec.
func rewrite(name string, content []byte) error {
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("write the spec: %w", err)
	}
	next, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("write the spec: %w", err)
	}
	defer os.Remove(next.Name()) // fails once it is renamed
	_, err = next.Write(content)
	err = errors.Join(err, next.Chmod(info.Mode().Perm()), next.Sync(), next.Close())
	if err == nil {
		err = os.Rename(next.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("write the spec: %w", err)
	}
	return nil
}
