package pair

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hapair/remote/redisctl"
)

const (
	redisUnit      = "hapair-cache-redis.service"
	keepalivedUnit = "hapair-cache-keepalived.service"
)

// What observe.sh prints on a primary of Redis 7.0 and keepalived 2.3, with
// systemd's properties in the order of systemd 252.
const observedPrimary = `clock 1795350603.120000000
unit MainPID=812
unit Id=hapair-cache-redis.service
unit LoadState=loaded
unit ActiveState=active
unit 
unit MainPID=901
unit Id=hapair-cache-keepalived.service
unit LoadState=loaded
unit ActiveState=active
address 1: lo    inet 127.0.0.1/8 scope host lo\       valid_lft forever preferred_lft forever
address 2: eth3    inet 192.168.1.218/24 scope global eth3\       valid_lft forever preferred_lft forever
address 2: eth3    inet 192.168.1.220/32 scope global eth3\       valid_lft forever preferred_lft forever
address 2: eth3    inet6 2001:db8::220/128 scope global nodad \       valid_lft forever preferred_lft forever
address 2: eth3    inet6 fe80::1/64 scope link \       valid_lft forever preferred_lft forever
keepalived Keepalived v2.3.3 (03/30,2025)
keepalived 
keepalived Copyright(C) 2001-2025 Alexandre Cassen, <acassen@gmail.com>
vrrp MASTER
log 2026-11-22T12:30:01.123Z level=notice host=a by=master vip=yes role=master msg="promoted to primary, epoch 1: a new pair"
redis OK
redis # Server
redis redis_version:7.0.15
redis # Replication
redis role:master
redis connected_slaves:1
redis slave0:ip=192.168.1.219,port=6379,state=online,offset=163,lag=0
redis master_repl_offset:163
redis # Keyspace
redis db0:keys=2,expires=0,avg_ttl=0
redis slave-priority
redis 7
redis-code 0
`

func parse(out string) HostState {
	var h HostState
	vips := []netip.Addr{netip.MustParseAddr("192.168.1.220"), netip.MustParseAddr("2001:db8::220")}
	h.read(strings.ReplaceAll(out, "\n", "\r\n"), vips, redisUnit, keepalivedUnit)
	return h
}

func TestObservationOfAPrimary(t *testing.T) {
	want := HostState{
		Clock: time.Unix(1795350603, 120000000),
		VIPs:  []netip.Addr{netip.MustParseAddr("192.168.1.220"), netip.MustParseAddr("2001:db8::220")},
		Keepalived: Keepalived{
			Unit: Unit{Installed: true, Active: "active", PID: 901}, Version: "2.3.3", VRRP: Master,
		},
		Redis: Redis{
			Unit: Unit{Installed: true, Active: "active", PID: 812}, Rank: 7,
			Info: &redisctl.Info{
				Product: "redis", Version: "7.0.15", Role: redisctl.Primary, Offset: 163, SecondOffset: -1,
				Replicas:       []redisctl.Connected{{Addr: "192.168.1.219:6379", State: "online", Offset: 163}},
				AOFLastWriteOK: true, Keys: 2,
			},
		},
		Log: []string{`2026-11-22T12:30:01.123Z level=notice host=a by=master vip=yes role=master msg="promoted to primary, epoch 1: a new pair"`},
	}
	if diff := cmp.Diff(want, parse(observedPrimary), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestObservationOfTrouble(t *testing.T) {
	units := func(redis, keepalived string) string {
		return fmt.Sprintf("unit Id=%s\nunit LoadState=loaded\nunit ActiveState=%s\nunit \nunit Id=%s\nunit LoadState=loaded\nunit ActiveState=%s\n",
			redisUnit, redis, keepalivedUnit, keepalived)
	}
	for _, test := range []struct {
		name, out     string
		trouble, hold string
		vrrp          VRRP
		installed     bool
	}{
		{
			name:    "nothing there",
			out:     "unit Id=" + redisUnit + "\nunit LoadState=not-found\nunit ActiveState=inactive\nredis timeout: failed to run command: No such file or directory\nredis-code 127\n",
			trouble: "timeout: failed to run command: No such file or directory",
		},
		{
			name:    "Redis dead, keepalived stopped by the check",
			out:     units("failed", "inactive") + "vrrp STOP\nredis Could not connect to Redis at 127.0.0.1:6379: Connection refused\nredis \nredis-code 1\n",
			trouble: "nothing listens on its port", installed: true,
		},
		{
			name:    "frozen",
			out:     units("active", "active") + "vrrp FAULT\nredis \nredis-code 124\n",
			trouble: "no answer within 2 s", vrrp: Fault, installed: true,
		},
		{
			name:    "a password that Redis does not want",
			out:     units("active", "active") + "vrrp BACKUP\nredis WRONGPASS invalid username-password pair or user is disabled.\nredis NOAUTH Authentication required.\nredis NOAUTH Authentication required.\nredis-code 0\n",
			trouble: "NOAUTH Authentication required.", vrrp: Backup, installed: true,
		},
		{
			name:    "silent redis-cli",
			out:     units("active", "activating") + "redis OK\nredis-code 3\n",
			trouble: "redis-cli ended with code 3 and said nothing", installed: true,
		},
		{
			name:    "holding",
			out:     units("active", "active") + "vrrp FAULT\nhold b is unreachable and this host was not in sync\nredis role:slave\nredis-code 0\n",
			hold:    "b is unreachable and this host was not in sync",
			trouble: "", vrrp: Fault, installed: true,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := parse(test.out)
			if h.Redis.Trouble != test.trouble || (h.Redis.Info == nil) != (test.trouble != "") {
				t.Errorf("trouble %q, want %q (Info %v)", h.Redis.Trouble, test.trouble, h.Redis.Info)
			}
			if h.Hold != test.hold {
				t.Errorf("hold %q, want %q", h.Hold, test.hold)
			}
			if h.Keepalived.VRRP != test.vrrp {
				t.Errorf("VRRP %q, want %q", h.Keepalived.VRRP, test.vrrp)
			}
			if h.Redis.Installed != test.installed {
				t.Errorf("installed %v, want %v", h.Redis.Installed, test.installed)
			}
			if h.Redis.Rank != NoRank {
				t.Errorf("rank %d without a published one", h.Redis.Rank)
			}
		})
	}
}

func TestVRRPState(t *testing.T) {
	running, stopped := Unit{Active: "active"}, Unit{Active: "inactive"}
	for _, test := range []struct {
		unit Unit
		vip  bool
		mark string
		want VRRP
	}{
		{stopped, false, "STOP", ""},
		{stopped, true, "MASTER", ""}, // killed: the VIP stayed behind
		{running, true, "MASTER", Master},
		{running, true, "BACKUP", Master}, // the hook has not come yet
		{running, false, "BACKUP", Backup},
		{running, false, "FAULT", Fault},
		{running, false, "MASTER", Master}, // someone took the VIP away by hand
		{running, false, "STOP", ""},       // it has only just started
		{running, false, "", ""},
	} {
		if got := vrrpState(test.unit, test.vip, test.mark); got != test.want {
			t.Errorf("vrrpState(%q, %v, %q) = %q, want %q", test.unit.Active, test.vip, test.mark, got, test.want)
		}
	}
}

func TestUnreachableHostIsPartOfTheState(t *testing.T) {
	w := newWorld(t)
	w.hosts[1].gone = errors.New("dial tcp 192.168.1.219:22: connect: no route to host")
	s := w.pair.Observe(t.Context())
	if !s.Hosts[0].Reachable() || s.Hosts[1].Reachable() {
		t.Fatalf("reachable: %v, %v; want true, false", s.Hosts[0].Reachable(), s.Hosts[1].Reachable())
	}
	if s.Hosts[1].Name != "b" || s.Hosts[1].Address.String() != "192.168.1.219" {
		t.Errorf("an unreachable host lost its name or address: %+v", s.Hosts[1])
	}
}
