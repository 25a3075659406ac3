package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"hapair/cmd/internal/view"
	"hapair/plan"
	"hapair/plan/facts"
	"hapair/plan/pair"
	"hapair/plan/spec"
	"hapair/remote"
	"hapair/remote/sshconn"
)

const (
	// dialsAtOnce bounds how many hosts are connected to at the same time.
	dialsAtOnce = 10
	// redialTimeout is short: while a host is dialled, nobody looks at the other.
	redialTimeout = 2 * time.Second
)

// connections are the hosts of a spec that answered, with root's rights, and
// why the others did not.
type connections struct {
	options sshconn.Options

	mu     sync.Mutex
	hosts  plan.Hosts
	failed map[facts.Ref]error
}

// connect connects to all hosts of s, as far as they answer.
func (a *app) connect(ctx context.Context, s *spec.Spec, v view.View) *connections {
	defer v.Wait("Connecting")()
	c := &connections{options: a.sshOptions(ctx, v), hosts: plan.Hosts{}, failed: map[facts.Ref]error{}}
	var dialling errgroup.Group
	dialling.SetLimit(dialsAtOnce)
	for _, p := range s.Pairs {
		for _, h := range p.Hosts {
			dialling.Go(func() error {
				c.dial(ctx, p, h)
				return nil
			})
		}
	}
	dialling.Wait()
	return c
}

// dial connects to one host, instead of the connection there was.
func (c *connections) dial(ctx context.Context, p *spec.Pair, h spec.Host) {
	host, err := c.open(ctx, h)
	ref := facts.Ref{Pair: p.Name, Host: h.Name}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.hosts[ref]; old != nil {
		old.Close()
		delete(c.hosts, ref)
	}
	if c.failed[ref] = err; err == nil {
		c.hosts[ref] = host
	}
}

// open is a new connection to one host, with root's rights.
func (c *connections) open(ctx context.Context, h spec.Host) (remote.Host, error) {
	host, err := sshconn.Dial(ctx, target(h), c.options)
	if err != nil {
		return nil, err
	}
	return remote.Sudo(host, remote.Become{Method: string(h.SSH.Become), Password: h.SSH.BecomePassword.Reveal()}), nil
}

// outlast makes the connections to the hosts of p outlast a restart of them.
func (c *connections) outlast(p *spec.Pair) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range p.Hosts {
		ref := facts.Ref{Pair: p.Name, Host: h.Name}
		c.hosts[ref] = remote.Redial(c.hosts[ref], func(ctx context.Context) (remote.Host, error) { return c.open(ctx, h) })
	}
}

// connectAll is connect for a command that needs every host.
func (a *app) connectAll(ctx context.Context, s *spec.Spec, v view.View) (*connections, error) {
	c := a.connect(ctx, s, v)
	var failures []error
	for _, p := range s.Pairs {
		for _, h := range p.Hosts {
			if err := c.failed[facts.Ref{Pair: p.Name, Host: h.Name}]; err != nil {
				failures = append(failures, err)
			}
		}
	}
	if len(failures) > 0 {
		c.close()
		return nil, errors.Join(failures...)
	}
	return c, nil
}

// pair is p on the hosts that answered. One that did not has a stand-in.
func (c *connections) pair(p *spec.Pair) *pair.Pair {
	c.mu.Lock()
	defer c.mu.Unlock()
	var hosts [2]remote.Host
	for i, h := range p.Hosts {
		ref := facts.Ref{Pair: p.Name, Host: h.Name}
		hosts[i] = c.hosts[ref]
		if hosts[i] == nil {
			hosts[i] = pair.Unreachable(h.Name, c.failed[ref])
		}
	}
	return pair.New(p, hosts)
}

// pairs are the pairs of s on the hosts that answered.
func (c *connections) pairs(s *spec.Spec) []*pair.Pair {
	pairs := make([]*pair.Pair, len(s.Pairs))
	for i, p := range s.Pairs {
		pairs[i] = c.pair(p)
	}
	return pairs
}

// redial connects again to the hosts that could not be observed.
func (c *connections) redial(ctx context.Context, s *spec.Spec, seen []view.PairStatus) {
	ctx, cancel := context.WithTimeout(ctx, redialTimeout)
	defer cancel()
	var dialling errgroup.Group
	dialling.SetLimit(dialsAtOnce)
	for i, p := range s.Pairs {
		for k, h := range p.Hosts {
			if seen[i].Hosts[k].Reachable() {
				continue
			}
			dialling.Go(func() error {
				c.dial(ctx, p, h)
				return nil
			})
		}
	}
	dialling.Wait()
}

func (c *connections) close() {
	for _, h := range c.hosts {
		h.Close()
	}
}

func target(h spec.Host) sshconn.Target {
	address := h.SSH.Address
	if address == "" {
		address = h.Address.String()
	}
	return sshconn.Target{
		Name:         h.Name,
		Address:      address,
		Port:         h.SSH.Port,
		User:         h.SSH.User,
		IdentityFile: h.SSH.IdentityFile,
		KnownHosts:   h.SSH.KnownHosts,
		Jump:         h.SSH.Jump,
	}
}

// sshConfigVar names a file to read instead of ~/.ssh/config; `lab exec` sets
// it.
const sshConfigVar = "HAPAIR_SSH_CONFIG"

// sshOptions asks for the passphrase of each identity file once.
func (a *app) sshOptions(ctx context.Context, v view.View) sshconn.Options {
	o := sshconn.Options{ConfigFile: os.Getenv(sshConfigVar)}
	if !a.mayAsk() {
		return o
	}
	var mu sync.Mutex
	known := map[string][]byte{}
	o.Passphrase = func(file string) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		if p, ok := known[file]; ok {
			return p, nil
		}
		p, err := v.AskSecret(ctx, fmt.Sprintf("Passphrase of %s:", file))
		if err == nil {
			known[file] = p
		}
		return p, err
	}
	return o
}
