package sshconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"

	"hapair/remote"
)

// Dial opens a connection from the host: "tcp" or "unix".
func (h *host) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	failed := func(err error) error {
		return &net.OpError{Op: "dial", Net: network, Addr: address{network, addr}, Err: err}
	}
	type opened struct {
		conn net.Conn
		err  error
	}
	answer := make(chan opened)
	if !h.spawn(func() {
		conn, err := h.client.Dial(network, addr)
		select {
		case answer <- opened{conn, err}:
		case <-ctx.Done(): // nobody waits any more
			if err == nil {
				conn.Close()
			}
		}
	}) {
		return nil, failed(context.Cause(h.gone))
	}
	select {
	case a := <-answer:
		if a.err != nil {
			return nil, h.dialError(failed, a.err)
		}
		t := h.tunnel(a.conn, address{network, addr})
		if t == nil {
			a.conn.Close()
			return nil, failed(context.Cause(h.gone))
		}
		return t, nil
	case <-ctx.Done():
		return nil, failed(ctx.Err())
	}
}

func (h *host) dialError(failed func(error) error, err error) error {
	var refused *ssh.OpenChannelError
	if !errors.As(err, &refused) {
		return failed(h.failed(err))
	}
	switch {
	case refused.Reason == ssh.Prohibited:
		return &remote.Error{Host: h.name, Op: "open tunnel", Err: failed(err),
			Hint: "The host's sshd_config must allow it: AllowTcpForwarding yes (and no PermitOpen against it)."}
	case strings.Contains(strings.ToLower(refused.Message), "refused"):
		return failed(fmt.Errorf("from %s: %w", h.name, syscall.ECONNREFUSED))
	default:
		return failed(fmt.Errorf("from %s: %s", h.name, refused.Message))
	}
}

// tunnel gives a channel what a channel lacks, deadlines, by way of a
// net.Pipe. It is nil when the host is closed.
func (h *host) tunnel(channel net.Conn, remoteAddr net.Addr) net.Conn {
	near, far := net.Pipe()
	if !h.spawn(func() {
		// A far end that nobody reads from must not outlive the connection.
		stop := context.AfterFunc(h.gone, func() { far.Close() })
		defer stop()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(channel, far)
			channel.Close()
		}()
		_, _ = io.Copy(far, channel)
		far.Close()
		channel.Close()
		<-done
	}) {
		return nil
	}
	return &tunnel{Conn: near, remote: remoteAddr, host: h}
}

type tunnel struct {
	net.Conn
	remote net.Addr
	host   *host
}

func (t *tunnel) RemoteAddr() net.Addr { return t.remote }

// Read tells the end of the SSH connection from the end of this one.
func (t *tunnel) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if err == io.EOF && t.host.gone.Err() != nil {
		err = context.Cause(t.host.gone)
	}
	return n, err
}

// address is one that only the host can resolve.
type address struct{ network, addr string }

func (a address) Network() string { return a.network }
func (a address) String() string  { return a.addr }
