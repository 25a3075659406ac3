package cli

import (
	"fmt"
	"net/netip"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"hapair/plan/spec"
	"hapair/remote/lab"
)

func newCmdLab(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "lab",
		GroupID: groupLab,
		Short:   "Two throw-away hosts on this Linux machine, shaped like the spec's",
		Long: `lab makes the hosts of a spec out of network namespaces and containers on this
machine: fresh minimal Debian with a real systemd, sshd and kernel network, with
the names, addresses and interfaces of the spec. It needs root, and Linux.

Commands that talk to the hosts run inside the lab's network: see lab exec.`,
		Example: `  hapair lab up
  hapair lab exec -- hapair apply
  hapair lab ssh a
  hapair lab down`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newCmdLabUp(a, nil), newCmdLabDown(a, nil), newCmdLabSSH(a, nil), newCmdLabExec(a, nil), newCmdLabSources(a, nil),
		newCmdLabForwarder(),
	)
	return cmd
}

// labName is the name of the lab that stands for a pair.
func labName(p *spec.Pair) string { return p.Name }

// labConfig is the lab that a pair fits into.
func labConfig(p *spec.Pair) lab.Config {
	c := lab.Config{Name: labName(p), Gateway: p.Failover.Gateway}
	network := labNetwork(p)
	for _, h := range p.Hosts {
		c.Hosts = append(c.Hosts, lab.Host{
			Name:      h.Name,
			Address:   netip.PrefixFrom(h.Address, network.Bits()),
			Interface: h.Interface,
		})
	}
	for _, vip := range p.VIPs {
		c.Reserved = append(c.Reserved, vip.Addr())
	}
	return c
}

// labNetwork is the one network that all addresses of a pair lie in: as small
// as the usual /24 or /64, or as large as it has to be.
func labNetwork(p *spec.Pair) netip.Prefix {
	first := p.Hosts[0].Address
	all := []netip.Addr{first, p.Hosts[1].Address}
	if p.Failover.Gateway.IsValid() {
		all = append(all, p.Failover.Gateway)
	}
	for _, vip := range p.VIPs {
		all = append(all, vip.Addr())
	}
	bits := 24
	if first.Is6() {
		bits = 64
	}
	for ; bits > 0; bits-- {
		network := netip.PrefixFrom(first, bits).Masked()
		within := true
		for _, addr := range all {
			within = within && (addr.Is4() != first.Is4() || network.Contains(addr))
		}
		if within {
			return network
		}
	}
	return netip.PrefixFrom(first, 0)
}

// openLab reads the spec and opens the lab of its pair.
func openLab(a *app, o *pairOptions) (*lab.Lab, error) {
	p, err := o.loadOne(a.human())
	if err != nil {
		return nil, err
	}
	if err := lab.Check(); err != nil {
		return nil, err
	}
	return lab.Open(labName(p))
}

// become replaces this process by another program, which so gets the terminal,
// every signal and the exit code to itself.
func become(path string, argv, env []string) error {
	if err := syscall.Exec(path, argv, env); err != nil {
		return fmt.Errorf("run %s: %w", argv[0], err)
	}
	return nil
}

// labEnv is the environment of what runs in a lab: hapair finds the lab's
// hosts, keys and known_hosts there.
func labEnv(l *lab.Lab) []string {
	return append(os.Environ(), sshConfigVar+"="+l.SSHConfig())
}
