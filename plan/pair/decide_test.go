package pair

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hapair/remote/redisctl"
)

func TestCompareData(t *testing.T) {
	for _, test := range []struct {
		name string
		a, b data
		want string // the host that goes first; empty: refused
		why  string
	}{
		{"a new pair", data{rank: 0}, data{rank: 0}, "a", "both are empty"},
		{"a server with data joins an empty one", data{rank: 0}, data{rank: 0, keys: 7}, "b", "b has data, a is empty"},
		{"and the other way round", data{rank: 0, keys: 7}, data{rank: 0}, "a", "a has data, b is empty"},
		{"two servers with data of their own", data{rank: 0, keys: 7}, data{rank: 0, keys: 3}, "", "never was in this pair"},
		{"both restarted: a was the primary", data{rank: 5, keys: 7}, data{rank: 4, keys: 7}, "a", "a has the newer data (rank 5, b has 4)"},
		{"both restarted: b was promoted since", data{rank: 5, keys: 9}, data{rank: 9, keys: 7}, "b", "b has the newer data (rank 9, a has 5)"},
		{"both drained", data{rank: 6, keys: 7}, data{rank: 6, keys: 7}, "a", "both have the same data"},
		{"both drained and empty", data{rank: 6}, data{rank: 6}, "a", "both have the same data"},
		{"drained, but not the same", data{rank: 6}, data{rank: 6, keys: 7}, "", "nobody can tell which is newer"},
		{"two primaries of one epoch, restarted", data{rank: 5, keys: 7}, data{rank: 5, keys: 7}, "", "rank 5: nobody can tell"},
		{"the newer data is empty", data{rank: 9}, data{rank: 5, keys: 7}, "", "a has newer data by its rank, but holds no key, and b holds 7"},
		{"the older data is empty", data{rank: 9, keys: 7}, data{rank: 0}, "a", "newer data"},
		{"all of it was deleted", data{rank: 9}, data{rank: 8}, "a", "newer data"},
		{"no rank", data{rank: 5, keys: 7}, data{rank: NoRank}, "", "b: compare data: its Redis publishes no rank"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.a.host, test.b.host = "a", "b"
			got, err := compareData(test.a, test.b)
			first := [2]string{"a", "b"}[got.first]
			if err != nil {
				first, got.why = "", err.Error()
			}
			if first != test.want || !strings.Contains(got.why, test.why) {
				t.Errorf("%q first: %s\nwant %q: %s", first, got.why, test.want, test.why)
			}
		})
	}
}

var ranks = rapid.IntRange(0, 15)

func drawData(t *rapid.T, host string) data {
	return data{host, Rank(ranks.Draw(t, "rank of "+host)), rapid.Int64Range(0, 2).Draw(t, "keys of "+host)}
}

func TestCompareDataNeverGoesBackInTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawData(t, "a"), drawData(t, "b")
		d, err := compareData(a, b)
		if err != nil {
			return
		}
		first, other := a, b
		if d.first == 1 {
			first, other = b, a
		}
		if first.rank < other.rank {
			t.Fatalf("rank %d goes before rank %d", first.rank, other.rank)
		}
		if first.keys == 0 && other.keys > 0 {
			t.Fatalf("an empty host goes before one with data")
		}
	})
}

func TestCompareDataDoesNotDependOnTheOrderOfHosts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawData(t, "a"), drawData(t, "b")
		d, err := compareData(a, b)
		e, errSwapped := compareData(b, a)
		if (err == nil) != (errSwapped == nil) {
			t.Fatalf("%v, %v: swapped, it is %v", a, b, errSwapped)
		}
		tie := a.rank == b.rank && (a.keys > 0) == (b.keys > 0)
		if err == nil && !tie && d.first == e.first {
			t.Fatalf("%v, %v: position %d goes first either way", a, b, d.first)
		}
	})
}

// Whoever goes first is promoted by its hooks, when both are fenced: they have
// to agree. This asks their own rule.
func TestTheHooksAgreeWhoGoesFirst(t *testing.T) {
	hooks, err := os.ReadFile("../../templates/hooks/pair.sh")
	if err != nil {
		t.Fatal(err)
	}
	_, rule, ok := strings.Cut(string(hooks), "\nnewest() {\n")
	if !ok {
		t.Fatal("pair.sh has no function newest")
	}
	rule, _, _ = strings.Cut(rule, "\n}\n")

	var script strings.Builder
	fmt.Fprintf(&script, "peer_name=peer\nnewest() {\n%s\n}\n", rule)
	empty := func(d data) string {
		if d.keys == 0 {
			return "yes"
		}
		return "no"
	}
	var cases []string
	for ra := range Rank(16) {
		for rb := range Rank(16) {
			for keys := range int64(4) {
				a, b := data{"a", ra, keys & 1}, data{"b", rb, keys >> 1}
				d, err := compareData(a, b)
				if err != nil {
					continue
				}
				if d.first == 1 {
					a, b = b, a
				}
				cases = append(cases, fmt.Sprintf("%v goes before %v", a, b))
				fmt.Fprintf(&script, "my_rank=%d my_empty=%s peer_rank=%d peer_empty=%s\nif newest; then echo yes; else echo \"no: $why\"; fi\n",
					a.rank, empty(a), b.rank, empty(b))
			}
		}
	}
	cmd := exec.Command("sh")
	cmd.Stdin = strings.NewReader(script.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	answers := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(answers) != len(cases) {
		t.Fatalf("%d answers to %d questions", len(answers), len(cases))
	}
	for i, answer := range answers {
		if answer != "yes" {
			t.Errorf("%s, but its hooks say %s", cases[i], answer)
		}
	}
}

// seen is a state in which a serves and b is a replica in sync.
func healthy() State {
	addr := netip.MustParseAddr
	s := State{Name: "cache", VIPs: []netip.Addr{addr("192.168.1.220")}, Port: 6379}
	for i, name := range []string{"a", "b"} {
		s.Hosts[i] = HostState{
			Name: name, Address: addr(fmt.Sprintf("192.168.1.%d", 218+i)),
			Keepalived: Keepalived{Unit: Unit{Installed: true, Active: "active"}, Version: "2.3.3", VRRP: Backup},
			Redis: Redis{
				Unit: Unit{Installed: true, Active: "active"}, Rank: Rank(7 - i),
				Info: &redisctl.Info{
					Product: "redis", Version: "7.0.15", Offset: 1000, Keys: 5,
					LastSaveOK: true, AOFLastWriteOK: true,
				},
			},
		}
	}
	a, b := &s.Hosts[0], &s.Hosts[1]
	a.VIPs, a.Keepalived.VRRP, a.Redis.Info.Role = s.VIPs, Master, redisctl.Primary
	b.Redis.Info.Role, b.Redis.Info.Primary, b.Redis.Info.LinkUp = redisctl.Replica, "192.168.1.218:6379", true
	return s
}

func TestReplicaInSync(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(a, b *HostState)
		want   string
	}{
		{"in sync", func(a, b *HostState) {}, "in sync"},
		{"dead", func(a, b *HostState) { b.Redis.Info, b.Redis.Trouble = nil, "nothing listens" }, "Redis does not answer: nothing listens"},
		{"loading", func(a, b *HostState) { b.Redis.Info.Loading, b.Redis.Info.LoadingBytes = true, 4200 }, "loading its data, 4200 bytes so far"},
		{"primary", func(a, b *HostState) { b.Redis.Info.Role = redisctl.Primary }, "still a primary"},
		{"peer fenced", func(a, b *HostState) { a.Redis.Info.Role = redisctl.Replica }, "a is not the primary"},
		{"fenced", func(a, b *HostState) { b.Redis.Info.Primary = "127.0.0.1:1" }, "fenced: follows nobody"},
		{"stray", func(a, b *HostState) { b.Redis.Info.Primary = "10.0.0.9:6379" }, "follows 10.0.0.9:6379 instead of a"},
		{"link", func(a, b *HostState) { b.Redis.Info.LinkUp = false }, "the link to a is down"},
		{"transfer", func(a, b *HostState) { b.Redis.Info.Syncing, b.Redis.Info.SyncLeft = true, 12_345_678 }, "full sync, 12 MB left"},
		{"save", func(a, b *HostState) {
			b.Redis.Info.Syncing, b.Redis.Info.SyncLeft = true, -1
			a.Redis.Info.Saving, a.Redis.Info.SavingFor = true, 3*time.Second
		}, "full sync, a has been saving for 3s"},
		{"old epoch", func(a, b *HostState) { a.Redis.Rank = 11 }, "the link is up, the hooks have not noted that it is in sync (rank 6, a has 11)"},
		{"holds", func(a, b *HostState) { b.Redis.Info.LinkUp, b.Hold = false, "no room" }, "the link to a is down; it holds: no room"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := healthy()
			test.change(&s.Hosts[0], &s.Hosts[1])
			if seen, ok := s.replicaInSync(1); seen != test.want || ok != (test.want == "in sync") {
				t.Errorf("got %q, %v; want %q", seen, ok, test.want)
			}
		})
	}
}

func TestServingAt(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(a, b *HostState)
		want   string // empty: it serves
	}{
		{"serves", func(a, b *HostState) {}, ""},
		{"keepalived down", func(a, b *HostState) { a.Keepalived.Active = "failed" }, "keepalived is failed"},
		{"VIP elsewhere", func(a, b *HostState) { b.VIPs, a.VIPs = a.VIPs, nil }, "the VIP is on b"},
		{"backup", func(a, b *HostState) { a.VIPs, a.Keepalived.VRRP = nil, Backup }, "VRRP BACKUP, no VIP"},
		{"just started", func(a, b *HostState) { a.VIPs, a.Keepalived.VRRP = nil, "" }, "keepalived has no VRRP state yet"},
		{"not promoted", func(a, b *HostState) { a.Redis.Info.Role = redisctl.Replica }, "VIP here, Redis is not the primary yet"},
		{"loading", func(a, b *HostState) { a.Redis.Info.Loading = true }, "VIP here, Redis is loading its data, 0 bytes so far"},
		{"dead", func(a, b *HostState) { a.Redis.Info, a.Redis.Trouble = nil, "frozen" }, "VIP here, but Redis does not answer: frozen"},
		{"two primaries", func(a, b *HostState) { b.Redis.Info.Role = redisctl.Primary }, "b is a primary too"},
		{"holds", func(a, b *HostState) { a.VIPs, a.Keepalived.VRRP, a.Hold = nil, Fault, "no room" }, "VRRP FAULT, no VIP; it holds: no room"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := healthy()
			test.change(&s.Hosts[0], &s.Hosts[1])
			seen, ok := s.servingAt(0)
			if ok != (test.want == "") || !ok && seen != test.want {
				t.Errorf("got %q, %v; want %q", seen, ok, test.want)
			}
		})
	}
}

func TestDecideFirst(t *testing.T) {
	s := healthy()
	if d, err := decideFirst(s); err != nil || d.first != 0 || d.why != "a serves already" {
		t.Errorf("a serves: %+v, %v", d, err)
	}
	s.Hosts[0].VIPs, s.Hosts[1].Redis.Rank = nil, 9
	if d, err := decideFirst(s); err != nil || d.first != 1 {
		t.Errorf("a primary without the VIP goes before newer data: %+v, %v", d, err)
	}
	s.Hosts[1].Redis.Info.Role = redisctl.Primary
	if d, err := decideFirst(s); err == nil {
		t.Errorf("two primaries: %+v", d)
	}
}
