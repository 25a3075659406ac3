package redisctl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What servers of these versions answered: those of 7.0 and later to a pair
// set up for the purpose, the older ones somewhere in the world.
func TestParseInfoOfRecordedServers(t *testing.T) {
	const (
		replid70 = "a1e8d2d9da5323dd689d7b5b10a436ebd64f0e63"
		replid80 = "43b18d6b257745c999169c1bcd1cc8260de11c4f"
	)
	for file, want := range map[string]Info{
		"redis-2.8.7-primary": {
			Product: "redis", Version: "2.8.7", RunID: "fa3a75b01cc7bc57724c25ccad9da30562369ea7",
			PID: 4224, Uptime: 34244800 * time.Second, Role: Primary, SecondOffset: -1,
			LastSaveOK: true, AOFLastWriteOK: true, Keys: 1, UsedMemory: 822080,
		},
		"redis-3.2.12-primary": {
			Product: "redis", Version: "3.2.12", RunID: "fa324cc9a54dd7e1cea793534a7768808447e9ed",
			PID: 5625, Uptime: 248154 * time.Second, Role: Primary, SecondOffset: -1,
			LastSaveOK: false, AOFLastWriteOK: true, ChangesSinceSave: 1, Keys: 1, UsedMemory: 821760,
		},
		"redis-5.0.7-primary": {
			Product: "redis", Version: "5.0.7", RunID: "70b7d0be00ff242faf077630e9a6d26cde862895",
			PID: 14075, Uptime: 173295 * time.Second, Role: Primary,
			ReplID: "267e878b36a386e95c3f1af56896a155684f6249", SecondOffset: -1,
			LastSaveOK: true, AOFLastWriteOK: true, ChangesSinceSave: 33, Keys: 3, UsedMemory: 854360,
		},
		"redis-7.0.15-primary": {
			Product: "redis", Version: "7.0.15", RunID: "4fff9583e954870fdc07ff9de0ee886add5bb165",
			PID: 3431, Uptime: 2 * time.Second, Role: Primary, Offset: 163,
			ReplID: replid70, SecondOffset: -1,
			Replicas:  []Connected{{Addr: "127.0.0.1:36372", State: "online", Offset: 163}},
			FullSyncs: 1, PartialSyncsRefused: 1,
			AOF: true, LastSaveOK: true, AOFLastWriteOK: true, ChangesSinceSave: 7, Keys: 7, UsedMemory: 1146664,
		},
		"redis-7.0.15-replica": {
			Product: "redis", Version: "7.0.15", RunID: "e4fdc3460b5ef3e7dfb61d4d13d0f6acc73f075b",
			PID: 3437, Uptime: 2 * time.Second, Role: Replica, Offset: 163,
			ReplID: replid70, SecondOffset: -1,
			Primary: "127.0.0.1:36371", LinkUp: true, LastIO: time.Second,
			AOF: true, LastSaveOK: true, AOFLastWriteOK: true, ChangesSinceSave: 5, Keys: 7, UsedMemory: 1130296,
		},
		// The primary of above as the replica of a placeholder: its own replica
		// stays connected, and its offset is what it had written.
		"redis-7.0.15-fenced": {
			Product: "redis", Version: "7.0.15", RunID: "4fff9583e954870fdc07ff9de0ee886add5bb165",
			PID: 3431, Uptime: 2 * time.Second, Role: Replica, Offset: 163,
			ReplID: replid70, SecondOffset: -1,
			Primary: "127.0.0.1:1", LinkDownFor: -time.Second, LastIO: -time.Second,
			Replicas:  []Connected{{Addr: "127.0.0.1:36372", State: "online", Offset: 163}},
			FullSyncs: 1, PartialSyncsRefused: 1,
			AOF: true, LastSaveOK: true, AOFLastWriteOK: true, ChangesSinceSave: 7, Keys: 7, UsedMemory: 1213560,
		},
		"redis-8.0.2-promoted": {
			Product: "redis", Version: "8.0.2", RunID: "dc9e172c92866fc5433163d291b7bbf17ef044e6",
			PID: 5671, Uptime: 5 * time.Second, Role: Primary, Offset: 215,
			ReplID: replid80, ReplID2: "c5adb1e7f40dc4d323d13671c33ed129c9cc0795", SecondOffset: 166,
			Replicas:     []Connected{{Addr: "127.0.0.1:36371", State: "online", Offset: 215}},
			PartialSyncs: 1,
			AOF:          true, LastSaveOK: true, AOFLastWriteOK: true, ChangesSinceSave: 6, Keys: 8, UsedMemory: 904184,
		},
		"redis-8.0.2-followed": {
			Product: "redis", Version: "8.0.2", RunID: "c220c1244f046618635f0c86ee9c6f83bc7019c7",
			PID: 5666, Uptime: 5 * time.Second, Role: Replica, Offset: 215,
			ReplID: replid80, ReplID2: "c5adb1e7f40dc4d323d13671c33ed129c9cc0795", SecondOffset: 166,
			Primary: "127.0.0.1:36372", LinkUp: true, LastIO: time.Second,
			FullSyncs: 1, PartialSyncsRefused: 1,
			AOF: true, LastSaveOK: true, AOFLastWriteOK: true, ChangesSinceSave: 8, Keys: 8, UsedMemory: 904272,
		},
		"valkey-8.1.1-replica": {
			Product: "valkey", Version: "8.1.1", RunID: "e0c4136d46107cb8542918e4d1819474fead6860",
			PID: 7205, Uptime: 5 * time.Second, Role: Replica, Offset: 215,
			ReplID:  "fac15c9a951152aaafe2732ad54f2a7bc4997a65",
			ReplID2: "a979ff3b92c6e793453b89e9453cd0d3b31c6ed5", SecondOffset: 166,
			Primary: "127.0.0.1:36372", LinkUp: true, LastIO: time.Second,
			FullSyncs: 1, PartialSyncsRefused: 1,
			AOF: true, LastSaveOK: true, AOFLastWriteOK: true, ChangesSinceSave: 8, Keys: 8, UsedMemory: 1190360,
		},
	} {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", file+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseInfo(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestParseInfoOfPassingStates(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       Info
	}{
		{
			"replica without a link, as 2.8.4 prints it",
			"role:slave\nmaster_host:192.168.1.218\nmaster_port:6379\nmaster_link_status:down\n" +
				"master_last_io_seconds_ago:-1\nmaster_sync_in_progress:0\nslave_repl_offset:-1\n" +
				"master_link_down_since_seconds:12\nslave_priority:100\nslave_read_only:1\nconnected_slaves:0\n" +
				"master_repl_offset:0\n",
			Info{Role: Replica, Primary: "192.168.1.218:6379", Offset: -1, LastIO: -time.Second, LinkDownFor: 12 * time.Second},
		},
		{
			"full sync, the primary still saves",
			"role:slave\nmaster_host:10.0.0.1\nmaster_port:6379\nmaster_link_status:down\n" +
				"master_last_io_seconds_ago:-1\nmaster_sync_in_progress:1\nslave_repl_offset:0\n" +
				"master_sync_total_bytes:-1\nmaster_sync_read_bytes:0\nmaster_sync_left_bytes:-1\n" +
				"master_sync_last_io_seconds_ago:0\nmaster_link_down_since_seconds:-1\n",
			Info{Role: Replica, Primary: "10.0.0.1:6379", Syncing: true, SyncLeft: -1, LastIO: -time.Second, LinkDownFor: -time.Second},
		},
		{
			"loading, over IPv6, of a saving server",
			"loading:1\nloading_total_bytes:900\nloading_loaded_bytes:300\n" +
				"rdb_bgsave_in_progress:1\nrdb_current_bgsave_time_sec:4\naof_rewrite_in_progress:1\naof_last_write_status:err\n" +
				"role:slave\nmaster_host:2001:db8::1\nmaster_port:6379\nmaster_link_status:down\n",
			Info{
				Role: Replica, Primary: "[2001:db8::1]:6379", Loading: true, LoadingBytes: 300,
				Saving: true, SavingFor: 4 * time.Second, AOFRewriting: true,
			},
		},
		{
			"a primary whose replica waits for its full sync",
			"role:master\r\nconnected_slaves:1\r\nslave0:ip=10.0.0.2,port=6379,state=wait_bgsave,offset=0,lag=3\r\nmaster_repl_offset:9\r\n",
			Info{Role: Primary, Offset: 9, Replicas: []Connected{{Addr: "10.0.0.2:6379", State: "wait_bgsave", Lag: 3 * time.Second}}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseInfo(test.text)
			if err != nil {
				t.Fatal(err)
			}
			test.want.Product = "redis"
			test.want.SecondOffset = -1
			test.want.AOFLastWriteOK = !strings.Contains(test.text, "aof_last_write_status:err")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestParseInfoRefusesWhatIsNotInfo(t *testing.T) {
	for _, text := range []string{"", "NOAUTH Authentication required.", "# Replication\nrole:sentinel\n"} {
		if got, err := ParseInfo(text); err == nil {
			t.Errorf("ParseInfo(%q) = %+v, want an error", text, got)
		}
	}
}
