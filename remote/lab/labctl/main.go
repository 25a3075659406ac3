// Labctl is the lab's own small command, for working on package lab alone.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strings"

	"hapair/remote/lab"
	"hapair/remote/lab/sources"
)

const usage = `usage: labctl up NAME HOST=ADDRESS/BITS[@INTERFACE]…
       labctl down NAME | list
       labctl ssh NAME HOST [ARGUMENT…]
       labctl exec NAME COMMAND…          (this machine's command, in the lab's network)
       labctl sh NAME HOST SCRIPT         (on the host, around SSH)
       labctl off|on|unplug|plug NAME HOST
       labctl sources [NAME…]`

func main() {
	lab.Reexec()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:])
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "labctl:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	switch verb := args[0]; {
	case verb == "sources":
		return fetch(ctx, args[1:])
	case verb == "list":
		names, err := lab.List()
		fmt.Println(strings.Join(names, "\n"))
		return err
	case verb == "up" && len(args) > 2:
		return up(ctx, args[1], args[2:])
	case verb == "down" && len(args) == 2:
		return lab.Down(ctx, args[1])
	case len(args) < 3:
		return errors.New(usage)
	}
	l, err := lab.Open(args[1])
	if err != nil {
		return err
	}
	host, rest := args[2], args[3:]
	switch args[0] {
	case "ssh":
		return attach(l.SSH(ctx, host, rest...))
	case "exec":
		return attach(l.Command(ctx, args[2:]...))
	case "sh":
		return l.Exec(ctx, host, append([]string{"sh", "-c"}, rest...), os.Stdin, os.Stdout, os.Stderr)
	case "off":
		return l.PowerOff(ctx, host)
	case "on":
		return l.PowerOn(ctx, host)
	case "unplug", "plug":
		return l.Cable(ctx, host, args[0] == "plug")
	}
	return errors.New(usage)
}

func attach(cmd *exec.Cmd) error {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

func up(ctx context.Context, name string, hosts []string) error {
	cfg := lab.Config{Name: name}
	for _, text := range hosts {
		text, iface, _ := strings.Cut(text, "@")
		host, address, _ := strings.Cut(text, "=")
		prefix, err := netip.ParsePrefix(address)
		if err != nil {
			return err
		}
		cfg.Hosts = append(cfg.Hosts, lab.Host{Name: host, Address: prefix, Interface: iface})
	}
	l, err := lab.Up(ctx, cfg, func(step string) { fmt.Fprintln(os.Stderr, step) })
	if err != nil {
		return err
	}
	fmt.Println("ssh configuration:", l.SSHConfig())
	fmt.Println("network namespace:", l.NetNS())
	fmt.Println("sources:          ", l.SourcesURL())
	return nil
}

func fetch(ctx context.Context, names []string) error {
	dir, err := sources.Dir()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = append(sources.Stable, sources.Latest...)
	}
	found, err := sources.Fetch(ctx, dir, names...)
	for _, t := range found {
		fmt.Println(t.Name, t.Path, t.SHA256)
	}
	return err
}
