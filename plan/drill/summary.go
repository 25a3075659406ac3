package drill

import "slices"

// Summary is what all runs of one drill come to.
type Summary struct {
	Drill        string `json:"drill"`
	Runs         int    `json:"runs"`
	Passed       int    `json:"passed"`
	Deviated     int    `json:"deviated"`
	Inconclusive int    `json:"inconclusive"`
	Failed       int    `json:"failed"`

	Predicted *Prediction `json:"predicted,omitempty"`
	// Of the runs that passed or deviated; nil when there is none.
	Figures *Figures `json:"figures,omitempty"`
	// Mismatch is set when the median outage is not as predicted.
	Mismatch *Mismatch `json:"mismatch,omitempty"`
}

// Figures are spreads over the runs of a drill.
type Figures struct {
	Eager        Spread[Millis] `json:"outage_eager_ms"`
	Ordinary     Spread[Millis] `json:"outage_ordinary_ms"`
	Lost         Spread[int]    `json:"lost"` // acknowledged writes
	DualWritable Spread[Millis] `json:"dual_writable_ms"`
	FullSyncs    Spread[int64]  `json:"full_syncs"`
	PartialSyncs Spread[int64]  `json:"partial_syncs"`
	VIPMoves     Spread[int]    `json:"vip_moves"`
}

// Spread is how a figure varies. The median of an even number of runs is the
// upper one of the two in the middle, so each of them was measured.
type Spread[T int | int64 | Millis] struct {
	Median T `json:"median"`
	P99    T `json:"p99"`
	Worst  T `json:"worst"`
}

func spread[T int | int64 | Millis](all []T) Spread[T] {
	slices.Sort(all)
	return Spread[T]{all[len(all)/2], quantile(all, 0.99), all[len(all)-1]}
}

// Summaries are those of each drill among results, in the order of their first
// runs.
func Summaries(results []*Result) []Summary {
	var order []string
	runs := map[string][]*Result{}
	for _, r := range results {
		if runs[r.Drill] == nil {
			order = append(order, r.Drill)
		}
		runs[r.Drill] = append(runs[r.Drill], r)
	}
	var all []Summary
	for _, name := range order {
		all = append(all, summary(name, runs[name]))
	}
	return all
}

func summary(name string, runs []*Result) Summary {
	s := Summary{Drill: name, Runs: len(runs), Predicted: runs[0].Predicted}
	var measured []*Result
	for _, r := range runs {
		switch r.Verdict {
		case Passed:
			s.Passed++
		case Deviated:
			s.Deviated++
		case Inconclusive:
			s.Inconclusive++
		default:
			s.Failed++
		}
		if r.Verdict == Passed || r.Verdict == Deviated {
			measured = append(measured, r)
		}
	}
	if len(measured) > 0 {
		s.Figures = &Figures{
			Eager:        over(measured, func(r *Result) Millis { return r.Outage(Eager) }),
			Ordinary:     over(measured, func(r *Result) Millis { return r.Outage(Ordinary) }),
			Lost:         over(measured, func(r *Result) int { return r.Ledger.Lost }),
			DualWritable: over(measured, func(r *Result) Millis { return r.DualWritable }),
			FullSyncs:    over(measured, func(r *Result) (n int64) { f, _ := r.syncs(); return f }),
			PartialSyncs: over(measured, func(r *Result) (n int64) { _, p := r.syncs(); return p }),
			VIPMoves:     over(measured, (*Result).vipMoves),
		}
		if s.Predicted != nil {
			s.Mismatch = s.Predicted.compare(s.Figures.Eager.Median, false)
		}
	}
	return s
}

func over[T int | int64 | Millis](runs []*Result, figure func(*Result) T) Spread[T] {
	all := make([]T, len(runs))
	for i, r := range runs {
		all[i] = figure(r)
	}
	return spread(all)
}

// syncs are those that both hosts served.
func (r *Result) syncs() (full, partial int64) {
	for _, s := range r.Syncs {
		full, partial = full+s.Full, partial+s.Partial
	}
	return full, partial
}

// vipMoves are those from the fault to the end.
func (r *Result) vipMoves() int {
	n := 0
	for _, p := range []*Phase{r.Faulted, r.Recovery} {
		if p != nil {
			n += p.VIPMoves
		}
	}
	return n
}
