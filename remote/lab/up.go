package lab

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Up makes a lab and boots its hosts; when it returns, their sshd answers.
// With a base image in the cache that takes a second or two. progress may be
// nil. What it made before an error it takes down again.
func Up(ctx context.Context, cfg Config, progress func(step string)) (*Lab, error) {
	if progress == nil {
		progress = func(string) {}
	}
	if err := Check(); err != nil {
		return nil, err
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	own, err := cfg.freeAddress()
	if err != nil {
		return nil, err
	}
	if cfg.Recreate {
		if err := Down(ctx, cfg.Name); err != nil {
			return nil, err
		}
	}
	base, err := ensureBase(ctx, progress)
	if err != nil {
		return nil, err
	}

	l := &Lab{s: state{
		Config:      cfg,
		Forwarder:   netip.AddrPortFrom(own, forwarderPort),
		Mirrors:     base.Mirrors,
		AptChecks:   base.AptChecks,
		OpsPassword: strings.ToLower(rand.Text()[:16]),
	}}
	lock, err := claim(cfg.Name)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := l.make(ctx, base, progress); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		// The caller's context may be over, and the clearing up must not be.
		return nil, errors.Join(err, tearDown(context.WithoutCancel(ctx), cfg.Name))
	}
	return l, nil
}

// claim makes the lab's directory, which is what tells that a lab of that name
// exists, and locks it for as long as the returned file is open.
func claim(name string) (*os.File, error) {
	if err := os.MkdirAll(stateDir, 0o755); err != nil {
		return nil, err
	}
	err := os.Mkdir(labDir(name), 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("there is a lab %q already: take it down first (hapair lab down)", name)
	}
	if err != nil {
		return nil, err
	}
	dir, err := os.Open(labDir(name))
	if err != nil {
		return nil, err
	}
	if err := lockDir(dir); err != nil {
		dir.Close()
		return nil, fmt.Errorf("lab %q is being taken down by another process: try again", name)
	}
	return dir, nil
}

// make is the body of Up: every step of it is undone by tearDown.
func (l *Lab) make(ctx context.Context, base base, progress func(string)) error {
	if err := l.writeState(); err != nil {
		return err
	}
	if err := makeHostsDir(filepath.Join(l.Dir(), "hosts")); err != nil {
		return err
	}
	if err := os.WriteFile(l.bootScript(), bootScript, 0o755); err != nil {
		return err
	}
	progress("network")
	if err := l.makeNetwork(ctx); err != nil {
		return err
	}
	progress("packages: forwarder at " + l.s.Forwarder.String())
	if err := l.startForwarder(); err != nil {
		return err
	}
	progress("keys")
	if err := l.makeKeys(ctx); err != nil {
		return err
	}
	progress("hosts: " + strings.Join(l.hostNames(), ", "))
	var booting errgroup.Group
	for _, h := range l.s.Hosts {
		booting.Go(func() error {
			if err := l.prepare(ctx, base, h); err != nil {
				return fmt.Errorf("prepare host %s: %w", h.Name, err)
			}
			return l.PowerOn(ctx, h.Name)
		})
	}
	if err := booting.Wait(); err != nil {
		return err
	}
	l.s.Ready = true
	return l.writeState()
}

// makeNetwork makes the lab's namespace, and in it the bridge that the hosts
// will be plugged into. The lab's own addresses are the bridge's.
func (l *Lab) makeNetwork(ctx context.Context) error {
	ns := nsName(l.s.Name)
	if err := run(ctx, "ip", "netns", "add", ns); err != nil {
		return err
	}
	bits := l.s.Hosts[0].Address.Bits()
	// A plain switch: it floods multicast, and keeps its own address, which
	// would otherwise change as hosts come and go.
	commands := [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", "br0", "address", "02:00:00:00:00:01", "type", "bridge", "mcast_snooping", "0"},
		{"address", "add", netip.PrefixFrom(l.s.Forwarder.Addr(), bits).String(), "dev", "br0"},
	}
	if l.s.Gateway.IsValid() {
		commands = append(commands, []string{"address", "add", netip.PrefixFrom(l.s.Gateway, bits).String(), "dev", "br0"})
	}
	commands = append(commands, []string{"link", "set", "br0", "up"})
	for _, argv := range commands {
		if argv[0] == "address" && strings.Contains(argv[2], ":") {
			argv = append(argv, "nodad")
		}
		if err := run(ctx, "ip", append([]string{"-n", ns}, argv...)...); err != nil {
			return err
		}
	}
	return nil
}

// startForwarder starts this program once more, to serve packages until the
// lab goes down.
func (l *Lab) startForwarder() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	var listener net.Listener
	err = inNetNS(l.NetNS(), func() (err error) {
		listener, err = net.Listen("tcp", l.s.Forwarder.String())
		return err
	})
	if err != nil {
		return fmt.Errorf("listen in the lab's network: %w", err)
	}
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	defer socket.Close()
	return startDetached(filepath.Join(l.Dir(), "forwarder.log"), []*os.File{socket},
		append([]string{program}, forwarderArgs(l.s.Name)...)...)
}

// makeKeys makes the lab's key pair, a key for each host, and the files with
// which an ordinary ssh finds its way.
func (l *Lab) makeKeys(ctx context.Context) error {
	if err := makeKey(ctx, l.IdentityFile(), "hapair-lab-"+l.s.Name); err != nil {
		return err
	}
	var known, config bytes.Buffer
	for _, h := range l.s.Hosts {
		if err := os.MkdirAll(hostDir(l.s.Name, h.Name), 0o700); err != nil {
			return err
		}
		if err := makeKey(ctx, l.hostKey(h.Name), h.Name); err != nil {
			return err
		}
		public, err := os.ReadFile(l.hostKey(h.Name) + ".pub")
		if err != nil {
			return err
		}
		fmt.Fprintf(&known, "%s,%s %s", h.Name, h.Address.Addr(), public)
		fmt.Fprintf(&config, "Host %s\n  HostName %s\n\n", h.Name, h.Address.Addr())
	}
	fmt.Fprintf(&config, "Host *\n  User root\n  IdentityFile %s\n  IdentitiesOnly yes\n"+
		"  UserKnownHostsFile %s\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n",
		l.IdentityFile(), l.KnownHosts())
	return errors.Join(
		os.WriteFile(l.KnownHosts(), known.Bytes(), 0o644),
		os.WriteFile(l.SSHConfig(), config.Bytes(), 0o644),
	)
}

func (l *Lab) hostKey(host string) string {
	return filepath.Join(hostDir(l.s.Name, host), "ssh_host_ed25519_key")
}

func makeKey(ctx context.Context, path, comment string) error {
	return run(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path)
}

// Down takes a lab down and leaves nothing of it: no process, mount, network
// namespace, cgroup or file. It does the same to a lab that was being made by
// a process that was killed, and nothing when there is no such lab.
func Down(ctx context.Context, name string) error {
	if err := Check(); err != nil {
		return err
	}
	if err := checkName("lab", name); err != nil {
		return err
	}
	dir, err := os.Open(labDir(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		defer dir.Close()
		// A program that was killed while it started another leaves a copy of
		// itself, which has the lock until it is the other.
		free, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if poll(free, func() bool { return lockDir(dir) == nil }) != nil {
			return fmt.Errorf("lab %q is being made or taken down by another process: wait for it", name)
		}
	}
	return tearDown(ctx, name)
}

// tearDownTimeout bounds how long processes and mounts may take to go.
const tearDownTimeout = 20 * time.Second

// tearDown undoes make. The directory goes last: as long as it is there, so is
// the lab, and Down can be called again.
func tearDown(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, tearDownTimeout)
	defer cancel()
	var left []process
	err := poll(ctx, func() bool {
		left = processes(ofLab(name))
		for _, p := range left {
			// What it is about to start outlives it and is hard to find.
			for _, child := range processes(func(c process) bool { return c.parent == p.pid }) {
				kill(child.pid)
			}
			kill(p.pid)
		}
		return len(left) == 0
	})
	if err != nil {
		return fmt.Errorf("take lab %q down: still running: %v: %w", name, left, err)
	}
	removeRuntimeFiles(name)
	mounts, err := mountsBelow(labDir(name))
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(mounts) {
		if err := unmount(m); err != nil {
			return fmt.Errorf("unmount %s: %w", m, err)
		}
	}
	if _, err := os.Stat(nsPath(name)); err == nil {
		if err := run(ctx, "ip", "netns", "delete", nsName(name)); err != nil {
			return err
		}
	}
	if err := removeCgroups(ctx, name); err != nil {
		return err
	}
	if err := os.RemoveAll(labDir(name)); err != nil {
		return err
	}
	os.Remove(stateDir) // fails while other labs are there
	return nil
}

// ofLab tells the processes that a lab consists of: its forwarder, the
// systemd-nspawn of each host or what is about to become it, each host's first
// process, with which all others there end, and whatever of this machine runs
// in the lab's network, such as a forgotten probe.
func ofLab(name string) func(process) bool {
	netns, err := netNSID(nsPath(name))
	args := forwarderArgs(name)
	hosts := filepath.Join(labDir(name), "hosts") + "/"
	return func(p process) bool {
		if err == nil && p.netns == netns {
			return true
		}
		if len(p.argv) == 1+len(args) && slices.Equal(p.argv[1:], args) {
			return true
		}
		if p.innerPID == 1 && strings.HasPrefix(p.layer(), hosts) {
			return true
		}
		return slices.ContainsFunc(p.argv, func(arg string) bool { return strings.HasPrefix(arg, "--directory="+hosts) })
	}
}

// mountsBelow lists mount points in a directory in the order they were made.
func mountsBelow(dir string) ([]string, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var mounts []string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		// ID, parent, major:minor, root, mount point, … (proc(5)). Our own
		// names have no character that is escaped there.
		if words := strings.Fields(lines.Text()); len(words) > 4 && strings.HasPrefix(words[4], dir+"/") {
			mounts = append(mounts, words[4])
		}
	}
	return mounts, lines.Err()
}

// run runs a short command to its end; its error has what it said.
func run(ctx context.Context, argv0 string, args ...string) error {
	cmd := exec.CommandContext(ctx, argv0, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// startDetached starts a program that outlives this process: in a session of
// its own, and not as our child, so that nobody has to wait for it.
func startDetached(logFile string, files []*os.File, argv ...string) error {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("setsid", append([]string{"--fork"}, argv...)...)
	cmd.Dir = "/"
	// It may be there for days; the secrets of the spec must not.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "HAPAIR_VAR_") })
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = files
	return cmd.Run()
}

// pollInterval is short, as what is polled here takes milliseconds.
const pollInterval = 10 * time.Millisecond

// poll calls done until it returns true or ctx is over.
func poll(ctx context.Context, done func() bool) error {
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollInterval):
		}
	}
	return nil
}
