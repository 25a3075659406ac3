package pair

import (
	"time"

	"hapair/plan/spec"
)

// Prediction is the outage to expect of one documented case, as an eager
// client sees it: from the spec's timing alone.
type Prediction struct {
	Case string // the drill that tries it: "kill-redis", "stop-keepalived", …
	What string // what happens: "the primary's Redis dies"
	// The outage: at best, on average, and at worst.
	Min, Typical, Max time.Duration
	// LosesTail: writes that the replica has not received yet are lost.
	LosesTail bool
	// Because is the arithmetic, in words.
	Because string
}

// Predict is the outage to expect of each documented case.
func Predict(p *spec.Pair) []Prediction { return nil }
