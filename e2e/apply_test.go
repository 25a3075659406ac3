package e2e

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestApply is the first apply on two fresh hosts: it converges, in the
// documented order, and the plan after it is empty.
func TestApply(t *testing.T) {
	p := newPair(t, "apply", quickstart(t))
	p.hapair("plan", "--detailed-exitcode").exits(2).says("+ program redis", "+ program keepalived", "Predicted interruption of writes")
	p.hapair("status").exits(2).says("the pair is not installed")
	p.hapair("apply", "--auto-approve").exits(0).says("Apply complete: ")
	p.settled()
	if s := p.standing(); s.primary != "a" {
		t.Errorf("the primary is %s, want the preferred host, a", s.primary)
	}

	inOrder(t, p.stateLog(), "a: redis started, fenced, rank 0", "a: promoted to primary, epoch 1: a new pair", "b: following a", "b: in sync with a, epoch 1")
	inOrder(t, p.stateLog(), "b: redis started, fenced, rank 0", "a: promoted to primary, epoch 1: a new pair")
	// Both hosts share one clock, in microseconds.
	since := func(host, service string) int {
		text := p.sh(host, "systemctl show --property=ActiveEnterTimestampMonotonic --value hapair-quickstart-"+service)
		when, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	order := []int{max(since("a", "redis"), since("b", "redis")), since("a", "keepalived"), since("b", "keepalived")}
	if !slices.IsSorted(order) {
		t.Errorf("not started in the documented order, Redis, keepalived on a, keepalived on b: %v", order)
	}

	// What the document asks for is there.
	for _, host := range []string{"a", "b"} {
		p.sh(host, `
			[ "$(stat -c '%U:%G %a' /usr/local/redis)" = 'redisadmin:develop 750' ]
			cd /usr/local/redis
			ls bin/redis-server bin/redis-cli conf/redis.conf logs/redis.log redis-start.sh redis-stop.sh
			cd /usr/local/keepalived
			ls sbin/keepalived etc/keepalived/keepalived.conf etc/keepalived/keepalived.conf.sample logs/keepalived.log logs/redis-state.log
			grep VI_ logs/keepalived.log
			cd etc/keepalived/scripts
			ls redis_check.sh master.sh backup.sh fault.sh stop.sh
			ls /var/lib/hapair/quickstart/manifest.json
			systemctl is-enabled hapair-quickstart-redis hapair-quickstart-keepalived hapair-quickstart-guard`)
	}
}

const (
	redisConf      = "file:/usr/local/redis/conf/redis.conf"
	redisAuth      = "file:/usr/local/redis/conf/auth"
	keepalivedConf = "file:/usr/local/keepalived/etc/keepalived/keepalived.conf"
	pairConf       = "file:/usr/local/keepalived/etc/keepalived/scripts/pair.conf"
	pairJSON       = "file:/usr/local/keepalived/etc/keepalived/scripts/pair.json"
	redisService   = "service:hapair-quickstart-redis.service"
	vrrpService    = "service:hapair-quickstart-keepalived.service"
	guardService   = "service:hapair-quickstart-guard.service"
)

// onBoth is a change on both hosts.
func onBoth(changes ...string) []string {
	var all []string
	for _, host := range []string{"a", "b"} {
		for _, c := range changes {
			action, what, _ := strings.Cut(c, " ")
			all = append(all, action+" "+host+"/"+what)
		}
	}
	return all
}

// TestChanges changes the spec of a pair in service. Each change touches just
// what it must, the replica first; no data is lost, and the next plan is empty.
func TestChanges(t *testing.T) {
	t.Parallel()
	p := newPair(t, "changes", quickstart(t))
	p.env = append(p.env, "HAPAIR_VAR_secret=it's \"secret\"")
	p.apply()
	p.redis("SET", "written", "before")

	// Of services, "primary" and "replica" are what their hosts were before.
	for _, c := range []struct {
		name      string
		edit      []string
		changes   []string
		restarted []string
		steps     []string // in this order, others between them
	}{
		{
			name:      "a directive of Redis",
			edit:      []string{"appendonly = true", "appendonly = true\n      timeout = 300"},
			changes:   onBoth("update " + redisConf),
			restarted: []string{"primary keepalived", "primary redis", "replica keepalived", "replica redis"},
			steps: []string{
				"replica: stop Redis", "replica: start Redis", "replica: become a replica in sync",
				"primary: hand over to replica", "primary: stop Redis", "primary: start Redis", "primary: become a replica in sync",
			},
		},
		{
			name:      "the priority of a host",
			edit:      []string{"priority  = 239", "priority  = 230"},
			changes:   []string{"update b/" + keepalivedConf},
			restarted: []string{"replica keepalived"}, // it waits while the other one reads its file
			steps:     []string{"primary: reload keepalived", "replica: become a replica in sync"},
		},
		{
			name:      "the advert interval",
			edit:      []string{`advert_interval   = "100ms"`, `advert_interval   = "200ms"`},
			changes:   onBoth("update "+keepalivedConf, "update "+pairJSON),
			restarted: []string{"replica keepalived"},
			steps:     []string{"primary: reload keepalived", "replica: become a replica in sync"},
		},
		{
			name:      "the check's interval",
			edit:      []string{`interval    = "200ms"`, `interval    = "300ms"`},
			changes:   onBoth("update " + keepalivedConf),
			restarted: []string{"replica keepalived"},
			steps:     []string{"primary: reload keepalived", "replica: become a replica in sync"},
		},
		{
			name:    "the check's patience", // the check reads it anew each time
			edit:    []string{`retry_delay = "100ms"`, `retry_delay = "150ms"`},
			changes: onBoth("update " + pairJSON),
		},
		{
			name: "a password",
			edit: []string{`pair "quickstart" {`, "variable \"secret\" {\n  type = string\n  sensitive = true\n}\n\npair \"quickstart\" {",
				"  redis {", "  redis {\n    password = var.secret"},
			changes:   onBoth("update "+pairConf, "update "+pairJSON, "create "+redisAuth, "update "+redisConf, "update "+redisService, "update "+vrrpService),
			restarted: []string{"primary keepalived", "primary redis", "replica keepalived", "replica redis"},
			steps:     []string{"replica: stop keepalived", "primary: stop Redis", "primary: become MASTER and primary", "replica: become a replica in sync"},
		},
		{
			name:      "a file that leaves",
			edit:      []string{"\n    password = var.secret", ""},
			changes:   onBoth("update "+pairConf, "update "+pairJSON, "delete "+redisAuth, "update "+redisConf, "update "+redisService, "update "+vrrpService),
			restarted: []string{"primary keepalived", "primary redis", "replica keepalived", "replica redis"},
			steps:     []string{"replica: stop keepalived", "primary: stop Redis", "primary: become MASTER and primary", "replica: become a replica in sync"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := p.in(t)
			before := p.standing()
			p.edit(c.edit...)
			if diff := cmp.Diff(c.changes, p.changes()); diff != "" {
				t.Errorf("the plan (-want +got):\n%s", diff)
			}
			o := p.apply()
			if strings.Contains(o.out+o.err, "secret\"") {
				t.Errorf("the password is printed\n%s", o)
			}
			var steps []string
			name := strings.NewReplacer(before.primary+":", "primary:", before.replica+":", "replica:", "to "+before.replica, "to replica")
			for _, e := range o.events() {
				if e.Type == "apply_start" {
					_, host, _ := strings.Cut(e.At, "/")
					steps = append(steps, name.Replace(host+": "+e.Title))
				}
			}
			inOrder(t, steps, c.steps...)

			p.settled()
			after := p.standing()
			restarted := after.restarted(before)
			for i, service := range restarted {
				restarted[i] = strings.NewReplacer(before.primary+" ", "primary ", before.replica+" ", "replica ").Replace(service)
			}
			slices.Sort(restarted)
			if diff := cmp.Diff(c.restarted, restarted); diff != "" {
				t.Errorf("restarted (-want +got):\n%s", diff)
			}
			if c.name != "a password" {
				p.reads("written", "before")
			}
		})
	}
	for _, host := range []string{"a", "b"} {
		p.sh(host, "[ ! -e /usr/local/redis/conf/auth ]")
	}
}

// TestDrift damages hosts by hand. The plan shows it, apply mends it, and
// nothing else is touched.
func TestDrift(t *testing.T) {
	t.Parallel()
	p := newPair(t, "drift", quickstart(t))
	p.apply()
	p.redis("SET", "written", "before")
	for _, c := range []struct {
		name    string
		damage  func(p *testPair, s standing)
		changes []string
	}{
		{
			name:    "a stopped replica",
			damage:  func(p *testPair, s standing) { p.hapair("stop", "--host", s.replica).exits(0) },
			changes: []string{"drift: update replica/" + redisService, "drift: update replica/" + vrrpService},
		},
		{
			name:    "a stopped keepalived of the primary",
			damage:  func(p *testPair, s standing) { p.sh(s.primary, "systemctl stop hapair-quickstart-keepalived") },
			changes: []string{"drift: update primary/" + vrrpService},
		},
		{
			name:    "both hosts stopped",
			damage:  func(p *testPair, _ standing) { p.hapair("stop").exits(0) },
			changes: []string{"drift: update a/" + redisService, "drift: update a/" + vrrpService, "drift: update b/" + redisService, "drift: update b/" + vrrpService},
		},
		{
			name: "an edited file and a wrong mode",
			damage: func(p *testPair, s standing) {
				p.sh("a", "echo '# edited' >>/usr/local/keepalived/etc/keepalived/scripts/fault.sh; chmod 777 /usr/local/redis/redis-stop.sh")
			},
			changes: []string{"drift: update a/file:/usr/local/keepalived/etc/keepalived/scripts/fault.sh", "drift: update a/file:/usr/local/redis/redis-stop.sh"},
		},
		{
			name:    "a removed file",
			damage:  func(p *testPair, _ standing) { p.sh("b", "rm /etc/logrotate.d/hapair-quickstart") },
			changes: []string{"create b/file:/etc/logrotate.d/hapair-quickstart"},
		},
		{
			name:    "a damaged program",
			damage:  func(p *testPair, s standing) { p.sh(s.replica, "rm /usr/local/redis/bin/redis-benchmark") },
			changes: []string{"drift: update replica/program:redis"},
		},
		{
			name:    "a unit that does not start at boot",
			damage:  func(p *testPair, _ standing) { p.sh("a", "systemctl disable hapair-quickstart-redis 2>&1") },
			changes: []string{"drift: update a/unit:hapair-quickstart-redis.service"},
		},
		{
			name:    "packet filter rules flushed",
			damage:  func(p *testPair, _ standing) { p.sh("a", "systemctl stop hapair-quickstart-guard") },
			changes: []string{"drift: update a/" + guardService},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := p.in(t)
			before := p.standing()
			c.damage(p, before)
			for i := range c.changes {
				c.changes[i] = strings.NewReplacer("primary/", before.primary+"/", "replica/", before.replica+"/").Replace(c.changes[i])
			}
			if diff := cmp.Diff(c.changes, p.changes()); diff != "" {
				t.Errorf("the plan (-want +got):\n%s", diff)
			}
			p.apply()
			p.settled()
			p.reads("written", "before")
		})
	}
	// A VIP that is taken away is no case for apply: keepalived sees it, and
	// the pair is whole again by itself.
	t.Run("the VIP taken away", func(t *testing.T) {
		p := p.in(t)
		p.sh(p.standing().primary, "ip address del "+vip+"/32 dev $(ip -o address show to "+vip+" | cut -d ' ' -f 2)")
		p.eventually("a host has it again", func() bool { return p.holdsVIP("a") || p.holdsVIP("b") })
		p.takesWrites("since", "then")
		p.heals()
		p.settled()
		p.reads("written", "before")
	})
}
