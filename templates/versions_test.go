package templates

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]Version{
		"7":                  {7, 0, 0},
		"2.8":                {2, 8, 0},
		"7.0.15":             {7, 0, 15},
		"v2.3.4":             {2, 3, 4},
		"5:7.0.15-1~deb12u7": {7, 0, 15},
		"1:2.2.7-1":          {2, 2, 7},
		"8.1.1+dfsg1-3":      {8, 1, 1},
	} {
		if got, err := ParseVersion(text); err != nil || got != want {
			t.Errorf("ParseVersion(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "seven", "1.2.3.4", "1.-2", "7.x"} {
		if got, err := ParseVersion(text); err == nil {
			t.Errorf("ParseVersion(%q) = %v, want an error", text, got)
		}
	}
}

func TestVersionOrder(t *testing.T) {
	ordered := []Version{{1, 2, 10}, {1, 2, 20}, {1, 3, 0}, {2, 0, 4}, {2, 2, 8}, {2, 3, 2}, {10, 0, 0}}
	for i, v := range ordered {
		for j, w := range ordered {
			if got := v.Less(w); got != (i < j) {
				t.Errorf("%s.Less(%s) = %v", v, w, got)
			}
			if got := v.AtLeast(w.Major, w.Minor, w.Patch); got != (i >= j) {
				t.Errorf("%s.AtLeast(%s) = %v", v, w, got)
			}
		}
	}
}

func TestFeatures(t *testing.T) {
	for _, test := range []struct {
		version string
		has     []Feature
		lacks   []Feature
	}{
		{"1.2.10", nil, []Feature{VRRPv3, ScriptSecurity, ConfigTest, TimerExpiredBackup, FractionalCheck}},
		{"1.2.20", []Feature{VRRPv3}, []Feature{ScriptSecurity}},
		{"1.3.0", []Feature{ScriptSecurity}, []Feature{ConfigTest}},
		{"2.0.4", []Feature{ConfigTest}, []Feature{TimerExpiredBackup}},
		{"2.2.7", []Feature{ConfigTest}, []Feature{TimerExpiredBackup, FractionalCheck}},
		{"2.3.1", []Feature{TimerExpiredBackup}, []Feature{FractionalCheck}},
		{"2.3.4", []Feature{VRRPv3, ScriptSecurity, ConfigTest, TimerExpiredBackup, FractionalCheck}, nil},
	} {
		v := mustVersion(test.version)
		for _, f := range test.has {
			if !v.Has(f) {
				t.Errorf("%s lacks %s", v, f.Name)
			}
		}
		for _, f := range test.lacks {
			if v.Has(f) {
				t.Errorf("%s has %s", v, f.Name)
			}
		}
	}
}

func TestKnownDirective(t *testing.T) {
	for _, test := range []struct {
		product       Product
		version, name string
		known         bool
		since         string
	}{
		{ProductRedis, "2.8.4", "maxmemory", true, "2.8"},
		{ProductRedis, "2.8.4", "MaxMemory", true, "2.8"},
		{ProductRedis, "2.8.4", "tcp-backlog", false, "2.8.5"},
		{ProductRedis, "2.8.4", "protected-mode", false, "3.2"},
		{ProductRedis, "2.8.4", "replicaof", false, "5.0"},
		{ProductRedis, "2.8.4", "repl-diskless-sync", false, "2.8.18"},
		{ProductRedis, "7.0.15", "slave-priority", true, "2.8"},
		{ProductRedis, "6.2.14", "appenddirname", false, "7.0"},
		{ProductRedis, "6.0.6", "oom-score-adj", false, "6.0.7"},
		{ProductRedis, "6.2.14", "gopher-enabled", true, "6.0"},
		{ProductRedis, "7.0.15", "gopher-enabled", false, "6.0"},
		{ProductRedis, "7.0.15", "search.timeout", true, "0"},
		{ProductRedis, "6.2.0", "search.timeout", false, "0"},
		{ProductRedis, "8.0.2", "dual-channel-replication-enabled", false, "0"},
		{ProductValkey, "8.1.1", "dual-channel-replication-enabled", true, "8.0"},
		{ProductValkey, "7.2.11", "commandlog-request-larger-than", false, "8.1"},
		{ProductValkey, "9.1.2", "slave-priority", true, "7.2"},
		{ProductValkey, "9.1.2", "gopher-enabled", false, "0"},
		{ProductRedis, "7.0.15", "maxmemroy", false, "0"},
	} {
		known, since := KnownDirective(test.product, mustVersion(test.version), test.name)
		if known != test.known || since != mustVersion(test.since) {
			t.Errorf("KnownDirective(%s, %s, %q) = %v, %s; want %v, %s",
				test.product, test.version, test.name, known, since, test.known, test.since)
		}
	}
}

func TestCheckDirective(t *testing.T) {
	redis, v := ProductRedis, Version{6, 2, 14}
	for _, d := range []Directive{
		{"timeout", "300"},
		{"notify-keyspace-events", ""},
		{"rename-command", `FLUSHALL ""`},
		{"client-output-buffer-limit", "normal 0 0 0"},
		{"proc-title-template", `"{title} \"x\" {listen-addr}"`},
		{"unixsocket", `'/run/it\'s redis.sock'`},
	} {
		if err := CheckDirective(redis, v, d); err != nil {
			t.Errorf("%v: %v", d, err)
		}
	}
	for _, test := range []struct {
		Directive
		want string
	}{
		{Directive{"maxmemroy", "1gb"}, "no directive of any redis"},
		{Directive{"appenddirname", "aof"}, "exists since redis 7.0.0; this is 6.2.14"},
		{Directive{"slaveof", "10.0.0.1 6379"}, "hooks set roles"},
		{Directive{"replicaof", "10.0.0.1 6379"}, "hooks set roles"},
		{Directive{"SLAVE-read-only", "no"}, "second writer"},
		{Directive{"requirepass", "secret"}, "redis { password"},
		{Directive{"m.x yes\nreplicaof", "10.0.0.1 6379"}, "no directive"},
		{Directive{"bind", "192.168.1.218 127.0.0.1"}, "VIP comes and goes"},
		{Directive{"min-slaves-to-write", "1"}, "durability"},
		{Directive{"rename-command", `Config ""`}, "call CONFIG by its name"},
		{Directive{"timeout", "300\nreplicaof 10.0.0.1 6379"}, "one line"},
		{Directive{"logfile", `"/tmp/x`}, "not closed"},
		{Directive{"logfile", `"/tmp/x"y`}, "must end the argument"},
		{Directive{"logfile", `a"b"`}, "whole argument"},
		{Directive{"tls-key-file-pass", `"secret\xzz"`}, "hexadecimal"},
	} {
		err := CheckDirective(redis, v, test.Directive)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: error %v, want it to say %q", test.Directive, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error repeats a value: %v", err)
		}
	}
	gone := CheckDirective(redis, Version{7, 0, 15}, Directive{"gopher-enabled", "no"})
	if gone == nil || !strings.Contains(gone.Error(), "gone since redis 7.0.0") {
		t.Errorf("gopher-enabled on 7.0: %v", gone)
	}
}

// The spec's directive replaces hapair's and the distribution's, under whatever
// name, and all lines of it.
func TestPrecedence(t *testing.T) {
	for _, test := range []struct {
		product   Product
		version   Version
		directive Directive
		gone      []string
	}{
		{ProductRedis, Version{7, 0, 15}, Directive{"appendfsync", "always"}, []string{"appendfsync everysec"}},
		{ProductRedis, Version{6, 0, 16}, Directive{"save", "3600 1"}, []string{"save 900 1", "save 300 10"}},
		{ProductRedis, Version{7, 0, 15}, Directive{"hash-max-ziplist-entries", "64"}, []string{"hash-max-listpack-entries 512"}},
		{ProductRedis, Version{7, 0, 15}, Directive{"slave-lazy-flush", "yes"}, []string{"replica-lazy-flush no"}},
		{ProductValkey, Version{8, 1, 1}, Directive{"slowlog-max-len", "9"}, []string{"commandlog-slow-execution-max-len 128"}},
		{ProductRedis, Version{2, 8, 4}, Directive{"tcp-keepalive", "0"}, []string{"tcp-keepalive 60"}},
	} {
		h := fast(test.product, test.version, Version{2, 3, 3})
		h.Redis.Config = []Directive{test.directive}
		conf := shown(t, h)["redis.conf"]
		if !strings.HasSuffix(conf, "\n"+test.directive.String()+"\n") {
			t.Errorf("%s is not last, where nothing overrides it:\n%s", test.directive, conf)
		}
		for _, line := range test.gone {
			if strings.Contains(conf, "\n"+line+"\n") {
				t.Errorf("%s %s: %q in spite of %q", test.product, test.version, line, test.directive)
			}
		}
	}
}

// Each distributed redis.conf is that of a version which knows all of it, and
// is found for that version and its patches.
func TestDistributed(t *testing.T) {
	files, err := fs.Glob(redisData, "redisconf/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		content, err := redisData.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		product, minor, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(file, "redisconf/"), ".conf"), "-")
		v := mustVersion(minor)
		v.Patch = 99
		if got, err := distributed(Product(product), v); err != nil || got != string(content) {
			t.Errorf("%s %s does not take %s (%v)", product, v, file, err)
		}
		for line := range strings.Lines(string(content)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			if known, since := KnownDirective(Product(product), v, name); !known {
				t.Errorf("%s: %s %s has no %s (since %s)", file, product, v, name, since)
			}
			if args, err := splitArgs(value); err != nil || len(args) == 0 {
				t.Errorf("%s: %s: arguments %q, %v", file, line, args, err)
			}
		}
	}
}

func TestQuoteArg(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "text"))
		args, err := splitArgs("first " + quoteArg(text) + " last")
		if want := []string{"first", text, "last"}; err != nil || !slices.Equal(args, want) {
			t.Fatalf("%q is read as %q, %v", quoteArg(text), args, err)
		}
	})
}
