package drill

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// fakeRedis answers the commands that a drill sends, misbehaves as it is told,
// and keeps the truth about what it did: which writes it kept, and which of them
// it acknowledged, and when.
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
	lie     int           // so many writes to come are acknowledged and not kept
	swallow int           // so many writes to come are kept, and the connection ends instead of an answer
	slow    time.Duration // every write keeps its connection as long
	conns   map[net.Conn]bool
	replica *fakeRedis // gets every write that is kept
	// replicaDeaf: the replica gets nothing more of the writes, and the server
	// counts them. It begins with the steady state.
	replicaDeaf bool
	unsent      int
	lieAfter    time.Time // writes from then on are acknowledged and not kept
	serving     sync.WaitGroup
	commands    map[string]int

	fates map[bit]*fate
	kept  []bit // in the order in which they came
}

// bit is one write of a drill, by where it is kept.
type bit struct {
	key string
	n   int
}

// fate is what became of one write that has come to the server.
type fate struct {
	kept bool
	told time.Time // just before the acknowledgement was sent; zero: the client has not got one
}

func newFakeRedis() *fakeRedis {
	return &fakeRedis{
		strings: map[string][]byte{}, expires: map[string]bool{}, role: "master", linkUp: true,
		runID: "run1", conns: map[net.Conn]bool{}, silent: map[net.Conn]bool{}, commands: map[string]int{},
		fates: map[bit]*fate{},
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
		// What a client sends in one go arrives in one go, and is carried out
		// even when nobody waits for the answers any more.
		r := bufio.NewReaderSize(c, 1<<16)
		for {
			args, err := readCommand(r)
			if err != nil {
				return
			}
			reply, fate, ok := f.answer(c, args)
			if !ok {
				return
			}
			if reply == "" {
				continue
			}
			now := time.Now()
			if _, err := io.WriteString(c, reply); err == nil && fate != nil {
				f.set(func(*fakeRedis) { fate.told = now })
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

// loseTail takes back the last n writes that it has acknowledged, and all that
// came in between: so does a failover to a copy that lags behind.
func (f *fakeRedis) loseTail(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n > 0 && len(f.kept) > 0 {
		last := f.kept[len(f.kept)-1]
		f.kept = f.kept[:len(f.kept)-1]
		f.strings[last.key][last.n/8] &^= 0x80 >> (last.n % 8)
		f.fates[last].kept = false
		if !f.fates[last].told.IsZero() {
			n--
		}
	}
}

// acknowledgements are the times at which clients were told of their writes.
func (f *fakeRedis) acknowledgements() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []time.Time
	for _, fate := range f.fates {
		if !fate.told.IsZero() {
			all = append(all, fate.told)
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return all
}

// answer carries out a command. A fate is that of a write whose reply is its
// acknowledgement; not ok ends the connection.
func (f *fakeRedis) answer(c net.Conn, args []string) (reply string, _ *fate, ok bool) {
	name := strings.ToUpper(args[0])
	f.mu.Lock()
	stall, slow := f.stall, f.slow
	f.mu.Unlock()
	if stall != nil {
		<-stall
	}
	if name == "SETBIT" {
		time.Sleep(slow)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.conns[c] {
		return "", nil, false
	}
	if f.silent[c] {
		return "", nil, true
	}
	f.commands[name]++
	switch name {
	case "PING":
		return "+PONG\r\n", nil, true
	case "HELLO":
		return "-ERR unknown command 'HELLO'\r\n", nil, true
	case "INFO":
		return bulk(f.info()), nil, true
	case "GET":
		v, ok := f.strings[args[1]]
		if !ok {
			return "$-1\r\n", nil, true
		}
		return bulk(string(v)), nil, true
	case "SET", "SETEX", "SETBIT", "DEL", "UNLINK":
		if f.role != "master" {
			return "-READONLY You can't write against a read only replica.\r\n", nil, true
		}
		if name == "SETBIT" {
			return f.setBit(args)
		}
		return f.write(name, args), nil, true
	}
	return "-ERR unknown command '" + args[0] + "'\r\n", nil, true
}

// setBit is a write of a drill's clients.
func (f *fakeRedis) setBit(args []string) (reply string, _ *fate, ok bool) {
	n, _ := strconv.Atoi(args[2])
	b, fate := bit{args[1], n}, &fate{}
	f.fates[b] = fate
	if f.lie > 0 || !f.lieAfter.IsZero() && time.Now().After(f.lieAfter) {
		f.lie--
		return ":0\r\n", fate, true
	}
	reply = f.write("SETBIT", args)
	fate.kept = true
	f.kept = append(f.kept, b)
	if f.swallow > 0 {
		f.swallow--
		return "", nil, false
	}
	return reply, fate, true
}

func (f *fakeRedis) write(name string, args []string) string {
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
