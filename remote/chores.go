package remote

import (
	"context"
	"sync"
	"time"
)

const (
	// choreTimeout bounds each chore. A busy host behind jump hosts takes
	// seconds for a command.
	choreTimeout = 15 * time.Second
	// choreGrace is what a host that froze can add to Close.
	choreGrace = 3 * time.Second
)

// Chores are what is left to do on a host after a call was cancelled, such as
// to remove a half-written file: the call must not wait for them, but Close
// must. The zero value is ready to use. It is for implementations of Host.
type Chores struct {
	mu      sync.Mutex
	closing chan struct{} // closed by Wait; nil until there is a chore
	closed  bool
	tasks   sync.WaitGroup
}

// Go does it in a goroutine, within a few seconds; not at all after Wait.
func (c *Chores) Go(do func(ctx context.Context)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if c.closing == nil {
		c.closing = make(chan struct{})
	}
	closing := c.closing
	c.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), choreTimeout)
		defer cancel()
		done := make(chan struct{})
		c.tasks.Go(func() {
			select {
			case <-done:
				return
			case <-closing:
			}
			select {
			case <-done:
			case <-time.After(choreGrace):
				cancel()
			}
		})
		defer close(done)
		do(ctx)
	})
}

// Wait waits for all of them, but not long, and takes no more.
func (c *Chores) Wait() {
	c.mu.Lock()
	if !c.closed && c.closing != nil {
		close(c.closing)
	}
	c.closed = true
	c.mu.Unlock()
	c.tasks.Wait()
}
