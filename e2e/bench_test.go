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

// asDocumented is the quick start with the document's own timing, and scripts.
func asDocumented(t testing.TB) string {
	return edited(t, withHandlers(t, exampleQuickstart(t), "scripts"),
		"priority  = 240", "priority  = 100",
		"priority  = 239", "priority  = 90\n    garp_master_delay = \"10s\"",
		`advert_interval   = "100ms"`, `advert_interval   = "1s"`,
		`interval    = "200ms"`, `interval    = "10s"`,
		`retry_delay = "100ms"`, `retry_delay = "1s"`)
}

// bars are what failover has to clear, median and worst, for eager clients and,
// where that is another one, ordinary ones.
var bars = []struct {
	drill, what   string
	median, worst time.Duration
	ordinary      time.Duration // worst; 0: the same
	noLoss        bool
}{
	{"kill-redis", "Redis dies", 50 * time.Millisecond, 100 * time.Millisecond, 0, false},
	{"stop-keepalived", "keepalived stops", 30 * time.Millisecond, 80 * time.Millisecond, 0, true},
	{"kill-both", "both die", 350 * time.Millisecond, 500 * time.Millisecond, 0, false},
	{"switchover", "planned switchover", 20 * time.Millisecond, 60 * time.Millisecond, 0, true},
	{"freeze-redis", "Redis freezes", 500 * time.Millisecond, 800 * time.Millisecond, 0, false},
	{"power-off", "the host dies", 320 * time.Millisecond, 450 * time.Millisecond, 1100 * time.Millisecond, false},
}

// outages are what clients felt of one drill, again and again.
type outages struct {
	eager, ordinary []time.Duration
	lost            int
}

func (o *outages) String() string {
	if o == nil {
		return ""
	}
	text := fmt.Sprintf("%s / %s", drill.Millis(median(o.eager)), drill.Millis(slices.Max(o.eager)))
	if e, n := median(o.eager), median(o.ordinary); n-e > 10*time.Millisecond || slices.Max(o.ordinary)-slices.Max(o.eager) > 10*time.Millisecond {
		text += fmt.Sprintf(", ordinary clients %s / %s", drill.Millis(n), drill.Millis(slices.Max(o.ordinary)))
	}
	return fmt.Sprintf("%s, %d lost", text, o.lost)
}

// BenchmarkOutage is what clients feel of the documented faults, median and worst,
// with hapair-node, beside scripts, and beside the document's own timing.
func BenchmarkOutage(b *testing.B) {
	measure := func(name, spec string, times int, drills ...string) map[string]*outages {
		p := newPair(b, "bench-"+name, spec)
		p.apply()
		found := map[string]*outages{}
		for _, d := range drills {
			o := &outages{}
			found[d] = o
			for range times {
				r := p.drill("--i-know", d)[0]
				o.eager = append(o.eager, r.Outage(drill.Eager).Duration())
				o.ordinary = append(o.ordinary, r.Outage(drill.Ordinary).Duration())
				o.lost += r.Ledger.Lost
			}
			b.Logf("%s, %s: %s", d, name, o)
		}
		return found
	}
	var all []string
	for _, bar := range bars {
		all = append(all, bar.drill)
	}
	node := measure("node", quickstart(b), 20, all...)
	scripts := measure("scripts", withHandlers(b, exampleQuickstart(b), "scripts"), 5, all...)
	document := measure("document", asDocumented(b), 3, "kill-redis", "stop-keepalived")
	for _, bar := range bars {
		o := node[bar.drill]
		b.ReportMetric(float64(median(o.eager).Milliseconds()), bar.drill+"-ms")
		beside := "scripts " + scripts[bar.drill].String()
		if d := document[bar.drill]; d != nil {
			beside += "; the document's timing " + d.String()
		}
		limit := fmt.Sprintf("≤ %s / %s", drill.Millis(bar.median), drill.Millis(bar.worst))
		if bar.ordinary > 0 {
			limit += fmt.Sprintf(", ordinary clients ≤ %s", drill.Millis(bar.ordinary))
		}
		if bar.noLoss {
			limit += ", 0 lost"
		}
		figure(bar.what, o.String(), beside, limit)
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
