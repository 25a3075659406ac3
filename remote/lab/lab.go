// Package lab makes throw-away hosts on this Linux machine: real systemd, real
// sshd and real kernel networking, without a container engine. Each host is a
// systemd-nspawn container over a shared minimal Debian image; the hosts of
// one lab share a network namespace with a bridge, and nothing of their
// traffic leaves it. It knows how to cut their power and their cable. It knows
// nothing of Redis or plans.
//
// A lab lives apart from the process that made it. Its state is what the
// kernel and one directory say, found by the lab's name, so any process can
// open it, and Down can clear up after a process that was killed half-way.
package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hapair/remote/lab/internal/apt"
	"hapair/remote/lab/sources"
)

// stateDir holds one directory per lab. It is fixed, as a lab is found by its
// name alone.
const stateDir = "/var/lib/hapair-lab"

// Users of every host. All three accept the lab's key, as root does.
const (
	UserSudo         = "deploy" // may become root without a password
	UserSudoPassword = "ops"    // may become root with Lab.OpsPassword
	UserPlain        = "guest"  // may not become root
)

// Config says what lab to make.
type Config struct {
	Name  string
	Hosts []Host
	// Gateway is an address that answers in the lab's network and is the hosts'
	// default route. It leads nowhere. The zero value means that there is none.
	Gateway netip.Addr
	// Reserved are addresses that the lab keeps its hands off, such as VIPs.
	Reserved []netip.Addr
	// Sources is a directory that hosts can read at Lab.SourcesURL. The default
	// is sources.Dir.
	Sources string
	// Recreate takes a lab of that name down first.
	Recreate bool `json:"-"`
}

// Host is one host of a lab.
type Host struct {
	Name      string
	Address   netip.Prefix // the host's address, with the length of its network
	Interface string       // default "eth0"
}

// Lab is a running lab.
type Lab struct {
	s state
}

// state is what lab.json holds.
type state struct {
	Config
	// Ready is false while Up is at work; it stays so when Up was killed.
	Ready       bool
	Forwarder   netip.AddrPort // where hosts reach packages and sources
	Mirrors     []apt.Source   // what the machine fetches from, one URI each
	AptChecks   string         // lines of apt.conf
	OpsPassword string
}

// ErrNotExist is wrapped by Open's error when there is no lab of that name.
var ErrNotExist = fs.ErrNotExist

// Open attaches to a lab that Up made, maybe in another process.
func Open(name string) (*Lab, error) {
	if err := checkName("lab", name); err != nil {
		return nil, err
	}
	s, err := readState(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no lab %q on this machine: %w", name, ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	if !s.Ready {
		return nil, fmt.Errorf("lab %q is half made: wait for the process that makes it, or take it down and up again", name)
	}
	if _, err := os.Stat(nsPath(name)); err != nil {
		return nil, fmt.Errorf("lab %q is gone, as after a restart of this machine: take it down and up again: %w", name, err)
	}
	return &Lab{s: s}, nil
}

// List names the labs on this machine, half-made ones included.
func List() ([]string, error) {
	entries, err := os.ReadDir(stateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// Name is the lab's name.
func (l *Lab) Name() string { return l.s.Name }

// Hosts are the lab's hosts in the order of its Config.
func (l *Lab) Hosts() []Host { return slices.Clone(l.s.Hosts) }

// Host finds a host by its name.
func (l *Lab) Host(name string) (Host, error) {
	for _, h := range l.s.Hosts {
		if h.Name == name {
			return h, nil
		}
	}
	return Host{}, fmt.Errorf("lab %q has no host %q: it has %s", l.s.Name, name, strings.Join(l.hostNames(), ", "))
}

func (l *Lab) hostNames() []string {
	var names []string
	for _, h := range l.s.Hosts {
		names = append(names, h.Name)
	}
	return names
}

// Dir is the lab's directory, readable by root only. What stands there goes
// with the lab.
func (l *Lab) Dir() string { return labDir(l.s.Name) }

// SSHConfig is a file for "ssh -F": host names of the lab, user root, the
// lab's key, strict host-key checking.
func (l *Lab) SSHConfig() string { return filepath.Join(l.Dir(), "ssh_config") }

// KnownHosts is a known_hosts file with the host key of every host, under its
// name and its address.
func (l *Lab) KnownHosts() string { return filepath.Join(l.Dir(), "known_hosts") }

// IdentityFile is the private key that every user of every host accepts.
func (l *Lab) IdentityFile() string { return filepath.Join(l.Dir(), "id_ed25519") }

// OpsPassword is what sudo asks UserSudoPassword for.
func (l *Lab) OpsPassword() string { return l.s.OpsPassword }

// SourcesURL is where hosts find the files of Config.Sources.
func (l *Lab) SourcesURL() string { return "http://" + l.s.Forwarder.String() + "/sources" }

// ConsoleLog is what the host's system has written to its console.
func (l *Lab) ConsoleLog(host string) string {
	return filepath.Join(hostDir(l.s.Name, host), "console.log")
}

// Root is the host's root directory as this machine sees it.
func (l *Lab) Root(host string) string { return hostRoot(l.s.Name, host) }

func (l *Lab) bootScript() string { return filepath.Join(l.Dir(), "boot.sh") }

func labDir(name string) string        { return filepath.Join(stateDir, name) }
func hostDir(name, host string) string { return filepath.Join(labDir(name), "hosts", host) }
func hostRoot(name, host string) string {
	return filepath.Join(hostDir(name, host), "root")
}

// machine is the name that systemd-nspawn knows a host by. Labs may have hosts
// of the same names, machines may not.
func machine(name, host string) string { return name + "." + host }

func readState(name string) (state, error) {
	var s state
	data, err := os.ReadFile(filepath.Join(labDir(name), "lab.json"))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("read the state of lab %q: %w", name, err)
	}
	return s, nil
}

func (l *Lab) writeState() error {
	data, err := json.MarshalIndent(l.s, "", "  ")
	if err != nil {
		return err
	}
	return writeFileAtomic(filepath.Join(l.Dir(), "lab.json"), data, 0o600)
}

func writeFileAtomic(path string, data []byte, mode fs.FileMode) error {
	if err := os.WriteFile(path+".new", data, mode); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

var nameRule = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$`)

func checkName(what, name string) error {
	if !nameRule.MatchString(name) {
		return fmt.Errorf("%s name %q: want at most 30 lower-case letters, digits and hyphens", what, name)
	}
	return nil
}

// withDefaults checks a configuration and fills in what it leaves open.
func (c Config) withDefaults() (Config, error) {
	if err := checkName("lab", c.Name); err != nil {
		return c, err
	}
	if len(c.Hosts) == 0 {
		return c, fmt.Errorf("lab %q: no hosts", c.Name)
	}
	c.Hosts = slices.Clone(c.Hosts)
	for i := range c.Hosts {
		h := &c.Hosts[i]
		if err := checkName("host", h.Name); err != nil {
			return c, err
		}
		if !h.Address.IsValid() {
			return c, fmt.Errorf("lab %q: host %q has no address", c.Name, h.Name)
		}
		if h.Address.Masked() != c.Hosts[0].Address.Masked() {
			return c, fmt.Errorf("lab %q: hosts %q and %q are not in the same network: %s, %s",
				c.Name, c.Hosts[0].Name, h.Name, c.Hosts[0].Address, h.Address)
		}
		for _, other := range c.Hosts[:i] {
			if other.Name == h.Name || other.Address.Addr() == h.Address.Addr() {
				return c, fmt.Errorf("lab %q: hosts %q and %q share a name or an address", c.Name, other.Name, h.Name)
			}
		}
		if h.Interface == "" {
			h.Interface = "eth0"
		}
		if len(h.Interface) > 15 || h.Interface == "lo" || strings.ContainsAny(h.Interface, "/ \t\n'\"\\$") {
			return c, fmt.Errorf("lab %q: host %q: %q can't name an interface", c.Name, h.Name, h.Interface)
		}
	}
	if c.Gateway.IsValid() && !c.Hosts[0].Address.Contains(c.Gateway) {
		return c, fmt.Errorf("lab %q: the gateway %s is not in the hosts' network %s", c.Name, c.Gateway, c.Hosts[0].Address.Masked())
	}
	if c.Sources == "" {
		dir, err := sources.Dir()
		if err != nil {
			return c, err
		}
		c.Sources = dir
	}
	return c, nil
}

// freeAddress picks an address of the hosts' network for the lab itself: the
// highest one that nobody has, as people number hosts from below.
func (c Config) freeAddress() (netip.Addr, error) {
	network := c.Hosts[0].Address.Masked()
	taken := map[netip.Addr]bool{c.Gateway: true}
	for _, h := range c.Hosts {
		taken[h.Address.Addr()] = true
	}
	for _, a := range c.Reserved {
		taken[a] = true
	}
	last := lastAddr(network)
	if network.Addr().Is4() {
		taken[last] = true // broadcast
	}
	for a := last; network.Contains(a) && a != network.Addr(); a = a.Prev() {
		if !taken[a] {
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("lab %q: the network %s has no address left for the lab itself: give the hosts a shorter prefix", c.Name, network)
}

// lastAddr is the highest address of a network.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// resolve turns a host name of the lab into its address. Other names have none.
func (l *Lab) resolve(address string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%s: port %q is not a number", address, port)
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		h, err := l.Host(host)
		if err != nil {
			return netip.AddrPort{}, err
		}
		ip = h.Address.Addr()
	}
	return netip.AddrPortFrom(ip, uint16(number)), nil
}

// tools are the programs that the lab uses, and the Debian packages they are in.
var tools = []struct{ program, pkg string }{
	{"systemd-nspawn", "systemd-container"},
	{"mmdebstrap", "mmdebstrap"},
	{"nsenter", "util-linux"},
	{"unshare", "util-linux"},
	{"setsid", "util-linux"},
	{"ip", "iproute2"},
	{"ssh", "openssh-client"},
	{"ssh-keygen", "openssh-client"},
	{"apt-config", "apt"},
}

// missingTools names the packages whose programs aren't there.
func missingTools() []string {
	var missing []string
	for _, t := range tools {
		if _, err := exec.LookPath(t.program); err != nil && !slices.Contains(missing, t.pkg) {
			missing = append(missing, t.pkg)
		}
	}
	return missing
}
