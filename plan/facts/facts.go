// Package facts knows what a host is like: it asks with one read-only command
// and leaves nothing behind. It does not know what a host should be like; the
// Query says what to look at.
package facts

import (
	"io/fs"
	"net/netip"
	"strings"

	"hapair/remote/redisctl"
)

// Ref names a host: the pair and the host's name in it.
type Ref struct{ Pair, Host string }

// String is "PAIR/HOST".
func (r Ref) String() string { return r.Pair + "/" + r.Host }

// MarshalText writes the reference as String does.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (r *Ref) UnmarshalText(text []byte) error {
	r.Pair, r.Host, _ = strings.Cut(string(text), "/")
	return nil
}

// ByHost is what was seen on every host of a spec.
type ByHost map[Ref]*Host

// Host is what one host is like. It may hold secrets, in the content of Paths.
type Host struct {
	OS      OS
	UID     int  // as whom the command ran; 0 is root
	Systemd bool // it runs the host
	Manager Manager
	Parts   map[Part]bool // of the Query's, those it has

	User  *User  // nil: there is none of that name
	Group *Group // likewise

	Packages map[string]Package // of the Query's, those installed or on offer
	Units    map[string]Unit    // of the Query's, all
	Paths    map[string]Path    // of the Query's, those that exist
	Entries  []string           // what is in the Query's Lists: full paths
	// Free is bytes by the Query's Spaces; empty when every one of its Programs
	// is there.
	Free map[string]int64

	Interfaces []Interface
	Listeners  []Listener // on the Query's Ports
	Keepalived []Keepalived
	Answering  []netip.Addr // of the Query's VIPs, those that another machine answers for

	Redis    *redisctl.Info     // nil: it gave no answer
	Programs map[string]Program // by product: what hapair built and installed
}

// OS is what the host runs.
type OS struct {
	ID      string   // "debian", "fedora", "opensuse-leap"
	Like    []string // the IDs of what it derives from, nearest first
	Version string   // "12"; empty on rolling ones
	Name    string   // for people: "Debian GNU/Linux 12 (bookworm)"
	Kernel  string   // "6.1.0-13-amd64"
	Machine string   // "x86_64"
	Libc    string   // "glibc 2.36"
}

// Manager is the host's package manager.
type Manager string

const (
	Apt    Manager = "apt"
	Dnf    Manager = "dnf"
	Zypper Manager = "zypper"
)

// Part is something that a program needs to be built or to run.
type Part string

// Tool is a program in the PATH.
func Tool(name string) Part { return Part("tool " + name) }

// Library is a shared library, by the name of its file: "libnl-3.so.200".
func Library(name string) Part { return Part("library " + name) }

// Header is a file under /usr/include.
func Header(name string) Part { return Part("header " + name) }

// User is an account.
type User struct {
	Name  string
	UID   int
	GID   int // of its primary group
	Home  string
	Shell string
}

// Group is a group of accounts.
type Group struct {
	Name string
	GID  int
}

// Package is one of the distribution's.
type Package struct {
	Installed string // its version; empty: it is not installed
	Candidate string // the version on offer, where it is not installed; apt only
}

// Unit is a unit as systemd sees it.
type Unit struct {
	Load    string // "loaded", "not-found", "masked"
	Active  string // "active", "inactive", "failed", "activating", "deactivating"
	File    string // "enabled", "disabled", "static", "masked"; empty without a file
	Changed bool   // its file differs from what systemd has read
}

// Kind is what a path is.
type Kind string

const (
	File    Kind = "file"
	Dir     Kind = "directory"
	Symlink Kind = "symbolic link"
	Other   Kind = "special file"
)

// Path is a file or folder. A symbolic link is not followed.
type Path struct {
	Kind         Kind
	Mode         fs.FileMode // permission bits, setuid, setgid, sticky
	Owner, Group string
	Size         int64
	// Content is that of a small file; nil otherwise. See MaxContent.
	Content []byte `json:"-"`
	SHA256  string // of a large file, unless it is enormous; else empty
}

// MaxContent is the size up to which a file is read; up to 64 MiB its sum is
// taken.
const MaxContent = 256 << 10

// Interface is a network interface with addresses.
type Interface struct {
	Name  string
	Addrs []netip.Prefix
}

// Listener is a listening socket on a TCP port.
type Listener struct {
	Port    int
	Addr    string // "0.0.0.0", "[::]", "127.0.0.1"
	Program string // "redis-server"; empty when it does not show
	PID     int
	Unit    string // of systemd, that it belongs to; may be empty
}

// Keepalived is a running keepalived.
type Keepalived struct {
	PID       int
	Unit      string // of systemd, that it belongs to; may be empty
	Conf      string // its configuration's path; empty for the Query's own unit
	Instances []Instance
}

// Instance is a vrrp_instance of a configuration.
type Instance struct {
	Name            string
	Interface       string
	VirtualRouterID int
}

// Program is what hapair built and installed, as recorded on the host.
type Program struct {
	ID      string // of the recipe, see plan/source
	Version string
	Damaged []string // what of it is no longer as it was installed
}

// HasAddr reports whether the host holds addr, and on which interface.
func (h *Host) HasAddr(addr netip.Addr) (iface string, network netip.Prefix, ok bool) {
	for _, i := range h.Interfaces {
		for _, p := range i.Addrs {
			if p.Addr() == addr {
				return i.Name, p, true
			}
		}
	}
	return "", netip.Prefix{}, false
}

// Platform is what programs built on the host fit: "debian 12 x86_64 glibc 2.36".
func (o OS) Platform() string {
	return strings.Join([]string{o.ID, o.Version, o.Machine, o.Libc}, " ")
}
