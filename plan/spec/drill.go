package spec

import (
	"cmp"
	"regexp"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// What a spec can name of drills. Package drill knows what each of these means;
// it builds on this one, so the names are listed here, and it tests them
// against its own.
var (
	// DrillNames are the drills of the catalogue, in its order.
	DrillNames = []string{
		"initial-state", "kill-redis", "stop-keepalived", "kill-both", "kill-keepalived", "switchover", "freeze-redis",
		"kill-during-save", "busy-redis", "isolate-primary", "block-vrrp", "cut-peer-link", "heal", "kill-replica",
		"empty-restart", "stale-return", "cold-start", "kill-mid-sync", "flap-redis", "disk-full", "wrong-password",
		"power-off",
	}
	// FaultNames are what a step of a scenario can do to a host.
	FaultNames = []string{
		"kill-redis", "stop-keepalived", "kill-both", "take-down", "kill-keepalived", "freeze-redis", "isolate", "block-vrrp",
		"cut-peer-link", "busy-redis", "flap-redis", "disk-full", "wrong-password", "stop-redis",
		"power-off",
	}
	// Conditions are what a step can expect of the pair.
	Conditions = []string{"moved", "stayed", "served", "holds", "healthy", "in-sync"}
)

var (
	drillSchema = schema{
		labels: []string{"name"},
		attrs:  []string{"summary", "max_outage", "max_lost_writes"},
		blocks: []string{"step"},
	}
	stepSchema = schema{attrs: slices.Concat(acts, []string{"on", "within"})}

	// acts are what a step can do: one of them.
	acts = []string{"fault", "expect", "wait", "undo", "recover"}
	// drillCommands are other words that hapair drill takes in the place of a name.
	drillCommands = []string{"all", "documented", "list"}
)

const (
	defaultWithin = 10 * time.Second
	// longestInDrill is for what is meant as a second, but written as a day:
	// a drill runs in a maintenance window.
	longestInDrill = time.Hour
	// mostLost is more than any pair loses; it tells a count from a slip.
	mostLost = 1_000_000_000
)

var oneLine = regexp.MustCompile(`^\PC{1,100}$`)

func (p *draft) decodeDrills() {
	first := map[string]hcl.Range{}
	for _, s := range p.pair.children("drill", drillSchema) {
		name := s.labels[0]
		if there, again := first[name]; again {
			s.d.errorAt(s.labelRange(0), "Duplicate drill", "There is a drill %q already on line %d. Merge the two, or give this one another name.", name, there.Start.Line)
			continue
		}
		first[name] = s.header
		p.Drills = append(p.Drills, p.decodeDrill(s))
	}
}

// decodeDrill reads objectives for a drill of the catalogue, or a scenario:
// what has steps is one.
func (p *draft) decodeDrill(s *section) Drill {
	drill := Drill{Name: s.labels[0]}
	drill.Summary, _ = s.word("summary", oneLine.MatchString, "Not a line of text", "The summary says on one line, in at most 100 characters, what the scenario does.")
	drill.MaxOutage, _ = s.duration("max_outage", time.Millisecond, longestInDrill, "")
	if n, ok := s.integer("max_lost_writes", 0, mostLost, ""); ok {
		drill.MaxLostWrites = &n
	}
	if len(s.blocks["step"]) == 0 {
		s.checkCatalogued()
		return drill
	}
	steps := s.children("step", stepSchema)
	s.checkScenario(steps)
	for _, step := range steps {
		drill.Steps = append(drill.Steps, p.decodeStep(step))
	}
	return drill
}

// checkCatalogued checks a drill without steps: the catalogue has to have it.
func (s *section) checkCatalogued() {
	name := s.labels[0]
	switch {
	case !slices.Contains(DrillNames, name):
		s.d.errorAt(s.labelRange(0), "Unknown drill", "The catalogue has no drill %q.%s", name,
			didYouMean(name, DrillNames, "\"hapair drill list\" shows it; a scenario of your own has at least one step block."))
	case s.has("summary"):
		s.d.errorAt(s.attrs["summary"].NameRange, "Summary of a drill of the catalogue", "The catalogue says itself what %s does. Remove it: a summary is for a scenario of your own.", name)
	}
}

// checkScenario checks that a scenario can be told from all else by its name,
// and that something happens in it.
func (s *section) checkScenario(steps []*section) {
	name := s.labels[0]
	switch {
	case slices.Contains(DrillNames, name):
		s.d.errorAt(s.labelRange(0), "Steps for a drill of the catalogue", "What %s does is given, and only its objectives can be set here. Remove the step blocks, or give the scenario a name of its own.", name)
	case slices.Contains(drillCommands, name):
		s.d.errorAt(s.labelRange(0), "Name with another meaning", "\"hapair drill %s\" is something else already. Give the scenario another name.", name)
	default:
		s.d.checkName(s, "drill", "file names")
	}
	mayStrike := func(step *section) bool { return step.has("fault") || step.misspelt() }
	if len(steps) == len(s.blocks["step"]) && !slices.ContainsFunc(steps, mayStrike) {
		s.d.errorAt(s.header, "Scenario without a fault", "Nothing breaks in it. Write a step that strikes: step { fault = \"kill-redis\" }.")
	}
}

// misspelt reports whether a step holds what no step has. That is reported
// where it stands, and may be the act that is missed.
func (s *section) misspelt() bool {
	return len(s.attrs) < len(s.block.Body.Attributes) || len(s.block.Body.Blocks) > 0
}

// decodeStep reads one step: one act, and what belongs to that.
func (p *draft) decodeStep(s *section) DrillStep {
	given := s.given(acts)
	switch {
	case len(given) == 0 && !s.misspelt():
		s.d.errorAt(s.header, "Step without an act", "A step does one thing: fault, expect, wait, undo or recover. Write it, or remove the block.")
	case len(given) > 1:
		s.d.errorAt(s.attrs[given[1]].NameRange, "Two acts in one step", "This step has %s already, and a step does one thing. Write a block for each, in the order in which they are to happen.", given[0])
	}

	var step DrillStep
	step.Fault, _ = s.oneOf("fault", FaultNames...)
	step.Expect, _ = s.choice("expect", "condition", Conditions)
	step.Wait, _ = s.duration("wait", time.Millisecond, longestInDrill, "")
	step.Undo, step.Recover = s.done("undo"), s.done("recover")
	step.On, _ = s.choice("on", "host", append([]string{"primary", "replica", "both"}, p.hostNames()...))
	step.Within, _ = s.duration("within", time.Millisecond, longestInDrill, "")
	if len(given) != 1 {
		return step
	}

	expects := given[0] == "expect"
	if expects && !s.has("within") {
		step.Within = defaultWithin
	}
	if !expects {
		s.refuse("within", "It says how long an expectation may take to come true, and this step expects nothing. Remove it, or write it beside expect = ….")
	}
	// What is not a condition may have been meant as any.
	switch onHost := given[0] == "fault" || step.Expect == "holds"; {
	case onHost && !s.has("on"):
		step.On = "primary"
	case !onHost && (!expects || step.Expect != ""):
		s.refuse("on", "It says which host a fault strikes, or which one expect = \"holds\" is about; this step is about the pair. Remove it.")
	}
	return step
}

// given are those of the arguments that have a value, in the file's order.
func (s *section) given(names []string) []string {
	given := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		if !s.has(name) {
			return true
		}
		v, ok := s.d.evaluate(s.attrs[name].Expr)
		return ok && v.IsNull()
	})
	slices.SortFunc(given, func(a, b string) int {
		return cmp.Compare(s.attrs[a].NameRange.Start.Byte, s.attrs[b].NameRange.Start.Byte)
	})
	return given
}

// done is an act that needs no saying more than that it is to happen.
func (s *section) done(act string) bool {
	yes, ok := s.boolean(act)
	if ok && !yes {
		s.d.errorAt(s.at(act), "Step that does nothing", "Write %s = true, or remove the step.", act)
	}
	return yes
}

// refuse reports an argument that has no meaning beside the others.
func (s *section) refuse(name, why string) {
	if s.has(name) {
		s.d.errorAt(s.attrs[name].NameRange, name+" without effect", "%s", why)
	}
}

func (p *draft) hostNames() []string {
	var names []string
	for _, s := range p.hosts {
		names = append(names, s.labels[0])
	}
	return names
}
