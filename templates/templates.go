// Package templates turns typed input into the bytes of every file that hapair
// puts on a host: redis.conf, keepalived.conf, the hooks, the units, the log
// rules. It knows which version of Redis and keepalived understands what, and
// nothing of specs or hosts: the same input gives the same bytes, always.
package templates

import (
	"io/fs"
	"net/netip"
	"path"
	"time"
)

// Host is all that the files of one host depend on.
type Host struct {
	Layout
	Self, Peer Node
	Interface  string // holds Self.Address; the VIP goes there
	VIPs       []netip.Prefix
	User       string // owns Redis' files and runs it
	Group      string
	Redis      Redis
	Keepalived Keepalived
	Check      Check
	Failover   Failover
	// Program is what the hooks run with the handlers "node", built for this host's
	// machine. Without one there is no file for it.
	Program []byte
}

// Node is one side of the pair.
type Node struct {
	Name    string
	Address netip.Addr
}

// Redis is the part of the input that concerns the data server.
type Redis struct {
	Product  Product
	Version  Version
	Port     int
	Password string // empty: none
	// Config are the spec's own directives; they win over hapair's, which win
	// over those active in the distribution's redis.conf.
	Config []Directive
}

// Product is which server speaks the Redis protocol here.
type Product string

const (
	ProductRedis  Product = "redis"
	ProductValkey Product = "valkey"
)

// Directive is one line of redis.conf.
type Directive struct{ Name, Value string }

// Keepalived is the part of the input that concerns VRRP.
type Keepalived struct {
	Version         Version
	RouterID        int // virtual_router_id
	Priority        int
	PeerPriority    int
	NoPreempt       bool // on the preferred host: it does not take the VIP back
	AdvertInterval  time.Duration
	GARPMasterDelay time.Duration // 0: keepalived's default
	AuthPassword    string        // VRRP version 2 only; empty: none
	Unicast         bool
	SyslogFacility  string
}

// Check is how the local Redis is watched.
type Check struct {
	Interval, Timeout time.Duration
	Retries           int
	RetryDelay        time.Duration
}

// Failover is how the hooks change roles.
type Failover struct {
	SyncTimeout time.Duration
	Gateway     netip.Addr // invalid: none
	Durability  string     // "available", "balanced", "strict"
	Handlers    string     // "scripts", "node"
	Restart     bool       // what died is started again
}

// Handlers that are a program.
const handlersNode = "node"

// Affects says what has to happen for a changed file to count.
type Affects string

const (
	AffectsNothing    Affects = ""           // read anew at each use
	AffectsRedis      Affects = "redis"      // Redis restarts: rolling, replica first
	AffectsKeepalived Affects = "keepalived" // keepalived reloads
	AffectsGuard      Affects = "guard"      // the nftables rules are loaded again
	AffectsSyslog     Affects = "syslog"     // systemctl daemon-reload, and rsyslog restarts
	AffectsUnits      Affects = "units"      // systemctl daemon-reload
)

// File is one file for a host, ready to be written.
type File struct {
	Path         string
	Content      []byte
	Mode         fs.FileMode
	Owner, Group string
	Sensitive    bool // holds a secret: never shown, compared by hash
	Program      bool // is no text: compared by hash
	Affects      Affects
	// Backup keeps a copy of a file that was there before hapair's first one,
	// beside it with this suffix. Empty: no copy.
	Backup string
}

// Dir is one directory for a host.
type Dir struct {
	Path         string
	Mode         fs.FileMode
	Owner, Group string
}

// Layout is where things are on a host, and what the units are called. Every
// name holds the pair's, so that several pairs can share two hosts.
type Layout struct {
	Pair             string
	Product          Product
	RedisPrefix      string // "/usr/local/redis"
	KeepalivedPrefix string // "/usr/local/keepalived"
	// The programs come from the distribution's packages, not from a build.
	RedisPackaged, KeepalivedPackaged bool
}

// RedisUnit is the systemd unit that runs Redis.
func (l Layout) RedisUnit() string { return "hapair-" + l.Pair + "-redis.service" }

// KeepalivedUnit is the systemd unit that runs keepalived.
func (l Layout) KeepalivedUnit() string { return "hapair-" + l.Pair + "-keepalived.service" }

// GuardUnit is the systemd unit that loads the nftables rules which answer for
// a VIP that is elsewhere.
func (l Layout) GuardUnit() string { return "hapair-" + l.Pair + "-guard.service" }

// RedisBin is the folder of redis-server and redis-cli.
func (l Layout) RedisBin() string {
	if l.RedisPackaged {
		return "/usr/bin"
	}
	return path.Join(l.RedisPrefix, "bin")
}

// Server is the data server's program.
func (l Layout) Server() string { return path.Join(l.RedisBin(), string(l.Product)+"-server") }

// CLI is the data server's command line client.
func (l Layout) CLI() string { return path.Join(l.RedisBin(), string(l.Product)+"-cli") }

// KeepalivedProgram is the VRRP daemon.
func (l Layout) KeepalivedProgram() string {
	if l.KeepalivedPackaged {
		return "/usr/sbin/keepalived"
	}
	return path.Join(l.KeepalivedPrefix, "sbin/keepalived")
}

// RedisConf is Redis' configuration.
func (l Layout) RedisConf() string { return path.Join(l.RedisPrefix, "conf/redis.conf") }

// RedisAuth holds the AUTH command as redis-cli reads it from its standard
// input, so that the password is on no command line. It exists only where
// there is a password.
func (l Layout) RedisAuth() string { return path.Join(l.RedisPrefix, "conf/auth") }

// RedisData is where Redis keeps its data, and hapair the rank of that data.
func (l Layout) RedisData() string { return l.RedisPrefix }

// RankFile holds the rank of the data beside it. See docs/failover.md and
// hooks/pair.sh.
func (l Layout) RankFile() string { return path.Join(l.RedisData(), "hapair-rank") }

// RedisLog is Redis' own log.
func (l Layout) RedisLog() string { return path.Join(l.RedisPrefix, "logs/redis.log") }

// RedisStart starts Redis, fenced; RedisStop stops it in an orderly way.
func (l Layout) RedisStart() string { return path.Join(l.RedisPrefix, "redis-start.sh") }
func (l Layout) RedisStop() string  { return path.Join(l.RedisPrefix, "redis-stop.sh") }

// KeepalivedConf is keepalived's configuration.
func (l Layout) KeepalivedConf() string {
	return path.Join(l.KeepalivedPrefix, "etc/keepalived/keepalived.conf")
}

// Hooks is the folder of the check and notify scripts.
func (l Layout) Hooks() string { return path.Join(l.KeepalivedPrefix, "etc/keepalived/scripts") }

// KeepalivedLog is where syslog puts keepalived's facility.
func (l Layout) KeepalivedLog() string { return path.Join(l.KeepalivedPrefix, "logs/keepalived.log") }

// StateLog is where every hook says what it saw and did.
func (l Layout) StateLog() string { return path.Join(l.KeepalivedPrefix, "logs/redis-state.log") }

// GuardRules is the nftables file of the guard unit.
func (l Layout) GuardRules() string {
	return path.Join(l.KeepalivedPrefix, "etc/keepalived/guard.nft")
}

// Run is the volatile folder of the hooks: lock, hold, marks of this boot.
func (l Layout) Run() string { return path.Join("/run/hapair", l.Pair) }

// LockFile is what one run of hapair at a time has the lock on. It is beside
// Run, which systemd makes, and so there before it.
func (l Layout) LockFile() string { return path.Join("/run/hapair", l.Pair+".lock") }

// HoldFile exists while this host holds; it says why in one line.
func (l Layout) HoldFile() string { return path.Join(l.Run(), "hold") }

// State is the folder of the manifest, what hapair put on this host.
func (l Layout) State() string { return path.Join("/var/lib/hapair", l.Pair) }

// Manifest lists what hapair put on this host.
func (l Layout) Manifest() string { return path.Join(l.State(), "manifest.json") }

// HookProgram is what the hooks run with the handlers "node"; NodeSettings is
// what it reads.
func (l Layout) HookProgram() string  { return path.Join(l.Hooks(), "hapair-node") }
func (l Layout) NodeSettings() string { return path.Join(l.Hooks(), "pair.json") }

// HooksConf is the one rendered file among the hooks: their settings.
func (l Layout) HooksConf() string { return path.Join(l.Hooks(), "pair.conf") }

// RedisPID is Redis' pid file.
func (l Layout) RedisPID() string { return path.Join(l.RedisPrefix, "redis.pid") }

// KeepalivedPID is keepalived's pid file; VRRPPID that of its VRRP child.
func (l Layout) KeepalivedPID() string { return path.Join(l.Run(), "keepalived.pid") }
func (l Layout) VRRPPID() string       { return path.Join(l.Run(), "vrrp.pid") }

// GuardTable is the nftables table (family inet) of the guard's rules.
func (l Layout) GuardTable() string { return "hapair_" + l.Pair }
