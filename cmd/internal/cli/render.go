package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"hapair/plan"
	"hapair/plan/facts"
	"hapair/templates"
)

type renderOptions struct {
	pairOptions
	out string
}

func newCmdRender(a *app, run func(*renderOptions) error) *cobra.Command {
	o := &renderOptions{}
	cmd := &cobra.Command{
		Use:     "render",
		GroupID: groupSpec,
		Short:   "Show every file for each host, touching no host",
		Long: `render shows every file that apply would put on each host: redis.conf,
keepalived.conf, the hooks, the units and the rest. With --out they become files
under DIR/PAIR/HOST, as on the host. What only the host knows has to be in the
spec, the version of a packaged program for one.

A file with a secret in it is shown without its content. Under DIR it is whole,
and readable by you alone.`,
		Example: `  hapair render | less
  hapair render --out rendered && diff -r rendered/cache/a rendered/cache/b`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			if run != nil {
				return run(o)
			}
			return renderRun(a, o)
		},
	}
	o.addFlags(cmd)
	cmd.Flags().StringVar(&o.out, "out", "", "write the files to this `DIR`")
	return cmd
}

// someInterface stands for one that the spec does not name.
const someInterface = "INTERFACE"

func renderRun(a *app, o *renderOptions) error {
	v := a.human()
	s, err := o.load(v)
	if err != nil {
		return err
	}
	for _, p := range s.Pairs {
		for i, h := range p.Hosts {
			at := facts.Ref{Pair: p.Name, Host: h.Name}
			one := *p
			if h.Interface == "" {
				one.Hosts[i].Interface = someInterface
				v.Say(fmt.Sprintf("%s: %s stands for the interface that holds %s, which only the host knows.", at, someInterface, h.Address))
			}
			files, err := plan.Render(&one, i)
			if err != nil {
				return err
			}
			if o.out == "" {
				v.Rendered(at, files)
				continue
			}
			dir := filepath.Join(o.out, p.Name, h.Name)
			if err := writeRendered(dir, files); err != nil {
				return fmt.Errorf("write the files of %s: %w", at, err)
			}
			v.Say(fmt.Sprintf("%s: %d files", dir, len(files)))
		}
	}
	return nil
}

// writeRendered puts files under dir as they would be under / on a host.
func writeRendered(dir string, files []templates.File) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range files {
		name := f.Path[1:]
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		mode := f.Mode.Perm() | 0o600
		if f.Sensitive {
			mode = 0o600
		}
		// An earlier one may be readable by others.
		if err := root.RemoveAll(name); err != nil {
			return err
		}
		if err := root.WriteFile(name, f.Content, mode); err != nil {
			return err
		}
	}
	return nil
}
