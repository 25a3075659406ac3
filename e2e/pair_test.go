package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hapair/remote/lab"
)

// The addresses of every pair here, as in examples/quickstart.hcl.
const (
	addressA = "192.168.1.218"
	addressB = "192.168.1.219"
	vip      = "192.168.1.220"
	gateway  = "192.168.1.1"
)

// testLab is fresh hosts for one test.
type testLab struct {
	*lab.Lab
	t testing.TB
}

// newLab makes hosts of these names: a and b with the addresses above, others
// below them. They go with the test, and speak when it fails.
func newLab(t testing.TB, name string, hosts ...string) *testLab {
	t.Helper()
	cfg := lab.Config{Name: ours + name, Gateway: netip.MustParseAddr(gateway), Reserved: []netip.Addr{netip.MustParseAddr(vip)}}
	for i, host := range hosts {
		h := lab.Host{Name: host, Interface: "eth0", Address: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, 1, byte(10 + i)}), 24)}
		switch host {
		case "a":
			h.Interface, h.Address = "eth3", netip.MustParsePrefix(addressA+"/24")
		case "b":
			h.Interface, h.Address = "eth5", netip.MustParsePrefix(addressB+"/24")
		}
		cfg.Hosts = append(cfg.Hosts, h)
	}
	l, err := lab.Up(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	tl := &testLab{l, t}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if t.Failed() {
			tl.evidence(ctx)
		}
		if err := lab.Down(ctx, l.Name()); err != nil {
			t.Error(err)
		}
	})
	return tl
}

// evidence logs what the hosts have to say about a failure.
func (l *testLab) evidence(ctx context.Context) {
	for _, h := range l.Hosts() {
		out, err := l.Sh(ctx, h.Name, `
			brief() { grep -v ']: [ -]' | tail -n "$1"; } # without keepalived's dumps of its configuration
			ip -brief address
			ps -eo pid,ppid,stat,etimes,args --forest | grep -v ' \[' | tail -n 40
			journalctl --no-pager --output=short-precise --unit='hapair-*' | brief 100
			journalctl --no-pager --output=short-precise --priority=warning | tail -n 30
			for log in /usr/local/keepalived*/logs/*.log /usr/local/redis*/logs/*.log; do
				[ ! -e "$log" ] || { echo "==== $log"; brief 60 <"$log"; }
			done
			for f in /run/hapair/*/hold; do
				[ ! -e "$f" ] || { echo "==== $f"; cat "$f"; }
			done`)
		if err != nil {
			out += err.Error()
		}
		l.t.Logf("host %s:\n%s", h.Name, out)
	}
}

// sh runs a script as root on a host, around SSH.
func (l *testLab) sh(host, script string) string {
	l.t.Helper()
	out, err := l.Sh(l.t.Context(), host, script)
	if err != nil {
		l.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// testPair is fresh hosts and a spec for them.
type testPair struct {
	*testLab
	dir  string   // holds the spec, and what hapair keeps beside its cache
	spec string   // its path
	env  []string // of hapair
}

// newPair makes the hosts a and b, and further ones, for a spec.
func newPair(t testing.TB, name, spec string, others ...string) *testPair {
	t.Helper()
	tarballs, err := sourcesDir()
	if err != nil {
		t.Fatal(err)
	}
	p := &testPair{testLab: newLab(t, name, append([]string{"a", "b"}, others...)...), dir: t.TempDir()}
	p.spec = filepath.Join(p.dir, "hapair.hcl")
	p.env = append(os.Environ(),
		"HAPAIR_SSH_CONFIG="+p.SSHConfig(), "HAPAIR_VAR_sources="+tarballs,
		"HAPAIR_IN_AUTOMATION=1", "HAPAIR_INPUT=0", "NO_COLOR=1", "SSH_AUTH_SOCK=",
		"XDG_STATE_HOME="+filepath.Join(p.dir, "state"))
	p.write(spec)
	return p
}

var handlers = flag.String("handlers", "", "the handlers of every pair, in place of the example's: node, scripts")

// quickstart is the text of the example, for the handlers that are asked for.
func quickstart(t testing.TB) string {
	t.Helper()
	if *handlers != "" {
		return withHandlers(t, exampleQuickstart(t), *handlers)
	}
	return exampleQuickstart(t)
}

// exampleQuickstart is the text of the example.
func exampleQuickstart(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../examples/quickstart.hcl")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// withHandlers is a spec with other handlers.
func withHandlers(t testing.TB, spec, handlers string) string {
	return edited(t, spec, "  failover {", fmt.Sprintf("  failover {\n    handlers = %q", handlers))
}

// edited is text with each old replaced by the new that follows it; old is
// there exactly once.
func edited(t testing.TB, text string, oldnew ...string) string {
	t.Helper()
	for i := 0; i+1 < len(oldnew); i += 2 {
		if n := strings.Count(text, oldnew[i]); n != 1 {
			t.Fatalf("%q is %d times in:\n%s", oldnew[i], n, text)
		}
		text = strings.Replace(text, oldnew[i], oldnew[i+1], 1)
	}
	return text
}

// write makes text the spec.
func (p *testPair) write(text string) {
	p.t.Helper()
	if err := os.WriteFile(p.spec, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// edit changes the spec, see edited.
func (p *testPair) edit(oldnew ...string) {
	p.t.Helper()
	text, err := os.ReadFile(p.spec)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(edited(p.t, string(text), oldnew...))
}

// in is p for a subtest.
func (p *testPair) in(t testing.TB) *testPair {
	sub := *p
	sub.testLab = &testLab{p.Lab, t}
	return &sub
}

// footprint is what the hosts a and b have on disk, but logs and what systemd
// notes by itself: a line for each path, and the accounts.
func (p *testPair) footprint() (hosts [2]string) {
	p.t.Helper()
	for i, host := range []string{"a", "b"} {
		hosts[i] = p.sh(host, `
			cat /etc/passwd /etc/group
			systemctl list-unit-files --no-legend 'hapair*' || :
			find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/tmp -o -path /var/log \
				-o -path /var/lib/systemd -o -path /var/lib/sudo \) -prune -o -printf '%p %y %m %U:%G %s %T@ %l\n' | sort`)
	}
	return hosts
}

// untouched fails the test unless the hosts are as they were.
func (p *testPair) untouched(before [2]string) {
	p.t.Helper()
	after := p.footprint()
	for i, host := range []string{"a", "b"} {
		if diff := cmp.Diff(strings.Split(before[i], "\n"), strings.Split(after[i], "\n")); diff != "" {
			p.t.Errorf("host %s was changed:\n%s", host, diff)
		}
	}
}

// command is hapair in the lab's network, with this spec. The process is
// hapair's own.
func (p *testPair) command(ctx context.Context, args ...string) *exec.Cmd {
	p.t.Helper()
	program, err := hapairProgram()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := p.Command(ctx, append(append([]string{program}, args...), "-f", p.spec)...)
	cmd.Env = p.env
	cmd.WaitDelay = time.Second
	return cmd
}

// patience bounds one run of hapair: a cold apply compiles for minutes.
func patience() time.Duration { return time.Duration(*drillTimes) * 15 * time.Minute }

// hapair runs it to its end.
func (p *testPair) hapair(args ...string) *outcome {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience())
	defer cancel()
	cmd := p.command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	start := time.Now()
	err := cmd.Run()
	o := &outcome{t: p.t, args: args, out: out.String(), err: errs.String(), took: time.Since(start)}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		o.code = exit.ExitCode()
	case err != nil:
		p.t.Fatalf("hapair %s: %v\n%s", strings.Join(args, " "), err, o)
	}
	return o
}

// outcome is what came of one run of hapair.
type outcome struct {
	t        testing.TB
	args     []string
	out, err string // standard output and error
	code     int    // exit code
	took     time.Duration
}

func (o *outcome) String() string {
	return fmt.Sprintf("$ hapair %s   (exit %d, %.1f s)\n%s%s", strings.Join(o.args, " "), o.code, o.took.Seconds(), o.out, o.err)
}

// exits ends the test unless hapair ended with this code.
func (o *outcome) exits(code int) *outcome {
	o.t.Helper()
	if o.code != code {
		o.t.Fatalf("exit code %d, want %d\n%s", o.code, code, o)
	}
	return o
}

// says fails the test unless all of texts are in what hapair printed. Line
// breaks, which depend on the width, count as blanks.
func (o *outcome) says(texts ...string) *outcome {
	o.t.Helper()
	said := strings.Join(strings.Fields(o.out+o.err), " ")
	for _, text := range texts {
		if !strings.Contains(said, text) {
			o.t.Errorf("%q is missing in\n%s", text, o)
		}
	}
	return o
}

// event is one line of hapair --json.
type event struct {
	Type    string
	Message string `json:"@message"`
	Step    string
	At      string
	Title   string
	Elapsed float64 `json:"elapsed_seconds"`
	Change  struct {
		Addr   string
		Action string
		Reason string
		Drift  bool
	}
	Changes struct{ Add, Change, Destroy int }
	Result  json.RawMessage // of a drill, or the words of a step
}

// events are the lines of hapair --json.
func (o *outcome) events() []event {
	o.t.Helper()
	var all []event
	for line := range strings.Lines(o.out) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			o.t.Fatalf("%v: %s\n%s", err, line, o)
		}
		all = append(all, e)
	}
	return all
}

// apply makes the hosts match the spec.
func (p *testPair) apply() *outcome {
	p.t.Helper()
	return p.hapair("apply", "--auto-approve", "--json").exits(0)
}

// changes are those of a plan, in its order: "update a/file:/etc/hosts".
func (p *testPair) changes() []string {
	p.t.Helper()
	var all []string
	for _, e := range p.hapair("plan", "--json").exits(0).events() {
		if e.Type == "planned_change" || e.Type == "drift" {
			_, addr, _ := strings.Cut(e.Change.Addr, "/") // without the pair
			what := e.Change.Action + " " + addr
			if e.Change.Drift {
				what = "drift: " + what
			}
			all = append(all, what)
		}
	}
	return all
}

// settled fails the test unless the pair is healthy and the hosts are what the
// spec says, to the last byte.
func (p *testPair) settled() {
	p.t.Helper()
	p.hapair("status").exits(0)
	p.hapair("plan", "--detailed-exitcode").exits(0).says("No changes.")
}

// standing is how a healthy pair stands.
type standing struct {
	primary, replica string
	// pids are those of the services: "primary redis".
	pids map[string]string
}

// standing ends the test unless the pair is healthy.
func (p *testPair) standing() standing {
	p.t.Helper()
	o := p.hapair("status", "--json").exits(0)
	var status struct {
		Pairs []struct {
			Name  string
			Hosts []struct {
				Name  string
				Redis struct{ Role string }
			}
		}
	}
	if err := json.Unmarshal([]byte(o.out), &status); err != nil || len(status.Pairs) != 1 || len(status.Pairs[0].Hosts) != 2 {
		p.t.Fatalf("%v\n%s", err, o)
	}
	s := standing{pids: map[string]string{}}
	for _, h := range status.Pairs[0].Hosts {
		if h.Redis.Role == "primary" {
			s.primary = h.Name
		} else {
			s.replica = h.Name
		}
		for _, service := range []string{"redis", "keepalived"} {
			s.pids[h.Name+" "+service] = p.sh(h.Name, "systemctl show --property=MainPID --value hapair-"+status.Pairs[0].Name+"-"+service)
		}
	}
	return s
}

// restarted are the services with another process than before, as "HOST NAME",
// sorted.
func (s standing) restarted(before standing) []string {
	var all []string
	for service, pid := range s.pids {
		if pid != before.pids[service] {
			all = append(all, service)
		}
	}
	slices.Sort(all)
	return all
}

// eventually ends the test unless something is so within half a minute.
func (p *testPair) eventually(what string, is func() bool) {
	p.t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// heals ends the test unless the pair gets healthy by itself.
func (p *testPair) heals() {
	p.t.Helper()
	p.eventually("the pair is healthy", func() bool { return p.hapair("status").code == 0 })
}

// holdsVIP tells whether a host has the VIP.
func (p *testPair) holdsVIP(host string) bool {
	p.t.Helper()
	return p.sh(host, "ip -o address show to "+vip) != ""
}

// reads fails the test unless key is want behind the VIP.
func (p *testPair) reads(key, want string) {
	p.t.Helper()
	if got := p.redis("GET", key); got != want {
		p.t.Errorf("%s is %q, want %q", key, got, want)
	}
}

// redis says something to the Redis behind the VIP, as any client would, and
// ends the test when it gets no answer.
func (p *testPair) redis(args ...string) string {
	p.t.Helper()
	out, err := p.tryRedis(args...)
	if err != nil {
		p.t.Fatalf("redis-cli %q: %v\n%s", args, err, out)
	}
	return out
}

// tryRedis is redis while the service may be on its way from host to host.
func (p *testPair) tryRedis(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	cmd := p.Command(ctx, append([]string{"redis-cli", "-h", vip}, args...)...)
	cmd.Env = p.env
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// takesWrites ends the test unless a write is acknowledged behind the VIP.
func (p *testPair) takesWrites(key, value string) {
	p.t.Helper()
	p.eventually("the pair takes writes", func() bool {
		out, err := p.tryRedis("SET", key, value)
		return err == nil && out == "OK"
	})
}

// stateLog is what both hosts decided, in the order of time: "a: promoted …".
func (p *testPair) stateLog() []string {
	p.t.Helper()
	var lines []string
	for _, host := range []string{"a", "b"} {
		for line := range strings.Lines(p.sh(host, "cat /usr/local/keepalived/logs/redis-state.log")) {
			when, rest, _ := strings.Cut(line, " ")
			_, said, _ := strings.Cut(rest, `msg="`)
			lines = append(lines, when+" "+host+": "+strings.TrimRight(said, "\"\n"))
		}
	}
	slices.Sort(lines)
	for i, line := range lines {
		_, lines[i], _ = strings.Cut(line, " ")
	}
	return lines
}

// inOrder fails the test unless lines hold, in this order and others between
// them, one that begins with each of these.
func inOrder(t testing.TB, lines []string, beginnings ...string) {
	t.Helper()
	left := beginnings
	for _, line := range lines {
		if len(left) > 0 && strings.HasPrefix(line, left[0]) {
			left = left[1:]
		}
	}
	if len(left) > 0 {
		t.Errorf("no %q after what comes before it in %q, in\n%s", left[0], beginnings, strings.Join(lines, "\n"))
	}
}
