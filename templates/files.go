package templates

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"al.essio.dev/pkg/shellescape"
)

//go:embed *.tmpl units hooks
var sources embed.FS

var parsed = template.Must(template.New("").
	Option("missingkey=error").
	Funcs(template.FuncMap{
		"json":    toJSON,
		"quote":   func(v any) string { return shellescape.Quote(fmt.Sprint(v)) },
		"arg":     quoteArg,
		"seconds": seconds,
		"whole":   wholeSeconds,
		"dir":     path.Dir,
	}).
	ParseFS(sources, "*.tmpl", "units/*.tmpl", "hooks/*.tmpl"))

// Files returns every file that hapair puts on one host, sorted by path. Its
// error says what the host's versions cannot do, or which input no file could
// hold.
func Files(h Host) ([]File, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	v := view{h}
	account := func(path string, mode fs.FileMode, affects Affects) File {
		return File{Path: path, Mode: mode, Owner: h.User, Group: h.Group, Affects: affects}
	}
	root := func(path string, mode fs.FileMode, affects Affects) File {
		return File{Path: path, Mode: mode, Owner: "root", Group: "root", Affects: affects}
	}
	// shared is for what the Redis account reads too, but must not change: root
	// believes it.
	shared := func(path string) File {
		return File{Path: path, Mode: 0o640, Owner: "root", Group: h.Group}
	}
	unit := func(name string, affects Affects) File {
		return root(path.Join("/etc/systemd/system", name), 0o644, affects)
	}
	redisConf := account(h.RedisConf(), 0o640, AffectsRedis)
	redisConf.Sensitive = h.Redis.Password != "" ||
		slices.ContainsFunc(h.Redis.Config, func(d Directive) bool { return isSecret(d.Name) })
	keepalivedConf := root(h.KeepalivedConf(), 0o640, AffectsKeepalived)
	keepalivedConf.Sensitive = v.AuthPassword() != ""
	keepalivedConf.Backup = "-bak"

	type rendering struct {
		template string
		File
	}
	rendered := []rendering{
		{"redis.conf.tmpl", redisConf},
		{"redis-start.sh.tmpl", account(h.RedisStart(), 0o750, AffectsNothing)},
		{"redis-stop.sh.tmpl", account(h.RedisStop(), 0o750, AffectsNothing)},
		{"keepalived.conf.tmpl", keepalivedConf},
		{"pair.conf.tmpl", shared(h.HooksConf())},
		{"guard.nft.tmpl", root(h.GuardRules(), 0o644, AffectsGuard)},
		{"rsyslog.conf.tmpl", root("/etc/rsyslog.d/30-hapair-"+h.Pair+".conf", 0o644, AffectsSyslog)},
		{"rsyslog-dropin.conf.tmpl", unit("rsyslog.service.d/hapair-"+h.Pair+".conf", AffectsSyslog)},
		{"logrotate.conf.tmpl", root("/etc/logrotate.d/hapair-"+h.Pair, 0o644, AffectsNothing)},
		{"redis.service.tmpl", unit(h.RedisUnit(), AffectsUnits)},
		{"keepalived.service.tmpl", unit(h.KeepalivedUnit(), AffectsUnits)},
		{"guard.service.tmpl", unit(h.GuardUnit(), AffectsUnits)},
	}
	if v.IsNode() {
		rendered = append(rendered, rendering{"pair.json.tmpl", shared(h.NodeSettings())})
	}
	if h.Redis.Password != "" {
		auth := shared(h.RedisAuth())
		auth.Sensitive = true
		rendered = append(rendered, rendering{"auth.tmpl", auth})
	}
	var files []File
	for _, f := range rendered {
		var content bytes.Buffer
		if err := parsed.ExecuteTemplate(&content, f.template, v); err != nil {
			return nil, fmt.Errorf("render %s of %s: %w", f.Path, h.Self.Name, err)
		}
		f.Content = content.Bytes()
		files = append(files, f.File)
	}
	for name, content := range v.hooks() {
		f := root(path.Join(h.Hooks(), name), 0o750, AffectsNothing)
		if name == "pair.sh" { // sourced, never run
			f.Mode = 0o640
		}
		f.Content = content
		files = append(files, f)
	}
	if v.IsNode() && h.Program != nil {
		program := root(h.HookProgram(), 0o750, AffectsNothing)
		program.Content, program.Program = h.Program, true
		files = append(files, program)
	}
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return files, nil
}

// verbs are what the hooks ask hapair-node for, by their names.
var verbs = map[string]string{
	"redis_check.sh": "check", "master.sh": "master", "backup.sh": "backup", "fault.sh": "fault", "stop.sh": "stop",
	"release.sh": "release", "after-stop.sh": "after-stop", "redis-down.sh": "redis-down", "promote.sh": "promote",
}

// hooks are the check and notify scripts, by name.
func (v view) hooks() map[string][]byte {
	if !v.IsNode() {
		return scripts()
	}
	all := make(map[string][]byte, len(verbs))
	for name, verb := range verbs {
		all[name] = fmt.Appendf(nil, "#!/bin/sh\nexec %s %s \"$@\"\n", shellescape.Quote(v.HookProgram()), verb)
	}
	return all
}

// scripts are the shell files that are the same on every host, by name.
func scripts() map[string][]byte {
	names, err := fs.Glob(sources, "hooks/*.sh")
	if err != nil {
		panic(err) // the pattern is malformed
	}
	all := make(map[string][]byte, len(names))
	for _, name := range names {
		content, err := sources.ReadFile(name)
		if err != nil {
			panic(err) // an embedded file that was just listed
		}
		all[path.Base(name)] = content
	}
	return all
}

// Dirs returns every directory that hapair makes on one host, sorted by path,
// so that parents come first. A host without rsyslog or logrotate lacks theirs.
//
// No folder on the path of a hook is writable by anyone but root: keepalived's
// script security would silently disable the hook.
func Dirs(h Host) []Dir {
	var dirs []Dir
	add := func(owner, group string, mode fs.FileMode, paths ...string) {
		for _, p := range paths {
			dirs = append(dirs, Dir{Path: p, Mode: mode, Owner: owner, Group: group})
		}
	}
	add(h.User, h.Group, 0o750, h.RedisPrefix, path.Dir(h.RedisConf()), path.Dir(h.RedisLog()))
	if !h.RedisPackaged {
		add(h.User, h.Group, 0o750, h.RedisBin())
	}
	add("root", "root", 0o755,
		h.KeepalivedPrefix, path.Join(h.KeepalivedPrefix, "etc"), path.Dir(h.KeepalivedConf()),
		"/etc/rsyslog.d", "/etc/systemd/system/rsyslog.service.d", "/etc/logrotate.d",
		path.Dir(h.State()), h.State())
	// The Redis account reads pair.conf and appends to the state log, which its
	// unit makes for it.
	add("root", h.Group, 0o750, h.Hooks(), path.Dir(h.StateLog()))
	slices.SortFunc(dirs, func(a, b Dir) int { return cmp.Compare(a.Path, b.Path) })
	return dirs
}

// view is what the templates see: the host, and what follows from it.
type view struct{ Host }

// IsNode: the hooks run hapair-node.
func (v view) IsNode() bool { return v.Failover.Handlers == handlersNode }

// Claim is what the newest promotion adds to its host's priority: more than lies
// between the two hosts, whichever is the higher.
func (v view) Claim() int {
	const usual = 14
	d := v.Keepalived.Priority - v.Keepalived.PeerPriority
	return max(usual, d+1, -d+1)
}

// Priority is the spec's, but for the room that a claim takes.
func (v view) Priority() int {
	if !v.IsNode() {
		return v.Keepalived.Priority
	}
	over := max(v.Keepalived.Priority, v.Keepalived.PeerPriority) + v.Claim() - maxPriority
	return v.Keepalived.Priority - max(0, over)
}

// maxPriority of a router that does not own the address (RFC 5798, 5.2.4).
const maxPriority = 254

// VIP is the address whose place tells where the pair's VIPs are.
func (v view) VIP() string { return v.VIPs[0].Addr().String() }

// VIPList is every VIP with its prefix length, apart by blanks.
func (v view) VIPList() string {
	list := make([]string, len(v.VIPs))
	for i, p := range v.VIPs {
		list[i] = p.String()
	}
	return strings.Join(list, " ")
}

func (v view) Owner() string { return v.User + ":" + v.Group }

// Gateway is empty when there is none.
func (v view) Gateway() string {
	if !v.Failover.Gateway.IsValid() {
		return ""
	}
	return v.Failover.Gateway.String()
}

// DataFiles are the names, in Redis' folder, that show that it has data.
func (v view) DataFiles() string { return strings.Join(v.DataFileNames(), " ") }

// DataFileNames are the same, apart.
func (v view) DataFileNames() []string {
	names := []string{
		v.directive("dbfilename", "dump.rdb"),
		v.directive("appendfilename", "appendonly.aof"),
	}
	if known, _ := KnownDirective(v.Redis.Product, v.Redis.Version, "appenddirname"); known {
		names[1] = v.directive("appenddirname", "appendonlydir")
	}
	return names
}

// directive is the spec's value of a directive, or what it is otherwise.
func (v view) directive(name, otherwise string) string {
	for _, d := range v.Redis.Config {
		if canonical(d.Name) == name {
			if args, err := splitArgs(d.Value); err == nil && len(args) == 1 {
				otherwise = args[0]
			}
		}
	}
	return otherwise
}

func (v view) CanPauseWrites() bool { return v.redisHas(Version{6, 2, 0}) }
func (v view) CanKillType() bool    { return v.redisHas(Version{2, 8, 12}) }

// redisHas reports whether what came with that version of Redis is here;
// Valkey starts from Redis 7.2.
func (v view) redisHas(since Version) bool {
	return v.Redis.Product == ProductValkey || !v.Redis.Version.Less(since)
}

// checkTime is the longest that the check can take before it decides.
func (v view) checkTime() time.Duration {
	c := v.Check
	return time.Duration(c.Retries+1)*c.Timeout + time.Duration(c.Retries)*c.RetryDelay
}

// masterDownTime is how long a backup hears nothing before it takes over: three
// adverts and a skew of less than one (RFC 5798, 6.1).
func (v view) masterDownTime() time.Duration { return 4 * v.Keepalived.AdvertInterval }

// HandedTimeout is how long the peer can take to become primary once this host
// handed all its data over and let the VIP go.
func (v view) HandedTimeout() time.Duration { return v.masterDownTime() + time.Second }

// FollowTimeout is how long the peer can take to become primary once this host
// has let go: it notices, it waits until it has all data, it is promoted.
func (v view) FollowTimeout() time.Duration {
	return v.masterDownTime() + v.Failover.SyncTimeout + 2*time.Second
}

// StaleLimit is how long a replica may have been without its primary and still
// take its place, in seconds as Redis counts them: the longest in which this
// pair notices a death, and 10 s.
func (v view) StaleLimit() time.Duration {
	limit := v.CheckInterval() + v.checkTime() + v.masterDownTime() + 10*time.Second
	return time.Duration(wholeSeconds(limit)) * time.Second
}

// ShutdownSeconds bounds Redis' orderly stop, in which it may save all data.
func (v view) ShutdownSeconds() int { return 300 }

// RedisStopSeconds is the time after which systemd kills a Redis that does not
// stop.
func (v view) RedisStopSeconds() int { return v.ShutdownSeconds() + 30 }

// RedisOpenFiles allows the spec's number of clients, and then some files of
// Redis' own.
func (v view) RedisOpenFiles() int {
	clients, err := strconv.Atoi(v.directive("maxclients", "10000"))
	if err != nil {
		clients = 10000
	}
	return max(65535, clients+1024)
}

// KeepalivedStopSeconds bounds each of the unit's stop commands. The longest is
// after-stop.sh: up to 60 s for the lock, then it follows the peer.
func (v view) KeepalivedStopSeconds() int {
	return wholeSeconds(60*time.Second+v.Failover.SyncTimeout+v.FollowTimeout()) + 15
}

// FacilityNumber is N of local syslog facility N, keepalived's option -S.
func (v view) FacilityNumber() string {
	return strings.TrimPrefix(v.Keepalived.SyslogFacility, "local")
}

// Instance is the name of the VRRP instance.
func (v view) Instance() string { return "VI_" + v.Pair }

// TrackFile is what the block of a track_file is called.
func (v view) TrackFile() string {
	if v.Keepalived.Version.Has(TrackFileBlock) {
		return "track_file"
	}
	return "vrrp_track_file"
}

func (v view) ScriptSecurity() bool     { return v.Keepalived.Version.Has(ScriptSecurity) }
func (v view) TimerExpiredBackup() bool { return v.Keepalived.Version.Has(TimerExpiredBackup) }

// Version3 is for adverts that version 2 of the protocol cannot express. Over
// IPv6 keepalived speaks version 3 anyway.
func (v view) Version3() bool { return v.Keepalived.AdvertInterval%time.Second != 0 }

// AuthPassword is empty where VRRP has no authentication: version 3 dropped it.
func (v view) AuthPassword() string {
	if v.Version3() || v.vrrpIs6() {
		return ""
	}
	return v.Keepalived.AuthPassword
}

// CheckInterval is the interval that this keepalived can keep: before 2.3.2 it
// knows whole seconds only, and takes 1 s for what it does not understand.
func (v view) CheckInterval() time.Duration {
	if v.Keepalived.Version.Has(FractionalCheck) {
		return v.Check.Interval
	}
	return time.Duration(wholeSeconds(v.Check.Interval)) * time.Second
}

// CheckBackstop, in seconds, is when keepalived ends a check that its own
// deadlines did not end.
func (v view) CheckBackstop() int { return wholeSeconds(v.checkTime()) + 1 }

// vrrpIs6 reports whether adverts go over IPv6: those of unicast between the
// hosts' addresses, those of multicast by the family of the VIPs.
func (v view) vrrpIs6() bool {
	if v.Keepalived.Unicast {
		return v.Self.Address.Is6()
	}
	return !slices.ContainsFunc(v.VIPs, func(p netip.Prefix) bool { return p.Addr().Is4() })
}

// Advertised are the VIPs of the family of the adverts; Excluded the others,
// which VRRP does not name but which move with them.
func (v view) Advertised() []netip.Prefix { return v.vipsOf(v.vrrpIs6()) }
func (v view) Excluded() []netip.Prefix   { return v.vipsOf(!v.vrrpIs6()) }

func (v view) vipsOf(is6 bool) (vips []netip.Prefix) {
	for _, p := range v.VIPs {
		if p.Addr().Is6() == is6 {
			vips = append(vips, p)
		}
	}
	return vips
}

// toJSON writes a plain value.
func toJSON(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}

// seconds writes a duration as the programs read it: "10", "0.2".
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

// wholeSeconds rounds up.
func wholeSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
