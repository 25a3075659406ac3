package redisctl

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"time"
)

// Role is what a server is to the data.
type Role string

const (
	Primary Role = "primary"
	Replica Role = "replica"
)

// Info is what INFO says, as far as a pair needs it. What a version does not
// tell is zero.
type Info struct {
	Product string // "redis" or "valkey"
	Version string // the product's own
	RunID   string
	PID     int
	Uptime  time.Duration // whole seconds

	Loading      bool
	LoadingBytes int64 // loaded so far

	Role Role
	// Offset counts the bytes of the replication stream that this server has:
	// written, when it is the primary, or received. A replica without a link
	// has -1 in 2.8, and 0 or 1 when it never had one.
	Offset int64

	// The lineage of the data, since 4.0: ReplID names this server's stream of
	// writes. The one named ReplID2 is the same up to SecondOffset.
	ReplID, ReplID2 string
	SecondOffset    int64 // -1: no second lineage

	// Of a replica.
	Primary     string // "host:port"
	LinkUp      bool
	LinkDownFor time.Duration // whole seconds; 0 while the link is up; -1 s: it never was, since 2.8.23
	Syncing     bool          // a full sync is on its way
	SyncLeft    int64         // bytes; 0 or -1 while the primary still prepares it
	LastIO      time.Duration // since the primary was last heard; -1 s without a link

	// Of a primary.
	Replicas []Connected

	// Since the start of the server.
	FullSyncs, PartialSyncs, PartialSyncsRefused int64

	Saving           bool // a BGSAVE runs
	SavingFor        time.Duration
	LastSaveOK       bool
	ChangesSinceSave int64
	AOF              bool
	AOFRewriting     bool
	AOFLastWriteOK   bool
	Keys             int64 // of all databases
	UsedMemory       int64 // bytes
}

// Connected is a replica as its primary sees it.
type Connected struct {
	Addr   string        // "host:port"
	State  string        // "online", "wait_bgsave", "send_bulk", …
	Offset int64         // acknowledged, once a second
	Lag    time.Duration // since the last acknowledgement; whole seconds
}

// Empty reports whether the server holds no key at all.
func (i Info) Empty() bool { return i.Keys == 0 }

// ParseInfo reads the answer to INFO of Redis 2.8 to 8 and Valkey.
func ParseInfo(text string) (Info, error) {
	f := fields{}
	info := Info{Product: "redis"}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		f[name] = value
		switch {
		case isNumbered(name, "db"):
			info.Keys += list(value).number("keys")
		case isNumbered(name, "slave"):
			info.Replicas = append(info.Replicas, parseConnected(value))
		}
	}
	switch f["role"] {
	case "master":
		info.Role = Primary
		info.Offset = f.number("master_repl_offset")
	case "slave":
		info.Role = Replica
		info.Offset = f.number("slave_repl_offset")
		info.Primary = net.JoinHostPort(f["master_host"], f["master_port"])
	default:
		return Info{}, errors.New("parse INFO: it names no role")
	}
	info.Version = f["redis_version"]
	if v := f["valkey_version"]; v != "" {
		info.Product, info.Version = "valkey", v
	}
	info.RunID = f["run_id"]
	info.PID = int(f.number("process_id"))
	info.Uptime = f.seconds("uptime_in_seconds")
	info.Loading = f.is("loading", "1")
	info.LoadingBytes = f.number("loading_loaded_bytes")
	info.ReplID = f["master_replid"]
	if strings.Trim(f["master_replid2"], "0") != "" {
		info.ReplID2 = f["master_replid2"]
	}
	info.SecondOffset = -1
	if f["second_repl_offset"] != "" {
		info.SecondOffset = f.number("second_repl_offset")
	}
	info.LinkUp = f.is("master_link_status", "up")
	info.LinkDownFor = f.seconds("master_link_down_since_seconds")
	info.Syncing = f.is("master_sync_in_progress", "1")
	info.SyncLeft = f.number("master_sync_left_bytes")
	info.LastIO = f.seconds("master_last_io_seconds_ago")
	info.FullSyncs = f.number("sync_full")
	info.PartialSyncs = f.number("sync_partial_ok")
	info.PartialSyncsRefused = f.number("sync_partial_err")
	info.Saving = f.is("rdb_bgsave_in_progress", "1")
	info.SavingFor = max(0, f.seconds("rdb_current_bgsave_time_sec"))
	info.LastSaveOK = f.is("rdb_last_bgsave_status", "ok")
	info.ChangesSinceSave = f.number("rdb_changes_since_last_save")
	info.AOF = f.is("aof_enabled", "1")
	info.AOFRewriting = f.is("aof_rewrite_in_progress", "1")
	info.AOFLastWriteOK = f["aof_last_write_status"] != "err"
	info.UsedMemory = f.number("used_memory")
	return info, nil
}

func parseConnected(value string) Connected {
	if f := list(value); f["ip"] != "" {
		return Connected{
			Addr:   net.JoinHostPort(f["ip"], f["port"]),
			State:  f["state"],
			Offset: f.number("offset"),
			Lag:    f.seconds("lag"),
		}
	}
	return Connected{}
}

// fields are the name:value lines of INFO, or the name=value list of one.
type fields map[string]string

// list reads "ip=10.0.0.2,port=6379,state=online".
func list(value string) fields {
	f := fields{}
	for part := range strings.SplitSeq(value, ",") {
		name, value, _ := strings.Cut(part, "=")
		f[name] = value
	}
	return f
}

func (f fields) is(name, value string) bool { return f[name] == value }

func (f fields) number(name string) int64 {
	n, _ := strconv.ParseInt(f[name], 10, 64)
	return n
}

func (f fields) seconds(name string) time.Duration {
	return time.Duration(f.number(name)) * time.Second
}

// isNumbered reports whether name is prefix and a number: "db0", "slave12".
func isNumbered(name, prefix string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return false
	}
	_, err := strconv.ParseUint(rest, 10, 32)
	return err == nil
}
