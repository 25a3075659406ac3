// Package examples holds specs to read and to copy. Its test loads each.
package examples

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hapair/plan/spec"
)

// values are what the examples want from outside. The sum is a stand-in: what
// is built is checked against the one that the user gives.
var values = spec.Inputs{
	Vars: map[string]string{},
	Env:  map[string]string{"HAPAIR_VAR_redis_password": "only in this test"},
}

func TestExamples(t *testing.T) {
	paths, err := filepath.Glob("*.hcl")
	if err != nil || len(paths) < 3 {
		t.Fatalf("examples are %v, %v", paths, err)
	}
	for _, path := range paths {
		t.Run(path, func(t *testing.T) {
			in := values
			if path == "documented.hcl" {
				in.Vars = map[string]string{"redis_sha256": strings.Repeat("0", 64)}
			}
			loaded, _, diags := spec.Load([]string{path}, in)
			if len(diags) > 0 {
				t.Fatalf("%v", diags)
			}
			if len(loaded.Pairs) == 0 {
				t.Error("no pair")
			}
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			formatted, diags := spec.Format(src, path)
			if diags.HasErrors() || !bytes.Equal(src, formatted) {
				t.Errorf("not formatted; run hapair fmt examples/%s", path)
			}
		})
	}
}

// documented.hcl is the document, figure by figure.
func TestDocumented(t *testing.T) {
	in := values
	in.Vars = map[string]string{"redis_sha256": strings.Repeat("0", 64)}
	loaded, _, diags := spec.Load([]string{"documented.hcl"}, in)
	if diags.HasErrors() {
		t.Fatalf("%v", diags)
	}
	p := loaded.Pairs[0]
	a, b := p.Hosts[0], p.Hosts[1]
	for _, fact := range []struct {
		what      string
		got, want any
	}{
		{"VIP", p.VIPs[0].Addr().String(), "192.168.1.220"},
		{"A", fmt.Sprint(a.Address, " ", a.Interface, " ", a.Priority), "192.168.1.218 eth3 100"},
		{"B", fmt.Sprint(b.Address, " ", b.Interface, " ", b.Priority), "192.168.1.219 eth5 90"},
		{"garp_master_delay of B", b.GARPMasterDelay, 10 * time.Second},
		{"account", p.Account, spec.Account{User: "redisadmin", Group: "develop"}},
		{"Redis", p.Redis.Install.Version(), "2.8.4"},
		{"keepalived", p.Keepalived.Install.Version(), "1.2.10"},
		{"Redis' folder", p.Redis.Prefix, "/usr/local/redis"},
		{"keepalived's folder", p.Keepalived.Prefix, "/usr/local/keepalived"},
		{"config", fmt.Sprint(p.Redis.Config), "[{appendonly yes} {loglevel verbose} {timeout 300}]"},
		{"virtual_router_id", p.Keepalived.VirtualRouterID, 51},
		{"advert_int", p.Keepalived.AdvertInterval, time.Second},
		{"auth_pass", p.Keepalived.AuthPassword.Reveal(), "redis"},
		{"multicast", p.Keepalived.Unicast, false},
		{"syslog", p.Keepalived.SyslogFacility, "local0"},
		{"check", p.Check, spec.Check{Interval: 10 * time.Second, Timeout: time.Second, Retries: 1, RetryDelay: time.Second}},
		{"wait for data", p.Failover.SyncTimeout, 10 * time.Second},
	} {
		if fact.got != fact.want {
			t.Errorf("%s: %v, the document says %v", fact.what, fact.got, fact.want)
		}
	}
}
