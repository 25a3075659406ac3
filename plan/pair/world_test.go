package pair

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hapair/plan/spec"
	"hapair/remote"
	"hapair/remote/remotetest"
)

// documented is the spec of DOCUMENT.md, as far as a running pair needs it.
func documented() *spec.Pair {
	return &spec.Pair{
		Name: "cache",
		VIPs: []netip.Prefix{netip.MustParsePrefix("192.168.1.220/32")},
		Hosts: [2]spec.Host{
			{Name: "a", Address: netip.MustParseAddr("192.168.1.218"), Interface: "eth3", Priority: 100},
			{Name: "b", Address: netip.MustParseAddr("192.168.1.219"), Interface: "eth5", Priority: 90},
		},
		Redis: spec.Redis{
			Prefix: "/usr/local/redis", Port: 6379, Password: spec.NewSecret("sesame"),
			Install: spec.Install{Source: &spec.Source{Product: "redis", Version: "2.8.4"}},
		},
		Keepalived: spec.Keepalived{
			Prefix: "/usr/local/keepalived", AdvertInterval: time.Second,
			Install: spec.Install{Source: &spec.Source{Product: "keepalived", Version: "1.2.10"}},
		},
		Check:    spec.Check{Interval: 10 * time.Second, Timeout: time.Second, Retries: 1, RetryDelay: time.Second},
		Failover: spec.Failover{Handlers: spec.HandlersScripts, SyncTimeout: 10 * time.Second},
	}
}

// world is two hosts with units and hooks, as far as this package can tell.
// The hooks act slowly: each needs some looks to get done.
type world struct {
	t     *testing.T
	pair  *Pair
	mu    sync.Mutex
	hosts [2]*machine
	acts  []string // "a: systemctl start …", in order, without the looks
	// broken keeps the hooks of a host from doing anything.
	broken [2]bool
	// version is keepalived's.
	version string
}

type machine struct {
	name, address string
	gone          error
	redis         string // ActiveState
	keepalived    string
	primary       bool
	master        string // whom it replicates
	link          bool
	rank, keys    int
	offset        int
	vip           bool
	hold          string
	force         bool
	fails         map[string]bool // systemctl commands that fail
	pending       int             // looks until the hooks act
}

const (
	placeholder = "127.0.0.1:1"
	hookLooks   = 3
)

// newWorld is a pair that is installed, new and stopped.
func newWorld(t *testing.T) *world {
	w := &world{t: t, version: "2.3.3"}
	p := documented()
	var hosts [2]remote.Host
	for i, h := range p.Hosts {
		w.hosts[i] = &machine{
			name: h.Name, address: h.Address.String(), redis: "inactive", keepalived: "inactive",
			fails: map[string]bool{},
		}
		hosts[i] = remotetest.NewScripted(h.Name).
			On(".*", remotetest.Reply{Do: func(ctx context.Context, c remotetest.Call) (remote.Result, error) {
				return w.run(ctx, i, c)
			}})
	}
	w.pair = New(p, hosts)
	return w
}

// newRunning is a pair in its initial state: a serves, b follows.
func newRunning(t *testing.T) *world {
	w := newWorld(t)
	for i, m := range w.hosts {
		m.redis, m.keepalived, m.keys, m.offset = "active", "active", 5, 100
		m.primary, m.vip = i == 0, i == 0
		m.rank = 7 - i
	}
	w.hosts[1].master, w.hosts[1].link = w.hosts[0].redisAddr(), true
	return w
}

func (m *machine) redisAddr() string { return m.address + ":6379" }

func (w *world) run(ctx context.Context, i int, c remotetest.Call) (remote.Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.hosts[i]
	switch {
	case m.gone != nil:
		return remote.Result{}, m.gone
	case ctx.Err() != nil:
		return remote.Result{}, ctx.Err()
	case c.Line == "observe":
		w.hooks(i)
		return remote.Result{Stdout: []byte(w.observation(m))}, nil
	case c.Argv[0] == "journalctl":
		return remote.Result{Stdout: []byte("Starting …\nFailed.\n")}, nil
	case slices.Contains(c.Argv, "reset-failed"):
		return remote.Result{}, nil
	}
	w.acts = append(w.acts, m.name+": "+short(c.Line))
	if m.fails[short(c.Line)] {
		return remote.Result{}, remote.Cmd{Argv: c.Argv}.Exit(m.name, 1, []byte("Job failed."))
	}
	w.act(i, short(c.Line))
	return remote.Result{}, nil
}

func short(line string) string {
	return strings.NewReplacer("systemctl ", "", redisUnit, "redis", keepalivedUnit, "keepalived",
		"/usr/local/keepalived/etc/keepalived/scripts/", "").Replace(line)
}

func (w *world) act(i int, what string) {
	m, peer := w.hosts[i], w.hosts[1-i]
	switch what {
	case "start redis":
		m.redis, m.primary, m.master, m.link = "active", false, placeholder, false
		m.rank &^= 2
	case "stop redis":
		m.redis = "inactive"
		if peer.master == m.redisAddr() {
			peer.link = false
		}
	case "start keepalived":
		m.keepalived, m.pending = "active", hookLooks
	case "stop keepalived", "stop keepalived --no-block":
		m.keepalived, m.vip = "inactive", false
		if m.primary { // drained and fenced
			if peer.master == m.redisAddr() && peer.link {
				m.rank, peer.rank, peer.offset = m.rank&^3+2, m.rank&^3+2, m.offset
			}
			m.primary, m.master = false, placeholder
		}
		peer.pending = hookLooks
	case "backup.sh again":
		m.follow(peer)
	case "reload keepalived":
	case "promote.sh --force":
		m.force, m.hold = true, ""
	default:
		w.t.Errorf("unexpected command on %s: %s", m.name, what)
	}
}

// hooks lets keepalived and the hooks of both hosts move on, at a look at i.
func (w *world) hooks(i int) {
	m, peer := w.hosts[i], w.hosts[1-i]
	if m.keepalived != "active" || m.redis != "active" || w.broken[i] {
		return
	}
	if m.pending > 0 {
		m.pending--
		return
	}
	switch peerServes := peer.primary && peer.gone == nil; {
	case m.hold != "":
	case m.primary:
		m.vip = true
	case peerServes && (peer.keepalived == "active" || peer.vip):
		m.follow(peer)
	case !peer.vip && !peerServes:
		m.vip = true
		if m.rank < peer.rank && !m.force {
			m.vip, m.hold = false, peer.name+" has newer data"
			return
		}
		m.primary, m.master, m.link = true, "", false
		m.rank = max(m.rank, peer.rank)&^3 + 7
	}
}

func (m *machine) follow(peer *machine) {
	m.master, m.link, m.offset, m.keys = peer.redisAddr(), true, peer.offset, peer.keys
	m.rank = peer.rank&^3 + 2
}

func (w *world) observation(m *machine) string {
	var b strings.Builder
	fmt.Fprintf(&b, "unit Id=%s\nunit LoadState=loaded\nunit ActiveState=%s\nunit \n", redisUnit, m.redis)
	fmt.Fprintf(&b, "unit Id=%s\nunit LoadState=loaded\nunit ActiveState=%s\n", keepalivedUnit, m.keepalived)
	fmt.Fprintf(&b, "address 2: eth0    inet %s/24 scope global eth0\n", m.address)
	if m.vip {
		b.WriteString("address 2: eth0    inet 192.168.1.220/32 scope global eth0\n")
	}
	fmt.Fprintf(&b, "keepalived Keepalived v%s (03/30,2025)\n", w.version)
	if m.hold != "" {
		fmt.Fprintf(&b, "vrrp FAULT\nhold %s\n", m.hold)
	} else {
		b.WriteString("vrrp BACKUP\n")
	}
	b.WriteString("log the last decision\n")
	if m.redis != "active" {
		b.WriteString("redis Could not connect to Redis at 127.0.0.1:6379: Connection refused\nredis-code 1\n")
		return b.String()
	}
	b.WriteString("redis OK\nredis redis_version:7.0.15\nredis loading:0\nredis rdb_last_bgsave_status:ok\n")
	if m.primary {
		fmt.Fprintf(&b, "redis role:master\nredis master_repl_offset:%d\n", m.offset)
	} else {
		host, port, _ := strings.Cut(m.master, ":")
		link := map[bool]string{true: "up", false: "down"}[m.link]
		fmt.Fprintf(&b, "redis role:slave\nredis master_host:%s\nredis master_port:%s\nredis master_link_status:%s\nredis slave_repl_offset:%d\n",
			host, port, link, m.offset)
	}
	if m.keys > 0 {
		fmt.Fprintf(&b, "redis db0:keys=%d,expires=0,avg_ttl=0\n", m.keys)
	}
	fmt.Fprintf(&b, "redis slave-priority\nredis %d\nredis-code 0\n", m.rank)
	return b.String()
}

// recorder is an Events that remembers: "a: start Redis: already running".
type recorder struct {
	mu    sync.Mutex
	steps []string
}

func (r *recorder) Step(host, what string) Step { return &recorded{r, host, what} }

type recorded struct {
	r          *recorder
	host, what string
}

func (s *recorded) Progress(string) {}
func (s *recorded) Done(result string, err error) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if err != nil {
		result = "error"
	}
	s.r.steps = append(s.r.steps, strings.TrimPrefix(s.host+": ", ": ")+s.what+": "+result)
}
