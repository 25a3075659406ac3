package report

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"hapair/plan/drill"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func ms(n float64) drill.Millis {
	return drill.Millis(time.Duration(math.Round(n*1000)) * time.Microsecond)
}

func of[T any](v T) *T { return &v }

func tally(kind drill.Client, outage, from float64, errors map[string]int) drill.Tally {
	t := drill.Tally{Clients: 4, Acknowledged: 1184, Rate: 726.83, P50: ms(0.287), P99: ms(3.539), Max: ms(16.294)}
	if kind == drill.Ordinary {
		t = drill.Tally{Clients: 2, Acknowledged: 592, Rate: 363.42, P50: ms(0.293), P99: ms(3.324), Max: ms(16.397)}
	}
	t.Outage, t.OutageFrom, t.WorstClient, t.Errors = ms(outage), ms(from), ms(outage+0.25), errors
	if errors == nil {
		t.Errors = map[string]int{}
	}
	return t
}

func phase(from, to float64, outage, outageFrom float64, errors map[string]int) *drill.Phase {
	return &drill.Phase{
		From: ms(from), To: ms(to), Eager: tally(drill.Eager, outage, outageFrom, errors), Ordinary: tally(drill.Ordinary, outage+0.5, outageFrom, nil),
	}
}

// series has clients that get no answer from gap to its end.
func series(from, to, step, gap, end float64) (all []drill.Bucket) {
	for at, i := from, 0; at < to; at, i = at+step, i+1 {
		b := drill.Bucket{From: ms(at), To: ms(min(at+step, to)), Acknowledged: int(min(step, to-at)*1.5) - i%3, P50: ms(0.3), Max: ms(2 + float64(i%5))}
		if at+step > gap && at < end {
			b = drill.Bucket{From: b.From, To: b.To, Failed: int(min(step, to-at))}
		}
		all = append(all, b)
	}
	return all
}

func bandsOf(states ...any) (all []drill.Band) {
	all = []drill.Band{}
	for pair := range slices.Chunk(states, 2) {
		all = append(all, drill.Band{From: ms(pair[0].(float64)), State: pair[1].(string)})
	}
	return all
}

func whole(primary, replica string) *drill.Standing {
	return &drill.Standing{Primary: primary, Holder: primary, Healthy: true, Hosts: []drill.HostStands{
		{Host: primary, VIP: true, VRRP: "MASTER", Redis: "primary", Keepalived: true},
		{Host: replica, VRRP: "BACKUP", Redis: "replica", Link: true, LagBytes: of(int64(4576)), Keepalived: true},
	}}
}

func setting(a, b string) drill.Setting {
	return drill.Setting{
		VIP:    "192.168.1.220/32",
		Timing: []drill.Figure{{Name: "keepalived.advert_interval", Value: "100ms"}, {Name: "check.interval", Value: "200ms"}, {Name: "check.retries", Value: "1"}},
		Hosts: []drill.HostSetting{
			{Host: a, Address: "192.168.1.218", Redis: "redis 7.0.15", Keepalived: "2.3.3"},
			{Host: b, Address: "192.168.1.219", Redis: "valkey 8.0.1", Keepalived: "2.3.3"},
		},
	}
}

func result(name, a, b string, nth int) *drill.Result {
	return &drill.Result{
		Format: drill.Format, ID: fmt.Sprintf("run%07d", nth), Pair: "cache", Drill: name, Summary: "what " + name + " does",
		Started: start.Add(time.Duration(nth) * 10 * time.Second), Took: ms(7723.755), Verdict: drill.Passed,
		Objective: drill.Objective{MaxOutage: ms(1283.301)}, Setting: setting(a, b),
		Before: whole(a, b), Via: "direct", Load: drill.DefaultLoad, Timeline: []drill.Event{},
	}
}

// untouched is a drill without a fault.
func untouched(nth int) *drill.Result {
	r := result("initial-state", "a", "b", nth)
	r.Case, r.Objective.MaxLost = 4, of(0)
	r.After = whole("a", "b")
	r.Steady, r.Faulted = phase(-2001.142, 0, 49.25, -400, nil), phase(0, 3277.5, 37.633, 1500, nil)
	r.Ledger = &drill.Balance{Sent: 8664, Acknowledged: 8664}
	r.Syncs = []drill.Syncs{{Host: "a"}, {Host: "b"}}
	r.Series = series(-2001, 3277, 100, 0, 0)
	r.Timeline = []drill.Event{
		{Type: drill.SteadyState, At: ms(-0.2), Text: "4 eager and 2 ordinary clients write through the VIP; eager ones 972/s, p99 6.3 ms"},
		{Type: drill.ReadBack, At: ms(3281), Text: "0 of 8664 acknowledged writes are lost"},
	}
	r.Tracks = []drill.History{
		{Host: "a", Redis: bandsOf(-2700., "primary"), VRRP: bandsOf(-2650., "MASTER"), Link: bandsOf(-2700., ""), VIP: bandsOf(-2600., "held"), Writable: bandsOf(-2700., "yes", 3270., ""), ClockOffset: ms(0.5), RoundTrip: ms(1.6), Via: "direct"},
		{Host: "b", Redis: bandsOf(-2700., "replica"), VRRP: bandsOf(-2650., "BACKUP"), Link: bandsOf(-2700., "up"), VIP: bandsOf(-2600., ""), Writable: bandsOf(), ClockOffset: ms(-0.2), RoundTrip: ms(1.5), Via: "ssh b"},
	}
	return r
}

// failover is a drill in which b takes over from a after outage ms.
func failover(name, a, b string, nth int, outage float64) *drill.Result {
	r := result(name, a, b, nth)
	r.Case = 3
	r.Faults = []drill.Injected{{Fault: drill.KillRedis, Host: a, What: "SIGKILL to Redis, process 912", Evidence: "process 912 is gone", VerifiedAfter: ms(16.745)}}
	r.Predicted = &drill.Prediction{Min: ms(186.641), Typical: ms(366.641), Max: ms(906.641), Because: "the next check after 0s to 200ms, its tries 140ms to 400ms, promotion 40ms to 300ms"}
	r.After, r.Recovered = whole(b, a), whole(b, a)
	r.After.Healthy, r.After.Problems = false, []string{a + ": Redis is stopped (failed)"}
	r.After.Hosts[1] = drill.HostStands{Host: a, Trouble: "nothing listens on its port"}
	slices.Reverse(r.After.Hosts)
	slices.Reverse(r.Recovered.Hosts)
	back := outage + 1200
	r.Steady = phase(-2097.205, 0, 17.279, -1122, nil)
	r.Faulted = phase(0, back, outage, -1.614, map[string]int{"connection refused": 168, "read-only": 92})
	r.Faulted.Ordinary.Errors = map[string]int{"connection refused": 84, "timeout": 1}
	r.Faulted.VIPMoves = 1
	r.Recovery = phase(back, back+3000, 19.391, back+1300, nil)
	r.Ledger = &drill.Balance{Sent: 10845, Acknowledged: 10449, Unconfirmed: 2}
	r.Syncs = []drill.Syncs{{Host: a}, {Host: b, Full: 1}}
	r.Series = series(-2097, back+3000, 100, 0, outage)
	r.Timeline = []drill.Event{
		{Type: drill.SteadyState, At: ms(-95.692), Text: "4 eager and 2 ordinary clients write through the VIP; eager ones 998/s, p99 5.4 ms"},
		{Type: drill.FaultInjected, Host: a, Text: "SIGKILL to Redis, process 912"},
		{Type: drill.RoleChange, At: ms(5.793), Host: a, From: "primary", To: "down", Text: "Redis: primary → down (connection refused)"},
		{Type: drill.LinkChange, At: ms(13.08), Host: b, From: "up", To: "down", Text: "link to the primary: down"},
		{Type: drill.FaultVerified, At: ms(16.745), Host: a, Text: "process 912 is gone"},
		{Type: drill.VRRPChange, At: ms(outage/2 - 2), Host: a, From: "MASTER", To: "FAULT", Text: "VRRP: MASTER → FAULT"},
		{Type: drill.VIPMove, At: ms(outage / 2), Host: a, From: "held", Text: "VIP: gone"},
		{Type: drill.VIPMove, At: ms(outage/2 + 3), Host: b, To: "held", Text: "VIP: here"},
		{Type: drill.VRRPChange, At: ms(outage/2 + 5), Host: b, From: "BACKUP", To: "MASTER", Text: "VRRP: BACKUP → MASTER"},
		{Type: drill.RoleChange, At: ms(outage - 3), Host: b, From: "replica", To: "primary", Text: "Redis: replica → primary"},
		{Type: drill.FirstAck, At: ms(outage - 1.614), Host: b, Text: "writes are acknowledged again"},
		{Type: drill.RecoveryStart, At: ms(back), Host: a, Text: "recovery: Redis, then keepalived"},
		{Type: drill.RoleChange, At: ms(back + 430), Host: a, From: "down", To: "replica", Text: "Redis: down → replica"},
		{Type: drill.RecoveryStep, At: ms(back + 570), Host: a, Text: "start Redis: running, 7 keys"},
		{Type: drill.LinkChange, At: ms(back + 1333), Host: a, From: "down", To: "up", Text: "link to the primary: up"},
		{Type: drill.VRRPChange, At: ms(back + 1400), Host: a, From: "FAULT", To: "BACKUP", Text: "VRRP: FAULT → BACKUP"},
		{Type: drill.Recovered, At: ms(back + 1915), Host: a, Text: "back in the pair"},
		{Type: drill.ReadBack, At: ms(back + 3093), Text: "0 of 10449 acknowledged writes are lost"},
	}
	r.Tracks = []drill.History{
		{
			Host: a, Redis: bandsOf(-2712., "primary", 5.793, "down", back+430, "replica"), Link: bandsOf(-2712., "", back+430, "down", back+1333, "up"),
			VRRP: bandsOf(-2650., "MASTER", outage/2-2, "FAULT", back+1400, "BACKUP"), VIP: bandsOf(-2597., "held", outage/2, ""), Writable: bandsOf(-2707., "yes", -8., ""), ClockOffset: ms(0.292), RoundTrip: ms(1.17), Via: "direct",
		},
		{
			Host: b, Redis: bandsOf(-2712., "replica", outage-3, "primary"), Link: bandsOf(-2712., "up", 13.08, "down", outage-3, ""),
			VRRP: bandsOf(-2650., "BACKUP", outage/2+5, "MASTER"), VIP: bandsOf(-2599., "", outage/2+3, "held"), Writable: bandsOf(outage+8, "yes", back+2995, ""), ClockOffset: ms(-0.1), RoundTrip: ms(1.2), Via: "direct",
		},
	}
	return r
}

// quick is a failover that is not as predicted, and no worse for it.
func quick(name string, nth int) *drill.Result {
	r := failover(name, "a", "b", nth, 87)
	r.Mismatch = &drill.Mismatch{
		Measured: ms(87), Bound: r.Predicted.Min, Percent: -53,
		Text: "53 % shorter than the shortest outage predicted: measured 87 ms, predicted at least 187 ms",
	}
	return r
}

// deviated is a failover that lost writes and had two writers.
func deviated(name string, nth int) *drill.Result {
	r := failover(name, "a", "b", nth, 1412)
	r.Verdict = drill.Deviated
	r.Objective.MaxLost = of(0)
	r.Deviations = []drill.Deviation{
		{Rule: "max_outage", Want: "eager clients miss at most 1.28 s", Got: "1.41 s"},
		{Rule: "max_lost", Want: "at most 0 acknowledged writes are lost", Got: "15"},
		{Rule: "one_writer", Want: "at no time both hosts take writes", Got: "both did, for 112 ms"},
	}
	r.Mismatch = &drill.Mismatch{
		Measured: ms(1412), Bound: r.Predicted.Max, Percent: 56,
		Text: "56 % longer than the longest outage predicted: measured 1.41 s, predicted at most 907 ms",
	}
	r.DualWritable = ms(112)
	r.Ledger.Lost, r.Ledger.LostLate, r.Ledger.Diverged = 15, 2, 1
	r.Ledger.Losses = []drill.Loss{
		{Writer: 2, Client: drill.Eager, Count: 13, First: 520, Last: 532, From: ms(-11.2), To: ms(-0.4)},
		{Writer: 5, Client: drill.Ordinary, Count: 2, First: 611, Last: 612, From: ms(1450), To: ms(1454.5)},
	}
	return r
}

// long is a drill of 40 minutes, whose outage had not ended when it did.
func long(nth int) *drill.Result {
	const minute = 60000.
	r := failover("stale-return", "a", "b", nth, 30*minute)
	r.Took = ms(40 * minute)
	r.Predicted = nil
	r.Objective = drill.Objective{}
	r.Faults = append(r.Faults, drill.Injected{Fault: drill.KillBoth, Host: "b", At: ms(90000), What: "SIGKILL to both", Evidence: "neither is there", VerifiedAfter: ms(20)})
	r.Faulted.Eager.Open, r.Faulted.Ordinary.Open = true, true
	r.Series = series(-2097, 30*minute+4200, 5000, 0, 30*minute)
	r.Notes = []string{"b is the primary now; in the document it is the preferred host, a"}
	return r
}

// interrupted is a drill that somebody ended after its fault.
func interrupted(nth int) *drill.Result {
	r := failover("kill-both", "a", "b", nth, 430)
	r.Verdict, r.Reason = drill.Inconclusive, "ended early: interrupted (interrupt)"
	r.Ledger, r.Recovered, r.Recovery = nil, nil, nil
	r.Faulted = phase(0, 700, 430, -1.6, nil)
	r.Timeline = r.Timeline[:11]
	r.Series = series(-2097, 700, 100, 0, 430)
	return r
}

// unhealthy is a drill that never began.
func unhealthy(nth int) *drill.Result {
	r := result("kill-redis", "a", "b", nth)
	r.Verdict, r.Reason = drill.Inconclusive, "a drill begins on a healthy pair only: a: Redis is down"
	r.Before.Healthy, r.Before.Problems = false, []string{"a: Redis is down"}
	return r
}

// Names and texts that want to be something else.
const (
	nastyHost  = `<script>alert("1")</script>`
	nastyOther = "b'&]]>\u202e\x1b[31m--><x y=\"z\">"
	nastyText  = "read the writes back: \x00\x07\x1b]0;title\x07 <b>bold</b> ]]> </style><script>alert(2)</script>\nsecond line\tof it \u2028 \U0001F600 \uFFFE"
)

// failed is a drill in which everything has a name of the worst kind.
func failed(nth int) *drill.Result {
	r := failover("kill-redis", nastyHost, nastyOther, nth, 430)
	r.Verdict, r.Reason, r.Err = drill.Failed, nastyText, errors.New(nastyText)
	r.Pair = "cache"
	r.Ledger = nil
	r.Summary = "what " + nastyText
	r.Notes = []string{nastyText}
	r.Predicted.Because = nastyText
	r.Faulted.Eager.Errors[nastyText] = 3
	r.Tracks[0].Redis[1].State = nastyText
	r.Timeline[1].Text = nastyText
	return r
}

// fixtures are reports by the names of their golden files.
func fixtures() map[string]*Report {
	return map[string]*Report{
		"passed": New("1.2.3", []*drill.Result{untouched(0), failover("kill-redis", "a", "b", 1, 445.5)}),
		"trouble": New("1.2.3", []*drill.Result{
			deviated("stop-keepalived", 0), long(1), interrupted(300), failed(301),
		}),
		"repeated": New("1.2.3", []*drill.Result{
			failover("kill-redis", "a", "b", 0, 445.5), deviated("kill-redis", 1), failover("kill-redis", "b", "a", 2, 612), unhealthy(3),
			quick("kill-both", 4), interrupted(5),
		}),
		"nothing": New("1.2.3", []*drill.Result{unhealthy(0)}),
	}
}
