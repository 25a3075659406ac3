package drill

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hapair/remote/redisctl"
)

// BenchmarkLedger is what a write costs beside the sending and waiting: its own
// number, and two times.
func BenchmarkLedger(b *testing.B) {
	b.ReportAllocs()
	var a *account
	c := clock{time.Now()}
	for i := 0; b.Loop(); i++ {
		if i%1_000_000 == 0 {
			a = new(Ledger).open(Eager)
		}
		a.end(a.send(c.now()), c.now(), "")
	}
}

// BenchmarkProbe is what the writers can do on one core of the machine, with a
// Redis on another one, and beside it what Redis takes in from the same number
// of connections without any accounts. One operation is 40,000 writes.
func BenchmarkProbe(b *testing.B) {
	addr, cores := startRedis(b)
	b.Run("paced", func(b *testing.B) {
		benchmarkWriters(b, addr, cores, Load{Eager: 4, Ordinary: 2, Rate: 6_700})
	})
	b.Run("flat-out", func(b *testing.B) {
		benchmarkWriters(b, addr, cores, Load{Eager: 4, Ordinary: 2, Rate: 1_000_000})
	})
	b.Run("raw", func(b *testing.B) { benchmarkRaw(b, addr, cores, 6, maxPipelined) })
	b.Run("raw-one-at-a-time", func(b *testing.B) { benchmarkRaw(b, addr, cores, 6, 1) })
}

const perOp = 40_000

func benchmarkWriters(b *testing.B, addr string, cores [2]int, load Load) {
	useOneCore(b, cores)
	w := startWriters(load, func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	})
	for !w.ledger.allAck(50 * time.Millisecond) {
		time.Sleep(time.Millisecond)
	}
	sent := func() (n int) {
		for _, a := range w.ledger.accounts {
			n += a.size()
		}
		return n
	}
	from, used := w.clock.now(), cpuTime(b)
	enough := sent()
	b.ReportAllocs()
	for b.Loop() {
		for enough += perOp; sent() < enough; {
			time.Sleep(5 * time.Millisecond)
		}
	}
	to := w.clock.now()
	used = cpuTime(b) - used
	w.stop()

	eager, ordinary := w.ledger.tally(Eager, Window{from, to}), w.ledger.tally(Ordinary, Window{from, to})
	// On a machine that has other things to do, too, a write may well be late.
	failed := 0
	for _, n := range eager.Errors {
		failed += n
	}
	for _, n := range ordinary.Errors {
		failed += n
	}
	b.ReportMetric(float64(failed), "failed")
	reportWrites(b, eager.Acknowledged+ordinary.Acknowledged, to-from, used)
	b.ReportMetric(float64(eager.P50.Duration().Microseconds()), "p50-µs")
	b.ReportMetric(float64(eager.P99.Duration().Microseconds()), "p99-µs")

	c := redisctl.New(redisctl.Options{Addr: addr})
	defer c.Close()
	held, err := w.keys.readBack(b.Context(), c, w.ledger)
	if err != nil {
		b.Fatal(err)
	}
	if got := w.ledger.balance(held, held, 0, 0); got.Lost > 0 {
		b.Errorf("%d writes are lost, of a Redis that is well", got.Lost)
	}
	if err := w.keys.remove(b.Context(), c, w.ledger, nil); err != nil {
		b.Fatal(err)
	}
}

// benchmarkRaw sends the same commands as the writers, ready-made, so many in
// one go on each connection, and counts the replies.
func benchmarkRaw(b *testing.B, addr string, cores [2]int, connections, pipelined int) {
	useOneCore(b, cores)
	const command = "*4\r\n$6\r\nSETBIT\r\n$%d\r\n%s\r\n$5\r\n%d\r\n$1\r\n1\r\n"
	var conns []net.Conn
	var sending [][]byte
	for i := range connections {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		key := keys{"raw"}.bits(i, 0)
		var text []byte
		for n := range pipelined {
			text = fmt.Appendf(text, command, len(key), key, 10_000+n)
		}
		conns, sending = append(conns, c), append(sending, text)
	}
	const reply = ":0\r\n"
	written := 0
	from, used := time.Now(), cpuTime(b)
	for b.Loop() {
		var all sync.WaitGroup
		goes := perOp / connections / pipelined
		for i, c := range conns {
			all.Go(func() {
				got := make([]byte, pipelined*len(reply))
				for range goes {
					if _, err := c.Write(sending[i]); err != nil {
						b.Error(err)
						return
					}
					if _, err := io.ReadFull(c, got); err != nil || bytes.Contains(got, []byte{'-'}) {
						b.Errorf("%v: %.80q", err, got)
						return
					}
				}
			})
		}
		all.Wait()
		written += goes * connections * pipelined
	}
	reportWrites(b, written, time.Since(from), cpuTime(b)-used)
}

func reportWrites(b *testing.B, writes int, took, used time.Duration) {
	b.ReportMetric(float64(writes)/took.Seconds(), "writes/s")
	b.ReportMetric(used.Seconds()*1e6/float64(writes), "cpu-µs/write")
	b.ReportMetric(100*used.Seconds()/took.Seconds(), "core-%")
}

// startRedis starts a Redis without persistence on the second of two cores.
func startRedis(b *testing.B) (addr string, cores [2]int) {
	b.Helper()
	var usable unix.CPUSet
	if err := unix.SchedGetaffinity(0, &usable); err != nil {
		b.Fatal(err)
	}
	found := 0
	for cpu := 0; cpu < 64*len(usable) && found < 2; cpu++ {
		if usable.IsSet(cpu) {
			cores[found] = cpu
			found++
		}
	}
	if found < 2 {
		b.Fatal("this measures one core beside another one; the process may use one only")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr = ln.Addr().String()
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	server := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(port),
		"--save", "", "--appendonly", "no", "--dir", b.TempDir())
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { server.Process.Kill(); server.Wait() })
	c := redisctl.New(redisctl.Options{Addr: addr})
	defer c.Close()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := c.Ping(b.Context())
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			b.Fatal(err)
		}
	}
	pin(b, server.Process.Pid, cores[1])
	return addr, cores
}

// useOneCore leaves the first of the cores to this process, until the benchmark
// ends.
func useOneCore(b *testing.B, cores [2]int) {
	b.Helper()
	procs := runtime.GOMAXPROCS(1)
	pin(b, os.Getpid(), cores[0])
	b.Cleanup(func() {
		runtime.GOMAXPROCS(procs)
		pin(b, os.Getpid(), cores[:]...)
	})
}

// pin keeps all threads of a process on some cores, and those that they start.
func pin(b *testing.B, pid int, cores ...int) {
	b.Helper()
	var set unix.CPUSet
	for _, cpu := range cores {
		set.Set(cpu)
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(threads) == 0 {
		b.Fatalf("no threads of process %d: %v", pid, err)
	}
	for _, t := range threads {
		tid, err := strconv.Atoi(filepath.Base(t))
		if err != nil {
			b.Fatal(err)
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil && err != unix.ESRCH {
			b.Fatalf("pin thread %d: %v", tid, err)
		}
	}
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
