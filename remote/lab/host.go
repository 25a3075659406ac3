package lab

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hapair/remote/lab/internal/apt"
)

// hostPath is the PATH of what runs on a host, as a login would have it.
const hostPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// bootTimeout is a ceiling; a boot takes a second.
const bootTimeout = 60 * time.Second

//go:embed boot.sh
var bootScript []byte

// nsName is the lab's network namespace as "ip netns" knows it.
func nsName(lab string) string { return "hapair-" + lab }
func nsPath(lab string) string { return "/run/netns/" + nsName(lab) }

// NetNS is the path of the lab's network namespace, for nsenter --net=PATH.
func (l *Lab) NetNS() string { return nsPath(l.s.Name) }

// netNSID is a namespace as /proc/PID/ns/net names it.
func netNSID(path string) (string, error) {
	_, inode, err := fileID(path)
	return fmt.Sprintf("net:[%d]", inode), err
}

// DialContext opens a connection from inside the lab's network. The address's
// host is an IP address or the name of a host of the lab.
func (l *Lab) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	target, err := l.resolve(address)
	if err != nil {
		return nil, err
	}
	var conn net.Conn
	err = inNetNS(l.NetNS(), func() (err error) {
		// A single IP address is dialled on the calling goroutine.
		conn, err = new(net.Dialer).DialContext(ctx, network, target.String())
		return err
	})
	return conn, err
}

// Command is a command of this machine that runs in the lab's network, with
// this machine's files and this process's environment.
func (l *Lab) Command(ctx context.Context, argv ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + l.NetNS(), "--"}, argv...)...)
}

// SSH is an ordinary ssh to a host, with further arguments for it: options,
// then the remote command.
func (l *Lab) SSH(ctx context.Context, host string, args ...string) *exec.Cmd {
	return l.Command(ctx, append([]string{"ssh", "-F", l.SSHConfig(), host}, args...)...)
}

// Exec runs a command on a host as root, around SSH: for looking at a host,
// and for faults that would cut SSH. A command that ends with another code
// than 0 is an *exec.ExitError.
func (l *Lab) Exec(ctx context.Context, host string, argv []string, stdin io.Reader, stdout, stderr io.Writer) error {
	leader, err := l.leader(host)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--target", fmt.Sprint(leader), "--all", "--"}, argv...)...)
	cmd.Env = []string{"PATH=" + hostPath, "HOME=/root", "USER=root", "LANG=C.UTF-8", "TERM=" + os.Getenv("TERM")}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	cmd.WaitDelay = 5 * time.Second
	ownGroup(cmd)
	return cmd.Run()
}

// Sh runs a shell script on a host as root and returns what it printed. Its
// error holds what it printed to stderr.
func (l *Lab) Sh(ctx context.Context, host, script string) (string, error) {
	var stdout, stderr bytes.Buffer
	if err := l.Exec(ctx, host, []string{"sh", "-eu", "-c", script}, nil, &stdout, &stderr); err != nil {
		return stdout.String(), fmt.Errorf("%s: %s: %w: %s", host, script, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// PowerOff cuts a host's power: every process on it is gone at once, with no
// chance to say anything. What it had written to disk stays.
func (l *Lab) PowerOff(ctx context.Context, host string) error {
	leader, err := l.leader(host)
	if err != nil {
		return err
	}
	if err := kill(leader); err != nil {
		return fmt.Errorf("cut the power of %s: %w", host, err)
	}
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	if err := poll(ctx, func() bool { return len(l.nspawn(host)) == 0 }); err != nil {
		return fmt.Errorf("cut the power of %s: its processes don't go: %w", host, err)
	}
	return nil
}

// PowerOn boots a host that is off and returns when its sshd answers. Its
// cable is in.
func (l *Lab) PowerOn(ctx context.Context, host string) error {
	h, err := l.Host(host)
	if err != nil {
		return err
	}
	if len(l.nspawn(host)) > 0 {
		return fmt.Errorf("host %s is on already", host)
	}
	cgroups, err := hostCgroups(l.s.Name, host)
	if err != nil {
		return err
	}
	argv := []string{
		"sh", l.bootScript(), l.NetNS(), strings.Join(cgroups, " "),
		"--directory=" + hostRoot(l.s.Name, host),
		"--machine=" + machine(l.s.Name, host), "--hostname=" + host,
		"--network-bridge=br0", "--boot", "--quiet", "--console=pipe",
		"--register=no", "--settings=no", "--resolv-conf=off", "--timezone=off", "--link-journal=no",
		"--rlimit=RLIMIT_NOFILE=1024:524288", // systemd's own default, whatever this machine's is
	}
	if !bootedWithSystemd() {
		argv = append(argv, "--keep-unit") // nobody there to give it a unit
	}
	if err := startDetached(l.ConsoleLog(host), nil, argv...); err != nil {
		return fmt.Errorf("boot %s: %w", host, err)
	}
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	if err := l.waitSSH(ctx, h); err != nil {
		log, _ := os.ReadFile(l.ConsoleLog(host))
		return fmt.Errorf("boot %s: %w; the end of its console:\n%s", host, err, lastLines(log, 15))
	}
	return nil
}

// bootedWithSystemd is sd_booted(3).
func bootedWithSystemd() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// waitSSH returns when the host's sshd greets, or when its systemd is gone.
func (l *Lab) waitSSH(ctx context.Context, h Host) error {
	addr := net.JoinHostPort(h.Address.Addr().String(), "22")
	started := time.Now()
	gone := false
	err := poll(ctx, func() bool {
		if time.Since(started) > time.Second && len(l.nspawn(h.Name)) == 0 {
			gone = true
			return true
		}
		return l.greets(ctx, addr)
	})
	if gone {
		return errors.New("systemd-nspawn ended")
	}
	if err != nil {
		return fmt.Errorf("no answer from sshd at %s: %w", addr, err)
	}
	return nil
}

func (l *Lab) greets(ctx context.Context, addr string) bool {
	// An address that nobody has yet doesn't refuse, so patience is short.
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	conn, err := l.DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetReadDeadline(deadline)
	}
	greeting := make([]byte, len("SSH-2.0"))
	_, err = io.ReadFull(conn, greeting)
	return err == nil && string(greeting) == "SSH-2.0"
}

// Cable plugs a host's network cable in or pulls it out. The host sees its
// link go, as with a real cable; both ways of traffic stop at once.
func (l *Lab) Cable(ctx context.Context, host string, in bool) error {
	if _, err := l.leader(host); err != nil {
		return err
	}
	state := "down"
	if in {
		state = "up"
	}
	// systemd-nspawn calls the port "vb-MACHINE", as an alternative name if
	// that is too long for a name.
	return run(ctx, "ip", "-n", nsName(l.s.Name), "link", "set", "dev", "vb-"+machine(l.s.Name, host), state)
}

// nspawn finds the processes that are, or are becoming, a host's systemd-nspawn.
func (l *Lab) nspawn(host string) []process {
	return processes(func(p process) bool {
		return slices.Contains(p.argv, "--directory="+hostRoot(l.s.Name, host))
	})
}

// leader is the number, on this machine, of a host's first process.
func (l *Lab) leader(host string) (int, error) {
	if _, err := l.Host(host); err != nil {
		return 0, err
	}
	upper := filepath.Join(hostDir(l.s.Name, host), "upper")
	for _, p := range processes(func(p process) bool { return p.innerPID == 1 && p.layer() == upper }) {
		return p.pid, nil
	}
	return 0, fmt.Errorf("host %s is off", host)
}

// prepare makes a host's root directory: the base image, a layer of its own
// over it, and in that what is its own.
func (l *Lab) prepare(ctx context.Context, base base, h Host) error {
	dir := hostDir(l.s.Name, h.Name)
	layer := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"upper", "work", "root"} {
		if err := os.MkdirAll(layer(name), 0o755); err != nil {
			return err
		}
	}
	if err := mountOverlay(base.Root, layer("upper"), layer("work"), layer("root")); err != nil {
		return err
	}
	if err := l.writeHostFiles(h); err != nil {
		return err
	}
	chpasswd := exec.CommandContext(ctx, "chroot", layer("root"), "chpasswd")
	chpasswd.Stdin = strings.NewReader(UserSudoPassword + ":" + l.s.OpsPassword + "\n")
	if out, err := chpasswd.CombinedOutput(); err != nil {
		return fmt.Errorf("chpasswd: %w: %s", err, out)
	}
	return nil
}

// writeHostFiles goes through os.Root: links in the tree are the host's, and
// must not lead to files of this machine.
func (l *Lab) writeHostFiles(h Host) error {
	root, err := os.OpenRoot(hostRoot(l.s.Name, h.Name))
	if err != nil {
		return err
	}
	defer root.Close()
	hostKey, err := os.ReadFile(l.hostKey(h.Name))
	if err != nil {
		return err
	}
	authorized, err := os.ReadFile(l.IdentityFile() + ".pub")
	if err != nil {
		return err
	}
	hosts := "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
	for _, other := range l.s.Hosts {
		hosts += fmt.Sprintf("%s %s\n", other.Address.Addr(), other.Name)
	}
	gateway := ""
	if l.s.Gateway.IsValid() {
		gateway = l.s.Gateway.String()
	}
	files := []struct {
		name, content string
		mode          fs.FileMode
	}{
		{"etc/hostname", h.Name + "\n", 0o644},
		{"etc/hosts", hosts, 0o644},
		{"etc/machine-id", "", 0o644}, // systemd makes one
		{"etc/lab-network", fmt.Sprintf("INTERFACE='%s'\nADDRESS='%s'\nGATEWAY='%s'\n", h.Interface, h.Address, gateway), 0o644},
		{"etc/ssh/ssh_host_ed25519_key", string(hostKey), 0o600},
		{"etc/apt/sources.list.d/debian.sources", apt.Format(forwarded(l.s.Mirrors, l.s.Forwarder.String())), 0o644},
	}
	for _, f := range files {
		if err := root.WriteFile(f.name, []byte(f.content), f.mode); err != nil {
			return err
		}
	}
	// The ids are those of customize.sh.
	for uid, home := range map[int]string{0: "root", 1000: "home/" + UserSudo, 1001: "home/" + UserSudoPassword, 1002: "home/" + UserPlain} {
		ssh, keys := home+"/.ssh", home+"/.ssh/authorized_keys"
		if err := errors.Join(
			root.MkdirAll(ssh, 0o700),
			root.WriteFile(keys, authorized, 0o600),
			root.Chown(ssh, uid, uid),
			root.Chown(keys, uid, uid),
		); err != nil {
			return err
		}
	}
	return nil
}
