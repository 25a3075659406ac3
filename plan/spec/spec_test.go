package spec

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// compare sees into what the exported fields keep to themselves.
var compare = cmp.Options{
	cmp.AllowUnexported(Secret{}),
	cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}),
}

const smallest = `
pair "cache" {
  vip { address = "192.168.1.220" }
  host "a" { address = "192.168.1.218" }
  host "b" { address = "192.168.1.219" }
}
`

// in writes files into an empty folder and goes there.
func in(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	t.Chdir(folder)
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// mustLoad loads what must be without errors and warnings.
func mustLoad(t *testing.T, inputs Inputs, paths ...string) *Spec {
	t.Helper()
	spec, _, diags := Load(paths, inputs)
	if len(diags) > 0 {
		t.Fatalf("%v", diags)
	}
	return spec
}

func TestDefaults(t *testing.T) {
	in(t, map[string]string{"hapair.hcl": smallest})
	got := mustLoad(t, Inputs{})
	host := func(name, addr string, priority int) Host {
		return Host{Name: name, Address: netip.MustParseAddr(addr), Priority: priority, GARPMasterDelay: time.Second, SSH: SSH{Become: BecomeSudo}}
	}
	want := &Spec{Pairs: []*Pair{{
		Name:    "cache",
		VIPs:    []netip.Prefix{netip.MustParsePrefix("192.168.1.220/32")},
		Hosts:   [2]Host{host("a", "192.168.1.218", 240), host("b", "192.168.1.219", 239)},
		Account: Account{User: "redisadmin", Group: "develop"},
		Redis:   Redis{Prefix: "/usr/local/redis", Port: 6379, Install: Install{Package: &Package{}}},
		Keepalived: Keepalived{
			Prefix: "/usr/local/keepalived", Install: Install{Package: &Package{}}, VirtualRouterID: 51,
			AdvertInterval: 100 * time.Millisecond, Unicast: true, SyslogFacility: "local0",
		},
		Check:    Check{Interval: time.Second, Timeout: time.Second, Retries: 1, RetryDelay: 100 * time.Millisecond},
		Failover: Failover{Handlers: HandlersNode, Recover: RecoverAuto, SyncTimeout: 10 * time.Second, Durability: DurabilityBalanced},
	}}}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEverything(t *testing.T) {
	folder := in(t, map[string]string{
		"conf/fix.patch": "--- a\n+++ b\n",
		"conf/vrrp.txt":  "geheim\n",
		"conf/spec.hcl": `
variable "redis_password" {
  type        = string
  description = "for clients and the replica"
  sensitive   = true
}
variable "sudo_password" { sensitive = true }
locals {
  version = "2.8.4"
  common  = { timeout = 300, appendonly = true }
}
pair "cache" {
  vip { address = "192.168.1.220/24" }
  vip { address = "192.168.1.221/32" }
  ssh {
    user            = "deploy"
    port            = 2222
    become          = "doas"
    become_password = var.sudo_password
    identity_file   = "~/.ssh/id_ed25519"
    known_hosts     = "~/.ssh/hosts"
    jump            = ["one.example", "me@two.example:2200"]
  }
  host "a" {
    address   = "192.168.1.218"
    interface = "eth3"
    priority  = 100
    ssh {
      address = "a.mgmt.example"
      user    = "root"
      become  = "none"
      jump    = []
    }
  }
  host "b" {
    address           = "192.168.1.219"
    interface         = "eth5"
    priority          = 90
    garp_master_delay = "10s"
  }
  account {
    user  = "redis"
    group = "cache"
  }
  redis {
    prefix   = "/opt/redis/"
    port     = "6380"
    password = var.redis_password
    source {
      version = local.version
      urls    = ["redis-${local.version}.tar.gz", "https://download.example/redis.tar.gz", "file:///srv/redis.tar.gz"]
      sha256  = upper("caf3c0069f06fc84c5153bd2a348b204c578de80490c73857bee01d9b5d7401f")
      patches = ["fix.patch"]
      make    = ["MALLOC=libc"]
      test    = "warn"
    }
    config = merge(local.common, {
      Loglevel                   = "verbose"
      save                       = ["900 1", "300 10"]
      appendfsync                = ""
      client-output-buffer-limit = ["slave 1gb 1gb 60", "normal 0 0 0"]
    })
  }
  keepalived {
    prefix = "/opt/keepalived"
    source {
      version   = "1.2.10"
      urls      = ["/srv/keepalived.tar.gz"]
      sha256    = "16a338dccc7d0f859ca278c05d9bd2e6f7b2cfc109ab9bc3b7162a2e49857b7e"
      configure = ["--disable-lvs"]
    }
    virtual_router_id = 7
    auth_password     = trimspace(file("vrrp.txt"))
    unicast           = false
    syslog_facility   = "local7"
  }
  check {
    interval    = "10s"
    timeout     = "2s"
    retries     = 0
    retry_delay = "0s"
  }
  failover {
    handlers     = "scripts"
    sync_timeout = "90s"
    gateway      = "192.168.1.1"
    durability   = "strict"
  }
}
`})
	spec, files, diags := Load([]string{"conf"}, Inputs{Env: map[string]string{
		"HAPAIR_VAR_redis_password": "hunter2", "HAPAIR_VAR_sudo_password": "hunter3",
	}})
	// A ceiling above a minute is the one thing to wonder at here.
	if len(diags) != 1 || diags[0].Summary != "Long sync_timeout" {
		t.Fatalf("%v", diags)
	}
	if got := files.Names(); len(got) != 1 || got[0] != "conf/spec.hcl" || len(files.Source(got[0])) == 0 {
		t.Errorf("files are %v", got)
	}
	want := &Spec{Pairs: []*Pair{{
		Name: "cache",
		VIPs: []netip.Prefix{netip.MustParsePrefix("192.168.1.220/24"), netip.MustParsePrefix("192.168.1.221/32")},
		Hosts: [2]Host{
			{
				Name: "a", Address: netip.MustParseAddr("192.168.1.218"), Interface: "eth3", Priority: 100, GARPMasterDelay: time.Second,
				SSH: SSH{
					Address: "a.mgmt.example", User: "root", Port: 2222, Become: BecomeNone,
					IdentityFile: "~/.ssh/id_ed25519", KnownHosts: "~/.ssh/hosts",
				},
			},
			{
				Name: "b", Address: netip.MustParseAddr("192.168.1.219"), Interface: "eth5", Priority: 90, GARPMasterDelay: 10 * time.Second,
				SSH: SSH{
					User: "deploy", Port: 2222, Become: BecomeDoas, BecomePassword: NewSecret("hunter3"),
					IdentityFile: "~/.ssh/id_ed25519", KnownHosts: "~/.ssh/hosts",
					Jump: []string{"one.example", "me@two.example:2200"},
				},
			},
		},
		Account: Account{User: "redis", Group: "cache"},
		Redis: Redis{
			Prefix: "/opt/redis", Port: 6380, Password: NewSecret("hunter2"),
			Install: Install{Source: &Source{
				Product: "redis", Version: "2.8.4",
				URLs:    []string{filepath.Join(folder, "conf/redis-2.8.4.tar.gz"), "https://download.example/redis.tar.gz", "file:///srv/redis.tar.gz"},
				SHA256:  "caf3c0069f06fc84c5153bd2a348b204c578de80490c73857bee01d9b5d7401f",
				Patches: []string{filepath.Join(folder, "conf/fix.patch")},
				Make:    []string{"MALLOC=libc"}, Test: TestWarn,
			}},
			Config: []Directive{
				{"appendfsync", `""`}, {"appendonly", "yes"},
				{"client-output-buffer-limit", "slave 1gb 1gb 60"}, {"client-output-buffer-limit", "normal 0 0 0"},
				{"loglevel", "verbose"}, {"save", "900 1"}, {"save", "300 10"}, {"timeout", "300"},
			},
		},
		Keepalived: Keepalived{
			Prefix: "/opt/keepalived", VirtualRouterID: 7, AdvertInterval: time.Second, AuthPassword: NewSecret("geheim"), SyslogFacility: "local7",
			Install: Install{Source: &Source{
				Product: "keepalived", Version: "1.2.10", URLs: []string{"/srv/keepalived.tar.gz"},
				SHA256:    "16a338dccc7d0f859ca278c05d9bd2e6f7b2cfc109ab9bc3b7162a2e49857b7e",
				Configure: []string{"--disable-lvs"}, Test: TestNo,
			}},
		},
		Check: Check{Interval: 10 * time.Second, Timeout: 2 * time.Second},
		Failover: Failover{
			Handlers: HandlersScripts, Recover: RecoverManual, SyncTimeout: 90 * time.Second, Gateway: netip.MustParseAddr("192.168.1.1"), Durability: DurabilityStrict,
		},
	}}}
	if diff := cmp.Diff(want, spec, compare, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The defaults follow the version that is asked for.
func TestDefaultsByVersion(t *testing.T) {
	for _, test := range []struct {
		install         string
		advert, between time.Duration
	}{
		{`package {}`, 100 * time.Millisecond, time.Second},
		{`package { version = "1:2.2.7-1+b2" }`, 100 * time.Millisecond, time.Second},
		{`package { version = "1:2.3.3-1" }`, 100 * time.Millisecond, 200 * time.Millisecond},
		{sourceOf("1.2.10"), time.Second, time.Second},
		{sourceOf("1.2.20"), 100 * time.Millisecond, time.Second},
		{sourceOf("2.3.3"), 100 * time.Millisecond, 200 * time.Millisecond},
	} {
		in(t, map[string]string{"hapair.hcl": strings.Replace(smallest, "  vip", "  keepalived {\n"+test.install+"\n}\n  vip", 1)})
		pair := mustLoad(t, Inputs{}).Pairs[0]
		if pair.Keepalived.AdvertInterval != test.advert || pair.Check.Interval != test.between {
			t.Errorf("%s: advert %s, check %s; want %s, %s", test.install,
				pair.Keepalived.AdvertInterval, pair.Check.Interval, test.advert, test.between)
		}
	}
}

func sourceOf(version string) string {
	return fmt.Sprintf("source {\n version = %q\n urls = [\"x.tar.gz\"]\n sha256 = %q\n}", version, strings.Repeat("0", 64))
}

func TestSeveralPairs(t *testing.T) {
	pair := func(name string, host, vip, port, id int) string {
		return fmt.Sprintf(`
pair %q {
  vip { address = "10.0.0.%d" }
  host "a" { address = "10.0.1.%d" }
  host "b" { address = "10.0.2.%d" }
  redis { port = %d }
  keepalived { virtual_router_id = %d }
}
`, name, vip, host, host, port, id)
	}
	in(t, map[string]string{
		"specs/1.hcl": pair("cache", 1, 1, 6379, 51) + pair("alone", 2, 2, 6379, 51),
		"specs/2.hcl": pair("sessions", 1, 3, 6380, 52),
	})
	var got []string
	for _, p := range mustLoad(t, Inputs{}, "specs", "specs/1.hcl").Pairs {
		got = append(got, p.Name, p.Redis.Prefix, p.Keepalived.Prefix)
	}
	want := []string{
		"cache", "/usr/local/redis-cache", "/usr/local/keepalived-cache",
		"alone", "/usr/local/redis", "/usr/local/keepalived",
		"sessions", "/usr/local/redis-sessions", "/usr/local/keepalived-sessions",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Of the ways to give a value, the later wins.
func TestValuesOfVariables(t *testing.T) {
	const spec = `
variable "name" { default = "from-default" }
variable "port" {
  type    = number
  default = 1111
}
variable "unicast" {
  type    = bool
  default = true
}
variable "jump" {
  type    = list(string)
  default = []
}
variable "config" {
  type    = map(string)
  default = {}
}
pair "cache" {
  vip { address = "192.168.1.220" }
  ssh { jump = var.jump }
  host "a" { address = "192.168.1.218" }
  host "b" { address = "192.168.1.219" }
  account { user = var.name }
  redis {
    port   = var.port
    config = var.config
  }
  keepalived { unicast = var.unicast }
}
`
	in(t, map[string]string{
		"hapair.hcl": spec,
		"one.vars":   `name = "from-one"` + "\nport = 2222\n",
		"two.vars":   "port = \"3333\"\nunicast = false\n",
	})
	env := map[string]string{"HAPAIR_VAR_name": "from-env", "HAPAIR_VAR_port": "4444", "HAPAIR_VAR_unknown": "x", "name": "x"}
	for _, test := range []struct {
		inputs Inputs
		want   string
	}{
		{Inputs{}, "from-default 1111 true [] []"},
		{Inputs{Env: env}, "from-env 4444 true [] []"},
		{Inputs{Env: env, VarFiles: []string{"one.vars"}}, "from-one 2222 true [] []"},
		{Inputs{Env: env, VarFiles: []string{"one.vars", "two.vars"}}, "from-one 3333 false [] []"},
		{Inputs{
			Env: env, VarFiles: []string{"one.vars", "two.vars"},
			Vars: map[string]string{"port": "5555", "jump": `["a", "b"]`, "config": `{ timeout = 300, loglevel = "notice" }`},
		}, "from-one 5555 false [a b] [{loglevel notice} {timeout 300}]"},
	} {
		p := mustLoad(t, test.inputs).Pairs[0]
		got := fmt.Sprint(p.Account.User, " ", p.Redis.Port, " ", p.Keepalived.Unicast, " ", p.Hosts[0].SSH.Jump, " ", p.Redis.Config)
		if got != test.want {
			t.Errorf("%+v:\n got %s\nwant %s", test.inputs, got, test.want)
		}
	}
}

// IPv6 is as good as IPv4, as long as a pair keeps to one of them.
func TestIPv6(t *testing.T) {
	in(t, map[string]string{"hapair.hcl": strings.ReplaceAll(strings.ReplaceAll(smallest, "192.168.1.", "2001:db8::"), "220\"", "220/64\"")})
	p := mustLoad(t, Inputs{}).Pairs[0]
	if got, want := fmt.Sprint(p.VIPs, p.Hosts[0].Address), "[2001:db8::220/64] 2001:db8::218"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Many pairs cost no more each than a few do.
func TestManyPairs(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "pair \"p%d\" {\n  vip { address = \"10.0.%d.%d\" }\n  host \"a\" { address = \"10.1.%d.%d\" }\n  host \"b\" { address = \"10.2.%d.%d\" }\n}\n",
			i, i/250, i%250+1, i/250, i%250+1, i/250, i%250+1)
	}
	in(t, map[string]string{"hapair.hcl": b.String()})
	start := time.Now()
	if n := len(mustLoad(t, Inputs{}).Pairs); n != 1000 {
		t.Errorf("%d pairs", n)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("1,000 pairs took %s", took)
	}
}

func TestNeeds(t *testing.T) {
	in(t, map[string]string{"hapair.hcl": strings.Replace(smallest, "  vip", "  check { interval = \"200ms\" }\n  redis {\n config = { io-threads = 4 }\n}\n  vip", 1)})
	pair := mustLoad(t, Inputs{}).Pairs[0]
	unmet := func(needs []Need, version string) string {
		var out []string
		for _, need := range needs {
			if !need.Met(version) {
				out = append(out, need.Feature+" "+need.Since)
			}
		}
		return strings.Join(out, ", ")
	}
	for _, test := range []struct {
		needs         []Need
		version, want string
	}{
		{pair.KeepalivedNeeds(), "1:2.3.4-1", ""},
		{pair.KeepalivedNeeds(), "v2.3.2", ""},
		{pair.KeepalivedNeeds(), "2.2.7", "a check interval in fractions of a second 2.3.2"},
		{pair.KeepalivedNeeds(), "1.2.10", "an advert interval below a second (VRRP version 3) 1.2.20, a check interval in fractions of a second 2.3.2"},
		{pair.RedisNeeds(), "5:7.0.15-1~deb12u7", ""},
		{pair.RedisNeeds(), "5.0.14", "the directive io-threads 6.0.0"},
	} {
		if got := unmet(test.needs, test.version); got != test.want {
			t.Errorf("%s: got %q, want %q", test.version, got, test.want)
		}
	}
}

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]string{
		"7.0.15": "7.0.15", "7": "7.0.0", "2.8": "2.8.0", "5:7.0.15-1~deb12u7": "7.0.15", "8.0-rc1": "8.0.0", "1.2.3.4": "1.2.3",
	} {
		if v, ok := parseVersion(text); !ok || v.String() != want {
			t.Errorf("%q is %s, %v; want %s", text, v, ok, want)
		}
	}
	for _, text := range []string{"", "x", "7.x", "-1", ":"} {
		if v, ok := parseVersion(text); ok {
			t.Errorf("%q is %s", text, v)
		}
	}
}

func TestSecretStaysHidden(t *testing.T) {
	s := NewSecret("hunter2")
	text, _ := s.MarshalText()
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %q", s, s, s, s), fmt.Sprintf("%+v", Redis{Password: s}), string(text)} {
		if strings.Contains(shown, "hunter2") {
			t.Errorf("shown: %s", shown)
		}
	}
}

func TestDrills(t *testing.T) {
	in(t, map[string]string{"hapair.hcl": strings.Replace(smallest, "  vip", `
  drill "kill-redis" {
    max_outage      = "500ms"
    max_lost_writes = 0
  }
  drill "kill-both" {}
  drill "monday-morning" {
    summary    = "both of them, one after the other"
    max_outage = "1h"
    step { fault = "kill-redis" }
    step { expect = "moved" }
    step { wait = "1m30s" }
    step {
      fault = "isolate"
      on    = "b"
    }
    step {
      expect = "holds"
      within = "1ms"
    }
    step {
      expect = "holds"
      on     = "both"
    }
    step { undo = true }
    step { recover = true }
  }
  vip`, 1)})
	none := 0
	want := []Drill{
		{Name: "kill-redis", MaxOutage: 500 * time.Millisecond, MaxLostWrites: &none},
		{Name: "kill-both"},
		{
			Name: "monday-morning", Summary: "both of them, one after the other", MaxOutage: time.Hour,
			Steps: []DrillStep{
				{Fault: "kill-redis", On: "primary"},
				{Expect: "moved", Within: 10 * time.Second},
				{Wait: 90 * time.Second},
				{Fault: "isolate", On: "b"},
				{Expect: "holds", On: "primary", Within: time.Millisecond},
				{Expect: "holds", On: "both", Within: 10 * time.Second},
				{Undo: true},
				{Recover: true},
			},
		},
	}
	if diff := cmp.Diff(want, mustLoad(t, Inputs{}).Pairs[0].Drills); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A value that is not there yet, or not at all, brings no error but its own.
func TestDrillsWithoutValues(t *testing.T) {
	in(t, map[string]string{"hapair.hcl": `variable "fault" {}` + strings.Replace(smallest, "  vip", `
  drill "monday-morning" {
    max_outage = null
    step {
      fault = var.fault
      wait  = null
    }
  }
  vip`, 1)})
	if _, _, diags := Load(nil, Inputs{}); len(diags) != 1 || diags[0].Summary != "Variable without a value" {
		t.Errorf("%v", diags)
	}
	want := []Drill{{Name: "monday-morning", Steps: []DrillStep{{Fault: "kill-both", On: "primary"}}}}
	if diff := cmp.Diff(want, mustLoad(t, Inputs{Vars: map[string]string{"fault": "kill-both"}}).Pairs[0].Drills); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
