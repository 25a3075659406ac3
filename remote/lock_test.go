package remote_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hapair/remote"
	"hapair/remote/remotetest"
)

func TestLock(t *testing.T) {
	ctx := t.Context()
	host := remotetest.NewLocal(t, "a")
	path := filepath.Join(host.Dir(), "run/pair.lock")
	take := func(t *testing.T, who string, wait time.Duration) (*remote.Lock, error) {
		l, err := remote.TakeLock(ctx, host, path, who, wait)
		if err == nil {
			t.Cleanup(l.Release)
		}
		return l, err
	}
	mustTake := func(t *testing.T, who string) *remote.Lock {
		t.Helper()
		l, err := take(t, who, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	broken := func(l *remote.Lock) bool {
		select {
		case <-l.Broken():
			return true
		case <-time.After(5 * time.Second):
			return false
		}
	}

	t.Run("one at a time", func(t *testing.T) {
		first := mustTake(t, "ann: hapair apply")
		_, err := take(t, "bob", 50*time.Millisecond)
		var locked *remote.LockedError
		if !errors.As(err, &locked) || locked.Holder != "ann: hapair apply" || locked.Host != "a" {
			t.Fatalf("%v, want who has the lock", err)
		}
		go func() {
			time.Sleep(20 * time.Millisecond)
			first.Release()
		}()
		mustTake(t, "bob").Release()
		first.Release()
		select {
		case <-first.Broken():
			t.Error("a lock that was released is not broken")
		default:
		}
	})
	t.Run("it is broken", func(t *testing.T) {
		l := mustTake(t, "ann: hapair apply")
		who, err := remote.BreakLock(ctx, host, path)
		if err != nil || who != "ann: hapair apply" {
			t.Errorf("broke the lock of %q, %v", who, err)
		}
		if !broken(l) {
			t.Error("its holder has not heard of it")
		}
		mustTake(t, "bob").Release()
		if who, err := remote.BreakLock(ctx, host, path); who != "" || err != nil {
			t.Errorf("broke the lock of %q, %v; there was none", who, err)
		}
	})
	t.Run("what a killed holder leaves is nobody's", func(t *testing.T) {
		if err := os.WriteFile(path, []byte("ann: hapair apply\n1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if who, err := remote.BreakLock(ctx, host, path); who != "" || err != nil {
			t.Errorf("broke the lock of %q, %v", who, err)
		}
		mustTake(t, "bob").Release()
	})
	t.Run("the connection breaks", func(t *testing.T) {
		other := remotetest.NewLocal(t, "a")
		l, err := remote.TakeLock(ctx, other, path, "ann", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		other.Close()
		mustTake(t, "bob").Release()
		l.Release()
		select {
		case <-l.Broken():
			t.Error("nobody has taken it away")
		default:
		}
	})
	t.Run("nothing is heard of its holder", func(t *testing.T) {
		defer remote.SetLockLease(time.Second)() // shorter than what renews it
		l := mustTake(t, "ann")
		if !broken(l) {
			t.Error("its holder has not heard of it")
		}
		mustTake(t, "bob").Release()
	})
	t.Run("nobody waits longer than asked", func(t *testing.T) {
		mustTake(t, "ann")
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := remote.TakeLock(ctx, host, path, "bob", time.Minute); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want that it was cancelled", err)
		}
	})
	t.Run("no place for it", func(t *testing.T) {
		_, err := remote.TakeLock(ctx, host, "/proc/none/pair.lock", "ann", 0)
		if err == nil || !strings.Contains(err.Error(), "lock /proc/none/pair.lock") {
			t.Errorf("%v, want why not", err)
		}
	})
}
