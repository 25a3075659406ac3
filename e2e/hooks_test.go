package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"

	"hapair/remote/node"
)

var (
	hooksSeed  = flag.Uint64("hooks.seed", 0, "history of TestHooksHistories to replay (0: two new ones)")
	hooksSteps = flag.Int("hooks.steps", 70, "steps of one history of TestHooksHistories")
)

// TestHooksHistories lets the real hooks and two real Redis live through random
// histories of crashes, restarts, lost cables, VRRP moves, late and repeated
// hooks, and after each step asks what must always be so:
//
//   - never two primaries while the hosts can see each other;
//   - a write that both hosts had is never missing from the primary;
//   - a write that only one host had is not thrown away: it is in the primary's
//     data, in that host's own, or set aside;
//   - the pair does not go back in time: as long as a host lives and can be
//     reached, its peer is not promoted without what only that host has;
//   - once all is healed, the pair serves again, or says why it holds.
//
// keepalived and systemd are played by the test, which is what makes a history
// short and any order of hooks possible; the drills have the real ones.
func TestHooksHistories(t *testing.T) {
	seeds := []uint64{*hooksSeed}
	if *hooksSeed == 0 {
		seeds = []uint64{rand.Uint64(), rand.Uint64()}
	}
	eachHandlers(t, func(t *testing.T, handlers string) {
		for i, seed := range seeds {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel() // a history mostly waits
				t.Logf("replay with -run TestHooksHistories/%s -hooks.seed=%d -hooks.steps=%d", handlers, seed, *hooksSteps)
				w := newHooksWorld(t, handlers, fmt.Sprintf("%sh%c%d", ours, handlers[0], i), rand.New(rand.NewPCG(seed, 0)))
				for range *hooksSteps {
					w.step()
				}
				w.heal()
			})
		}
	})
}

// eachHandlers runs a test of hooks with each kind of them.
func eachHandlers(t *testing.T, test func(t *testing.T, handlers string)) {
	for _, handlers := range []string{"scripts", "node"} {
		t.Run(handlers, func(t *testing.T) { test(t, handlers) })
	}
}

// TestGate has clients come to a VIP whose Redis has let them go, before the VIP
// leaves: they are refused, not kept.
func TestGate(t *testing.T) {
	eachHandlers(t, testGate)
}

func testGate(t *testing.T, handlers string) {
	w := newHooksWorld(t, handlers, ours+"hg", rand.New(rand.NewPCG(1, 0)))
	a, b := w.hosts[0], w.hosts[1]
	serves := func(h, other *hooksHost) {
		t.Helper()
		w.eventually(h.name+" serves behind the VIP", func() bool {
			w.vrrp()
			return h.vip && other.client("SET", "key", h.name) == "OK"
		})
	}
	serves(a, b)
	w.eventually("b is in sync", func() bool {
		return strings.Contains(b.redis("INFO", "replication"), "master_link_status:up")
	})
	a.hook("release.sh")
	if got := b.client("PING"); !strings.Contains(got, "refused") && !strings.Contains(got, "reset") {
		t.Errorf("the VIP is still on a, which has handed over: a client is told %q, want to be refused", got)
	}
	if got := a.redis("PING"); got != "PONG" {
		t.Errorf("the Redis of a answers its own host %q, want PONG", got)
	}
	a.stopKeepalived()
	serves(b, a)
	a.startKeepalived()
	w.eventually("a follows b", func() bool {
		w.vrrp()
		return strings.Contains(a.redis("INFO", "replication"), "master_link_status:up")
	})
	b.stopKeepalived()
	serves(a, b)
}

// TestSyncedAgain promotes a primary once more, behind the back of its replica,
// whose link broke and came back between two checks. No hook is called.
func TestSyncedAgain(t *testing.T) {
	eachHandlers(t, testSyncedAgain)
}

func testSyncedAgain(t *testing.T, handlers string) {
	w := newHooksWorld(t, handlers, ours+"hs", rand.New(rand.NewPCG(1, 0)))
	a, b := w.hosts[0], w.hosts[1]
	w.vrrp()
	ranked := func(rank string) {
		t.Helper()
		w.eventually("b is in sync, rank "+rank, func() bool {
			return strings.HasSuffix(b.redis("CONFIG", "GET", "slave-priority"), "\n"+rank)
		})
	}
	ranked("6")
	a.redis("CONFIG", "SET", "slave-priority", "11")
	a.write("data/hapair-rank", "11\n")
	ranked("10")
}

// hooksWorld is two network namespaces on a bridge, a Redis and a folder of
// hooks in each, and the part of keepalived and systemd that the hooks see.
type hooksWorld struct {
	t     *testing.T
	rng   *rand.Rand
	dir   string
	redis string // redis-server's program
	node  bool   // the hooks run hapair-node
	hosts [2]*hooksHost
	late  sync.WaitGroup // hooks that run beside the history
	deaf  bool           // VRRP does not get through: each host is MASTER
	trace []string

	now    int // the step of the history
	joined int // the last step in which a cable came back
	next   int // number of the next write
	both   []string
	solo   []soloWrite
}

// soloWrite is a write that only one host had.
type soloWrite struct {
	key  string
	by   *hooksHost
	when int // step
}

type hooksHost struct {
	w          *hooksWorld
	name       string
	ns, addr   string
	dir        string
	keepalived bool // runs
	cable      bool // is in
	vip        bool // is here
	well       bool // the last check said so
	gone       int  // the last step in which it died or was out of reach
	primary    bool // as seen at the end of the last step
	promoted   int  // the step in which it became so
}

const hooksVIP = "10.9.0.9"

func newHooksWorld(t *testing.T, handlers, id string, rng *rand.Rand) *hooksWorld {
	w := &hooksWorld{t: t, rng: rng, dir: t.TempDir(), redis: redisServer(t), node: handlers == "node"}
	bridge := id + "s"
	w.namespace(bridge)
	w.must("ip", "-n", bridge, "link", "add", "br0", "type", "bridge", "forward_delay", "0")
	w.must("ip", "-n", bridge, "link", "set", "br0", "up")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("history:\n" + strings.Join(w.trace, "\n"))
			for _, h := range w.hosts {
				log, _ := os.ReadFile(h.path("state.log"))
				t.Logf("state log of %s:\n%s", h.name, log)
			}
		}
	})
	for i, name := range []string{"a", "b"} {
		h := &hooksHost{w: w, name: name, ns: id + name, addr: fmt.Sprintf("10.9.0.%d", i+1),
			dir: filepath.Join(w.dir, name), cable: true}
		w.hosts[i] = h
		w.namespace(h.ns)
		t.Cleanup(w.late.Wait) // before the namespace goes
		w.must("ip", "link", "add", "eth3", "netns", h.ns, "type", "veth", "peer", "name", "p"+name, "netns", bridge)
		w.must("ip", "-n", bridge, "link", "set", "p"+name, "master", "br0", "up")
		w.must("ip", "-n", h.ns, "link", "set", "lo", "up")
		w.must("ip", "-n", h.ns, "link", "set", "eth3", "up")
		w.must("ip", "-n", h.ns, "addr", "add", h.addr+"/24", "dev", "eth3")
	}
	for i, h := range w.hosts {
		h.install(w.hosts[1-i])
		h.guard()
		h.startRedis()
	}
	for _, h := range w.hosts {
		h.keepalived = true
		w.vrrp()
	}
	return w
}

// namespace makes a network namespace, which goes with the test and takes what
// runs in it along.
func (w *hooksWorld) namespace(name string) {
	w.must("ip", "netns", "add", name)
	w.t.Cleanup(func() {
		if err := removeNamespace(name); err != nil {
			w.t.Error(err)
		}
	})
}

// step makes some things happen, lets VRRP react, and looks at the invariants.
func (w *hooksWorld) step() {
	w.now++
	for range 1 + w.rng.IntN(4) {
		w.event()
	}
	w.vrrp()
	w.write()
	w.invariants()
}

func (w *hooksWorld) event() {
	h := w.hosts[w.rng.IntN(2)]
	switch w.rng.IntN(14) {
	case 0:
		h.say("kill -9 redis")
		h.killRedis()
	case 1, 2:
		h.startRedis()
	case 3:
		h.stopKeepalived()
	case 4, 5:
		h.startKeepalived()
	case 6:
		if w.hosts[0].cable && w.hosts[1].cable {
			h.say("cable out")
			h.cable, h.gone = false, w.now
			w.must("ip", "-n", h.ns, "link", "set", "eth3", "down")
			h.dropVIP()
			h.hook("fault.sh")
		}
	case 7, 8:
		h.plugIn()
	case 9:
		hook := []string{"master.sh", "backup.sh", "fault.sh", "stop.sh"}[w.rng.IntN(4)]
		h.say("late " + hook)
		w.late.Add(1)
		go func() {
			defer w.late.Done()
			h.hook(hook)
		}()
	case 11, 12:
		w.deaf = !w.deaf
		h.say(fmt.Sprintf("VRRP does not get through: %t", w.deaf))
	case 10:
		h.say("reboot")
		h.killRedis()
		h.keepalived = false
		h.dropVIP()
		w.late.Wait()
		os.RemoveAll(h.path("run"))
		h.guard()
	}
}

// vrrp runs the checks and moves the VIP as keepalived would.
func (w *hooksWorld) vrrp() {
	for _, h := range w.hosts {
		h.well = h.keepalived && h.cable && h.check() && h.tracked("redis-down") == 0
	}
	for _, h := range w.hosts {
		if h.vip && !h.well {
			h.dropVIP()
			h.hook("fault.sh")
		}
	}
	if a, b := w.hosts[0], w.hosts[1]; a.vip && b.vip && !w.deaf {
		loser := b
		if b.tracked("claim") > a.tracked("claim") {
			loser = a
		}
		loser.say("VRRP BACKUP")
		loser.dropVIP()
		loser.hook("backup.sh")
	}
	var masters sync.WaitGroup
	for i, h := range w.hosts {
		if h.well && !h.vip && (w.deaf || !w.hosts[1-i].vip) {
			h.say("VRRP MASTER")
			h.vip = true
			w.must("ip", "-n", h.ns, "addr", "add", hooksVIP+"/32", "dev", "eth3")
			masters.Go(func() { h.hook("master.sh") })
			if peer := w.hosts[1-i]; peer.vip { // its checks go on meanwhile
				masters.Go(func() {
					for range 4 {
						peer.in(peer.path("hooks/redis_check.sh"))
					}
				})
			}
		}
	}
	masters.Wait()
	for _, h := range w.hosts {
		if h.well && !h.vip {
			h.hook("backup.sh")
		}
	}
}

// write sends one write through the VIP and remembers who had it.
func (w *hooksWorld) write() {
	for i, h := range w.hosts {
		if !h.vip {
			continue
		}
		key := fmt.Sprintf("write-%06d", w.next)
		if h.redis("SET", key, "1") != "OK" {
			continue
		}
		w.next++
		peer := w.hosts[1-i]
		if peer.waitKey(key) {
			w.both = append(w.both, key)
			h.say("wrote " + key + " to both")
		} else {
			w.solo = append(w.solo, soloWrite{key, h, w.now})
			h.say("wrote " + key + " alone")
		}
	}
}

func (w *hooksWorld) invariants() {
	primaries := 0
	for _, h := range w.hosts {
		was := h.primary
		h.primary = strings.Contains(h.redis("INFO", "replication"), "role:master")
		if !h.primary {
			continue
		}
		if !was {
			h.promoted = w.now
		}
		primaries++
		for _, s := range w.solo {
			if s.by != h && s.by.gone <= s.when && h.promoted > s.when && h.redis("EXISTS", s.key) != "1" {
				w.t.Fatalf("%s was promoted without %s, which %s had, alive and in reach", h.name, s.key, s.by.name)
			}
		}
		for _, key := range w.both {
			if h.redis("EXISTS", key) != "1" {
				w.t.Fatalf("%s is primary without %s, which both hosts had", h.name, key)
			}
		}
	}
	if primaries > 1 && w.hosts[0].cable && w.hosts[1].cable {
		if w.now > w.joined {
			w.t.Fatal("both hosts are primary, and have seen each other all the time")
		}
		// A cable that came back takes the reconcilers a moment.
		w.eventually("one of two primaries steps down", func() bool {
			n := 0
			for _, h := range w.hosts {
				if strings.Contains(h.redis("INFO", "replication"), "role:master") {
					n++
				}
			}
			return n < 2
		})
	}
	for _, s := range w.solo {
		found := false
		for _, h := range w.hosts {
			found = found || h.redis("EXISTS", s.key) == "1" || h.onDisk(s.key)
		}
		if !found {
			w.t.Fatalf("%s was acknowledged and is nowhere: neither served nor on a disk nor set aside", s.key)
		}
	}
}

// heal mends everything and expects service, or a reason.
func (w *hooksWorld) heal() {
	w.deaf = false
	for _, h := range w.hosts {
		h.plugIn()
		h.startRedis()
		h.startKeepalived()
	}
	w.eventually("the healed pair serves, or holds and says why", func() bool {
		w.vrrp()
		served, holds, cannotTell := 0, 0, true
		for i, h := range w.hosts {
			info := h.redis("INFO", "replication")
			if h.vip && strings.Contains(info, "role:master") && w.hosts[1-i].client("PING") == "PONG" &&
				strings.Contains(w.hosts[1-i].redis("INFO", "replication"), "master_link_status:up") {
				served++
			}
			if why, err := os.ReadFile(h.path("run/hold")); err == nil {
				holds++
				cannotTell = cannotTell && strings.Contains(string(why), "cannot tell")
			}
		}
		return served == 1 && holds == 0 || holds == 2 && cannotTell
	})
	w.write()
	w.invariants()
}

func (w *hooksWorld) eventually(what string, is func() bool) {
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("not within 20 s: %s", what)
		}
		for _, h := range w.hosts {
			if h.keepalived {
				h.check()
			}
		}
	}
}

func (w *hooksWorld) must(argv ...string) {
	w.t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
}

func (h *hooksHost) path(rel string) string { return filepath.Join(h.dir, rel) }

func (h *hooksHost) say(what string) {
	h.w.trace = append(h.w.trace, time.Now().UTC().Format("15:04:05.000 ")+h.name+": "+what)
}

// install puts the hooks in place, with a systemctl that only notes it was asked
// to stop keepalived.
func (h *hooksHost) install(peer *hooksHost) {
	for _, d := range []string{"hooks", "data", "run", "bin"} {
		if err := os.MkdirAll(h.path(d), 0o755); err != nil {
			h.w.t.Fatal(err)
		}
	}
	if h.w.node {
		h.installNode(peer)
	} else {
		h.installScripts(peer)
	}
	h.write("bin/systemctl", "#!/bin/sh\ncase \"$*\" in *stop*) : >"+h.path("asked-to-stop")+" ;; esac\n")
}

// installNode puts hapair-node in place, as apply does.
func (h *hooksHost) installNode(peer *hooksHost) {
	program, err := hapairProgram()
	if err != nil {
		h.w.t.Fatal(err)
	}
	content, err := os.ReadFile(program + "-node-linux-" + runtime.GOARCH)
	if err != nil {
		h.w.t.Fatal(err)
	}
	h.write("hooks/hapair-node", string(content))
	for name, verb := range map[string]string{
		"redis_check": "check", "master": "master", "backup": "backup", "fault": "fault", "stop": "stop",
		"release": "release", "after-stop": "after-stop", "redis-down": "redis-down",
	} {
		h.write("hooks/"+name+".sh", "#!/bin/sh\nexec "+h.path("hooks/hapair-node")+" "+verb+"\n")
	}
	s := node.Settings{
		Pair: "x", Name: h.name, PeerName: peer.name, Self: netip.MustParseAddr(h.addr), Peer: netip.MustParseAddr(peer.addr),
		VIPs: []netip.Prefix{netip.MustParsePrefix(hooksVIP + "/32")}, Interface: "eth3", Port: 6379, Guard: "hapair_x",
		Data: h.path("data"), DataFiles: []string{"dump.rdb", "appendonly.aof", "appendonlydir"}, RankFile: h.path("data/hapair-rank"),
		User: "root", Group: "root", Run: h.path("run"), StateLog: h.path("state.log"), RedisUnit: "redis", RedisPID: h.path("redis.pid"),
		KeepalivedUnit: "keepalived", SyncTimeout: node.Duration(2 * time.Second), FollowTimeout: node.Duration(time.Second),
		HandedTimeout: node.Duration(time.Second), StaleAfter: node.Duration(5 * time.Second), Durability: "available",
		CanPause: true, CanKillType: true,
	}
	s.Check.Timeout = node.Duration(2 * time.Second)
	text, err := json.Marshal(s)
	if err != nil {
		h.w.t.Fatal(err)
	}
	h.write("hooks/pair.json", string(text))
	h.write("state.log", "")
}

func (h *hooksHost) installScripts(peer *hooksHost) {
	scripts, err := filepath.Glob("../templates/hooks/*.sh")
	if err != nil || len(scripts) == 0 {
		h.w.t.Fatalf("no hooks found: %v", err)
	}
	for _, s := range scripts {
		content, err := os.ReadFile(s)
		if err != nil {
			h.w.t.Fatal(err)
		}
		h.write("hooks/"+filepath.Base(s), string(content))
	}
	h.write("hooks/pair.conf", fmt.Sprintf(`pair=x self_name=%s self=%s peer_name=%s peer=%s vip=%s vips=%s/32 interface=eth3 port=6379 guard=hapair_x
cli=%s auth='' data=%s data_files='dump.rdb appendonly.aof appendonlydir' rank_file=%s/hapair-rank owner=root:root
run=%s state_log=%s hooks=%s redis_unit=redis keepalived_unit=keepalived
check_timeout=2 check_retries=0 retry_delay=0.1 peer_timeout=0.5 sync_timeout=2 follow_timeout=1 handed_timeout=1 stale_limit=5
gateway='' durability=available can_pause=yes can_kill_type=yes
`, h.name, h.addr, peer.name, peer.addr, hooksVIP, hooksVIP, "redis-cli", h.path("data"), h.path("data"),
		h.path("run"), h.path("state.log"), h.path("hooks")))
}

// guard loads the rules that apply puts on a host.
func (h *hooksHost) guard() {
	rules, err := template.ParseFiles("../templates/guard.nft.tmpl")
	if err != nil {
		h.w.t.Fatal(err)
	}
	var out strings.Builder
	err = rules.Execute(&out, map[string]any{
		"Pair": "x", "GuardTable": "hapair_x", "Interface": "eth3",
		"VIPs": []netip.Prefix{netip.MustParsePrefix(hooksVIP + "/32")}, "Redis": map[string]int{"Port": 6379},
	})
	if err != nil {
		h.w.t.Fatal(err)
	}
	h.write("guard.nft", out.String())
	if out, err := h.in("nft", "-f", h.path("guard.nft")); err != nil {
		h.w.t.Fatalf("load the guard's rules: %v\n%s", err, out)
	}
}

func (h *hooksHost) write(rel, content string) {
	if err := os.WriteFile(h.path(rel), []byte(content), 0o755); err != nil {
		h.w.t.Fatal(err)
	}
}

// in runs a program in the host's namespace; nobody waits more than 30 s.
func (h *hooksHost) in(argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", h.ns}, argv...)...)
	cmd.Env = append(os.Environ(), "PATH="+h.path("bin")+":"+os.Getenv("PATH"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		h.w.t.Errorf("%s: %v hangs", h.name, argv)
	}
	return out.String(), err
}

func (h *hooksHost) hook(name string) {
	out, err := h.in(h.path("hooks/" + name))
	if strings.Contains(out, "not found") || strings.Contains(out, "Syntax") {
		h.w.t.Errorf("%s: %s: %v\n%s", h.name, name, err, out)
	}
}

func (h *hooksHost) check() bool {
	out, err := h.in(h.path("hooks/redis_check.sh"))
	if out != "" {
		h.w.t.Errorf("%s: the check printed:\n%s", h.name, out)
	}
	if _, stop := os.Stat(h.path("asked-to-stop")); stop == nil {
		os.Remove(h.path("asked-to-stop"))
		h.say("the check stops keepalived")
		h.stopKeepalived()
		return false
	}
	return err == nil
}

func (h *hooksHost) redis(args ...string) string {
	out, _ := h.in(append([]string{"timeout", "3", "redis-cli"}, args...)...)
	return strings.TrimSpace(out)
}

// client talks to the VIP from this host, as long as that has it not itself.
func (h *hooksHost) client(args ...string) string {
	return h.redis(append([]string{"-h", hooksVIP}, args...)...)
}

func (h *hooksHost) waitKey(key string) bool {
	for range 10 {
		if h.redis("EXISTS", key) == "1" {
			return true
		}
	}
	return false
}

// onDisk finds a key in the files of the host: live, or set aside.
func (h *hooksHost) onDisk(key string) bool {
	err := exec.Command("grep", "-rqaF", key, h.path("data")).Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.w.t.Fatal(err)
	}
	return err == nil
}

func (h *hooksHost) pid() int {
	text, _ := os.ReadFile(h.path("redis.pid"))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	if pid == 0 || syscall.Kill(pid, 0) != nil {
		return 0
	}
	return pid
}

func (h *hooksHost) killRedis() {
	h.gone = h.w.now
	pid := h.pid()
	if pid == 0 {
		return
	}
	syscall.Kill(pid, syscall.SIGKILL)
	for end := time.Now().Add(5 * time.Second); h.pid() != 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if h.w.node {
		h.hook("redis-down.sh") // systemd runs it
	}
}

// tracked is the number in a file that keepalived watches.
func (h *hooksHost) tracked(name string) int {
	text, _ := os.ReadFile(h.path("run/" + name))
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}

// startRedis does what redis-start.sh does.
func (h *hooksHost) startRedis() {
	if h.pid() != 0 {
		return
	}
	h.say("start redis")
	rank := 0
	if text, err := os.ReadFile(h.path("data/hapair-rank")); err == nil {
		rank, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		rank &^= 2
		h.write("data/hapair-rank", fmt.Sprintln(rank))
	}
	out, err := h.in(h.w.redis, "--port", "6379", "--protected-mode", "no", "--daemonize", "yes",
		"--dir", h.path("data"), "--pidfile", h.path("redis.pid"), "--appendonly", "yes",
		"--replicaof", "127.0.0.1", "1", "--repl-diskless-sync-delay", "0", "--rdbcompression", "no",
		"--logfile", h.path("redis.log"), "--slave-priority", strconv.Itoa(rank))
	if err != nil {
		h.w.t.Fatalf("start redis: %v\n%s", err, out)
	}
	h.w.eventually(h.name+"'s redis answers", func() bool { return h.redis("PING") == "PONG" })
}

func (h *hooksHost) startKeepalived() {
	if !h.keepalived {
		h.say("start keepalived")
		h.keepalived = true
	}
}

func (h *hooksHost) stopKeepalived() {
	if !h.keepalived {
		return
	}
	h.say("stop keepalived")
	h.keepalived = false
	h.hook("release.sh")
	h.dropVIP()
	h.hook("stop.sh")
	h.w.late.Add(1)
	go func() {
		defer h.w.late.Done()
		h.hook("after-stop.sh")
	}()
}

func (h *hooksHost) dropVIP() {
	if h.vip {
		h.say("the VIP leaves")
		h.vip = false
		exec.Command("ip", "-n", h.ns, "addr", "del", hooksVIP+"/32", "dev", "eth3").Run()
	}
}

func (h *hooksHost) plugIn() {
	if !h.cable {
		h.say("cable in")
		h.cable = true
		h.w.joined = h.w.now
		h.w.must("ip", "-n", h.ns, "link", "set", "eth3", "up")
	}
}

// redisServer is a redis-server on this machine. Debian's package of that name
// would start one as a service; the program itself is in redis-tools, under the
// name of one of the other two that it can be. Which one it is depends on how
// it is called.
func redisServer(t *testing.T) string {
	program, err := exec.LookPath("redis-check-rdb")
	if err != nil {
		t.Fatalf("%v: install redis-tools", err)
	}
	server := filepath.Join(t.TempDir(), "redis-server")
	if err := os.Symlink(program, server); err != nil {
		t.Fatal(err)
	}
	return server
}
