package drill

import (
	"context"
	"fmt"
	"strconv"

	"hapair/remote/redisctl"
)

// Every write of a drill sets one bit: bit N of a writer's bitmap is its write
// number N. So a write is one small command, as an application's, a server
// keeps a minute of 40,000 writes/s in 300 kB, and reading back which of them
// it has takes some dozen GETs. A bitmap is cut into segments, because Redis
// may have to copy a string that grows.
const segmentBits = 1 << 16

// keyTTL is when what a drill left behind by a crash of hapair goes away. It is
// longer than any drill can last.
const keyTTL = 2 * maxRun

// keys are the names of all that a drill writes.
type keys struct{ id string }

func (k keys) bits(writer, segment int) string {
	return fmt.Sprintf("hapair:drill:%s:w%d:%d", k.id, writer, segment)
}

func (k keys) probe(host string) string {
	return fmt.Sprintf("hapair:drill:%s:probe:%s", k.id, host)
}

// bitmap is which writes of one writer a server has.
type bitmap []string // by segment; Redis' bit 0 is the highest of byte 0

func (b bitmap) has(n int) bool {
	segment, bit := n/segmentBits, n%segmentBits
	if segment >= len(b) || bit/8 >= len(b[segment]) {
		return false
	}
	return b[segment][bit/8]&(0x80>>(bit%8)) != 0
}

// readBack asks a server for every write of the ledger.
func (k keys) readBack(ctx context.Context, c *redisctl.Client, l *Ledger) ([]bitmap, error) {
	all := make([]bitmap, len(l.accounts))
	for w, a := range l.accounts {
		for s := 0; s*segmentBits < a.size(); s++ {
			reply, err := c.Do(ctx, "GET", k.bits(w, s))
			if err != nil {
				return nil, err
			}
			bits, _ := reply.(string) // nil: none of the segment is there
			all[w] = append(all[w], bits)
		}
	}
	return all, nil
}

// remove deletes all that the drill wrote. A primary passes it on to its
// replica.
func (k keys) remove(ctx context.Context, c *redisctl.Client, l *Ledger, hosts []string) error {
	var names []any
	for _, host := range hosts {
		names = append(names, k.probe(host))
	}
	for w, a := range l.accounts {
		for s := 0; s*segmentBits < a.size(); s++ {
			names = append(names, k.bits(w, s))
		}
	}
	const batch = 100
	for len(names) > 0 {
		n := min(batch, len(names))
		if _, err := c.Do(ctx, append([]any{"DEL"}, names[:n]...)...); err != nil {
			return err
		}
		names = names[n:]
	}
	return nil
}

// set sends count writes of a writer in one go, from number first on; all are of
// one segment. It calls ended once for each, in their order, when it has ended.
func (k keys) set(ctx context.Context, c *redisctl.Client, writer, first, count int, ended func(n int, err error)) {
	key := k.bits(writer, first/segmentBits)
	commands := make([][]any, count)
	for i := range commands {
		commands[i] = []any{"SETBIT", key, (first + i) % segmentBits, 1}
	}
	c.Pipeline(ctx, commands, func(i int, _ any, err error) { ended(first+i, err) })
}

// prepare makes sure that the segment of write n exists and expires. It never
// touches one that is there: a late one does no harm.
func (k keys) prepare(ctx context.Context, c *redisctl.Client, writer, n int) error {
	_, err := c.Do(ctx, "SET", k.bits(writer, n/segmentBits), "", "EX", strconv.Itoa(int(keyTTL.Seconds())), "NX")
	return err
}
