package drill

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// fakeRedis answers the commands that a drill sends, misbehaves as it is told,
// and keeps the truth about what it did: when it acknowledged which write, and
// which of those it never kept.
type fakeRedis struct {
	mu      sync.Mutex
	strings map[string][]byte
	expires map[string]bool
	role    string // "master" or "slave"
	linkUp  bool
	primary string // of a replica
	runID   string
	syncs   int
	offset  int64
	down    bool          // refuses connections
	stall   chan struct{} // not nil: nothing is answered until it is closed
	silent  map[net.Conn]bool
	lie     int // so many writes to come are acknowledged and not kept
	lied    int
	swallow int         // so many writes to come are kept, and the connection ends instead of an answer
	acks    []time.Time // of SETBIT, taken just before the reply is sent
	conns   map[net.Conn]bool
	replica *fakeRedis // gets every write that is kept
	// replicaDeaf: the replica gets nothing more of the writes, and the server
	// counts them. It begins with the steady state.
	replicaDeaf bool
	unsent      int
	lieAfter    time.Time // writes from then on are acknowledged and not kept
	serving     sync.WaitGroup
	commands    map[string]int
}

func newFakeRedis() *fakeRedis {
	return &fakeRedis{
		strings: map[string][]byte{}, expires: map[string]bool{}, role: "master", linkUp: true,
		runID: "run1", conns: map[net.Conn]bool{}, silent: map[net.Conn]bool{}, commands: map[string]int{},
	}
}

// dial is a net.Dialer's DialContext that ends at the server.
func (f *fakeRedis) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	near, far := net.Pipe()
	f.start(far)
	return near, nil
}

// listen serves real connections until the listener is closed.
func (f *fakeRedis) listen(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		if f.down {
			c.Close()
		} else {
			f.start(c)
		}
		f.mu.Unlock()
	}
}

func (f *fakeRedis) start(c net.Conn) {
	f.conns[c] = true
	f.serving.Go(func() {
		defer c.Close()
		r := bufio.NewReader(c)
		for {
			args, err := readCommand(r)
			if err != nil {
				return
			}
			reply, ok := f.answer(c, args)
			if !ok {
				return
			}
			if reply == "" {
				continue
			}
			if _, err := io.WriteString(c, reply); err != nil {
				return
			}
		}
	})
}

// set changes how the server behaves.
func (f *fakeRedis) set(change func(f *fakeRedis)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// die drops every connection and refuses new ones. What it held stays.
func (f *fakeRedis) die() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = true
	f.hangUp()
}

// muteAll makes the connections that there are fall silent for good, as those of
// a host that has lost the VIP do. New ones are served.
func (f *fakeRedis) muteAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.Copy(f.silent, f.conns)
}

func (f *fakeRedis) hangUp() {
	for c := range f.conns {
		c.Close()
	}
	clear(f.conns)
	clear(f.silent)
}

// close is die, and waits until nothing of the server is left.
func (f *fakeRedis) close() {
	f.die()
	f.serving.Wait()
}

func (f *fakeRedis) answer(c net.Conn, args []string) (reply string, ok bool) {
	f.mu.Lock()
	stall := f.stall
	f.mu.Unlock()
	if stall != nil {
		<-stall
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.conns[c] {
		return "", false
	}
	if f.silent[c] {
		return "", true
	}
	name := strings.ToUpper(args[0])
	f.commands[name]++
	switch name {
	case "PING":
		return "+PONG\r\n", true
	case "HELLO":
		return "-ERR unknown command 'HELLO'\r\n", true
	case "INFO":
		return bulk(f.info()), true
	case "GET":
		v, ok := f.strings[args[1]]
		if !ok {
			return "$-1\r\n", true
		}
		return bulk(string(v)), true
	case "SET", "SETEX", "SETBIT", "DEL", "UNLINK":
		if f.role != "master" {
			return "-READONLY You can't write against a read only replica.\r\n", true
		}
		if name == "SETBIT" && f.swallow > 0 {
			f.swallow--
			f.store(name, args)
			return "", false
		}
		return f.write(name, args), true
	}
	return "-ERR unknown command '" + args[0] + "'\r\n", true
}

func (f *fakeRedis) write(name string, args []string) string {
	if name == "SETBIT" {
		f.acks = append(f.acks, time.Now())
		if f.lie > 0 || !f.lieAfter.IsZero() && time.Now().After(f.lieAfter) {
			f.lie--
			f.lied++
			return ":0\r\n"
		}
	}
	reply := f.store(name, args)
	switch {
	case f.replica == nil:
	case f.replicaDeaf:
		if name == "SETBIT" {
			f.unsent++
		}
	default:
		f.replica.mu.Lock()
		f.replica.store(name, args)
		f.replica.mu.Unlock()
	}
	return reply
}

func (f *fakeRedis) store(name string, args []string) string {
	f.offset++
	key := args[1]
	switch name {
	case "SETEX":
		f.strings[key], f.expires[key] = []byte(args[3]), true
	case "SET": // key value EX seconds NX
		if _, exists := f.strings[key]; exists {
			return "$-1\r\n"
		}
		f.strings[key], f.expires[key] = []byte(args[2]), true
	case "DEL":
		removed := 0
		for _, key := range args[1:] {
			if _, ok := f.strings[key]; ok {
				removed++
			}
			delete(f.strings, key)
			delete(f.expires, key)
		}
		return fmt.Sprintf(":%d\r\n", removed)
	case "SETBIT":
		bit, _ := strconv.Atoi(args[2])
		v := f.strings[key]
		if missing := bit/8 + 1 - len(v); missing > 0 {
			v = append(v, make([]byte, missing)...)
		}
		v[bit/8] |= 0x80 >> (bit % 8)
		f.strings[key] = v
		return ":0\r\n"
	}
	return "+OK\r\n"
}

func (f *fakeRedis) info() string {
	var b strings.Builder
	fmt.Fprintf(&b, "redis_version:7.0.15\r\nrdb_last_bgsave_status:ok\r\nrun_id:%s\r\nrole:%s\r\nsync_full:%d\r\nsync_partial_ok:0\r\nmaster_repl_offset:%d\r\n",
		f.runID, f.role, f.syncs, f.offset)
	if f.role == "slave" {
		fmt.Fprintf(&b, "master_host:%s\r\nmaster_port:6379\r\nmaster_link_status:%s\r\nslave_repl_offset:%d\r\n",
			f.primary, cmp.Or(map[bool]string{true: "up"}[f.linkUp], "down"), f.offset)
	}
	return b.String()
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

// readCommand reads an array of bulk strings.
func readCommand(r *bufio.Reader) ([]string, error) {
	n, err := readLength(r, '*')
	if err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		size, err := readLength(r, '$')
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		args[i] = string(b[:size])
	}
	return args, nil
}

func readLength(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("expected %q, got %q", kind, line)
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}
