package facts

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"hapair/remote"
	"hapair/remote/redisctl"
)

// errTorn: the bytes of the files are not as many as their sizes said.
var errTorn = errors.New("files changed while they were read")

// sections of observe.sh's output, in their order, and who reads them. The
// next one, of which the end begins the last, is read by stat.
var sections = []struct {
	name string
	read func(h *Host, text string) error
}{
	{"programs", (*Host).programs},
	{"system", (*Host).system},
	{"parts", (*Host).parts},
	{"account", (*Host).account},
	{"packages", (*Host).packages},
	{"redis", (*Host).redis},
	{"listeners", (*Host).listeners},
	{"keepalived", (*Host).keepaliveds},
	{"addresses", (*Host).addresses},
	{"vips", (*Host).vips},
	{"space", (*Host).space},
	{"lists", (*Host).lists},
	{"units", (*Host).units},
}

// parse reads what observe.sh printed.
func parse(out []byte) (*Host, error) {
	h := &Host{
		Parts: map[Part]bool{}, Packages: map[string]Package{}, Units: map[string]Unit{},
		Paths: map[string]Path{}, Free: map[string]int64{}, Programs: map[string]Program{},
	}
	rest := out
	next := func(name string) (string, error) {
		text, after, ok := bytes.Cut(rest, []byte("== "+name+"\n"))
		if !ok {
			return "", fmt.Errorf("the host's answer ends before its section %q: %q", name, tail(rest))
		}
		rest = after
		return string(text), nil
	}
	// Each section is known to be whole when the next one begins.
	if _, err := next(sections[0].name); err != nil {
		return nil, err
	}
	for i, s := range sections {
		end := "stat"
		if i+1 < len(sections) {
			end = sections[i+1].name
		}
		text, err := next(end)
		if err != nil {
			return nil, err
		}
		if err := s.read(h, text); err != nil {
			return nil, fmt.Errorf("section %q of the host's answer: %w", s.name, err)
		}
	}
	stats, err := next("sums")
	if err != nil {
		return nil, err
	}
	sums, err := next("content")
	if err != nil {
		return nil, err
	}
	if err := h.stat(stats, rest); err != nil {
		return nil, err
	}
	h.sums(sums)
	for i, k := range h.Keepalived {
		h.Keepalived[i].Instances = instances(h.Paths[k.Conf].Content)
	}
	return h, nil
}

func tail(b []byte) []byte {
	const enough = 200
	return b[max(0, len(b)-enough):]
}

func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

func (h *Host) system(text string) error {
	for _, line := range lines(text) {
		name, value, _ := strings.Cut(line, "=")
		value = strings.Trim(value, `"'`)
		switch name {
		case "ID":
			h.OS.ID = value
		case "ID_LIKE":
			h.OS.Like = strings.Fields(value)
		case "VERSION_ID":
			h.OS.Version = value
		case "PRETTY_NAME":
			h.OS.Name = value
		case "KERNEL":
			h.OS.Kernel = value
		case "MACHINE":
			h.OS.Machine = value
		case "LIBC":
			h.OS.Libc = value
		case "SYSTEMD":
			h.Systemd = true
		case "MANAGER":
			h.Manager = Manager(value)
		case "USERID":
			uid, err := strconv.Atoi(value)
			if err != nil {
				return err
			}
			h.UID = uid
		}
	}
	return nil
}

func (h *Host) parts(text string) error {
	for _, line := range lines(text) {
		h.Parts[Part(line)] = true
	}
	return nil
}

func (h *Host) account(text string) error {
	for _, line := range lines(text) {
		f := strings.Split(line, ":")
		var err error
		switch {
		case f[0] == "user" && len(f) == 8: // passwd(5)
			u := &User{Name: f[1], Home: f[6], Shell: f[7]}
			u.UID, err = strconv.Atoi(f[3])
			if err == nil {
				u.GID, err = strconv.Atoi(f[4])
			}
			h.User = u
		case f[0] == "group" && len(f) == 5: // group(5)
			g := &Group{Name: f[1]}
			g.GID, err = strconv.Atoi(f[3])
			h.Group = g
		}
		if err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
	}
	return nil
}

func (h *Host) packages(text string) error {
	for _, line := range lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) == 3 && f[0] == "installed":
			h.Packages[f[2]] = Package{Installed: f[1]}
		case len(f) == 3 && f[0] == "candidate" && f[1] != "(none)":
			h.Packages[f[2]] = Package{Candidate: f[1]}
		}
	}
	return nil
}

// units reads `systemctl show`: blocks of properties, an empty line between.
func (h *Host) units(text string) error {
	for _, block := range strings.Split(text, "\n\n") {
		var id string
		var u Unit
		for _, line := range lines(block) {
			name, value, _ := strings.Cut(line, "=")
			switch name {
			case "Id":
				id = value
			case "LoadState":
				u.Load = value
			case "ActiveState":
				u.Active = value
			case "UnitFileState":
				u.File = value
			case "NeedDaemonReload":
				u.Changed = value == "yes"
			}
		}
		if id != "" {
			h.Units[id] = u
		}
	}
	return nil
}

// addresses reads `ip -o addr`: "2: eth3    inet 192.0.2.1/24 scope global …".
// The name of a veth has its peer's behind an "@".
func (h *Host) addresses(text string) error {
	for _, line := range lines(text) {
		f := strings.Fields(line)
		if len(f) < 4 || f[2] != "inet" && f[2] != "inet6" {
			continue
		}
		name, _, _ := strings.Cut(f[1], "@")
		p, err := netip.ParsePrefix(f[3])
		if err != nil {
			// "inet 10.0.0.1 peer 10.0.0.2/32", of a tunnel
			a, err := netip.ParseAddr(f[3])
			if err != nil {
				return err
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		i := slices.IndexFunc(h.Interfaces, func(i Interface) bool { return i.Name == name })
		if i < 0 {
			i = len(h.Interfaces)
			h.Interfaces = append(h.Interfaces, Interface{Name: name})
		}
		h.Interfaces[i].Addrs = append(h.Interfaces[i].Addrs, p)
	}
	return nil
}

// listeners reads lines of ss, as "listens PORT LINE", each followed by whose
// it is: "process PID UNIT".
func (h *Host) listeners(text string) error {
	for _, line := range lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) >= 6 && f[0] == "listens":
			port, err := strconv.Atoi(f[1])
			if err != nil {
				return err
			}
			// LISTEN 0 511 0.0.0.0:6379 0.0.0.0:* users:(("redis-server",pid=812,fd=6))
			addr := f[5]
			l := Listener{Port: port, Addr: addr[:max(0, strings.LastIndexByte(addr, ':'))]}
			if _, users, ok := strings.Cut(line, `users:(("`); ok {
				l.Program, _, _ = strings.Cut(users, `"`)
			}
			h.Listeners = append(h.Listeners, l)
		case f[0] == "process" && len(h.Listeners) > 0:
			l := &h.Listeners[len(h.Listeners)-1]
			var err error
			if l.PID, l.Unit, err = process(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// process reads "process PID UNIT", where UNIT is "-" if there is none.
func process(f []string) (pid int, unit string, err error) {
	if len(f) != 3 {
		return 0, "", fmt.Errorf("%q is not a process", strings.Join(f, " "))
	}
	pid, err = strconv.Atoi(f[1])
	return pid, strings.TrimPrefix(f[2], "-"), err
}

// keepaliveds reads "process PID UNIT" for each, and "conf PATH" for those that
// are not of the Query's own unit. Of the processes of one, the first stands
// for all.
func (h *Host) keepaliveds(text string) error {
	for _, line := range lines(text) {
		if conf, ok := strings.CutPrefix(line, "conf "); ok && len(h.Keepalived) > 0 {
			h.Keepalived[len(h.Keepalived)-1].Conf = conf
			continue
		}
		pid, unit, err := process(strings.Fields(line))
		if err != nil {
			return err
		}
		h.Keepalived = append(h.Keepalived, Keepalived{PID: pid, Unit: unit})
	}
	slices.SortFunc(h.Keepalived, func(a, b Keepalived) int { return a.PID - b.PID })
	seen := map[string]bool{}
	h.Keepalived = slices.DeleteFunc(h.Keepalived, func(k Keepalived) bool {
		same := k.Unit + "\n" + k.Conf
		defer func() { seen[same] = true }()
		return seen[same]
	})
	return nil
}

func (h *Host) vips(text string) error {
	for _, line := range lines(text) {
		a, err := netip.ParseAddr(strings.TrimPrefix(line, "answers "))
		if err != nil {
			return err
		}
		h.Answering = append(h.Answering, a)
	}
	return nil
}

// space reads "KIB FOLDER"; df may not have known.
func (h *Host) space(text string) error {
	for _, line := range lines(text) {
		kib, dir, _ := strings.Cut(line, " ")
		if n, err := strconv.ParseInt(kib, 10, 64); err == nil {
			h.Free[dir] = n << 10
		}
	}
	return nil
}

// redis reads the answer to INFO, after that to AUTH. Whatever else it is, the
// server is not well, which its unit and its role say to whom it concerns.
func (h *Host) redis(text string) error {
	if _, info, ok := strings.Cut(text, "# Server"); ok {
		if i, err := redisctl.ParseInfo("# Server" + info); err == nil {
			h.Redis = &i
		}
	}
	return nil
}

// programs reads "program NAME ID VERSION PREFIX", "damaged PATH: FAILED".
func (h *Host) programs(text string) error {
	var name string
	for _, line := range lines(text) {
		if what, ok := strings.CutPrefix(line, "damaged "); ok {
			p := h.Programs[name]
			p.Damaged = append(p.Damaged, what)
			h.Programs[name] = p
			continue
		}
		f := strings.Fields(line)
		if len(f) < 4 || f[0] != "program" {
			return fmt.Errorf("%q is not a program's record", line)
		}
		name = f[1]
		h.Programs[name] = Program{ID: f[2], Version: f[3]}
	}
	return nil
}

func (h *Host) lists(text string) error {
	h.Entries = lines(text)
	return nil
}

// stat reads "%f %a %U %G %s %Y %n" of stat(1) for each path that exists, and
// the bytes of those that are small files, one after the other.
func (h *Host) stat(text string, content []byte) error {
	for _, line := range lines(text) {
		f := strings.SplitN(line, " ", 7)
		if len(f) != 7 {
			return fmt.Errorf("%q is not a file's state", line)
		}
		raw, err1 := strconv.ParseUint(f[0], 16, 32)
		bits, err2 := strconv.ParseUint(f[1], 8, 32)
		size, err3 := strconv.ParseInt(f[4], 10, 64)
		if err := errors.Join(err1, err2, err3); err != nil {
			return fmt.Errorf("state of %s: %w", f[6], err)
		}
		p := Path{Kind: kind(raw), Mode: remote.FileMode(uint32(bits)), Owner: f[2], Group: f[3], Size: size}
		if p.Kind == File && size <= MaxContent {
			if int64(len(content)) < size {
				return errTorn
			}
			p.Content, content = content[:size:size], content[size:]
		}
		h.Paths[f[6]] = p
	}
	if len(content) != 0 {
		return errTorn
	}
	return nil
}

// sums reads what sha256sum(1) prints of the large files.
func (h *Host) sums(text string) {
	for _, line := range lines(text) {
		if sum, path, ok := strings.Cut(line, "  "); ok {
			p := h.Paths[path]
			p.SHA256 = sum
			h.Paths[path] = p
		}
	}
}

// kind is the type in a raw mode, see inode(7).
func kind(raw uint64) Kind {
	switch raw & 0xf000 {
	case 0x8000:
		return File
	case 0x4000:
		return Dir
	case 0xa000:
		return Symlink
	}
	return Other
}

// instances reads the vrrp_instance blocks of a keepalived.conf, as far as
// they lie in this one file.
func instances(conf []byte) []Instance {
	var found []Instance
	var in *Instance
	depth, start := 0, 0
	for _, line := range lines(string(conf)) {
		if i := strings.IndexAny(line, "#!"); i >= 0 {
			line = line[:i]
		}
		line = strings.NewReplacer("{", " { ", "}", " } ").Replace(line)
		words := strings.Fields(line)
		for i, word := range words {
			arg := ""
			if i+1 < len(words) {
				arg = words[i+1]
			}
			switch word {
			case "{":
				depth++
			case "}":
				depth--
				if in != nil && depth <= start {
					found = append(found, *in)
					in = nil
				}
			case "vrrp_instance":
				in, start = &Instance{Name: arg}, depth
			case "interface":
				if in != nil && depth == start+1 {
					in.Interface = arg
				}
			case "virtual_router_id":
				if in != nil && depth == start+1 {
					in.VirtualRouterID, _ = strconv.Atoi(arg)
				}
			}
		}
	}
	return found
}
