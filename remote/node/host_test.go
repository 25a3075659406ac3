package node

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// testHost is a host whose folders are the test's.
func testHost(t *testing.T) *host {
	t.Helper()
	dir := t.TempDir()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	group, err := user.LookupGroupId(me.Gid)
	if err != nil {
		t.Fatal(err)
	}
	s := &Settings{
		Pair: "x", Name: "a", PeerName: "b", Run: filepath.Join(dir, "run"), Data: filepath.Join(dir, "data"),
		DataFiles: []string{"dump.rdb", "appendonlydir"}, User: me.Username, Group: group.Name, StateLog: filepath.Join(dir, "state.log"),
	}
	s.RankFile = filepath.Join(s.Data, "hapair-rank")
	if err := errors.Join(os.MkdirAll(filepath.Join(s.Data, "appendonlydir"), 0o755), os.Mkdir(s.Run, 0o755),
		os.WriteFile(filepath.Join(s.Data, "appendonlydir/1.aof"), []byte("writes"), 0o600), os.WriteFile(s.StateLog, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	return &host{Settings: s, by: "test"}
}

// A lock lasts as long as whoever took it, also when nobody looks at it any more.
func TestLockLasts(t *testing.T) {
	h := testHost(t)
	if err := h.lock(time.Second); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		runtime.GC()
		time.Sleep(10 * time.Millisecond) // for what is cleared up after it
	}
	other := &host{Settings: h.Settings}
	if other.tryLock() {
		t.Error("two hooks have the lock")
	}
	if err := other.lock(20 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "another hook has been at work for 20ms") {
		t.Errorf("waited for it: %v", err)
	}
	h.locked.Close()
	if !other.tryLock() {
		t.Error("nobody has the lock, and it can't be taken")
	}
}

func TestKeepRank(t *testing.T) {
	h := testHost(t)
	if got := h.keptRank(); got != 0 {
		t.Errorf("without a file the rank is %d", got)
	}
	if err := h.keepRank(7, func() error { return nil }); err != nil || h.keptRank() != 7 {
		t.Errorf("%v; kept %d", err, h.keptRank())
	}
	if err := h.keepRank(11, func() error { return errSince }); !errors.Is(err, errSince) || h.keptRank() != 7 {
		t.Errorf("about a Redis that is gone: %v; kept %d", err, h.keptRank())
	}
}

func TestSetAside(t *testing.T) {
	h := testHost(t)
	var kept []string
	for _, r := range []Rank{3, 7, 11, 15} {
		into, err := h.setAside(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if content, err := os.ReadFile(filepath.Join(into, "appendonlydir/1.aof")); err != nil || string(content) != "writes" {
			t.Errorf("%s holds %q, %v", into, content, err)
		}
		kept = append(kept, filepath.Base(into))
		if again, err := h.setAside(t.Context(), r); err != nil || again != "" && !strings.HasSuffix(again, filepath.Base(into)[16:]) {
			t.Errorf("once more: %q, %v", again, err)
		}
	}
	var left []string
	entries, err := os.ReadDir(filepath.Join(h.Data, "set-aside"))
	for _, e := range entries {
		left = append(left, e.Name())
	}
	slices.Sort(kept[1:])
	if diff := cmp.Diff(kept[1:], left); err != nil || diff != "" {
		t.Errorf("left (-want +got), %v:\n%s", err, diff)
	}
	h.DataFiles = []string{"none"}
	if into, err := h.setAside(t.Context(), 3); into != "" || err != nil {
		t.Errorf("there is no data: %q, %v", into, err)
	}
}

// keepalived does not wait for one hook before it starts the next: what the one
// that was started last says stays.
func TestLaterHookKnowsTheState(t *testing.T) {
	h := testHost(t)
	state := func() string { return line(h.mark(markVRRP)) }
	if err := h.vrrp("fault"); err != nil || state() != "FAULT" {
		t.Errorf("%v; the state is %q", err, state())
	}
	if err := os.WriteFile(h.mark(markVRRPOrder), []byte("99999999999999 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := h.vrrp("backup"); err != nil || state() != "FAULT" {
		t.Errorf("an earlier hook: %v; the state is %q", err, state())
	}
	if err := os.WriteFile(h.mark(markVRRPOrder), []byte("1 99999\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := h.vrrp("master"); err != nil || state() != "MASTER" {
		t.Errorf("a later hook: %v; the state is %q", err, state())
	}
}

func TestMarks(t *testing.T) {
	h := testHost(t)
	if diff := cmp.Diff(Marks{}, h.marks()); diff != "" {
		t.Errorf("without marks (-want +got):\n%s", diff)
	}
	for name, text := range map[string]string{markSynced: "", markLetGo: "", markOusted: "", markForce: "", markGate: "", markClaim: "1", markHold: "why"} {
		if err := h.setMark(name, text); err != nil {
			t.Fatal(err)
		}
	}
	want := Marks{Synced: true, LetGo: true, Ousted: true, Forced: true, Gated: true, Claim: 1, Holding: "why"}
	if diff := cmp.Diff(want, h.marks()); diff != "" {
		t.Errorf("with all (-want +got):\n%s", diff)
	}
	long := time.Now().Add(-2 * time.Minute)
	if err := errors.Join(os.Chtimes(h.mark(markForce), long, long), os.Chtimes(h.mark(markOusted), long, long)); err != nil {
		t.Fatal(err)
	}
	h.expire()
	want.Forced, want.Ousted, want.Holding = false, false, ""
	if diff := cmp.Diff(want, h.marks()); diff != "" {
		t.Errorf("two minutes later (-want +got):\n%s", diff)
	}
	if log, _ := os.ReadFile(h.StateLog); !strings.Contains(string(log), "no longer holding") {
		t.Errorf("the log says %q", log)
	}
}

func TestPassword(t *testing.T) {
	path := filepath.Join(t.TempDir(), "auth")
	for text, want := range map[string]string{
		"AUTH secret\n":                   "secret",
		`AUTH "it's \"quoted\" \\ and #"`: `it's "quoted" \ and #`,
		"AUTH two words\n":                "",
		"":                                "",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := password(path); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
		if _, err := password(path); err != nil && strings.Contains(err.Error(), "two") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
	if got, err := password(""); got != "" || err != nil {
		t.Errorf("without a file: %q, %v", got, err)
	}
}
