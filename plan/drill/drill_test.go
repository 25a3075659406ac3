package drill

import (
	"slices"
	"testing"

	"hapair/plan/spec"
)

// The spec's language knows the catalogue by its names, and nothing else.
func TestTheSpecKnowsTheCatalogue(t *testing.T) {
	var names []string
	faults := map[string]bool{}
	for _, d := range Catalogue() {
		names = append(names, d.Name)
		for _, s := range d.Steps {
			faults[string(s.Fault)] = true
		}
	}
	if !slices.Equal(names, spec.DrillNames) {
		t.Errorf("the catalogue has %q, the spec %q", names, spec.DrillNames)
	}
	for _, f := range spec.FaultNames {
		if !faults[f] && Fault(f) != StopRedis { // which is for scenarios
			t.Errorf("no drill does the fault %s that a spec can name", f)
		}
	}
	for _, c := range spec.Conditions {
		if conditions[Condition(c)] == "" {
			t.Errorf("the spec's condition %s is none", c)
		}
	}
}

// Every drill says what it does in words, ends with the pair whole, and strikes
// before it expects anything to come of it.
func TestCatalogue(t *testing.T) {
	for _, d := range Catalogue() {
		if d.Summary == "" || d.Expect == "" || len(d.Steps) == 0 || d.judge == nil {
			t.Errorf("%s is not complete", d.Name)
		}
		struck := false
		for _, s := range d.Steps {
			struck = struck || s.Fault != NoFault || s.Switchover
			if s.Expect != "" && !struck {
				t.Errorf("%s expects %q before anything has happened", d.Name, s)
			}
		}
	}
}

func TestOf(t *testing.T) {
	most := 7
	all := Of(&spec.Pair{Drills: []spec.Drill{
		{Name: "kill-redis", MaxOutage: 500e6, MaxLostWrites: &most},
		{Name: "monday", Steps: []spec.DrillStep{{Fault: "kill-both", On: "b"}, {Expect: "moved", Within: 2e9}, {Recover: true}}},
	}})
	if len(all) != len(Catalogue())+1 {
		t.Fatalf("%d drills", len(all))
	}
	d, _ := ByName(all, "kill-redis")
	if o := objective(d, nil); o.MaxOutage != Millis(500e6) || o.MaxLost != &most {
		t.Errorf("objective %+v", o)
	}
	own, ok := ByName(all, "monday")
	if !ok || own.Expect != "wait until the other host serves, 2s at most" || len(own.Steps) != 3 || own.Steps[0].On != "b" {
		t.Errorf("%+v", own)
	}
	if len(Documented(all)) != 4 || slices.ContainsFunc(Safe(all), func(d Drill) bool { return d.Name == "stale-return" }) {
		t.Error("the suites are not what they should be")
	}
}
