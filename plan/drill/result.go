package drill

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"hapair/plan/pair"
)

// Format is the version of a Result as JSON.
const Format = "1.0"

// Verdict is what a drill came to.
type Verdict string

const (
	Passed       Verdict = "passed"
	Deviated     Verdict = "deviated"     // an objective or an invariant is broken
	Inconclusive Verdict = "inconclusive" // nothing was learnt; never a pass
	Failed       Verdict = "failed"       // hapair itself did
)

// Exit codes of `hapair drill`.
const (
	ExitPassed       = 0
	ExitFailed       = 1
	ExitDeviated     = 4
	ExitInconclusive = 5
)

// ExitCode is the exit code of one verdict.
func (v Verdict) ExitCode() int {
	switch v {
	case Passed:
		return ExitPassed
	case Deviated:
		return ExitDeviated
	case Inconclusive:
		return ExitInconclusive
	}
	return ExitFailed
}

// Gravest is the verdict on several drills together. A failure hides a
// deviation, which hides an inconclusive drill.
func Gravest(results []*Result) Verdict {
	for _, v := range []Verdict{Failed, Deviated, Inconclusive} {
		for _, r := range results {
			if r.Verdict == v {
				return v
			}
		}
	}
	return Passed
}

// ExitCode is the exit code of several drills: that of the gravest verdict.
func ExitCode(results []*Result) int { return Gravest(results).ExitCode() }

// Millis is a duration that JSON holds in milliseconds, to the microsecond.
type Millis time.Duration

// Duration is m as the rest of Go knows it.
func (m Millis) Duration() time.Duration { return time.Duration(m) }

func (m Millis) String() string {
	switch d := m.Duration(); {
	case d >= 10*time.Second || d <= -10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second || d <= -time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 10*time.Millisecond || d <= -10*time.Millisecond, d == 0:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	default:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	}
}

// MarshalJSON writes milliseconds.
func (m Millis) MarshalJSON() ([]byte, error) {
	us := m.Duration().Round(time.Microsecond).Microseconds()
	return strconv.AppendFloat(nil, float64(us)/1000, 'f', -1, 64), nil
}

// UnmarshalJSON reads milliseconds.
func (m *Millis) UnmarshalJSON(text []byte) error {
	var ms float64
	if err := json.Unmarshal(text, &ms); err != nil {
		return fmt.Errorf("parse milliseconds: %w", err)
	}
	*m = Millis(time.Duration(ms * float64(time.Millisecond)).Round(time.Microsecond))
	return nil
}

// Result is everything that one drill found out: the data behind every view
// of it.
type Result struct {
	Format  string    `json:"format"`
	ID      string    `json:"id"` // of this run; part of the names of its keys
	Pair    string    `json:"pair"`
	Drill   string    `json:"drill"`
	Summary string    `json:"summary"` // what the drill does, in a line
	Case    int       `json:"case,omitempty"`
	Started time.Time `json:"started"`
	Took    Millis    `json:"took_ms"`

	unmet  []Deviation // of what its steps expected
	healed *healed     // where the drill is about that

	Verdict    Verdict     `json:"verdict"`
	Deviations []Deviation `json:"deviations,omitempty"` // when Deviated
	Reason     string      `json:"reason,omitempty"`     // when Inconclusive or Failed
	Err        error       `json:"-"`                    // what Reason says, when Failed
	Notes      []string    `json:"notes,omitempty"`      // what a reader of the figures should know

	// Faults are those that were proved to have landed, in their order; the
	// first one is what all times are since. None: a drill without a fault, or
	// one that never came to it.
	Faults    []Injected  `json:"faults,omitempty"`
	Predicted *Prediction `json:"predicted,omitempty"`
	// Mismatch is set when a drill came to its end and its outage is not as
	// predicted. It is a remark and no deviation: the objective judges.
	Mismatch *Mismatch `json:"mismatch,omitempty"`

	Objective Objective `json:"objective"`

	// Setting is what the pair was made of, for whoever reads the figures later.
	Setting Setting `json:"setting"`

	// How the pair stood: before; once the service was back; after recovery.
	Before    *Standing `json:"before,omitempty"`
	After     *Standing `json:"after,omitempty"`
	Recovered *Standing `json:"recovered,omitempty"`

	// What the clients met: before the fault; from the fault to the start of
	// recovery; from then on to the end.
	Steady   *Phase `json:"steady,omitempty"`
	Faulted  *Phase `json:"faulted,omitempty"`
	Recovery *Phase `json:"recovery,omitempty"`

	// Via is how the writers reach the VIP: "direct", "ssh b".
	Via          string    `json:"via,omitempty"`
	Ledger       *Balance  `json:"ledger,omitempty"`
	DualWritable Millis    `json:"dual_writable_ms"`
	Syncs        []Syncs   `json:"syncs,omitempty"` // per host, in the spec's order
	Load         Load      `json:"load"`
	Timeline     []Event   `json:"timeline"`
	Series       []Bucket  `json:"series,omitempty"` // the clients, over the whole drill
	Tracks       []History `json:"tracks,omitempty"` // per host, in the spec's order
}

// Outage is the figure that a drill is known by: the longest interval without
// an acknowledged write to any of the clients of a kind, around the fault.
func (r *Result) Outage(c Client) Millis {
	switch {
	case r.Faulted == nil:
		return 0
	case c == Ordinary:
		return r.Faulted.Ordinary.Outage
	}
	return r.Faulted.Eager.Outage
}

// Struck is the host that the first fault hit; empty when there was none.
func (r *Result) Struck() string {
	if len(r.Faults) == 0 {
		return ""
	}
	return r.Faults[0].Host
}

// Setting is what a pair was made of during a drill.
type Setting struct {
	VIP    string        `json:"vip"`
	Timing []Figure      `json:"timing"` // of the spec, as it is written there
	Hosts  []HostSetting `json:"hosts"`  // in the spec's order
}

// Figure is one setting: "check.interval" and "200ms".
type Figure struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// HostSetting is one host of a Setting.
type HostSetting struct {
	Host       string `json:"host"`
	Address    string `json:"address"`
	Redis      string `json:"redis"`      // "redis 7.0.15"
	Keepalived string `json:"keepalived"` // "2.3.3"
}

// Bucket is a short stretch of a drill as its clients saw it.
type Bucket struct {
	From         Millis `json:"from_ms"` // since the fault
	To           Millis `json:"to_ms"`
	Acknowledged int    `json:"acknowledged"` // writes, of all clients
	Failed       int    `json:"failed"`       // writes that ended in this stretch
	P50          Millis `json:"p50_ms"`       // latency of the acknowledged ones
	Max          Millis `json:"max_ms"`
}

// Deviation is one thing that is not as it should be.
type Deviation struct {
	Rule string `json:"rule"` // "max_outage", "lost", "dual_writable", "vip", "roles", …
	Want string `json:"want"`
	Got  string `json:"got"`
}

func (d Deviation) String() string { return d.Rule + ": " + d.Got + "; expected " + d.Want }

// Injected is one fault and the proof of it.
type Injected struct {
	Fault    Fault  `json:"fault"`
	Host     string `json:"host"`
	At       Millis `json:"at_ms"`    // since the first one
	What     string `json:"what"`     // "SIGKILL to redis-server, pid 812"
	Evidence string `json:"evidence"` // "process 812 is gone"
	// VerifiedAfter is how long after the fault the evidence was there.
	VerifiedAfter Millis `json:"verified_after_ms"`
}

// Objective is what a drill may cost.
type Objective struct {
	// MaxOutage bounds the outage of both kinds of client; 0: it is measured
	// only.
	MaxOutage Millis `json:"max_outage_ms,omitempty"`
	// MaxLost bounds the acknowledged writes that are lost; nil: they are
	// counted only. Those acknowledged after the outage may never be lost.
	MaxLost *int `json:"max_lost,omitempty"`
}

// Standing is who was what at one moment.
type Standing struct {
	Primary  string       `json:"primary"`    // the one host whose Redis is a primary, or empty
	Holder   string       `json:"vip_holder"` // the one host that has the VIP, or empty
	Healthy  bool         `json:"healthy"`
	Problems []string     `json:"problems,omitempty"`
	Hosts    []HostStands `json:"hosts"` // in the spec's order
}

// HostStands is one host of a Standing.
type HostStands struct {
	Host       string `json:"host"`
	VIP        bool   `json:"vip"`
	VRRP       string `json:"vrrp"`       // MASTER, BACKUP, FAULT; empty while keepalived is stopped
	Redis      string `json:"redis"`      // primary, replica; empty: no answer
	Link       bool   `json:"link"`       // of a replica to its primary
	LagBytes   *int64 `json:"lag_bytes"`  // null: it cannot be told
	Keepalived bool   `json:"keepalived"` // the unit runs
	Hold       string `json:"hold,omitempty"`
	Trouble    string `json:"trouble,omitempty"` // why the host or its Redis did not answer
}

// standing is the part of a pair's state that a drill judges.
func standing(s pair.State) *Standing {
	out := &Standing{}
	if i, ok := s.Primary(); ok {
		out.Primary = s.Hosts[i].Name
	}
	if i, ok := s.Holder(); ok {
		out.Holder = s.Hosts[i].Name
	}
	for i, h := range s.Hosts {
		host := HostStands{
			Host: h.Name, VIP: len(h.VIPs) > 0, VRRP: string(h.Keepalived.VRRP), Redis: string(h.Redis.Role()),
			Keepalived: h.Keepalived.Running(), Hold: h.Hold, Trouble: h.Redis.Trouble,
		}
		if h.Redis.Info != nil {
			host.Link = h.Redis.Info.LinkUp
		}
		if lag, ok := s.Lag(i); ok {
			host.LagBytes = &lag
		}
		if h.Err != nil {
			host.Trouble = h.Err.Error()
		}
		out.Hosts = append(out.Hosts, host)
	}
	health := pair.Assess(s)
	out.Healthy = health.Level == pair.Healthy
	for _, p := range health.Problems {
		text := p.Summary
		if p.Host != "" {
			text = p.Host + ": " + text
		}
		out.Problems = append(out.Problems, text)
	}
	return out
}

// Phase is what was measured in one part of a drill.
type Phase struct {
	From     Millis `json:"from_ms"` // since the fault
	To       Millis `json:"to_ms"`
	Eager    Tally  `json:"eager"`
	Ordinary Tally  `json:"ordinary"`
	VIPMoves int    `json:"vip_moves"` // times that the VIP went from one host to the other
}

// Tally is what the clients of one kind met in a phase.
type Tally struct {
	Clients      int     `json:"clients"`
	Acknowledged int     `json:"acknowledged"`
	Rate         float64 `json:"rate"` // acknowledged writes per second
	// Outage is the longest interval without an acknowledgement to any of the
	// clients that touches the phase, and where it began, since the fault.
	Outage     Millis `json:"outage_ms"`
	OutageFrom Millis `json:"outage_from_ms"`
	// Open: it had not ended when the phase did.
	Open bool `json:"open,omitempty"`
	// WorstClient is the longest such interval of a single client.
	WorstClient Millis `json:"worst_client_ms"`
	// Latency of the acknowledged writes.
	P50    Millis         `json:"p50_ms"`
	P99    Millis         `json:"p99_ms"`
	Max    Millis         `json:"max_ms"`
	Errors map[string]int `json:"errors"` // failed writes, by what the client was told
}

// Balance is the ledger against what both hosts hold after healing.
type Balance struct {
	Sent         int `json:"sent"`
	Acknowledged int `json:"acknowledged"`
	// Lost writes were acknowledged and are not on the primary.
	Lost int `json:"lost"`
	// LostLate are those of them acknowledged after the outage: by the new
	// primary, which must not lose any.
	LostLate int    `json:"lost_late"`
	Losses   []Loss `json:"losses,omitempty"`
	// Unconfirmed writes are on the primary though their client was told of a
	// failure, or nothing.
	Unconfirmed int `json:"unconfirmed"`
	// Diverged writes are on one host and not on the other.
	Diverged int `json:"diverged"`
}

// Loss is a run of acknowledged writes of one client that are all lost.
type Loss struct {
	Writer int    `json:"writer"`
	Client Client `json:"client"`
	Count  int    `json:"count"`
	First  int    `json:"first"` // number of the write
	Last   int    `json:"last"`
	From   Millis `json:"from_ms"` // when the first was acknowledged, since the fault
	To     Millis `json:"to_ms"`   // when the last was
}

// Syncs are the synchronisations that a host served to its replica during the
// drill.
type Syncs struct {
	Host    string `json:"host"`
	Full    int64  `json:"full"`
	Partial int64  `json:"partial"`
}

// History is what a host was during a drill.
type History struct {
	Host string `json:"host"`
	// Redis: primary, replica, loading, down (refused), silent (no answer in
	// time), or what else it answered.
	Redis []Band `json:"redis"`
	// VRRP: MASTER, BACKUP, FAULT, stopped (keepalived has ended); empty while it
	// is not known. keepalived's hooks tell it, some ms after the change.
	VRRP     []Band `json:"vrrp"`
	Link     []Band `json:"link"`     // up, down; empty for a primary
	VIP      []Band `json:"vip"`      // held, or empty
	Writable []Band `json:"writable"` // yes, or empty: for certain, as seen every 10 ms
	// ClockOffset is how far the host's clock is ahead of the controller's, to
	// within half of RoundTrip.
	ClockOffset Millis `json:"clock_offset_ms"`
	RoundTrip   Millis `json:"round_trip_ms"`
	Via         string `json:"via"` // how its Redis was watched: "direct", "ssh a"
}

// Band is a stretch of time in one state; it ends where the next one begins.
type Band struct {
	From  Millis `json:"from_ms"` // since the fault
	State string `json:"state"`
}
