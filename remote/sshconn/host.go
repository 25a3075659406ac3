package sshconn

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"hapair/remote"
)

// maxSessions is what sshd allows on one connection unless MaxSessions says
// otherwise; where that is less, sshd refuses and we learn it.
const maxSessions = 10

// host is one SSH connection. Its goroutines end with it: each waits for the
// connection, and Close waits for them.
type host struct {
	name   string
	client *ssh.Client
	conn   *liveConn
	via    []*host // jump hosts to close afterwards, in the order they were passed

	slots  chan struct{} // one is held for each open session
	active atomic.Int32

	gone   context.Context // ends with the connection; its cause says why
	finish context.CancelCauseFunc
	mu     sync.Mutex
	closed bool
	tasks  sync.WaitGroup
	chores remote.Chores
}

func newHost(name string, h hop, client *ssh.Client, conn *liveConn) *host {
	hh := &host{name: name, client: client, conn: conn, slots: make(chan struct{}, maxSessions)}
	hh.gone, hh.finish = context.WithCancelCause(context.Background())
	hh.spawn(func() {
		err := client.Wait()
		if err == nil {
			err = io.EOF
		}
		hh.finish(hh.lost(fmt.Errorf("the connection broke: %w", err)))
	})
	hh.spawn(func() { hh.keepAlive(h.aliveInterval, h.aliveCount) })
	return hh
}

func (h *host) String() string { return h.name }

// Close ends the connection, every command and every tunnel.
func (h *host) Close() error {
	h.chores.Wait()
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.finish(&remote.Error{Host: h.name, Op: "run", Err: net.ErrClosed})
	h.client.Close() // its error is that the connection is already gone
	h.tasks.Wait()
	for i := len(h.via) - 1; i >= 0; i-- {
		h.via[i].Close()
	}
	return nil
}

// spawn runs f in a goroutine that Close waits for, or not at all.
func (h *host) spawn(f func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.tasks.Go(f)
	return true
}

func (h *host) lost(err error) *remote.Error {
	return &remote.Error{Host: h.name, Op: "connection lost", Err: err,
		Hint: "The host went down, froze, or was cut off. What it was running may go on there."}
}

// liveConn knows when it last heard from the other side.
type liveConn struct {
	net.Conn
	received atomic.Int64 // bytes
}

func (c *liveConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.received.Add(int64(n))
	return n, err
}

// keepAlive closes the connection when the host has been silent for
// interval*(count+1). Any byte is a sign of life; a host that sends none is
// asked for one.
func (h *host) keepAlive(interval time.Duration, count int) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	silent, heard := 0, h.conn.received.Load()
	asking := make(chan struct{}, 1)
	for {
		select {
		case <-h.gone.Done():
			return
		case <-ticker.C:
		}
		if now := h.conn.received.Load(); now != heard {
			silent, heard = 0, now
			continue
		}
		if silent == count {
			h.finish(h.lost(fmt.Errorf("no sign of life for %s", interval*time.Duration(count+1))))
			h.client.Close()
			return
		}
		silent++
		select {
		case asking <- struct{}{}:
			// Sending blocks when the host takes no bytes, the answer when it
			// gives none.
			h.spawn(func() {
				_, _, _ = h.client.SendRequest("keepalive@openssh.com", true, nil)
				<-asking
			})
		default: // asked, and still no answer
		}
	}
}

// failed is err, or why the connection ended if that is the reason. A channel
// learns of the end a moment before the connection does.
func (h *host) failed(err error) error {
	select {
	case <-h.gone.Done():
		return context.Cause(h.gone)
	case <-time.After(100 * time.Millisecond):
		return err
	}
}
