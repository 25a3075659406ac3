package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"hapair/cmd/internal/report"
	"hapair/cmd/internal/view"
	"hapair/plan/drill"
	"hapair/plan/spec"
)

type drillOptions struct {
	pairOptions
	names   []string
	json    bool
	dryRun  bool
	iKnow   bool
	times   int
	writers int
	rate    int
	// reportDir is where the report goes; empty: there is none.
	reportDir string
}

// Names of suites.
const (
	documented = "documented" // the document's own drills
	allSafe    = "all"        // those without danger
)

func newCmdDrill(a *app, run func(*drillOptions) error) *cobra.Command {
	o := &drillOptions{}
	cmd := &cobra.Command{
		Use:     "drill {list | documented | all | NAME...}",
		GroupID: groupRun,
		Short:   "Prove by experiment that failover works, and measure it",
		Long: `drill injects a fault into the running pair, proves that it landed, and measures
what clients felt, with real writers through the VIP: the longest time without
an acknowledged write, and acknowledged writes that were lost. Every drill ends
with the documented recovery.

A drill begins on a healthy pair only, and leaves a healthy one behind: it
recovers the pair after Ctrl-C, too. Should hapair be killed, or SSH be lost, a
timer on the host ends the fault and starts what it stopped. Drills can be those
of the catalogue or the spec's own. ` + "`documented`" + ` is the suite of the
document's own drills, in its order; ` + "`all`" + ` are all those that cost
nothing but an outage. The others need --i-know.`,
		Example: `  hapair drill list
  hapair drill kill-redis
  hapair drill kill-redis --times 20
  hapair drill isolate-primary --dry-run
  hapair drill documented --writers 8 --rate 500
  hapair drill all --times 20 --report-dir report
  hapair drill documented --json | jq 'select(.type == "drill_result")'`,
		Args:      someArguments("the name of a drill; hapair drill list shows them"),
		ValidArgs: append(drillNames(drill.Catalogue()), documented, allSafe),
		RunE: func(_ *cobra.Command, names []string) error {
			o.names = names
			if run != nil {
				return run(o)
			}
			return drillRun(a, o)
		},
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON, one object a line")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "say step by step what would be done, and touch no host")
	cmd.Flags().BoolVar(&o.iKnow, "i-know", false, "run drills that can cost data or the service for longer; hapair drill list says which")
	cmd.Flags().IntVar(&o.times, "times", 1, "run each drill `N` times; the median, the 99th percentile and the worst are shown")
	cmd.Flags().StringVar(&o.reportDir, "report-dir", "", "write report.html, junit.xml and report.json to this `DIR` in the end, whatever came of the drills")
	cmd.Flags().IntVar(&o.writers, "writers", drill.DefaultLoad.Eager, "eager writers, `N`; two ordinary ones write beside them")
	cmd.Flags().IntVar(&o.rate, "rate", drill.DefaultLoad.Rate, "writes per second of each writer, `R`; above 1000 a writer no longer waits for one answer before the next write")
	cmd.AddCommand(newCmdDrillList(a))
	return cmd
}

func newCmdDrillList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "Say which drills there are and what each does",
		Example: "  hapair drill list",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			a.human().Drills(drill.Catalogue())
			return nil
		},
	}
}

func drillRun(a *app, o *drillOptions) error {
	v := a.show(o.json)
	if o.writers < 1 || o.rate < 1 || o.times < 1 {
		return errors.New("--writers, --rate and --times want at least 1")
	}
	p, err := o.loadOne(v)
	if err != nil {
		return err
	}
	drills, err := chosenDrills(drill.Of(p), o.names)
	if err != nil {
		return err
	}
	if o.dryRun {
		v.DrillSteps(drills)
		return nil
	}
	if !o.iKnow {
		if err := harmless(drills); err != nil {
			return err
		}
	}
	if o.reportDir != "" {
		if err := report.Prepare(o.reportDir); err != nil {
			return err
		}
	}
	drills = repeated(drills, o.times)
	s := &spec.Spec{Pairs: []*spec.Pair{p}}
	hosts, err := a.connectAll(a.stop.asked, s, v)
	if err != nil {
		return err
	}
	defer hosts.close()
	hosts.outlast(p)

	defer a.stop.answer(v)()
	events, done := v.Drill([2]string{p.Hosts[0].Name, p.Hosts[1].Name})
	bench := &drill.Bench{
		Pair:   hosts.pair(p),
		Events: events,
		Holder: holder("drill"),
		Load:   drill.Load{Eager: o.writers, Ordinary: drill.DefaultLoad.Ordinary, Rate: o.rate},
	}
	results, err := runDrills(a, bench, drills)
	done()
	if err != nil {
		return err
	}
	v.Drilled(results)
	for _, r := range results {
		if r.Err != nil {
			v.Problem(fmt.Errorf("%s: %w", r.Drill, r.Err))
		}
	}
	if o.reportDir != "" {
		paths, err := report.New(version(), results).Write(o.reportDir)
		if err != nil {
			return err
		}
		v.Reported(paths)
	}
	if drill.ExitCode(results) != drill.ExitPassed {
		return &drillError{results}
	}
	v.Next([]view.Hint{o.hint(s, "status", "both hosts at a glance")})
	return nil
}

// runDrills ends after the drill under way, which recovers the pair, when it is
// asked to, and leaves everything as it is when it is told so again.
func runDrills(a *app, bench *drill.Bench, drills []drill.Drill) ([]*drill.Result, error) {
	finished := make(chan []*drill.Result, 1)
	go func() { finished <- bench.Suite(a.stop.asked, drills) }()
	select {
	case results := <-finished:
		return results, nil
	case <-a.stop.now.Done():
		return nil, fmt.Errorf("dropped in the middle of a drill: a fault may still be there; hapair status shows how the pair stands, hapair recover brings it back: %w", context.Cause(a.stop.now))
	}
}

// chosenDrills are those of these names among all that there are.
func chosenDrills(all []drill.Drill, names []string) ([]drill.Drill, error) {
	var drills []drill.Drill
	for _, name := range names {
		switch d, ok := drill.ByName(all, name); {
		case name == documented:
			drills = append(drills, drill.Documented(all)...)
		case name == allSafe:
			drills = append(drills, drill.Safe(all)...)
		case !ok:
			return nil, fmt.Errorf("there is no drill %q: there are %s, and the suites %s and %s", name, strings.Join(drillNames(all), ", "), documented, allSafe)
		default:
			drills = append(drills, d)
		}
	}
	return drills, nil
}

// harmless refuses drills that are not.
func harmless(drills []drill.Drill) error {
	for _, d := range drills {
		if d.Danger != "" {
			return fmt.Errorf("%s is dangerous: %s. Say --i-know to run it", d.Name, d.Danger)
		}
	}
	return nil
}

// repeated is each of the drills so many times in a row.
func repeated(drills []drill.Drill, times int) (all []drill.Drill) {
	for _, d := range drills {
		for range times {
			all = append(all, d)
		}
	}
	return all
}

func drillNames(drills []drill.Drill) []string {
	var names []string
	for _, d := range drills {
		names = append(names, d.Name)
	}
	return names
}
