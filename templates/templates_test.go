package templates

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// documented is host A of the document, whose timing and names it keeps.
func documented() Host {
	return Host{
		Layout: Layout{
			Pair:             "cache",
			Product:          ProductRedis,
			RedisPrefix:      "/usr/local/redis",
			KeepalivedPrefix: "/usr/local/keepalived",
		},
		Self:      Node{"a", netip.MustParseAddr("192.168.1.218")},
		Peer:      Node{"b", netip.MustParseAddr("192.168.1.219")},
		Interface: "eth3",
		VIPs:      []netip.Prefix{netip.MustParsePrefix("192.168.1.220/32")},
		User:      "redisadmin",
		Group:     "develop",
		Redis: Redis{
			Product: ProductRedis,
			Version: Version{2, 8, 4},
			Port:    6379,
			Config: []Directive{
				{"timeout", "300"},
				{"loglevel", "verbose"},
			},
		},
		Keepalived: Keepalived{
			Version:        Version{1, 2, 10},
			RouterID:       51,
			Priority:       100,
			NoPreempt:      true,
			AdvertInterval: time.Second,
			AuthPassword:   "redis",
			SyslogFacility: "local0",
		},
		Check:    Check{Interval: 10 * time.Second, Timeout: time.Second, Retries: 1, RetryDelay: time.Second},
		Failover: Failover{SyncTimeout: 10 * time.Second, Durability: "available", Handlers: "scripts"},
	}
}

// fast is a pair as hapair recommends it, with handlers "scripts".
func fast(product Product, redis, keepalived Version) Host {
	h := documented()
	h.Product, h.Redis.Product, h.Redis.Version = product, product, redis
	h.Redis.Config = []Directive{{"save", "900 1"}, {"save", "60 1000"}, {"maxmemory", "2gb"}}
	h.Keepalived.Version = keepalived
	h.Keepalived.Priority = 240
	h.Keepalived.Unicast = true
	h.Keepalived.AuthPassword = ""
	if keepalived.Has(VRRPv3) {
		h.Keepalived.AdvertInterval = 100 * time.Millisecond
	}
	h.Check = Check{Interval: 200 * time.Millisecond, Timeout: time.Second, Retries: 1, RetryDelay: 100 * time.Millisecond}
	h.Failover = Failover{SyncTimeout: 10 * time.Second, Gateway: netip.MustParseAddr("192.168.1.1"), Durability: "balanced", Handlers: "scripts"}
	return h
}

// hosts are what testdata shows, by folder.
func hosts() map[string]Host {
	documentedB := documented()
	documentedB.Self, documentedB.Peer = documentedB.Peer, documentedB.Self
	documentedB.Interface = "eth5"
	documentedB.Keepalived.Priority, documentedB.Keepalived.NoPreempt = 90, false
	documentedB.Keepalived.GARPMasterDelay = 10 * time.Second

	password := fast(ProductRedis, Version{7, 0, 15}, Version{2, 3, 3})
	password.Redis.Password = `it's "quoted" \ and #long`
	password.Keepalived.AdvertInterval = time.Second
	password.Keepalived.AuthPassword = "vrrp-pw"

	ipv6 := fast(ProductRedis, Version{7, 0, 15}, Version{2, 3, 3})
	ipv6.Self.Address = netip.MustParseAddr("fd00::218")
	ipv6.Peer.Address = netip.MustParseAddr("fd00::219")
	ipv6.VIPs = []netip.Prefix{netip.MustParsePrefix("fd00::220/128")}
	ipv6.Failover.Gateway = netip.MustParseAddr("fd00::1")

	several := fast(ProductRedis, Version{7, 0, 15}, Version{2, 3, 3})
	several.Pair = "web-sessions"
	several.VIPs = append(several.VIPs, netip.MustParsePrefix("10.0.0.20/24"), netip.MustParsePrefix("fd00::220/128"))

	packaged := fast(ProductRedis, Version{7, 0, 15}, Version{2, 2, 7})
	packaged.RedisPackaged, packaged.KeepalivedPackaged = true, true

	node := fast(ProductRedis, Version{7, 0, 15}, Version{2, 3, 3})
	node.Failover.Handlers, node.Failover.Restart, node.Keepalived.PeerPriority = "node", true, 239

	return map[string]Host{
		"node":                     node,
		"documented-a":             documented(),
		"documented-b":             documentedB,
		"redis-3.2-keepalived-1.3": fast(ProductRedis, Version{3, 2, 12}, Version{1, 3, 5}),
		"redis-5.0-keepalived-2.0": fast(ProductRedis, Version{5, 0, 14}, Version{2, 0, 20}),
		"redis-6.2-keepalived-2.2": fast(ProductRedis, Version{6, 2, 14}, Version{2, 2, 7}),
		"redis-7.0-keepalived-2.3": fast(ProductRedis, Version{7, 0, 15}, Version{2, 3, 3}),
		"redis-8.0-keepalived-2.3": fast(ProductRedis, Version{8, 0, 2}, Version{2, 3, 4}),
		"valkey-7.2":               fast(ProductValkey, Version{7, 2, 11}, Version{2, 3, 4}),
		"valkey-9.1":               fast(ProductValkey, Version{9, 1, 2}, Version{2, 3, 4}),
		"password":                 password,
		"ipv6":                     ipv6,
		"several-vips":             several,
		"packaged":                 packaged,
	}
}

// shown are the rendered files of a host that testdata keeps, by name there.
// Hooks are not: they are the same everywhere.
func shown(t *testing.T, h Host) map[string]string {
	t.Helper()
	files, err := Files(h)
	if err != nil {
		t.Fatal(err)
	}
	static := view{h}.hooks()
	all := map[string]string{}
	for _, f := range files {
		name := filepath.Base(f.Path)
		if _, ok := static[name]; !ok {
			all[name] = string(f.Content)
		}
	}
	return all
}

func TestGolden(t *testing.T) {
	for name, h := range hosts() {
		t.Run(name, func(t *testing.T) {
			got := shown(t, h)
			dir := filepath.Join("testdata", name)
			if *update {
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				for file, content := range got {
					if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			want := map[string]string{}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				content, err := os.ReadFile(filepath.Join(dir, e.Name()))
				if err != nil {
					t.Fatal(err)
				}
				want[e.Name()] = string(content)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("go test ./templates -update writes these (-want +got):\n%s", diff)
			}
		})
	}
}
