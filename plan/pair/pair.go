// Package pair runs a pair that is installed: it observes both hosts, says how
// they are, and starts, stops, recovers and renews them in an order that keeps
// the service up and the newest data on top. It knows nothing of files or
// packages. What a host does by itself, in keepalived's hooks, is not done
// here a second time: this package starts and stops units, waits until the
// hooks have brought about what they promise, and says so when they have not.
package pair

import (
	"context"
	"io"
	"io/fs"
	"net"
	"strings"

	"hapair/plan/spec"
	"hapair/remote"
	"hapair/templates"
)

// Pair is a pair that one is connected to.
type Pair struct {
	spec   *spec.Pair
	layout templates.Layout
	hosts  [2]remote.Host
}

// New is the pair of p on two hosts, in the spec's order, with root's rights
// (remote.Sudo). A host that cannot be reached is stood for by Unreachable.
func New(p *spec.Pair, hosts [2]remote.Host) *Pair {
	return &Pair{spec: p, layout: Layout(p), hosts: hosts}
}

// Spec is what the pair should be.
func (p *Pair) Spec() *spec.Pair { return p.spec }

// Layout is where things are on its hosts.
func (p *Pair) Layout() templates.Layout { return p.layout }

// Host is one of the two, with root's rights: 0 or 1.
func (p *Pair) Host(i int) remote.Host { return p.hosts[i] }

// Layout is where things are on the hosts of p, and what its units are called.
func Layout(p *spec.Pair) templates.Layout {
	l := templates.Layout{
		Pair:               p.Name,
		Product:            templates.ProductRedis,
		RedisPrefix:        p.Redis.Prefix,
		KeepalivedPrefix:   p.Keepalived.Prefix,
		RedisPackaged:      p.Redis.Install.Package != nil,
		KeepalivedPackaged: p.Keepalived.Install.Package != nil,
	}
	name := ""
	switch in := p.Redis.Install; {
	case in.Source != nil:
		name = in.Source.Product
	case in.Package != nil:
		name = in.Package.Name
	}
	if strings.Contains(name, string(templates.ProductValkey)) {
		l.Product = templates.ProductValkey
	}
	return l
}

// Unreachable stands for a host that could not be connected to: whatever one
// asks of it ends with err.
func Unreachable(name string, err error) remote.Host { return &unreachable{name, err} }

type unreachable struct {
	name string
	err  error
}

func (u *unreachable) String() string { return u.name }
func (u *unreachable) Close() error   { return nil }
func (u *unreachable) Run(context.Context, remote.Cmd) (remote.Result, error) {
	return remote.Result{}, u.err
}
func (u *unreachable) Dial(context.Context, string, string) (net.Conn, error) { return nil, u.err }
func (u *unreachable) Upload(context.Context, io.Reader, int64, string, fs.FileMode) error {
	return u.err
}
