package spec

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// managed are the directives that redis.conf gets from elsewhere, and what to
// write instead, under their modern names. Some are refused for safety: they
// would let a host that is not the primary accept writes, or blind the checks.
var managed = map[string]string{
	"bind":        "Redis listens on every address of its host, as the VIP comes and goes. Leave it out.",
	"port":        "It is the port of the redis block: redis { port = … }.",
	"tls-port":    "The hooks and replication use the plain port of the redis block.",
	"dir":         "Redis' data is in the prefix of the redis block: redis { prefix = … }.",
	"pidfile":     "It is under the prefix of the redis block: redis { prefix = … }.",
	"logfile":     "It is under the prefix of the redis block: redis { prefix = … }.",
	"daemonize":   "systemd runs Redis, and the unit says how. Leave it out.",
	"supervised":  "systemd runs Redis, and the unit says how. Leave it out.",
	"include":     "What another file says could not be planned. Write its directives here.",
	"requirepass": "It is the password of the redis block: redis { password = var.NAME }.",
	"masterauth":  "It is the password of the redis block: redis { password = var.NAME }.",
	"masteruser":  "Replication logs in with the password of the redis block: redis { password = var.NAME }.",

	"min-replicas-to-write": "What a primary does without its replica is failover { durability = … }.",
	"min-replicas-max-lag":  "What a primary does without its replica is failover { durability = … }.",

	"replicaof":                "Redis starts fenced, and the hooks give it its role. Leave it out.",
	"replica-priority":         "hapair publishes its epoch there. Leave it out.",
	"replica-read-only":        "A replica that accepts writes would be a second writer. Leave it out.",
	"replica-serve-stale-data": "The checks have to reach a replica whose link is down. Leave it out.",
	"cluster-enabled":          "A pair is one primary and its replica; a cluster has its own failover. Leave it out.",
	"tls-replication":          "The hooks and replication use the plain port of the redis block. Leave it out.",
}

// hooksNeed are the commands that the hooks, the checks and replication call.
var hooksNeed = []string{
	"auth", "bgrewriteaof", "bgsave", "client", "config", "info", "ping", "psync", "replconf",
	"replicaof", "role", "select", "shutdown", "slaveof", "sync",
}

// sizes are the directives whose value is an amount of memory.
var sizes = []string{
	"maxmemory", "repl-backlog-size", "auto-aof-rewrite-min-size", "client-query-buffer-limit", "proto-max-bulk-len",
	"maxmemory-clients", "active-defrag-ignore-bytes",
}

// since are directives and the first Redis that knows them, from the release
// notes and the redis.conf of each line. A directive that is not here is taken
// to be known: Redis itself refuses it otherwise, before anything is changed.
var since = map[string]string{
	"tcp-backlog":                     "2.8.5",
	"latency-monitor-threshold":       "2.8.13",
	"repl-diskless-sync":              "2.8.18",
	"repl-diskless-sync-delay":        "2.8.18",
	"protected-mode":                  "3.2.0",
	"activedefrag":                    "4.0.0",
	"aof-use-rdb-preamble":            "4.0.0",
	"lazyfree-lazy-eviction":          "4.0.0",
	"lazyfree-lazy-expire":            "4.0.0",
	"lazyfree-lazy-server-del":        "4.0.0",
	"lfu-decay-time":                  "4.0.0",
	"lfu-log-factor":                  "4.0.0",
	"loadmodule":                      "4.0.0",
	"dynamic-hz":                      "5.0.0",
	"rdb-save-incremental-fsync":      "5.0.0",
	"aclfile":                         "6.0.0",
	"acllog-max-len":                  "6.0.0",
	"io-threads":                      "6.0.0",
	"io-threads-do-reads":             "6.0.0",
	"repl-diskless-load":              "6.0.0",
	"user":                            "6.0.0",
	"aof-timestamp-enabled":           "7.0.0",
	"appenddirname":                   "7.0.0",
	"enable-debug-command":            "7.0.0",
	"enable-module-command":           "7.0.0",
	"enable-protected-configs":        "7.0.0",
	"latency-tracking":                "7.0.0",
	"repl-diskless-sync-max-replicas": "7.0.0",
	"shutdown-timeout":                "7.0.0",
}

// replicaNames is the first Redis in which what concerns a replica is called
// replica-…; before, it is slave-….
const replicaNames = "5.0.0"

// modernName is what Redis 5 and later call a directive that had "slave" in
// its name; both are understood there.
func modernName(name string) string {
	if name == "slaveof" {
		return "replicaof"
	}
	return strings.Replace(strings.Replace(name, "slave-", "replica-", 1), "-slaves", "-replicas", 1)
}

// olderDirective is the name of a replica directive before Redis 5; empty when
// the name never had "slave" in it.
func olderDirective(name string) string {
	if _, known := since[name]; known {
		return ""
	}
	switch {
	case strings.HasPrefix(name, "replica-"):
		return "slave-" + strings.TrimPrefix(name, "replica-")
	case strings.Contains(name, "-replicas-"):
		return strings.Replace(name, "-replicas-", "-slaves-", 1)
	}
	return ""
}

var (
	directiveName = regexp.MustCompile(`^[a-z][a-z0-9.-]*$`)
	sizeText      = regexp.MustCompile(`(?i)^[0-9]+(b|k|kb|m|mb|g|gb)$`)
)

// config reads the config map into directives, by name.
func (s *section) config() []Directive {
	v, ok := s.get("config")
	if !ok {
		return nil
	}
	ty := v.Type()
	if !ty.IsObjectType() && !ty.IsMapType() {
		s.d.errorAt(s.at("config"), "Not a map", "config is a map of directives: config = { maxmemory = \"2gb\" }.")
		return nil
	}
	values := v.AsValueMap()
	var lines []Directive
	seen := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		name := strings.ToLower(key)
		at := s.settingRange(key)
		if other, again := seen[modernName(name)]; again {
			s.d.errorAt(at.key, "Duplicate directive", "%s and %s are the same directive. Keep one; a list repeats a directive.", other, key)
			continue
		}
		seen[modernName(name)] = key
		if !directiveName.MatchString(name) {
			s.d.errorAt(at.key, "Not a directive", "%q is not the name of a redis.conf directive.", key)
			continue
		}
		if why, refused := managed[modernName(name)]; refused {
			s.d.errorAt(at.key, "Directive set elsewhere", "%s is not set through config. %s", key, why)
			continue
		}
		if strings.HasPrefix(name, "cluster-") {
			s.d.errorAt(at.key, "Directive set elsewhere", "%s is not set through config. %s", key, managed["cluster-enabled"])
			continue
		}
		for _, text := range s.arguments(name, values[key], at.value) {
			if s.acceptable(name, text, at.value) {
				lines = append(lines, Directive{Name: name, Value: text})
			}
		}
	}
	slices.SortStableFunc(lines, func(a, b Directive) int { return strings.Compare(a.Name, b.Name) })
	return lines
}

type settingRanges struct{ key, value hcl.Range }

// settingRange finds an entry of the config map in the source. A map that is
// put together (merge, a local value) is pointed at as a whole.
func (s *section) settingRange(name string) settingRanges {
	if !s.has("config") {
		return settingRanges{s.header, s.header}
	}
	if object, ok := s.attrs["config"].Expr.(*hclsyntax.ObjectConsExpr); ok {
		for _, item := range object.Items {
			key, diags := item.KeyExpr.Value(nil)
			if !diags.HasErrors() && key.Type() == cty.String && strings.EqualFold(key.AsString(), name) {
				return settingRanges{item.KeyExpr.Range(), item.ValueExpr.Range()}
			}
		}
	}
	return settingRanges{s.at("config"), s.at("config")}
}

// arguments are the lines' arguments of one directive: one for a plain value,
// one for each element of a list.
func (s *section) arguments(name string, v cty.Value, at hcl.Range) []string {
	ty := v.Type()
	switch {
	case v.IsNull():
		return nil
	case ty == cty.String:
		if v.AsString() == "" {
			return []string{`""`} // as in: save ""
		}
		return []string{v.AsString()}
	case ty == cty.Bool:
		return []string{map[bool]string{true: "yes", false: "no"}[v.True()]}
	case ty == cty.Number && slices.Contains(sizes, name) && !v.RawEquals(cty.Zero):
		s.d.errorAt(at, "Size without a unit", "Write %s with a unit, in quotes: \"64mb\", \"2gb\". Bytes would be \"%sb\".", name, shown(v))
		return nil
	case ty == cty.Number:
		return []string{shown(v)}
	case ty.IsTupleType() || ty.IsListType() || ty.IsSetType():
		var all []string
		for _, element := range v.AsValueSlice() {
			if !element.Type().IsPrimitiveType() {
				break
			}
			all = append(all, s.arguments(name, element, at)...)
		}
		if len(all) == v.LengthInt() {
			return all
		}
	}
	s.d.errorAt(at, "Not a directive's value", "%s is a text, a number, true, false, or a list of those.", name)
	return nil
}

// acceptable checks the arguments of one line.
func (s *section) acceptable(name, text string, at hcl.Range) bool {
	fields := strings.Fields(text)
	switch {
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		s.d.errorAt(at, "Control character in a directive", "A line break would begin another directive. Write each as its own entry; a list repeats one.")
	case slices.Contains(sizes, name) && text != "0" && !sizeText.MatchString(text) && !strings.HasSuffix(text, "%"):
		s.d.errorAt(at, "Not a size", "%s is a whole number with one of the units b, kb, mb, gb: \"64mb\".", name)
	case name == "rename-command" && len(fields) > 0 && slices.Contains(hooksNeed, strings.ToLower(fields[0])):
		s.d.errorAt(at, "Command that the hooks need", "The hooks, the checks and replication call %s, so it keeps its name.", strings.ToUpper(fields[0]))
	case name == "protected-mode" && text == "yes" && !s.has("password"):
		s.d.errorAt(at, "Redis closed to its peer", "Without a password, protected-mode lets nobody in but the host itself. Set a password in the redis block, or leave protected-mode out.")
	default:
		return true
	}
	return false
}
