package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"hapair/cmd/internal/view"
	"hapair/plan/spec"
)

// specOptions say which spec to read, with which values for its variables.
type specOptions struct {
	paths    []string
	vars     []string // "name=value"
	varFiles []string
}

func (o *specOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringArrayVarP(&o.paths, "file", "f", nil, "spec `FILE_OR_DIR`; repeatable (default hapair.hcl)")
	flags.StringArrayVar(&o.vars, "var", nil, "set a variable, `NAME=VALUE`; repeatable (HAPAIR_VAR_name in the environment)")
	flags.StringArrayVar(&o.varFiles, "var-file", nil, "set variables from an HCL `FILE`; repeatable")
}

// load reads the spec. What is suspicious in it is shown, and what is wrong is
// the error.
func (o *specOptions) load(v view.View) (*spec.Spec, *spec.Files, error) {
	in := spec.Inputs{Vars: map[string]string{}, VarFiles: o.varFiles, Env: environ()}
	for _, one := range o.vars {
		name, value, ok := strings.Cut(one, "=")
		if !ok || name == "" {
			return nil, nil, fmt.Errorf("--var %q: want NAME=VALUE", name)
		}
		in.Vars[name] = value
	}
	s, files, diags := spec.Load(o.paths, in)
	if err := diags.Err(); err != nil {
		return nil, nil, err
	}
	v.Diagnostics(diags)
	return s, files, nil
}

// pairOptions are specOptions of a command that can be told to look at one of
// the spec's pairs only.
type pairOptions struct {
	specOptions
	pair string
}

func (o *pairOptions) addFlags(cmd *cobra.Command) {
	o.specOptions.addFlags(cmd)
	cmd.Flags().StringVar(&o.pair, "pair", "", "the pair's `NAME`, in a spec of several")
}

// load reads the spec and leaves only the named pair in it, or all of them.
func (o *pairOptions) load(v view.View) (*spec.Spec, error) {
	s, _, err := o.specOptions.load(v)
	if err != nil || o.pair == "" {
		return s, err
	}
	for _, p := range s.Pairs {
		if p.Name == o.pair {
			return &spec.Spec{Pairs: []*spec.Pair{p}}, nil
		}
	}
	return nil, fmt.Errorf("--pair %s: the spec has no such pair: it has %s", o.pair, pairNames(s))
}

// loadOne is load for a command that is about exactly one pair.
func (o *pairOptions) loadOne(v view.View) (*spec.Pair, error) {
	s, err := o.load(v)
	if err != nil {
		return nil, err
	}
	switch len(s.Pairs) {
	case 0:
		return nil, errors.New("the spec has no pair")
	case 1:
		return s.Pairs[0], nil
	}
	return nil, fmt.Errorf("the spec has several pairs: name one of them with --pair: %s", pairNames(s))
}

func pairNames(s *spec.Spec) string {
	var names []string
	for _, p := range s.Pairs {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// checkHost refuses a name that is none of the pair's hosts.
func checkHost(p *spec.Pair, name string) error {
	if name == p.Hosts[0].Name || name == p.Hosts[1].Name {
		return nil
	}
	return fmt.Errorf("--host %s: pair %s has no such host: it has %s and %s", name, p.Name, p.Hosts[0].Name, p.Hosts[1].Name)
}
