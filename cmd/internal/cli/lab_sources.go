package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"hapair/plan/source"
	"hapair/plan/spec"
	"hapair/remote/lab/sources"
)

func newCmdLabSources(a *app, run func(*pairOptions) error) *cobra.Command {
	o := &pairOptions{}
	cmd := &cobra.Command{
		Use:   "sources",
		Short: "Fetch the spec's tarballs from the Debian archive",
		Long: `lab sources is for machines that reach a Debian mirror and nothing else: the
archive keeps the unchanged upstream tarball of each package it has. The
tarballs that the spec names come from there, are checked against the spec's own
sums, and wait in the cache, where apply finds them.`,
		Example: `  hapair lab sources
  hapair lab sources -f examples/quickstart.hcl`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			if run != nil {
				return run(o)
			}
			return labSourcesRun(a.stop.asked, a, o)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func labSourcesRun(ctx context.Context, a *app, o *pairOptions) error {
	v := a.human()
	s, err := o.load(v)
	if err != nil {
		return err
	}
	dir, err := sources.Dir()
	if err != nil {
		return err
	}
	cache, err := source.DefaultCache()
	if err != nil {
		return err
	}
	var failures []error
	for _, wanted := range specSources(s) {
		name := wanted.Product + "-" + wanted.Version
		done := v.Wait("Fetching " + name + " from the Debian archive")
		path, err := cacheSource(ctx, cache, dir, name, wanted)
		done()
		if err != nil {
			failures = append(failures, err)
			continue
		}
		v.Text(fmt.Sprintf("%s  %s", name, path))
	}
	return errors.Join(failures...)
}

// specSources are the tarballs that a spec names, each once.
func specSources(s *spec.Spec) []*spec.Source {
	var all []*spec.Source
	seen := map[string]bool{}
	for _, p := range s.Pairs {
		for _, src := range []*spec.Source{p.Redis.Install.Source, p.Keepalived.Install.Source} {
			if src != nil && !seen[src.SHA256] {
				seen[src.SHA256] = true
				all = append(all, src)
			}
		}
	}
	return all
}

// cacheSource brings one tarball from the archive to the cache, verified.
func cacheSource(ctx context.Context, cache source.Cache, dir, name string, wanted *spec.Source) (string, error) {
	found, err := sources.Fetch(ctx, dir, name)
	if err != nil {
		return "", err
	}
	return cache.Fetch(ctx, source.Recipe{
		Product: wanted.Product,
		Version: wanted.Version,
		URLs:    []string{found[0].Path},
		SHA256:  wanted.SHA256,
	}, nil)
}
