package e2e

import (
	"bufio"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestHandlers takes a pair from scripts to hapair-node and back while a client
// writes: no write that was acknowledged is lost, and the client misses no more
// than a switchover. Drills show that it fails over with either.
func TestHandlers(t *testing.T) {
	p := newPair(t, "handlers", withHandlers(t, exampleQuickstart(t), "scripts"))
	p.apply()
	p.settled()
	for _, r := range p.drill("documented", "kill-keepalived", "switchover", "kill-replica") {
		t.Logf("scripts: %s", r.Drill)
	}
	for _, change := range [][]string{{"scripts", "node"}, {"node", "scripts"}} {
		t.Run("to "+change[1], func(t *testing.T) {
			p := p.in(t)
			w := p.writes()
			p.edit(`handlers = "`+change[0]+`"`, `handlers = "`+change[1]+`"`)
			o := p.apply()
			outage, lost := w.end()
			t.Logf("outage %v", outage)
			if outage > 1500*time.Millisecond {
				t.Errorf("the client missed %v\n%s", outage, o)
			}
			if len(lost) > 0 {
				t.Errorf("acknowledged and lost: %v", lost)
			}
			p.settled()
			p.drill("kill-redis", "stop-keepalived")
		})
	}
}

// load is a client that writes through the VIP, one key after the other.
type load struct {
	p     *testPair
	stop  func()
	acked chan map[int]time.Time
}

// writes starts a client.
func (p *testPair) writes() *load {
	p.t.Helper()
	cmd := p.Command(p.t.Context(), "sh", "-c", `
		i=0
		while read -r _; do
			i=$((i + 1))
			[ "$(timeout 1 redis-cli -h `+vip+` SET "load-$i" "$i" 2>&1)" != OK ] || echo "$i"
		done`)
	cmd.Env = p.env
	in, err := cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	ended := make(chan struct{})
	w := &load{p: p, acked: make(chan map[int]time.Time, 1)}
	w.stop = func() { close(ended) }
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		defer in.Close()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				if _, err := in.Write([]byte("\n")); err != nil {
					return
				}
			}
		}
	}()
	go func() {
		acked := map[int]time.Time{}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				acked[n] = time.Now()
			}
		}
		_ = cmd.Wait() // it ends with its input
		w.acked <- acked
	}()
	return w
}

// end ends the client and returns the longest time in which none of its writes
// was acknowledged, and those that were and are not there.
func (w *load) end() (outage time.Duration, lost []int) {
	w.p.t.Helper()
	w.stop()
	acked := <-w.acked
	if len(acked) < 10 {
		w.p.t.Fatalf("only %d writes were acknowledged", len(acked))
	}
	there := map[string]bool{}
	for key := range strings.FieldsSeq(w.p.redis("--raw", "KEYS", "load-*")) {
		there[key] = true
	}
	var last time.Time
	highest := 0
	for n := range acked {
		highest = max(highest, n)
	}
	for n := range highest + 1 {
		at, ok := acked[n]
		if !ok {
			continue
		}
		if !last.IsZero() {
			outage = max(outage, at.Sub(last))
		}
		last = at
		if !there["load-"+strconv.Itoa(n)] {
			lost = append(lost, n)
		}
	}
	return outage, lost
}
