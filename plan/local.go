package plan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"hapair/plan/facts"
	"hapair/plan/source"
	"hapair/plan/spec"
	"hapair/remote"
)

// Local is what the controller has that a plan depends on.
type Local struct {
	Patches map[string][]byte // by path, as in the spec
	Builds  map[string]bool   // the keys of the builds in the cache
	// Node is the program that the handlers "node" run, by the machine that it is
	// for, as uname(1) calls that. Empty where no pair has them.
	Node map[string][]byte
}

// ReadLocal reads the patches that s names, and which builds are in the cache
// (empty: hapair's folder under $XDG_CACHE_HOME).
func ReadLocal(s *spec.Spec, cache string) (Local, error) {
	c, err := openCache(cache)
	if err != nil {
		return Local{}, err
	}
	have := Local{Patches: map[string][]byte{}}
	if have.Builds, err = c.Builds(); err != nil {
		return Local{}, err
	}
	for _, p := range s.Pairs {
		if p.Failover.Handlers == spec.HandlersNode && have.Node == nil {
			if have.Node, err = nodePrograms(); err != nil {
				return Local{}, err
			}
		}
		for name := range noPatches(p) {
			if have.Patches[name], err = os.ReadFile(name); err != nil {
				return Local{}, fmt.Errorf("read patch: %w", err)
			}
		}
	}
	return have, nil
}

// machines are what hapair-node is built for: its name's end, by uname(1).
var machines = map[string]string{"x86_64": "linux-amd64", "aarch64": "linux-arm64"}

// nodeName is what the program is called for a machine.
func nodeName(machine string) string {
	end, ok := machines[machine]
	if !ok {
		end = "linux-" + machine
	}
	return "hapair-node-" + end
}

// nodePrograms reads those that lie beside hapair, where they are built.
func nodePrograms() (map[string][]byte, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return nil, err
	}
	programs := map[string][]byte{}
	for machine := range machines {
		content, err := os.ReadFile(filepath.Join(filepath.Dir(self), nodeName(machine)))
		switch {
		case err == nil:
			programs[machine] = content
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("read the program of the handlers \"node\": %w", err)
		}
	}
	return programs, nil
}

func openCache(dir string) (source.Cache, error) {
	if dir == "" {
		return source.DefaultCache()
	}
	return source.Cache{Dir: dir}, nil
}

// hostsAtOnce bounds how many hosts are talked to at the same time.
const hostsAtOnce = 20

// Observe looks at all hosts of s, at the same time: one command each, which
// only reads. Its error names every host that could not be looked at.
func Observe(ctx context.Context, s *spec.Spec, hosts Hosts, have Local) (facts.ByHost, error) {
	results := make([][2]*facts.Host, len(s.Pairs))
	failures := make([][2]error, len(s.Pairs))
	var looking errgroup.Group
	looking.SetLimit(hostsAtOnce)
	for n, p := range s.Pairs {
		for i := range p.Hosts {
			looking.Go(func() error {
				results[n][i], failures[n][i] = observe(ctx, p, i, hosts, have)
				return nil
			})
		}
	}
	looking.Wait()
	seen := make(facts.ByHost, 2*len(s.Pairs))
	var failed []error
	for n, p := range s.Pairs {
		for i, h := range p.Hosts {
			seen[facts.Ref{Pair: p.Name, Host: h.Name}] = results[n][i]
			failed = append(failed, failures[n][i])
		}
	}
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	return seen, nil
}

// observe looks at host i of p.
func observe(ctx context.Context, p *spec.Pair, i int, hosts Hosts, have Local) (*facts.Host, error) {
	at := facts.Ref{Pair: p.Name, Host: p.Hosts[i].Name}
	q, err := query(p, i, have)
	if err != nil {
		return nil, err
	}
	host, err := hosts.get(at)
	if err != nil {
		return nil, err
	}
	seen, err := facts.Observe(ctx, host, q)
	if _, named := errors.AsType[*remote.Error](err); err != nil && !named {
		err = fmt.Errorf("%s: %w", at, err)
	}
	return seen, err
}

// Compare is ReadLocal, Observe and Build: what hosts lack of s.
func Compare(ctx context.Context, s *spec.Spec, hosts Hosts, cache string) (*Plan, error) {
	have, err := ReadLocal(s, cache)
	if err != nil {
		return nil, err
	}
	seen, err := Observe(ctx, s, hosts, have)
	if err != nil {
		return nil, err
	}
	return Build(s, seen, have)
}
