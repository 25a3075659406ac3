package templates

import (
	"embed"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The folder redisconf tells how these were made.
//
//go:embed redisconf
var redisData embed.FS

// history is when a directive came and went in one product.
type history struct{ since, until Version }

func (h history) covers(v Version) bool {
	return h.since != Version{} && !v.Less(h.since) && (h.until == Version{} || v.Less(h.until))
}

var directives = readDirectives()

// readDirectives parses redisconf/directives: name, then for Redis and for
// Valkey "SINCE" or "SINCE-UNTIL" (the first version without it) or "-".
func readDirectives() map[Product]map[string]history {
	text, err := redisData.ReadFile("redisconf/directives")
	if err != nil {
		panic(err)
	}
	all := map[Product]map[string]history{ProductRedis: {}, ProductValkey: {}}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		for i, product := range []Product{ProductRedis, ProductValkey} {
			if f[i+1] == "-" {
				continue
			}
			since, until, gone := strings.Cut(f[i+1], "-")
			h := history{since: mustVersion(since)}
			if gone {
				h.until = mustVersion(until)
			}
			all[product][f[0]] = h
		}
	}
	return all
}

func mustVersion(s string) Version {
	v, err := ParseVersion(s)
	if err != nil {
		panic(err)
	}
	return v
}

// KnownDirective reports whether that version of the product takes the
// directive in its redis.conf, and since which version any has. Since is zero
// for a name that no version has. Names are not case-sensitive, as in Redis.
func KnownDirective(product Product, version Version, name string) (known bool, since Version) {
	h := directives[product][strings.ToLower(name)]
	return h.covers(version) || isModuleDirective(version, name), h.since
}

// isModuleDirective: from Redis 7.0 on, a loaded module has directives of its
// own, MODULE.NAME, which only it can judge.
func isModuleDirective(v Version, name string) bool {
	return v.AtLeast(7, 0, 0) && moduleDirective.MatchString(name)
}

var moduleDirective = regexp.MustCompile(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]+$`)

// owned are the directives that the spec cannot set, and why.
var owned = map[string]string{
	"replicaof":                "the hooks set roles at run time, and Redis must start without one",
	"replica-read-only":        "a writable replica would be a second writer",
	"replica-serve-stale-data": "a replica that refuses PING looks dead to the check",
	"replica-priority":         "the hooks keep the rank of the data there",
	"min-replicas-to-write":    "the hooks keep it: set failover { durability = … }",
	"bind":                     "the VIP comes and goes, and Redis would never listen on it",
	"port":                     "set redis { port = … }",
	"requirepass":              "set redis { password = … }",
	"masterauth":               "set redis { password = … }",
	"dir":                      "set redis { prefix = … }",
	"daemonize":                "the unit of Redis depends on it",
	"pidfile":                  "the unit of Redis depends on it",
	"supervised":               "the unit of Redis depends on it",
	"include":                  "another file could set a role",
	"cluster-enabled":          "a pair is not a cluster",
	"sentinel":                 "a pair needs no Sentinel, and one would fight it",
}

// CheckDirective says why a directive of the spec cannot stand in the
// redis.conf of that version; nil if it can.
func CheckDirective(product Product, version Version, d Directive) error {
	if why, ok := owned[canonical(d.Name)]; ok {
		return fmt.Errorf("redis.conf: %s belongs to the pair: %s", d.Name, why)
	}
	if known, _ := KnownDirective(product, version, d.Name); !known {
		h := directives[product][strings.ToLower(d.Name)]
		switch {
		case h.since == Version{}:
			return fmt.Errorf("redis.conf: %s is no directive of any %s that hapair knows", d.Name, product)
		case version.Less(h.since):
			return fmt.Errorf("redis.conf: %s exists since %s %s; this is %s", d.Name, product, h.since, version)
		default:
			return fmt.Errorf("redis.conf: %s is gone since %s %s; this is %s", d.Name, product, h.until, version)
		}
	}
	args, err := splitArgs(d.Value)
	if err != nil {
		return fmt.Errorf("redis.conf: value of %s: %w", d.Name, err)
	}
	if strings.EqualFold(d.Name, "rename-command") && len(args) > 0 && spoken[strings.ToLower(args[0])] {
		return fmt.Errorf("redis.conf: rename-command: the hooks and the peer call %s by its name", strings.ToUpper(args[0]))
	}
	return nil
}

// spoken are the commands that a pair cannot do without.
var spoken = map[string]bool{
	"auth": true, "bgrewriteaof": true, "bgsave": true, "client": true, "config": true,
	"info": true, "ping": true, "psync": true, "replconf": true, "replicaof": true,
	"role": true, "select": true, "shutdown": true, "slaveof": true, "sync": true,
}

// canonical is one name for a directive that has several: Redis took to saying
// replica in 5.0 and listpack in 7.0, Valkey to saying primary in 8.0 and
// commandlog in 8.1, and each still takes the older names.
func canonical(name string) string { return oneName.Replace(strings.ToLower(name)) }

var oneName = strings.NewReplacer(
	"slaveof", "replicaof",
	"slaves", "replicas",
	"slave", "replica",
	"ziplist", "listpack",
	"primaryauth", "masterauth",
	"primaryuser", "masteruser",
	"busy-reply-threshold", "lua-time-limit",
	"commandlog-execution-slower-than", "slowlog-log-slower-than",
	"commandlog-slow-execution-max-len", "slowlog-max-len",
)

// String is the line of redis.conf.
func (d Directive) String() string {
	if d.Value == "" {
		return d.Name + ` ""`
	}
	return d.Name + " " + d.Value
}

// FromSpec are the spec's own directives.
func (v view) FromSpec() []Directive { return v.Redis.Config }

// FromPair are hapair's own, as this version spells them, less those that it
// does not have and those that the spec sets.
func (v view) FromPair() []Directive {
	pair := []Directive{
		// The unit is of Type=forking, so that any version will do.
		{"daemonize", "yes"},
		{"pidfile", v.RedisPID()},
		{"port", strconv.Itoa(v.Redis.Port)},
		{"dir", v.RedisData()},
		{"logfile", quoteArg(v.RedisLog())},
		{"tcp-keepalive", "60"},
		// A long script is BUSY, which is alive, before the check takes it for a
		// hang.
		{"lua-time-limit", strconv.FormatInt(min(5*time.Second, v.Check.Timeout/2).Milliseconds(), 10)},
		{"replicaof", "127.0.0.1 1"},
		{"replica-read-only", "yes"},
		{"replica-serve-stale-data", "yes"},
		{"replica-priority", "0"},
		{"min-replicas-to-write", "0"},
		{"min-replicas-max-lag", "2"},
		{"repl-diskless-sync-delay", "0"},
		{"repl-diskless-load", "disabled"},
		{"repl-backlog-size", "64mb"},
		{"appendonly", "yes"},
		{"appendfsync", "everysec"},
	}
	if v.Redis.Password != "" {
		pair = append(pair,
			Directive{"masterauth", quoteArg(v.Redis.Password)},
			Directive{"requirepass", quoteArg(v.Redis.Password)})
	} else {
		// Clients come from other hosts; who may is the firewall's to say.
		pair = append(pair, Directive{"protected-mode", "no"})
	}
	spec := names(v.Redis.Config)
	own := pair[:0]
	for _, d := range pair {
		if spec[d.Name] {
			continue
		}
		for _, spelling := range []string{d.Name, strings.ReplaceAll(d.Name, "replica", "slave")} {
			if known, _ := KnownDirective(v.Redis.Product, v.Redis.Version, spelling); known {
				own = append(own, Directive{spelling, d.Value})
				break
			}
		}
	}
	return own
}

// FromDistribution are the active lines of the distribution's redis.conf, less
// those that the spec or hapair sets: a directive with several lines, such as
// save, is replaced as a set.
//
// bind is left out, as in the document: Redis opens its addresses at its start,
// when the VIP is not here.
func (v view) FromDistribution() ([]Directive, error) {
	text, err := distributed(v.Redis.Product, v.Redis.Version)
	if err != nil {
		return nil, err
	}
	set := names(slices.Concat(v.FromSpec(), v.FromPair(), []Directive{{Name: "bind"}}))
	var list []Directive
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if known, _ := KnownDirective(v.Redis.Product, v.Redis.Version, name); known && !set[canonical(name)] {
			list = append(list, Directive{name, value})
		}
	}
	return list, nil
}

// distributed is the newest redis.conf that is not newer than the version.
func distributed(product Product, version Version) (string, error) {
	entries, err := redisData.ReadDir("redisconf")
	if err != nil {
		return "", err
	}
	var newest Version
	var file string
	for _, e := range entries {
		minor, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), ".conf"), string(product)+"-")
		if !ok {
			continue
		}
		if v := mustVersion(minor); !version.Less(v) && newest.Less(v) {
			newest, file = v, e.Name()
		}
	}
	text, err := redisData.ReadFile(path.Join("redisconf", file))
	return string(text), err
}

// isSecret reports whether a directive of that name may hold a password, or the
// name of a command that is to stay unknown.
func isSecret(name string) bool {
	name = canonical(name)
	return name == "user" || name == "rename-command" || strings.Contains(name, "pass") || strings.HasSuffix(name, "auth")
}

// names are the canonical names of a list of directives.
func names(list []Directive) map[string]bool {
	set := map[string]bool{}
	for _, d := range list {
		set[canonical(d.Name)] = true
	}
	return set
}
