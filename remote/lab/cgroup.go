package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// cgroupMounts are the hierarchies that systemd needs a place in: the unified
// one, and on a machine that has both versions the one named systemd. Where
// systemd is the machine's own init, it makes a place, and there are none here.
func cgroupMounts() ([]string, error) {
	if bootedWithSystemd() {
		return nil, nil
	}
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var mounts []string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		words, kind := strings.Fields(before), strings.Fields(after)
		if len(words) < 5 || len(kind) < 3 {
			continue
		}
		named := slices.Contains(strings.Split(kind[2], ","), "name=systemd")
		if kind[0] == "cgroup2" || kind[0] == "cgroup" && named {
			mounts = append(mounts, words[4])
		}
	}
	if len(mounts) == 0 && lines.Err() == nil {
		return nil, errors.New("no cgroup hierarchy for systemd is mounted on this machine (cgroup2, or cgroup with name=systemd)")
	}
	return mounts, lines.Err()
}

// hostCgroups are the cgroups that a host runs in. They are the lab's own, so
// that its hosts don't meet and tearDown knows what to remove.
func hostCgroups(lab, host string) ([]string, error) {
	mounts, err := cgroupMounts()
	for i := range mounts {
		mounts[i] = filepath.Join(mounts[i], nsName(lab), host)
	}
	return mounts, err
}

// removeCgroups removes a lab's cgroups. A cgroup stays busy for a moment
// after its last process is gone.
func removeCgroups(ctx context.Context, lab string) error {
	mounts, err := cgroupMounts()
	if err != nil {
		return err
	}
	for _, m := range mounts {
		top := filepath.Join(m, nsName(lab))
		err := poll(ctx, func() bool {
			var dirs []string
			filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
			for _, dir := range slices.Backward(dirs) {
				os.Remove(dir)
			}
			_, err := os.Stat(top)
			return errors.Is(err, fs.ErrNotExist)
		})
		if err != nil {
			return fmt.Errorf("remove the cgroup %s: %w", top, err)
		}
	}
	return nil
}

// removeRuntimeFiles removes what a systemd-nspawn that was killed leaves in
// its runtime directory: files by the machine's name, and a lock by the root
// directory's device and inode (systemd 252). It has to be called while those
// are still mounted.
func removeRuntimeFiles(lab string) {
	const dir = "/run/systemd/nspawn"
	hosts, _ := filepath.Glob(filepath.Join(labDir(lab), "hosts", "*"))
	for _, host := range hosts {
		named, _ := filepath.Glob(filepath.Join(dir, "*", machine(lab, filepath.Base(host))))
		for _, path := range named {
			os.RemoveAll(path)
		}
		if dev, inode, err := fileID(filepath.Join(host, "root")); err == nil {
			os.Remove(fmt.Sprintf("%s/locks/inode-%d:%d", dir, dev, inode))
		}
	}
	// Its directories too, unless a machine of somebody else's uses them.
	subdirs, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, d := range append(subdirs, dir) {
		os.Remove(d)
	}
}
