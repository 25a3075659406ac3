package remote

import (
	"context"
	"sync"
	"time"
)

// choreTimeout bounds each chore, and so what a host that froze can add to
// Close. A busy host behind jump hosts takes seconds for a command.
const choreTimeout = 10 * time.Second

// Chores are what is left to do on a host after a call was cancelled, such as
// to remove a half-written file: the call must not wait for them, but Close
// must. The zero value is ready to use. It is for implementations of Host.
type Chores struct {
	mu     sync.Mutex
	closed bool
	tasks  sync.WaitGroup
}

// Go does it in a goroutine, within a few seconds; not at all after Wait.
func (c *Chores) Go(do func(ctx context.Context)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), choreTimeout)
		defer cancel()
		do(ctx)
	})
}

// Wait waits for all of them and takes no more.
func (c *Chores) Wait() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.tasks.Wait()
}
