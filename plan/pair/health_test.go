package pair

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"hapair/remote/redisctl"
)

func TestAssess(t *testing.T) {
	gone := errors.New("connect: no route to host")
	die := func(h *HostState) {
		h.Redis.Info, h.Redis.Trouble, h.Redis.Active = nil, "nothing listens on its port", "failed"
		h.Keepalived.Active, h.Keepalived.VRRP, h.VIPs = "inactive", "", nil
	}
	for _, test := range []struct {
		name   string
		change func(a, b *HostState)
		level  Level
		want   []string // "HOST: summary: hint", in order; each may be cut short
	}{
		{"healthy", func(a, b *HostState) {}, Healthy, nil},
		{
			"not installed", func(a, b *HostState) { *a, *b = HostState{Name: "a"}, HostState{Name: "b"} },
			Critical, []string{": the pair is not installed: Run `hapair apply`."},
		},
		{
			"stopped", func(a, b *HostState) { die(a); die(b) },
			Critical, []string{": the pair is stopped: Run `hapair start`."},
		},
		{
			"both unreachable", func(a, b *HostState) { *a, *b = HostState{Name: "a", Err: gone}, HostState{Name: "b", Err: gone} },
			Unknown, []string{"a: cannot be reached: connect: no route to host: If the host is down", "b: cannot be reached"},
		},
		{
			"the replica's host is unreachable", func(a, b *HostState) { *b = HostState{Name: "b", Err: gone} },
			Warning, []string{"b: cannot be reached"},
		},
		{
			"the primary's host is unreachable", func(a, b *HostState) { *a = HostState{Name: "a", Err: gone} },
			Unknown, []string{"a: cannot be reached"},
		},
		{
			"two primaries", func(a, b *HostState) { b.Redis.Info.Role = redisctl.Primary },
			Critical, []string{": two primaries: a and b both accept writes: The host without the VIP has to step down by itself within one check. If it does not, stop it: `hapair stop --host b`"},
		},
		{
			"no primary", func(a, b *HostState) { a.Redis.Info.Role, a.Redis.Info.Primary = redisctl.Replica, "127.0.0.1:1" },
			Critical, []string{": no primary: nothing accepts writes", "a: holds the VIP, but its Redis is not the primary"},
		},
		{
			"no VIP", func(a, b *HostState) { a.VIPs, a.Keepalived.VRRP = nil, Backup },
			Critical, []string{": no host holds the VIP: clients reach nothing"},
		},
		{
			"two VIPs", func(a, b *HostState) { b.VIPs = a.VIPs },
			Critical, []string{": two VIP holders: a and b: They do not hear each other's adverts: let VRRP (IP protocol 112) through"},
		},
		{
			"the VIP is on the replica", func(a, b *HostState) { a.VIPs, b.VIPs = nil, a.VIPs },
			Critical, []string{"b: holds the VIP, but its Redis is not the primary: The hooks mend this"},
		},
		{
			"the VIP was left behind", func(a, b *HostState) { a.Keepalived.Active = "failed" },
			Critical, []string{"a: the VIP was left behind by a keepalived that is gone: Run `hapair recover --host a`"},
		},
		{
			"the primary cannot write", func(a, b *HostState) { a.Redis.Info.AOFLastWriteOK = false },
			Critical, []string{"a: Redis cannot write its append-only file"},
		},
		{
			"the replica's Redis is dead", func(a, b *HostState) { die(b) },
			Warning, []string{"b: Redis is stopped (failed): Run `hapair recover --host b`", "b: keepalived is stopped (inactive)"},
		},
		{
			"the replica's Redis is frozen", func(a, b *HostState) { b.Redis.Info, b.Redis.Trouble = nil, "no answer within 2 s" },
			Warning, []string{"b: Redis does not answer: no answer within 2 s"},
		},
		{
			"the replica is loading", func(a, b *HostState) { b.Redis.Info.Loading, b.Redis.Info.LoadingBytes = true, 5_000_000 },
			Warning, []string{"b: Redis is loading its data (5000 kB so far)"},
		},
		{
			"the replica cannot save", func(a, b *HostState) { b.Redis.Info.LastSaveOK = false },
			Warning, []string{"b: the last save of Redis' data failed"},
		},
		{
			"keepalived is stopped on the replica", func(a, b *HostState) { b.Keepalived.Active, b.Keepalived.VRRP = "inactive", "" },
			Warning, []string{"b: keepalived is stopped (inactive): Run `hapair recover --host b`"},
		},
		{
			"FAULT", func(a, b *HostState) { b.Keepalived.VRRP = Fault },
			Warning, []string{"b: VRRP FAULT"},
		},
		{
			"hold", func(a, b *HostState) { b.Keepalived.VRRP, b.Hold = Fault, "a has data that is not newer" },
			Warning, []string{"b: holds: a has data that is not newer: To keep what a serves, run `hapair stop --host b`"},
		},
		{
			"hold alone", func(a, b *HostState) {
				die(a)
				b.Keepalived.VRRP, b.Hold, b.Redis.Info.LinkUp = Fault, "a is dead and was not in sync", false
			},
			Critical, []string{": no primary", ": no host holds the VIP", "a: Redis is stopped", "a: keepalived is stopped", "b: holds: a is dead and was not in sync: Bring the other host back, or, if this host's data is the one to keep, run `hapair promote --host b --force`"},
		},
		{
			"link down", func(a, b *HostState) { b.Redis.Info.LinkUp = false },
			Warning, []string{"b: the link to a is down"},
		},
		{
			"full sync", func(a, b *HostState) { b.Redis.Info.Syncing, b.Redis.Info.LinkUp = true, false },
			Warning, []string{"b: full sync"},
		},
		{
			"not known to be in sync", func(a, b *HostState) { b.Redis.Rank = 4 },
			Warning, []string{"b: the link is up, the hooks have not noted that it is in sync"},
		},
		{
			"lag", func(a, b *HostState) { a.Redis.Info.Offset = 20_001_000 },
			Warning, []string{"b: 20 MB behind the primary"},
		},
		{
			"versions", func(a, b *HostState) { b.Redis.Info.Version, b.Keepalived.Version = "7.2.5", "2.3.4" },
			Warning, []string{
				": Redis differs: redis 7.0.15 on a, redis 7.2.5 on b: Run `hapair apply`",
				": keepalived differs: 2.3.3 on a, 2.3.4 on b",
			},
		},
		{
			"the worst comes first", func(a, b *HostState) { b.Keepalived.Version, a.VIPs = "2.3.4", nil },
			Critical, []string{": no host holds the VIP", ": keepalived differs"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := healthy()
			test.change(&s.Hosts[0], &s.Hosts[1])
			h := Assess(s)
			if h.Level != test.level {
				t.Errorf("level %s, want %s", h.Level, test.level)
			}
			for i, p := range h.Problems {
				got := p.Host + ": " + p.Summary + ": " + p.Hint
				if i >= len(test.want) || !strings.HasPrefix(got, test.want[i]) {
					t.Errorf("problem %d: %s", i, got)
				}
			}
			if len(h.Problems) < len(test.want) {
				t.Errorf("%d problems, want %q", len(h.Problems), test.want)
			}
		})
	}
}

func TestSomeVIPsAreMissing(t *testing.T) {
	s := healthy()
	s.VIPs = append(s.VIPs, netip.MustParseAddr("2001:db8::220"))
	h := Assess(s)
	if h.Level != Critical || h.Problems[0].Summary != "holds only 1 of 2 VIPs" {
		t.Errorf("got %+v", h)
	}
	if _, ok := s.Serving(); ok {
		t.Error("a host with half the VIPs counts as serving")
	}
}

// Whatever is seen, the verdict is sound: a pair is healthy only if it serves
// and its replica is in sync, and every problem says what to do.
func TestAssessIsSound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := healthy()
		flip := rapid.Bool()
		for i := range s.Hosts {
			h := &s.Hosts[i]
			name := h.Name + " "
			if flip.Draw(t, name+"VIP") {
				h.VIPs = s.VIPs
			} else {
				h.VIPs = nil
			}
			if flip.Draw(t, name+"primary") {
				h.Redis.Info.Role = redisctl.Primary
			} else {
				h.Redis.Info.Role = redisctl.Replica
			}
			h.Redis.Info.LinkUp = flip.Draw(t, name+"link")
			h.Redis.Info.Primary = rapid.SampledFrom([]string{"192.168.1.218:6379", "192.168.1.219:6379", "127.0.0.1:1"}).Draw(t, name+"follows")
			h.Redis.Rank = Rank(ranks.Draw(t, name+"rank"))
			h.Keepalived.Active = rapid.SampledFrom([]string{"active", "inactive", "failed"}).Draw(t, name+"keepalived")
			h.Keepalived.VRRP = rapid.SampledFrom([]VRRP{"", Master, Backup, Fault}).Draw(t, name+"VRRP")
			h.Hold = rapid.SampledFrom([]string{"", "why"}).Draw(t, name+"hold")
			if flip.Draw(t, name+"dead") {
				h.Redis.Info, h.Redis.Active = nil, "failed"
			}
			if flip.Draw(t, name+"gone") {
				*h = HostState{Name: h.Name, Err: errors.New("gone")}
			}
		}
		h := Assess(s)
		serving, ok := s.Serving()
		switch {
		case h.Level == Healthy && !ok:
			t.Fatal("healthy, but nobody serves")
		case h.Level == Healthy:
			if seen, synced := s.replicaInSync(1 - serving); !synced {
				t.Fatalf("healthy, but the replica is not in sync: %s", seen)
			}
		case h.Level == Warning && !ok:
			t.Fatalf("a warning, but nobody serves: %+v", h.Problems)
		case len(h.Problems) == 0:
			t.Fatalf("%s without a problem", h.Level)
		}
		for _, p := range h.Problems {
			if p.Summary == "" || p.Hint == "" || p.Level == Healthy {
				t.Fatalf("problem says too little: %+v", p)
			}
		}
	})
}

func TestStatusJSON(t *testing.T) {
	s := healthy()
	s.Hosts[1].Redis.Info.Offset = 990
	down := healthy()
	down.Name = "queue"
	down.Hosts[0] = HostState{Name: "a", Address: down.Hosts[0].Address, Err: errors.New("gone")}
	b := &down.Hosts[1]
	b.Redis.Info, b.Redis.Active, b.Keepalived.VRRP, b.Hold = nil, "failed", Fault, "a is unreachable"

	got, err := json.MarshalIndent(NewStatus(s, down), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "format": "1.0",
  "pairs": [
    {
      "name": "cache",
      "healthy": true,
      "vip": [
        {
          "address": "192.168.1.220",
          "holder": "a"
        }
      ],
      "hosts": [
        {
          "name": "a",
          "address": "192.168.1.218",
          "reachable": true,
          "keepalived": {
            "running": true,
            "state": "MASTER",
            "version": "2.3.3"
          },
          "redis": {
            "running": true,
            "role": "primary",
            "link": null,
            "offset": 1000,
            "lag_bytes": null,
            "version": "7.0.15"
          },
          "hold": null
        },
        {
          "name": "b",
          "address": "192.168.1.219",
          "reachable": true,
          "keepalived": {
            "running": true,
            "state": "BACKUP",
            "version": "2.3.3"
          },
          "redis": {
            "running": true,
            "role": "replica",
            "link": "up",
            "offset": 990,
            "lag_bytes": 10,
            "version": "7.0.15"
          },
          "hold": null
        }
      ]
    },
    {
      "name": "queue",
      "healthy": false,
      "vip": [
        {
          "address": "192.168.1.220",
          "holder": null
        }
      ],
      "hosts": [
        {
          "name": "a",
          "address": "192.168.1.218",
          "reachable": false,
          "keepalived": {
            "running": false,
            "state": null,
            "version": null
          },
          "redis": {
            "running": false,
            "role": null,
            "link": null,
            "offset": null,
            "lag_bytes": null,
            "version": null
          },
          "hold": null
        },
        {
          "name": "b",
          "address": "192.168.1.219",
          "reachable": true,
          "keepalived": {
            "running": true,
            "state": "FAULT",
            "version": "2.3.3"
          },
          "redis": {
            "running": false,
            "role": null,
            "link": null,
            "offset": null,
            "lag_bytes": null,
            "version": null
          },
          "hold": "a is unreachable"
        }
      ]
    }
  ]
}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
