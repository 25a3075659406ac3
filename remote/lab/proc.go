package lab

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// process is one process as /proc shows it. What a lab runs is found by what
// it is, never by a remembered number that may mean something else by now.
type process struct {
	pid, parent int
	argv        []string
	netns       string // "net:[4026531840]"
	// innerPID is its number in its own PID namespace: 1 for a host's systemd.
	innerPID int
}

// processes lists those that keep says yes to. Zombies have no argv and are
// never listed; neither are this process and its ancestors.
func processes(keep func(process) bool) []process {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	all := map[int]process{}
	for _, dir := range dirs {
		if p, ok := readProcess(dir); ok {
			all[p.pid] = p
		}
	}
	for pid := os.Getpid(); pid != 0; {
		parent := all[pid].parent
		delete(all, pid)
		pid = parent
	}
	var kept []process
	for _, p := range all {
		if keep(p) {
			kept = append(kept, p)
		}
	}
	return kept
}

// readProcess reads one directory of /proc; false when it is gone or a zombie.
func readProcess(dir string) (process, bool) {
	pid, err := strconv.Atoi(filepath.Base(dir))
	if err != nil {
		return process{}, false
	}
	p := process{pid: pid}
	cmdline, err := os.ReadFile(dir + "/cmdline")
	if err != nil || len(cmdline) == 0 {
		return p, false
	}
	for arg := range bytes.SplitSeq(bytes.TrimSuffix(cmdline, []byte{0}), []byte{0}) {
		p.argv = append(p.argv, string(arg))
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return p, false
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		words := strings.Fields(value)
		if len(words) == 0 {
			continue
		}
		switch name {
		case "PPid":
			p.parent, _ = strconv.Atoi(words[0])
		case "NSpid":
			p.innerPID, _ = strconv.Atoi(words[len(words)-1])
		}
	}
	p.netns, _ = os.Readlink(dir + "/ns/net")
	return p, true
}

// layer is the directory that keeps what changes in the tree that a process
// has as its root, if that is an overlay: it tells the systems of the lab's
// hosts from each other, and from all others.
func (p process) layer() string {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/mountinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		// ID, parent, major:minor, root, mount point, … - type, source, options (proc(5))
		mount, filesystem, _ := strings.Cut(line, " - ")
		words := strings.Fields(filesystem)
		if len(words) < 3 || strings.Fields(mount)[4] != "/" {
			continue
		}
		for option := range strings.SplitSeq(words[2], ",") {
			if dir, ok := strings.CutPrefix(option, "upperdir="); ok {
				return dir
			}
		}
	}
	return ""
}
