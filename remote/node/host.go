package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/syslog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// host is this host, with what hooks leave for each other on it.
type host struct {
	*Settings
	by     string   // which hook this is, for the log
	locked *os.File // for as long as it is open
}

func (h *host) mark(name string) string { return filepath.Join(h.Run, name) }

func (h *host) marked(name string) bool {
	_, err := os.Stat(h.mark(name))
	return err == nil
}

// since is how long ago a mark was made; false: it is not there.
func (h *host) since(name string) (time.Duration, bool) {
	info, err := os.Stat(h.mark(name))
	if err != nil {
		return 0, false
	}
	return time.Since(info.ModTime()), true
}

func (h *host) setMark(name, text string) error {
	if text != "" {
		text += "\n"
	}
	if err := os.MkdirAll(h.Run, 0o755); err != nil {
		return err
	}
	return os.WriteFile(h.mark(name), []byte(text), 0o644)
}

func (h *host) unmark(names ...string) {
	for _, name := range names {
		_ = os.Remove(h.mark(name)) // most often it is not there
	}
}

// line is the first line of a file; "" where there is none.
func line(path string) string {
	text, _ := os.ReadFile(path)
	first, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(first)
}

// forcedFor is how long the operator's decision counts, oustedFor how long a host
// that was ousted waits for VRRP to get through again.
const (
	forcedFor = time.Minute
	oustedFor = 30 * time.Second
)

// Names of the marks. Those that the shell hooks know, too, have the same names.
const (
	markVRRP      = "vrrp"       // keepalived's state
	markVRRPOrder = "vrrp-order" // which hook said so
	markHold      = "hold"       // why
	markGate      = "gate"       // the gate is closed
	markForce     = "force"      // the operator decided
	markLetGo     = "let-go"
	markOusted    = "ousted"
	markSynced    = "synced"
	markUnwell    = "unwell"
	markDown      = "redis-down" // keepalived tracks it: anything but 0 is VRRP FAULT
	markClaim     = "claim"      // keepalived tracks it: what a promotion adds to the priority
	markDenied    = "denied"
	markLock      = "lock"
)

func (h *host) marks() Marks {
	force, forced := h.since(markForce)
	claim, _ := strconv.Atoi(line(h.mark(markClaim)))
	return Marks{
		Synced:  h.marked(markSynced),
		LetGo:   h.marked(markLetGo),
		Ousted:  h.marked(markOusted),
		Forced:  forced && force < forcedFor,
		Gated:   h.marked(markGate),
		Holding: line(h.mark(markHold)),
		Claim:   claim,
	}
}

// lockEvery is how often the lock is tried while another hook has it. Waiting in
// the kernel could not be given up.
const lockEvery = 2 * time.Millisecond

// lock waits until no other hook is at work, for so long at most. It lasts as long
// as this process.
func (h *host) lock(wait time.Duration) error {
	if err := os.MkdirAll(h.Run, 0o755); err != nil {
		return err
	}
	for end := time.Now().Add(wait); !h.tryLock(); time.Sleep(lockEvery) {
		if time.Now().After(end) {
			return fmt.Errorf("another hook has been at work for %v", wait)
		}
	}
	return nil
}

// tryLock takes the lock if nobody has it.
func (h *host) tryLock() bool {
	f, err := os.OpenFile(h.mark(markLock), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return false
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		f.Close()
		return false
	}
	h.locked = f // or it would be closed once nobody knows it
	return true
}

func flock(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// hasVIP: the address is here. The first stands for all of the pair's.
func (h *host) hasVIP() bool {
	addrs, _ := net.InterfaceAddrs()
	return slices.ContainsFunc(addrs, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.String() == h.VIPs[0].Addr().String()
	})
}

// dropVIPs takes the addresses off the interface, which a killed keepalived has
// left there.
func (h *host) dropVIPs(ctx context.Context) {
	for _, vip := range h.VIPs {
		_ = exec.CommandContext(ctx, "ip", "address", "delete", vip.String(), "dev", h.Interface).Run()
	}
}

// account is the owner of Redis' files.
func (h *host) account() (uid, gid int, err error) {
	u, err := user.Lookup(h.User)
	if err != nil {
		return 0, 0, err
	}
	g, err := user.LookupGroup(h.Group)
	if err != nil {
		return 0, 0, err
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(g.Gid)
	return uid, gid, errors.Join(err1, err2)
}

func (h *host) keptRank() Rank {
	n, _ := strconv.Atoi(line(h.RankFile))
	return Rank(n)
}

// keepRank writes the rank beside the data, whole or not at all, while the run of
// Redis that it is about is still there. Whoever starts Redis waits: it lowers
// what it finds.
func (h *host) keepRank(r Rank, still func() error) error {
	dir, err := os.Open(filepath.Dir(h.RankFile))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := flock(dir); err != nil {
		return err
	}
	if err := still(); err != nil {
		return err
	}
	uid, gid, err := h.account()
	if err != nil {
		return err
	}
	temp, err := os.OpenFile(h.RankFile+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(temp, int(r))
	err = errors.Join(err, temp.Chown(uid, gid), temp.Sync(), temp.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), h.RankFile); err != nil {
		return err
	}
	return dir.Sync()
}

// spareRoom is what is to be left on the disk beside a copy of the data.
const spareRoom = 16 << 20

// keepAside is how many copies are kept.
const keepAside = 3

// setAside copies this host's data, and says where to; "" if there is none.
func (h *host) setAside(ctx context.Context, r Rank) (into string, err error) {
	aside := filepath.Join(h.Data, "set-aside")
	into = filepath.Join(aside, time.Now().UTC().Format("20060102T150405Z")+"-rank"+strconv.Itoa(int(r)))
	if _, err := os.Stat(into); err == nil {
		return "", nil
	}
	var names []string
	var size uint64
	for _, name := range h.DataFiles {
		err := filepath.WalkDir(filepath.Join(h.Data, name), func(_ string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil {
				size += uint64(info.Size())
			}
			return err
		})
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", err
		default:
			names = append(names, filepath.Join(h.Data, name))
		}
	}
	if len(names) == 0 {
		return "", nil
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(h.Data, &disk); err != nil {
		return "", err
	}
	if disk.Bavail*uint64(disk.Bsize) < size+spareRoom {
		return "", fmt.Errorf("no room in %s to set this host's data aside before it follows %s", h.Data, h.PeerName)
	}
	unfinished := filepath.Join(aside, ".new")
	if err := errors.Join(os.RemoveAll(unfinished), os.MkdirAll(unfinished, 0o750)); err != nil {
		return "", err
	}
	if out, err := exec.CommandContext(ctx, "cp", append(append([]string{"-a"}, names...), unfinished)...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("this host's data could not be copied to %s: %w: %s", aside, err, strings.TrimSpace(string(out)))
	}
	uid, gid, err := h.account()
	if err == nil {
		err = errors.Join(os.Chown(aside, uid, gid), os.Chown(unfinished, uid, gid), os.Rename(unfinished, into))
	}
	if err != nil {
		return "", err
	}
	return into, forgetOld(aside)
}

// forgetOld removes all copies but the newest.
func forgetOld(aside string) error {
	entries, err := os.ReadDir(aside)
	if err != nil {
		return err
	}
	var copies []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.IsDir() {
			copies = append(copies, info)
		}
	}
	slices.SortFunc(copies, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, old := range copies[:max(0, len(copies)-keepAside)] {
		err = errors.Join(err, os.RemoveAll(filepath.Join(aside, old.Name())))
	}
	return err
}

// systemctl tells systemd, and does not wait for more than that.
func systemctl(ctx context.Context, args ...string) error {
	return exec.CommandContext(ctx, "systemctl", args...).Run()
}

// Level of a line in the log.
type level string

const (
	info    level = "info"
	notice  level = "notice"
	warning level = "warning"
	alarm   level = "error"
)

var priorities = map[level]syslog.Priority{
	info: syslog.LOG_INFO, notice: syslog.LOG_NOTICE, warning: syslog.LOG_WARNING, alarm: syslog.LOG_ERR,
}

// log writes one line to the state log and to the journal: what was seen and what
// was decided.
func (h *host) log(l level, msg string, fields ...string) {
	var b strings.Builder
	fmt.Fprintf(&b, "level=%s host=%s by=%s", l, h.Name, h.by)
	for _, f := range fields {
		b.WriteByte(' ')
		b.WriteString(f)
	}
	fmt.Fprintf(&b, " msg=%q", msg)
	if f, err := os.OpenFile(h.StateLog, os.O_APPEND|os.O_WRONLY, 0); err == nil {
		fmt.Fprintf(f, "%s %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), b.String())
		f.Close()
	}
	if journal, err := syslog.New(syslog.LOG_DAEMON|priorities[l], "hapair-node"); err == nil {
		_, _ = journal.Write([]byte("pair=" + h.Pair + " " + b.String()))
		journal.Close()
	}
}
