package spec

import (
	"net/netip"
	"time"
)

// Spec is what the files say, checked and with every default filled in. It
// holds no HCL types: whoever plans or renders needs nothing but this.
type Spec struct {
	Pairs []*Pair // in the order of the files
}

// Pair is one virtual address in front of Redis on two hosts.
type Pair struct {
	Name       string
	VIPs       []netip.Prefix // at least one; IPv4 or IPv6
	Hosts      [2]Host        // the first is the preferred primary
	Account    Account
	Redis      Redis
	Keepalived Keepalived
	Check      Check
	Failover   Failover
	Drills     []Drill // in the order of the file; they change nothing on the hosts
}

// Host is one of the two machines.
type Host struct {
	Name      string
	Address   netip.Addr // what Redis and VRRP use
	Interface string     // empty: the one that holds Address, known once the host was observed
	Priority  int        // VRRP, 1 to 254
	// GARPMasterDelay is when keepalived announces the VIP a second time after
	// becoming MASTER. Two hosts that both were for a moment announce it in any
	// order, and clients believe the last one until then.
	GARPMasterDelay time.Duration
	SSH             SSH
}

// SSH is how to reach a host, the host's own block laid over the pair's. What
// is empty comes from ssh_config, the agent and known_hosts.
type SSH struct {
	Address        string // where to connect; the host's Address when empty
	User           string
	Port           int // 0: ssh_config's, else 22
	Become         Become
	BecomePassword Secret
	IdentityFile   string
	KnownHosts     string
	Jump           []string
}

// Become is how a login that is not root gets root's rights.
type Become string

const (
	BecomeSudo Become = "sudo"
	BecomeDoas Become = "doas"
	BecomeNone Become = "none"
)

// Account is the system account that Redis runs as and that owns its files.
type Account struct {
	User, Group string
}

// Redis is the data server, the same on both hosts.
type Redis struct {
	Prefix   string
	Port     int
	Password Secret
	Install  Install
	// Config holds the spec's redis.conf directives, ordered by name; the
	// values of a repeated directive keep the spec's order.
	Config []Directive
}

// Directive is one line of redis.conf: a name and its arguments as written.
type Directive struct {
	Name, Value string
}

// Keepalived is the VRRP daemon that owns the VIP, the same on both hosts.
type Keepalived struct {
	Prefix          string
	Install         Install
	VirtualRouterID int           // 1 to 255
	AdvertInterval  time.Duration // 10 ms to 255 s; below 1 s needs VRRP version 3
	AuthPassword    Secret        // VRRP version 2 only, at most 8 characters
	Unicast         bool
	SyslogFacility  string // "local0" to "local7"
}

// Install is where a program comes from: exactly one of the two is set.
type Install struct {
	Source  *Source
	Package *Package
}

// Source is an upstream tarball to build.
type Source struct {
	// Product is what the tarball holds: "redis", "valkey" or "keepalived".
	Product   string
	Version   string
	URLs      []string // https, http, file or a path, made absolute; tried in order
	SHA256    string   // of the tarball, lower-case hex
	Patches   []string // paths on the controller, made absolute; applied in order with -p1
	Make      []string // extra arguments for make (Redis)
	Configure []string // extra arguments for ./configure (keepalived)
	Test      TestMode // run `make test` (Redis)
}

// TestMode says whether a build runs its own test suite.
type TestMode string

const (
	TestNo   TestMode = "no"
	TestYes  TestMode = "yes"
	TestWarn TestMode = "warn" // run it, tolerate its failure
)

// Package is the distribution's own package.
type Package struct {
	Name    string // empty: the distribution's usual name
	Version string // empty: whatever the distribution has
}

// Check is how a host finds out that its own Redis is unwell.
type Check struct {
	Interval   time.Duration
	Timeout    time.Duration
	Retries    int // further tries before a failure counts
	RetryDelay time.Duration
}

// Failover is how roles change.
type Failover struct {
	Handlers    Handlers
	Recover     Recover
	SyncTimeout time.Duration // ceiling of every wait for the last data
	Gateway     netip.Addr    // invalid when unset
	Durability  Durability
}

// Handlers is what runs in keepalived's hooks.
type Handlers string

const (
	// HandlersScripts are shell scripts, for any host and version.
	HandlersScripts Handlers = "scripts"
	// HandlersNode are hapair-node, a program that hapair puts on the hosts. They
	// take keepalived 2.0.
	HandlersNode Handlers = "node"
)

// Recover is who brings a Redis or keepalived back that died.
type Recover string

const (
	// RecoverAuto: systemd starts it again, and the handlers decide what it may be.
	RecoverAuto Recover = "auto"
	// RecoverManual: a person does, with `hapair recover`.
	RecoverManual Recover = "manual"
)

// Durability is what a primary does while it has no replica.
type Durability string

const (
	// DurabilityAvailable: it accepts writes, always.
	DurabilityAvailable Durability = "available"
	// DurabilityBalanced: it accepts writes when its peer is surely dead, or
	// out of reach while the gateway answers. Without a gateway, as available.
	DurabilityBalanced Durability = "balanced"
	// DurabilityStrict: it refuses writes until a replica is back.
	DurabilityStrict Durability = "strict"
)

// Drill is what the spec says of one drill: objectives for one of the
// catalogue, or a scenario of its own.
type Drill struct {
	Name          string
	Summary       string        // of a scenario, in a line; may be empty
	MaxOutage     time.Duration // for both kinds of client; 0: the drill's default
	MaxLostWrites *int          // acknowledged writes; nil: the drill's default
	Steps         []DrillStep   // empty: a drill of the catalogue
}

// DrillStep is one act of a scenario: exactly one of Fault, Expect, Wait, Undo
// and Recover is set.
type DrillStep struct {
	Fault string // one of FaultNames
	// On is the host that Fault strikes, or that Expect "holds" is about:
	// "primary" or "replica", as the roles are when the step begins, "both", or
	// a host's name. Empty with all else.
	On      string
	Expect  string        // one of Conditions
	Within  time.Duration // with Expect
	Wait    time.Duration
	Undo    bool // end the faults that last
	Recover bool // undo, then start what was struck: Redis, then keepalived
}

// Secret is a text that never shows itself by accident: fmt, slog and JSON
// print a placeholder.
type Secret struct{ text string }

// NewSecret keeps text from view.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal is the text itself, for the few places that must send or write it.
func (s Secret) Reveal() string { return s.text }

// IsSet reports whether there is a secret at all.
func (s Secret) IsSet() bool { return s.text != "" }

const masked = "(sensitive value)"

func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return masked
}

// GoString keeps %#v from showing the text.
func (s Secret) GoString() string { return s.String() }

// MarshalText keeps JSON and slog from showing the text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
