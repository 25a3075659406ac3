package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"hapair/remote/lab/internal/apt"
)

// Check reports why no lab can run on this machine, and what to do about it.
// nil means that nothing is known to stand in its way.
func Check() error {
	if _, err := apt.Codename(); err != nil {
		return fmt.Errorf("a lab can't run here: %w", err)
	}
	if os.Geteuid() != 0 {
		return errors.New("a lab makes network namespaces and mounts, which takes root: run it with sudo")
	}
	if missing := missingTools(); len(missing) > 0 {
		return fmt.Errorf("a lab needs programs that this machine lacks: apt-get install %s", strings.Join(missing, " "))
	}
	return nil
}

// inNetNS runs fn in the network namespace at path. Sockets that fn makes stay
// in there; fn must make them on the goroutine it is called on.
func inNetNS(path string, fn func() error) error {
	target, err := os.Open(path)
	if err != nil {
		return err
	}
	defer target.Close()
	errc := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			errc <- err
			return
		}
		defer home.Close()
		if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			errc <- fmt.Errorf("enter %s: %w", path, err)
			return
		}
		err = fn()
		// A thread that can't go home stays locked, and ends with the goroutine.
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		errc <- err
	}()
	return <-errc
}

// makeHostsDir makes the directory for the hosts' own layers. The kernel takes
// no overlay on an overlay, so where this machine's root is one, as in a
// container, they live in memory.
func makeHostsDir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil || fs.Type != unix.OVERLAYFS_SUPER_MAGIC {
		return err
	}
	if err := unix.Mount("hapair-lab", path, "tmpfs", 0, "mode=0700"); err != nil {
		return fmt.Errorf("mount a tmpfs at %s: %w", path, err)
	}
	return nil
}

func mountOverlay(lower, upper, work, at string) error {
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work)
	if err := unix.Mount("overlay", at, "overlay", 0, options); err != nil {
		return fmt.Errorf("mount an overlay at %s: %w", at, err)
	}
	return nil
}

// unmount takes a mount away now, and frees it when its last user is gone.
func unmount(path string) error { return unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) }

func lockDir(dir *os.File) error     { return unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
func waitLockDir(dir *os.File) error { return unix.Flock(int(dir.Fd()), unix.LOCK_EX) }

func kill(pid int) error { return unix.Kill(pid, unix.SIGKILL) }

// dieWithParent has the kernel kill cmd when this process is killed.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
}

// ownGroup makes cancelling cmd end its children as well.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
}

// fileID is what tells a file from all others on this machine.
func fileID(path string) (dev, inode uint64, err error) {
	var s unix.Stat_t
	err = unix.Stat(path, &s)
	return s.Dev, s.Ino, err
}
