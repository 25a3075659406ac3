package view

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"hapair/plan/pair"
	"hapair/remote/redisctl"
)

func sampleState() pair.State {
	up := pair.Unit{Installed: true, Active: "active", PID: 812}
	return pair.State{
		Name: "cache",
		VIPs: []netip.Addr{netip.MustParseAddr("192.168.1.220")},
		Port: 6379,
		Hosts: [2]pair.HostState{
			{
				Name: "a", Address: netip.MustParseAddr("192.168.1.218"),
				VIPs:       []netip.Addr{netip.MustParseAddr("192.168.1.220")},
				Keepalived: pair.Keepalived{Unit: up, Version: "2.3.3", VRRP: pair.Master},
				Redis: pair.Redis{Unit: up, Rank: 15, Info: &redisctl.Info{
					Product: "redis", Version: "7.0.15", Role: redisctl.Primary, Offset: 4200, AOF: true, AOFLastWriteOK: true, LastSaveOK: true,
					Replicas: []redisctl.Connected{{Addr: "192.168.1.219:6379", State: "online", Offset: 4200}},
				}},
				Log: []string{
					`2026-11-22T12:29:59.000Z level=info host=a by=master vip=yes role=replica msg="the VIP is here"`,
					`2026-11-22T12:30:01.123Z level=info host=a by=master vip=yes role=primary msg="promoted, epoch 3"`,
				},
			},
			{
				Name: "b", Address: netip.MustParseAddr("192.168.1.219"),
				Keepalived: pair.Keepalived{Unit: up, Version: "2.3.3", VRRP: pair.Backup},
				Redis: pair.Redis{Unit: up, Rank: 14, Info: &redisctl.Info{
					Product: "redis", Version: "7.0.15", Role: redisctl.Replica, Offset: 4000, Primary: "192.168.1.218:6379", LinkUp: true, AOF: true, AOFLastWriteOK: true, LastSaveOK: true,
				}},
				Log: []string{`2026-11-22T12:30:00.500Z level=info host=b by=backup vip=no role=replica msg="follow a"`, "not a line of ours"},
			},
		},
	}
}

func TestMain(m *testing.M) {
	time.Local = time.UTC // what is shown is local time
	m.Run()
}

func TestStatus(t *testing.T) {
	onDevices(t, "status", func(h *Human) { h.Status([]PairStatus{{State: sampleState()}}) })
}

func TestStatusOfATroubledPair(t *testing.T) {
	onDevices(t, "status-trouble", func(h *Human) {
		s := sampleState()
		s.Hosts[0] = pair.HostState{Name: "a", Address: s.Hosts[0].Address, Err: errors.New("a: connect: dial tcp 192.168.1.218:22: i/o timeout")}
		s.Hosts[1].Hold = "the peer's data may be newer"
		s.Hosts[1].Redis.Info.LinkUp = false
		s.Hosts[1].Keepalived.VRRP = pair.Fault
		h.Status([]PairStatus{{State: s, Health: pair.Health{Level: pair.Critical, Problems: []pair.Problem{
			{Level: pair.Critical, Summary: "neither host serves", Hint: "Bring a back: it goes on from there by itself."},
			{Level: pair.Unknown, Host: "a", Summary: "cannot be reached: connect: dial tcp 192.168.1.218:22: i/o timeout", Hint: "Is the host up, and does a firewall let port 22 through? Try: ssh -p 22 192.168.1.218 true"},
			{Level: pair.Warning, Host: "b", Summary: "holds: the peer's data may be newer", Hint: "Bring the other host back, or, if this host's data is the one to keep, run `hapair promote --host b --force`."},
		}}}})
	})
}
