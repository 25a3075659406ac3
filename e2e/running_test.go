package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hapair/plan/drill"
)

// TestLifecycle stops, starts and recovers a pair, each twice: the second time
// nothing is left to do, and nothing happens.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	p := newPair(t, "lifecycle", quickstart(t))
	p.apply()
	p.redis("SET", "written", "before")
	twice := func(args ...string) {
		t.Helper()
		p.hapair(args...).exits(0)
		before := p.pids()
		p.hapair(args...).exits(0)
		if after := p.pids(); after != before {
			t.Errorf("a second hapair %s did something: processes were %s, are %s", strings.Join(args, " "), before, after)
		}
	}
	stands := func(primary string) {
		t.Helper()
		if s := p.standing(); s.primary != primary {
			t.Errorf("the primary is %s, want %s", s.primary, primary)
		}
		p.reads("written", "before")
	}

	seen := len(p.stateLog())
	twice("stop")
	p.hapair("status").exits(2).says("the pair is stopped")
	inOrder(t, p.stateLog()[seen:], "b: redis stopped", "a: redis stopped")
	for _, host := range []string{"a", "b"} {
		if p.holdsVIP(host) {
			t.Errorf("%s still holds the VIP", host)
		}
	}

	seen = len(p.stateLog())
	twice("start")
	stands("a") // it had the newest data
	inOrder(t, p.stateLog()[seen:], "a: redis started, fenced", "a: promoted to primary", "b: following a", "b: in sync with a")
	inOrder(t, p.stateLog()[seen:], "b: redis started, fenced", "a: promoted to primary")

	twice("stop", "--host", "a")
	p.hapair("status").exits(1)
	p.reads("written", "before")
	twice("recover")
	stands("b") // the VIP does not move back

	p.hapair("switchover").exits(0)
	stands("a")
	p.hapair("events", "--lines", "100").exits(0).says("promoted to primary, epoch ", "handed over to a", "Entering MASTER STATE", "Started hapair-quickstart-redis.service")
	twice("switchover", "--to", "b")
	stands("b")

	// The document's case 3, by hand.
	p.sh("b", "kill -KILL $(cat /usr/local/redis/redis.pid)")
	p.eventually("a has taken over", func() bool {
		return strings.Contains(p.hapair("status", "--json").out, `"holder":"a"`)
	})
	p.hapair("status").exits(1)
	twice("recover", "--host", "b")
	stands("a")
	p.settled()
}

// TestLock has two people at work on one pair.
func TestLock(t *testing.T) {
	t.Parallel()
	p := newPair(t, "lock", quickstart(t))
	p.apply()
	before := p.pids()
	p.edit("appendonly = true", "appendonly = true\n      timeout = 300")

	// One who has been shown a plan, and thinks about it.
	thinks := p.command(t.Context(), "apply")
	thinks.Env = append(thinks.Env, "HAPAIR_INPUT=1")
	if _, err := thinks.StdinPipe(); err != nil { // no answer comes
		t.Fatal(err)
	}
	var said strings.Builder
	thinks.Stdout, thinks.Stderr = &said, &said
	if err := thinks.Start(); err != nil {
		t.Fatal(err)
	}
	p.eventually("the first apply has the lock", func() bool {
		return p.sh("b", "cat /run/hapair/quickstart.lock") != ""
	})
	for _, second := range [][]string{{"apply", "--auto-approve"}, {"stop"}, {"recover", "--host", "b"}} {
		p.hapair(append(second, "--lock-timeout", "100ms")...).exits(1).says("a: another run of hapair is at work: hapair apply of ")
	}
	p.hapair("drill", "initial-state").exits(drill.ExitInconclusive).says(": another run of hapair is at work: hapair apply of ")
	p.hapair("unlock").exits(0).says("a: took the lock away from hapair apply of ", "b: took the lock away from hapair apply of ")
	if err := thinks.Wait(); err == nil || !strings.Contains(said.String(), "nothing was changed: the lock on") {
		t.Errorf("the first apply ended with %v and said\n%s", err, &said)
	}
	if after := p.pids(); after != before {
		t.Errorf("without the lock the first apply did something: processes were %s, are %s", before, after)
	}
	p.hapair("unlock").exits(0).says("a: nobody has the lock")
	p.apply()
	p.settled()
}

// pids are the processes of both hosts' services.
func (p *testPair) pids() string {
	p.t.Helper()
	var all []string
	for _, host := range []string{"a", "b"} {
		all = append(all, p.sh(host, "systemctl show --property=MainPID --value hapair-quickstart-redis hapair-quickstart-keepalived"))
	}
	return strings.Join(strings.Fields(strings.Join(all, " ")), " ")
}

// TestDrills runs the documented drills, as a suite and each alone. Drills
// measure time: nothing else runs beside them.
func TestDrills(t *testing.T) {
	p := newPair(t, "drills", quickstart(t))
	p.apply()
	p.redis("SET", "written", "before")
	report := func(p *testPair, results []*drill.Result) {
		p.t.Helper()
		for _, r := range results {
			p.t.Logf("%-15s  %s  outage: eager %s, ordinary %s (predicted %s)  lost %d of %d", r.Drill, r.Verdict,
				r.Outage(drill.Eager), r.Outage(drill.Ordinary), predictedBy(r), r.Ledger.Lost, r.Ledger.Acknowledged)
			if r.DualWritable > 0 {
				p.t.Errorf("%s: both hosts took writes for %s", r.Drill, r.DualWritable)
			}
		}
		p.settled()
		p.reads("written", "before")
		if got := p.redis("DBSIZE"); got != "1" {
			p.t.Errorf("%s keys are there, want 1: a drill leaves none of its own", got)
		}
	}
	t.Run("documented", func(t *testing.T) {
		p := p.in(t)
		dir := t.TempDir()
		results := p.drill("documented", "--report-dir", dir)
		checkReport(t, dir, results)
		if len(results) != len(drill.Documented(drill.Catalogue())) {
			t.Errorf("%d drills, want %d", len(results), len(drill.Documented(drill.Catalogue())))
		}
		report(p, results)
	})
	for _, d := range drill.Documented(drill.Catalogue()) {
		t.Run(d.Name, func(t *testing.T) {
			p := p.in(t)
			report(p, p.drill(d.Name))
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		p := p.in(t)
		for _, moment := range []string{"steady_state", "fault_injected", "recovery_start"} {
			dir := t.TempDir()
			o := p.watch(func(hapair *os.Process, e event) {
				if e.Type == moment {
					hapair.Signal(os.Interrupt)
				}
			}, "drill", "kill-redis", "--report-dir", dir).exits(130)
			o.says(`"verdict":"inconclusive"`, "ended early: interrupted", `"type":"report"`)
			if page, err := os.ReadFile(filepath.Join(dir, "report.html")); err != nil || !strings.Contains(string(page), "ended early: interrupted") {
				t.Errorf("the report says nothing of the interruption: %v", err)
			}
			report(p, nil)
		}
	})
	t.Run("refused", func(t *testing.T) {
		p := p.in(t)
		p.hapair("stop", "--host", "b").exits(0)
		p.hapair("drill", "kill-redis").exits(drill.ExitInconclusive)
		p.hapair("recover").exits(0)
		p.settled()
	})
}

// checkReport looks whether the files of a report are there and tell of results.
func checkReport(t *testing.T, dir string, results []*drill.Result) {
	t.Helper()
	for _, name := range []string{"report.json", "junit.xml", "report.html"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		for _, r := range results {
			if !strings.Contains(string(text), r.ID) {
				t.Errorf("%s says nothing of %s, run %s", name, r.Drill, r.ID)
			}
		}
	}
	var report struct {
		ExitCode int `json:"exit_code"`
		Results  []*drill.Result
	}
	text, _ := os.ReadFile(filepath.Join(dir, "report.json"))
	if err := json.Unmarshal(text, &report); err != nil {
		t.Error(err)
	}
	if report.ExitCode != drill.ExitCode(results) || len(report.Results) != len(results) || len(report.Results[0].Series) == 0 {
		t.Errorf("report.json has exit code %d and %d results, want %d and %d with their series", report.ExitCode, len(report.Results), drill.ExitCode(results), len(results))
	}
}

func predictedBy(r *drill.Result) string {
	if r.Predicted == nil {
		return "none"
	}
	return r.Predicted.Typical.String() + ", at most " + r.Predicted.Max.String()
}
