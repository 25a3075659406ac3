package drill

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// judge finds everything that is not as the drill and the invariants want it.
func judge(d Drill, r *Result) []Deviation {
	v := &findings{}
	d.judge(v, r)
	v.found = append(v.found, r.unmet...)
	v.objectives(r)
	v.invariants(r)
	return v.found
}

// findings collects deviations.
type findings struct{ found []Deviation }

// expect adds a deviation unless ok.
func (v *findings) expect(ok bool, rule, want, got string) {
	if !ok {
		v.found = append(v.found, Deviation{rule, want, got})
	}
}

// judgeUntouched: nothing was done to the pair, so nothing may change.
func judgeUntouched(v *findings, r *Result) {
	v.stands("during the drill", r.After, r.Before.Primary)
	moves := r.Faulted.VIPMoves
	v.expect(moves == 0, "vip_moves", "the VIP stays on "+r.Before.Holder, plural(moves, "move")+" of the VIP")
	for _, s := range r.Syncs {
		v.expect(s.Full+s.Partial == 0, "syncs", "the replica stays connected",
			fmt.Sprintf("%s served %d full and %d partial syncs", s.Host, s.Full, s.Partial))
	}
}

// judgeFailover: the peer of the struck host takes over and keeps what it has
// taken.
func judgeFailover(v *findings, r *Result) {
	struck, peer := r.Struck(), r.peer()
	v.expect(r.After.Primary == peer, "roles", peer+" is the primary after the fault", orNone(r.After.Primary)+" is")
	v.expect(r.After.Holder == peer, "vip", peer+" has the VIP after the fault", orNone(r.After.Holder)+" has")
	v.expect(r.Faulted.VIPMoves == 1, "vip_moves", "one move of the VIP, to "+peer, plural(r.Faulted.VIPMoves, "move"))

	if r.After.Primary != peer {
		// The rest would only say the same again.
		v.expect(r.Recovered.Healthy, "health", "the pair is healthy after recovery", strings.Join(r.Recovered.Problems, "; "))
		return
	}
	v.stands("after recovery", r.Recovered, peer)
	back := r.Recovery.VIPMoves
	v.expect(back == 0, "vip_moves", "the VIP stays on "+peer+" while "+struck+" recovers", plural(back, "move")+" of the VIP")
	for _, s := range r.Syncs {
		v.expect(s.Host != struck || s.Full == 0, "never_back_in_time", struck+", whose data is the older, serves no full sync",
			plural(int(s.Full), "full sync")+" from it")
	}
}

// judgeSwitchover: planned work costs no full sync either.
func judgeSwitchover(v *findings, r *Result) {
	judgeFailover(v, r)
	full, _ := r.syncs()
	v.expect(full == 0, "full_syncs", "the old primary resyncs partially", plural(int(full), "full sync"))
}

// judgeStay: what was struck is no reason for a failover.
func judgeStay(v *findings, r *Result) {
	v.stands("after recovery", r.Recovered, r.Before.Primary)
	moves := r.vipMoves()
	v.expect(moves == 0, "vip_moves", "the VIP stays on "+r.Before.Holder, plural(moves, "move")+" of the VIP")
}

// judgeScenario: whatever happened, the pair is whole in the end, and nobody
// went back in time.
func judgeScenario(v *findings, r *Result) {
	v.expect(r.Recovered.Healthy, "health", "the pair is healthy after recovery", strings.Join(r.Recovered.Problems, "; "))
}

// soonOneWriter is for the older of two primaries to hear of the other, and to
// step down, once a partition has ended.
const soonOneWriter = Millis(time.Second)

// judgeHeal: from the end of the partition on, the newest promotion is what the
// pair is.
func judgeHeal(v *findings, r *Result) {
	h := r.healed
	v.expect(h.without == 0, "vip", h.name+", the newest promotion, keeps the VIP when the partition ends", "it was without it for "+h.without.String())
	v.expect(h.demoted == 0, "roles", h.name+", the newest promotion, stays the primary when the partition ends", "it was a replica for "+h.demoted.String())
	v.expect(h.both <= soonOneWriter, "one_writer", "both hosts take writes for at most "+soonOneWriter.String()+" after the partition", h.both.String())
	v.expect(h.lost == 0, "lost_late", "nothing is lost that "+h.name+" had when the partition ended", plural(h.lost, "write"))
	v.stands("after recovery", r.Recovered, h.name)
}

// unwritten is how long Redis may keep acknowledged writes to itself with
// appendfsync everysec: it does not write while a sync of the file is under way,
// for up to 2 s (flushAppendOnlyFile in aof.c).
const unwritten = Millis(2 * time.Second)

// judgeColdStart: the old primary's data is the newest, whoever boots first.
func judgeColdStart(v *findings, r *Result) {
	v.stands("after recovery", r.Recovered, r.Before.Primary)
	early := 0
	for _, loss := range r.Ledger.Losses {
		if loss.From < r.Faults[len(r.Faults)-1].At-unwritten {
			early += loss.Count
		}
	}
	v.expect(early == 0, "lost", "nothing is lost that was acknowledged "+unwritten.String()+" before the reset and earlier", plural(early, "write"))
	for _, s := range r.Syncs {
		v.expect(s.Host == r.Before.Primary || s.Full == 0, "never_back_in_time", s.Host+", whose data is the older, serves no full sync",
			plural(int(s.Full), "full sync")+" from it")
	}
}

// judgeStale: the newer data wins, however late it comes.
func judgeStale(v *findings, r *Result) {
	v.stands("after recovery", r.Recovered, r.peer())
	for _, s := range r.Syncs {
		v.expect(s.Host != r.Struck() || s.Full == 0, "never_back_in_time", s.Host+", whose data is the older, serves no full sync",
			plural(int(s.Full), "full sync")+" from it")
	}
}

// judgeMidSync: half a copy is no data to serve.
func judgeMidSync(v *findings, r *Result) {
	replica := r.Struck()
	v.expect(r.After.Primary != replica, "roles", replica+", whose data is not whole, is not promoted", "it is the primary")
	v.stands("after recovery", r.Recovered, r.Before.Primary)
}

// mostMoves is how often the VIP may move while Redis dies over and over.
const mostMoves = 2

func judgeFlap(v *findings, r *Result) {
	moves := r.vipMoves()
	v.expect(moves <= mostMoves, "vip_moves", plural(mostMoves, "move")+" of the VIP at most", plural(moves, "move"))
	judgeScenario(v, r)
}

// stands expects a whole pair with the named primary.
func (v *findings) stands(when string, st *Standing, primary string) {
	v.expect(st.Primary == primary, "roles", primary+" is the primary "+when, orNone(st.Primary)+" is")
	v.expect(st.Holder == primary, "vip", primary+" has the VIP "+when, orNone(st.Holder)+" has")
	for _, h := range st.Hosts {
		v.expect(h.Keepalived, "keepalived", "keepalived runs on "+h.Host+" "+when, "it does not")
		if h.Host == primary {
			v.expect(h.VRRP == "MASTER" || h.VRRP == "", "vrrp", h.Host+" is MASTER "+when, h.VRRP)
			continue
		}
		v.expect(h.VRRP == "BACKUP" || h.VRRP == "", "vrrp", h.Host+" is BACKUP "+when, h.VRRP)
		v.expect(h.Redis == stateReplica, "roles", h.Host+" is the replica "+when, cmp.Or(h.Redis, "it does not answer"))
		v.expect(h.Link || h.Redis != stateReplica, "link", "the replica "+h.Host+" has its link up "+when, "down")
	}
	v.expect(st.Healthy, "health", "the pair is healthy "+when, strings.Join(st.Problems, "; "))
}

// objectives: what the drill may cost.
func (v *findings) objectives(r *Result) {
	for _, p := range []struct {
		when  string
		phase *Phase
	}{{"", r.Faulted}, {" during recovery", r.Recovery}} {
		if p.phase == nil || p.phase == r.Recovery && r.Faulted.Eager.Open {
			continue // no such phase, or still the same outage
		}
		for _, c := range []struct {
			client Client
			tally  Tally
		}{{Eager, p.phase.Eager}, {Ordinary, p.phase.Ordinary}} {
			got := c.tally.Outage.String()
			if c.tally.Open {
				got = "more than " + got + ": it had not ended"
			}
			v.expect(c.tally.Clients == 0 || r.Objective.MaxOutage == 0 || c.tally.Outage <= r.Objective.MaxOutage, "max_outage",
				fmt.Sprintf("%s clients miss at most %s%s", c.client, r.Objective.MaxOutage, p.when), got)
		}
	}
	if most := r.Objective.MaxLost; most != nil {
		v.expect(r.Ledger.Lost <= *most, "max_lost", fmt.Sprintf("at most %d acknowledged writes are lost", *most), fmt.Sprint(r.Ledger.Lost))
	}
}

// invariants: what holds in every drill.
func (v *findings) invariants(r *Result) {
	v.expect(r.DualWritable == 0 || r.healed != nil, "one_writer", "at no time both hosts take writes", "both did, for "+r.DualWritable.String())
	v.expect(r.Ledger.LostLate == 0, "lost_late", "nothing is lost that the new primary acknowledged", plural(r.Ledger.LostLate, "write"))
	v.expect(r.Ledger.Diverged == 0, "same_data", "both hosts hold the same writes in the end",
		plural(r.Ledger.Diverged, "write")+" only one of them holds")
}

// peer is the host that was not struck.
func (r *Result) peer() string {
	for _, h := range r.Before.Hosts {
		if h.Host != r.Struck() {
			return h.Host
		}
	}
	return ""
}

func orNone(name string) string {
	if name == "" {
		return "no single host"
	}
	return name
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// counted is "3 × connection refused, 1 × read-only".
func counted(kinds map[string]int) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		parts = append(parts, fmt.Sprintf("%d × %s", kinds[kind], kind))
	}
	return strings.Join(parts, ", ")
}
