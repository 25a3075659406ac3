package drill

import "time"

// Catalogue is every drill there is, in the order of the documentation.
func Catalogue() []Drill {
	none := 0
	return []Drill{
		{
			Name: "initial-state", Case: 4, MaxLost: &none,
			Summary: "watch the pair and do nothing to it",
			Expect:  "the primary holds the VIP, the replica follows in sync, nothing moves",
			Steps:   []Step{{Wait: untouchedFor}},
			judge:   judgeUntouched,
		},
		{
			Name: "kill-redis", Case: 3,
			Summary: "SIGKILL the primary's Redis",
			Expect:  "the VIP moves, the peer is promoted; recovered, the host is a replica and the VIP stays",
			Steps:   []Step{{Fault: KillRedis}, {Expect: Moved}, {Recover: true}},
			judge:   judgeFailover,
		},
		{
			Name: "stop-keepalived", Case: 2, MaxLost: &none,
			Summary: "stop keepalived on the primary's host",
			Expect:  "the roles flip and nothing is lost; recovered, the host is BACKUP and the VIP stays",
			Steps:   []Step{{Fault: StopKeepalived}, {Expect: Moved}, {Recover: true}},
			judge:   judgeFailover,
		},
		{
			Name: "kill-both", Case: 1,
			Summary: "SIGKILL Redis and keepalived on the primary's host, at once",
			Expect:  "the VIP moves, the peer is promoted; recovered, the host is a replica and the VIP stays",
			Steps:   []Step{{Fault: KillBoth}, {Expect: Moved}, {Recover: true}},
			judge:   judgeFailover,
		},
		{
			Name: "kill-keepalived", MaxLost: &none,
			Summary: "SIGKILL every process of keepalived on the primary's host; Redis lives",
			Expect:  "no second VIP, the roles flip and nothing is lost",
			Steps:   []Step{{Fault: KillKeepalived}, {Expect: Moved}, {Recover: true}},
			judge:   judgeFailover,
		},
		{
			Name: "switchover", MaxLost: &none,
			Summary: "hand over to the peer, as planned work does",
			Expect:  "the roles flip, nothing is lost, and the old primary resyncs partially",
			Steps:   []Step{{Switchover: true}, {Expect: Moved}},
			judge:   judgeSwitchover,
		},
		{
			Name:    "freeze-redis",
			Summary: "SIGSTOP the primary's Redis for 30 s, then SIGCONT",
			Expect:  "the VIP moves, the peer is promoted, and what wakes up is no second primary",
			Steps:   []Step{{Fault: FreezeRedis}, {Expect: Moved}, {Wait: 30 * time.Second}, {Undo: true}, {Wait: 2 * time.Second}, {Recover: true}},
			judge:   judgeFailover,
		},
		{
			Name:    "kill-during-save",
			Summary: "SIGKILL the primary's Redis while it writes an RDB",
			Expect:  "as kill-redis",
			Steps:   []Step{{Fault: KillDuringSave}, {Expect: Moved}, {Recover: true}},
			judge:   judgeFailover,
		},
		{
			Name: "busy-redis", MaxLost: &none, MaxOutage: 15 * time.Second,
			Summary: "keep the primary's Redis busy with a script for 10 s",
			Expect:  "busy is alive: the primary and the VIP stay",
			Steps:   []Step{{Fault: BusyRedis}, {Wait: 10 * time.Second}, {Expect: Served, Within: 5 * time.Second}, {Recover: true}},
			judge:   judgeStay,
		},
		{
			Name: "isolate-primary", MaxOutage: 15 * time.Second,
			Summary: "drop all traffic of the primary's host but SSH, for 10 s",
			Expect:  "it fences itself, the peer is promoted; back, it is a replica, and what it alone had is set aside",
			Danger:  "writes that the isolated host still takes are in none but its set-aside copy",
			Steps:   []Step{{Fault: Isolate}, {Expect: Moved}, {Wait: 10 * time.Second}, {Undo: true}, {Expect: InSync, Within: 30 * time.Second}, {Recover: true}},
			judge:   judgeFailover,
		},
		{
			Name: "block-vrrp", MaxOutage: 15 * time.Second,
			Summary: "drop VRRP both ways, on both hosts, for 10 s",
			Expect:  "both hosts hear nothing of the other, and there is one writer all the same",
			Danger:  "both hosts hold the VIP for the time",
			Steps:   []Step{{Fault: BlockVRRP, On: OnBoth}, {Wait: 10 * time.Second}, {Undo: true}, {Expect: Healthy, Within: time.Minute}, {Recover: true}},
			judge:   judgeScenario,
		},
		{
			Name: "cut-peer-link", MaxOutage: 15 * time.Second,
			Summary: "drop what goes from host to host, for 10 s, while clients see both",
			Expect:  "one writer; healed, the newest promotion keeps the VIP and loses nothing that it acknowledged",
			Danger:  "where no gateway or witness decides, both hosts take writes, and one's are in none but its set-aside copy",
			Steps:   []Step{{Fault: CutPeerLink, On: OnBoth}, {Wait: 10 * time.Second}, {Undo: true}, {Expect: Healthy, Within: time.Minute}, {Recover: true}},
			judge:   judgeScenario,
		},
		{
			Name: "kill-replica", MaxLost: &none, MaxOutage: 100 * time.Millisecond,
			Summary: "SIGKILL the replica's Redis",
			Expect:  "clients notice nothing; recovered, it is the replica again",
			Steps:   []Step{{Fault: KillRedis, On: OnReplica}, {Expect: Stayed, Within: 3 * time.Second}, {Recover: true}},
			judge:   judgeStay,
		},
		{
			Name:    "empty-restart",
			Summary: "kill the primary's Redis and start it at once without its data",
			Expect:  "the peer keeps its data and is promoted; the host comes back as its replica",
			Danger:  "the primary's data goes to its set-aside folder, with what the replica had not received",
			Steps:   []Step{{Fault: EmptyRestart}, {Expect: Moved}, {Recover: true}},
			judge:   judgeFailover,
		},
		{
			Name: "stale-return", MaxOutage: Unbounded,
			Summary: "the primary dies, the peer takes writes and dies, the old primary comes back alone",
			Expect:  "it holds, not writable, until the newer data is back",
			Danger:  "nobody serves until the drill recovers the pair",
			Steps: []Step{
				{Fault: KillBoth}, {Expect: Moved}, {Wait: time.Second}, {Fault: KillBoth}, {Start: true, On: onStruck},
				{Expect: Holds, On: onStruck, Within: 30 * time.Second}, {Wait: 2 * time.Second}, {Recover: true},
			},
			judge: judgeStale,
		},
		{
			Name: "kill-mid-sync", MaxOutage: Unbounded,
			Summary: "kill the primary's Redis while the replica takes a full copy of its data",
			Expect:  "the replica, whose data is not whole, refuses to be promoted; recovered, the primary is back with all of it",
			Danger:  "nobody serves until the drill recovers the pair; the replica's old data goes to its set-aside folder",
			Steps: []Step{
				{Fault: FullSync, On: OnReplica}, {Fault: KillRedis}, {Wait: 3 * time.Second}, {Recover: true},
			},
			judge: judgeMidSync,
		},
		{
			Name: "flap-redis", MaxOutage: 10 * time.Second,
			Summary: "kill the primary's Redis every 2 s, 20 times",
			Expect:  "at most two moves of the VIP",
			Steps:   []Step{{Fault: FlapRedis}, {Expect: Moved}, {Wait: 42 * time.Second}, {Recover: true}},
			judge:   judgeFlap,
		},
		{
			Name: "disk-full", MaxLost: &none, MaxOutage: 15 * time.Second,
			Summary: "fill the filesystem of the primary's data, where it has its own, for 5 s",
			Expect:  "nothing that was acknowledged is lost",
			Danger:  "whatever else writes to that filesystem fails meanwhile",
			Steps:   []Step{{Fault: DiskFull}, {Wait: 5 * time.Second}, {Undo: true}, {Expect: Served, Within: 30 * time.Second}, {Recover: true}},
			judge:   judgeScenario,
		},
		{
			Name: "wrong-password", MaxLost: &none,
			Summary: "give the hooks of the primary's host a wrong password, for 5 s",
			Expect:  "an alarm, and no failover",
			Steps:   []Step{{Fault: WrongPassword}, {Expect: Stayed, Within: 5 * time.Second}, {Undo: true}, {Recover: true}},
			judge:   judgeStay,
		},
	}
}
