// Package plan compares what a spec asks for with what two hosts are like, and
// makes the difference so. Build is pure: spec and facts go in, a Plan (plain
// data) comes out. Apply executes the steps of a Plan and nothing else. Both
// speak through data and Hooks; how a plan looks is not known here.
package plan

import (
	"fmt"
	"strings"

	"hapair/plan/facts"
	"hapair/plan/pair"
	"hapair/plan/spec"
)

// Format is the version of a plan as JSON.
const Format = "1.0"

// Plan is what would change, and how. The Changes are for people, in the order
// of the spec: pair by pair, host by host. The Steps alone are what Apply does.
type Plan struct {
	Format  string    `json:"format"`
	Changes []Change  `json:"changes"`
	Steps   []Step    `json:"steps"`
	Outages []Outages `json:"outages"`
	Notes   []Note    `json:"notes,omitempty"`

	// pairs are what the steps that run services speak to. A plan that was read
	// from a file has none, and no secrets either: it can be shown, and compared
	// with a new one, not applied.
	pairs map[string]*spec.Pair
}

// Empty reports whether the hosts are as the spec wants them.
func (p *Plan) Empty() bool { return len(p.Changes) == 0 && len(p.Steps) == 0 }

// Counts are the changes by what happens: a replacement adds and destroys.
func (p *Plan) Counts() (add, change, destroy int) {
	for _, c := range p.Changes {
		switch c.Action {
		case Create:
			add++
		case Update:
			change++
		case Delete:
			destroy++
		case Replace:
			add++
			destroy++
		}
	}
	return add, change, destroy
}

// Action is what happens to a resource. Its value is its symbol.
type Action rune

const (
	Create  Action = '+'
	Update  Action = '~'
	Delete  Action = '-'
	Replace Action = '±' // for people: -/+
)

// String is the action as a word: "create", "update", "delete", "replace".
func (a Action) String() string {
	switch a {
	case Create:
		return "create"
	case Update:
		return "update"
	case Delete:
		return "delete"
	case Replace:
		return "replace"
	}
	return fmt.Sprintf("Action(%q)", rune(a))
}

// Symbol is the action as people read it in a plan.
func (a Action) Symbol() string {
	if a == Replace {
		return "-/+"
	}
	return string(a)
}

// MarshalText writes the action as a word.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (a *Action) UnmarshalText(text []byte) error {
	for _, known := range []Action{Create, Update, Delete, Replace} {
		if known.String() == string(text) {
			*a = known
			return nil
		}
	}
	return fmt.Errorf("parse action: %q is none", text)
}

// Kind is a class of resources on a host.
type Kind string

const (
	KindAccount  Kind = "account"  // the user and group that run Redis
	KindPackages Kind = "packages" // of the distribution
	KindProgram  Kind = "program"  // Redis or keepalived, built from source or a package
	KindDir      Kind = "dir"
	KindFile     Kind = "file"
	KindUnit     Kind = "unit"    // of systemd, enabled at boot
	KindService  Kind = "service" // a unit that runs, or "role": the part of Redis and VIP
)

// Addr names one resource: on which host of which pair, of which kind.
type Addr struct {
	Pair string
	Host string
	Kind Kind
	Name string // a path, a unit, a product
}

// String is "PAIR/HOST/KIND:NAME", as --target takes it.
func (a Addr) String() string {
	return a.Pair + "/" + a.Host + "/" + string(a.Kind) + ":" + a.Name
}

// At is the host that the resource is on.
func (a Addr) At() facts.Ref { return facts.Ref{Pair: a.Pair, Host: a.Host} }

// MarshalText writes the address as String does.
func (a Addr) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (a *Addr) UnmarshalText(text []byte) error {
	var where, what string
	var ok [3]bool
	a.Pair, where, ok[0] = strings.Cut(string(text), "/")
	a.Host, what, ok[1] = strings.Cut(where, "/")
	kind, name, named := strings.Cut(what, ":")
	a.Kind, a.Name, ok[2] = Kind(kind), name, named
	if ok != [3]bool{true, true, true} {
		return fmt.Errorf("parse address: %q is not PAIR/HOST/KIND:NAME", text)
	}
	return nil
}

// Change is one resource that is not as the spec wants it.
type Change struct {
	Addr   Addr    `json:"addr"`
	Action Action  `json:"action"`
	Before Content `json:"before,omitzero"` // zero for Create
	After  Content `json:"after,omitzero"`  // zero for Delete
	// Reason says what has to happen for the change to count, or why it is
	// needed: "restart: rolling, replica first". Often empty.
	Reason string `json:"reason,omitempty"`
	// Drift: the spec is as it was applied, the host has moved away from it.
	Drift bool `json:"drift,omitempty"`
}

// Content is one side of a change.
type Content struct {
	Attrs []Attr `json:"attrs,omitempty"` // in the order in which people read them
	// Text is the content of a file. It is empty, whatever the file holds, when
	// Sensitive is set.
	Text      string `json:"text,omitempty"`
	Sensitive bool   `json:"sensitive,omitempty"`
}

// Attr is one property: "mode" is "0750".
type Attr struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Note is something that one should know and that changes nothing: there are
// no nftables on a host, say.
type Note struct {
	At   facts.Ref `json:"at"`
	Text string    `json:"text"`
}

// Outages are the interruptions of writes through a pair's VIP that its
// documented cases are going to cost, by the spec's own timing.
type Outages struct {
	Pair  string            `json:"pair"`
	Cases []pair.Prediction `json:"cases"`
}
