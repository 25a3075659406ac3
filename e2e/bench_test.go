package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"hapair/plan/drill"
)

// figures is the table that `make bench` ends with.
var figures [][]string

// figure adds a row: what was measured, what it is measured against, and the
// bar that it has to clear.
func figure(what, measured, beside, bar string) {
	figures = append(figures, []string{what, measured, beside, bar})
}

// printFigures prints the table, if there is one.
func printFigures(w io.Writer) {
	if len(figures) == 0 {
		return
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{{"", "measured", "", "bar"}}, figures...) {
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	table.Flush()
}

// asDocumented is the quick start with the document's own timing.
func asDocumented(t testing.TB) string {
	return edited(t, quickstart(t),
		"priority  = 240", "priority  = 100",
		"priority  = 239", "priority  = 90\n    garp_master_delay = \"10s\"",
		`advert_interval   = "100ms"`, `advert_interval   = "1s"`,
		`interval    = "200ms"`, `interval    = "10s"`,
		`retry_delay = "100ms"`, `retry_delay = "1s"`)
}

// BenchmarkOutage is what clients feel of the documented faults, with fast
// timing and with the document's own.
func BenchmarkOutage(b *testing.B) {
	type outage struct {
		eager, ordinary time.Duration
		lost            int
	}
	drills := []string{"kill-redis", "stop-keepalived"}
	measure := func(name, spec string, times int) map[string]outage {
		p := newPair(b, "bench-"+name, spec)
		p.apply()
		found := map[string]outage{}
		for _, d := range drills {
			var eager, ordinary []time.Duration
			lost := 0
			for range times {
				r := p.drill(d)[0]
				eager = append(eager, r.Outage(drill.Eager).Duration())
				ordinary = append(ordinary, r.Outage(drill.Ordinary).Duration())
				lost += r.Ledger.Lost
			}
			found[d] = outage{median(eager), median(ordinary), lost}
			b.Logf("%s, %s timing: eager %v, ordinary %v, lost %d", d, name, eager, ordinary, lost)
		}
		return found
	}
	fast := measure("fast", quickstart(b), 9)
	slow := measure("document", asDocumented(b), 3)
	for i, d := range drills {
		bar := []string{"≤ 600 ms", "≤ 500 ms, 0 lost"}[i]
		for _, c := range []struct {
			client     string
			fast, slow time.Duration
		}{
			{"eager", fast[d].eager, slow[d].eager},
			{"ordinary", fast[d].ordinary, slow[d].ordinary},
		} {
			b.ReportMetric(float64(c.fast.Milliseconds()), d+"-"+c.client+"-ms")
			figure(d+" outage, "+c.client+" client", fmt.Sprintf("%s, %d lost", drill.Millis(c.fast), fast[d].lost),
				fmt.Sprintf("%s with the document's timing: 1/%.0f", drill.Millis(c.slow), c.slow.Seconds()/c.fast.Seconds()), bar)
		}
	}
}

// BenchmarkProbe is what a drill's writers can do on one core, with a Redis on
// another one, beside the same commands sent without any accounts.
func BenchmarkProbe(b *testing.B) {
	out, err := exec.CommandContext(b.Context(), "go", "test", "-run", "^$", "-bench", "^Benchmark(Probe|Ledger)$",
		"-cpu", "1", "-benchtime", "2s", "-count", "3", "hapair/plan/drill").CombinedOutput()
	if err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	found := map[string][]float64{}
	for line := range strings.Lines(string(out)) {
		// name, operations, and pairs of a value and its unit
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(fields[0], "Benchmark")
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
			found[name+" "+fields[i+1]] = append(found[name+" "+fields[i+1]], value)
		}
	}
	of := func(name string) float64 {
		if len(found[name]) == 0 {
			b.Fatalf("no %s\n%s", name, out)
		}
		return median(found[name])
	}
	most, raw := of("Probe/flat-out writes/s"), of("Probe/raw writes/s")
	b.ReportMetric(of("Probe/paced writes/s"), "writes/s")
	b.ReportMetric(of("Probe/paced core-%"), "core-%")
	figure("writers of a drill on one core", fmt.Sprintf("%.0f writes/s with %.0f %% of it, %.0f failed", of("Probe/paced writes/s"), of("Probe/paced core-%"), of("Probe/paced failed")),
		fmt.Sprintf("%.0f/s flat out: %.2f × what raw pipelining does (%.0f/s)", most, most/raw, raw), "≥ 40000/s")
	figure("ledger, per write", fmt.Sprintf("%.0f ns, %.0f bytes", of("Ledger ns/op"), of("Ledger B/op")), "", "")
}

// BenchmarkPlan is a plan that finds nothing to do, beside what it takes to say
// hello to a host.
func BenchmarkPlan(b *testing.B) {
	const times = 21
	p := newPair(b, "bench-plan", quickstart(b))
	p.apply()
	p.settled()
	var plans []time.Duration
	hello := map[string][]time.Duration{}
	peak := 0
	for range times {
		start := time.Now()
		cmd := p.command(b.Context(), "plan", "--quiet")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		watched := make(chan int, 1)
		go func() { watched <- peakMemory(cmd.Process.Pid) }()
		if err := cmd.Wait(); err != nil {
			b.Fatalf("%v\n%s", err, &out)
		}
		plans = append(plans, time.Since(start))
		peak = max(peak, <-watched)
		for _, host := range []string{"a", "b"} {
			start := time.Now()
			if out, err := p.SSH(b.Context(), host, "-l", "deploy", "true").CombinedOutput(); err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
			hello[host] = append(hello[host], time.Since(start))
		}
	}
	plan, ssh := median(plans), max(median(hello["a"]), median(hello["b"]))
	b.ReportMetric(plan.Seconds()/ssh.Seconds(), "plan/ssh")
	b.ReportMetric(float64(peak)/1024, "peak-MB")
	figure("plan with nothing to do", drill.Millis(plan).String(), fmt.Sprintf("%.2f × `ssh HOST true` (%s)", plan.Seconds()/ssh.Seconds(), drill.Millis(ssh)), "≤ 1.5 ×")
	figure("memory of hapair plan", fmt.Sprintf("%.1f MB", float64(peak)/1024), "", "≤ 40 MB")
}

// peakMemory is the most memory that a process has had, in kB, once it has
// ended. (What wait(2) tells counts its parent's, from before exec.)
func peakMemory(pid int) (kB int) {
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return kB
		}
		_, after, _ := strings.Cut(string(status), "VmHWM:")
		var now int
		if _, err := fmt.Sscan(after, &now); err != nil {
			return kB // it has ended
		}
		kB = now
		time.Sleep(time.Millisecond)
	}
}

// BenchmarkFirstApply is a first apply that compiles, less what installing
// packages takes, beside the two compiles alone, by hand on the same hosts.
func BenchmarkFirstApply(b *testing.B) {
	p := newPair(b, "bench-first", quickstart(b))
	p.env = append(p.env, "XDG_CACHE_HOME="+b.TempDir()) // nothing is built yet
	var packages time.Duration
	o := p.hapair("apply", "--auto-approve", "--json").exits(0)
	for _, e := range o.events() {
		if e.Type == "apply_complete" && strings.HasSuffix(e.Step, "/packages") {
			packages = max(packages, time.Duration(e.Elapsed*float64(time.Second)))
		}
	}
	if packages == 0 {
		b.Fatalf("no packages were installed\n%s", o)
	}
	applied := o.took - packages

	tarballs, err := sourcesDir()
	if err != nil {
		b.Fatal(err)
	}
	p.hapair("stop").exits(0)
	var compiled time.Duration
	for _, c := range []struct{ host, tarball, compile string }{ // where hapair built it, and so its tools are
		{"a", "redis-7.0.15.tar.gz", `make -j"$(nproc)"`},
		{"b", "keepalived-2.3.3.tar.gz", `./configure --prefix=/usr/local/keepalived; make -j"$(nproc)"`},
	} {
		content, err := os.ReadFile(filepath.Join(tarballs, c.tarball))
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(p.Root(c.host), "srv", c.tarball), content, 0o644); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		p.sh(c.host, "cd /srv; tar -xzf "+c.tarball+"; cd ./*/; { "+c.compile+"; } >/srv/log 2>&1")
		compiled += time.Since(start)
	}
	ratio := applied.Seconds() / compiled.Seconds()
	b.ReportMetric(ratio, "apply/compile")
	figure("first apply, less packages", fmt.Sprintf("%.1f s", applied.Seconds()), fmt.Sprintf("%.2f × the two compiles alone (%.1f s)", ratio, compiled.Seconds()), "≤ 1.15 ×")
}

// drill runs drills, which have to pass, and returns what came of them.
func (p *testPair) drill(names ...string) []*drill.Result {
	p.t.Helper()
	o := p.hapair(append([]string{"drill", "--json"}, names...)...)
	results := p.results(o)
	o.exits(0)
	if len(results) == 0 {
		p.t.Fatalf("no results\n%s", o)
	}
	return results
}

// results are those that a hapair drill --json printed.
func (p *testPair) results(o *outcome) (results []*drill.Result) {
	p.t.Helper()
	for _, e := range o.events() {
		if e.Type != "drill_result" {
			continue
		}
		r := &drill.Result{}
		if err := json.Unmarshal(e.Result, r); err != nil {
			p.t.Fatal(err)
		}
		results = append(results, r)
	}
	return results
}

func median[T cmp.Ordered](all []T) T {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}
