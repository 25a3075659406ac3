package plan

import (
	"hapair/plan/facts"
)

// Step is one thing that Apply does. Steps are data: nothing but what they
// hold, and what the host answers, decides what happens.
type Step struct {
	ID string `json:"id"` // unique in its plan, stable: "cache/a/files"
	// At is where it happens. Host is empty when the step concerns both hosts,
	// as starting the pair does; Host and Pair are empty on the controller.
	At    facts.Ref `json:"at"`
	Title string    `json:"title"` // for people, in the imperative: "write 14 files"
	// After are the IDs of the steps that have to be done before. Steps that do
	// not depend on each other run at the same time.
	After []string `json:"after,omitempty"`
}
