package sshconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"hapair/remote"
)

// Dial connects to t, through its jump hosts. Its errors are *remote.Error:
// "connect" when there is no way there, "verify host key", and "authenticate".
// ctx is for connecting alone; the Host lives until Close.
func Dial(ctx context.Context, t Target, o Options) (remote.Host, error) {
	hops, err := route(t, o)
	if err != nil {
		return nil, &remote.Error{Host: t.Name, Op: "connect", Err: err}
	}
	if o.DialContext == nil {
		o.DialContext = (&net.Dialer{}).DialContext
	}
	var via []*host // connected jump hosts
	for i, h := range hops {
		open := o.DialContext
		if i > 0 {
			open = via[i-1].Dial
		}
		label := t.Name
		if i < len(hops)-1 {
			label = h.alias
		}
		hh, err := connect(ctx, t.Name, label, h, o, open)
		if err != nil {
			for _, v := range slices.Backward(via) {
				v.Close()
			}
			if i > 0 || len(hops) > 1 {
				err.Err = fmt.Errorf("%w (hop %d of %d)", err.Err, i+1, len(hops))
			}
			return nil, err
		}
		via = append(via, hh)
	}
	last := via[len(via)-1]
	last.via = via[:len(via)-1]
	return last, nil
}

// connect makes one hop of the way to the host called name. label is what the
// connection calls itself later: a jump host has no name in the spec.
func connect(ctx context.Context, name, label string, h hop, o Options, open func(ctx context.Context, network, addr string) (net.Conn, error)) (*host, *remote.Error) {
	keys, err := readHostKeys(name, h)
	if err != nil {
		return nil, &remote.Error{Host: name, Op: "verify host key", Err: err}
	}
	conn, err := dialHop(ctx, h, open)
	if err != nil {
		return nil, &remote.Error{Host: name, Op: "connect", Err: err, Hint: connectHint(h, err)}
	}

	tracked := &liveConn{Conn: conn}
	// The deadline is for the handshake; the connection goes on without one.
	handshake, cancel := context.WithTimeoutCause(ctx, h.timeout, errHandshakeTimeout)
	defer cancel()
	interrupt := context.AfterFunc(handshake, func() { conn.SetDeadline(time.Unix(1, 0)) })
	creds := newCredentials(handshake, h, o)
	c, channels, requests, err := ssh.NewClientConn(tracked, h.knownName(), &ssh.ClientConfig{
		User:              h.user,
		AuthCallback:      creds.next,
		HostKeyCallback:   keys.check,
		HostKeyAlgorithms: keys.algorithms(),
		ClientVersion:     "SSH-2.0-hapair",
	})
	if !interrupt() && err == nil { // the deadline struck as the last word was said
		c.Close()
		err = os.ErrDeadlineExceeded
	}
	if err != nil {
		return nil, handshakeError(handshake, name, h, keys, creds, err)
	}
	return newHost(label, h, ssh.NewClient(c, channels, requests), tracked), nil
}

var errHandshakeTimeout = errors.New("no answer in time")

func dialHop(ctx context.Context, h hop, open func(ctx context.Context, network, addr string) (net.Conn, error)) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	return open(ctx, "tcp", h.addr())
}

func connectHint(h hop, err error) string {
	var dns *net.DNSError
	var told *remote.Error // of the jump host before
	switch {
	case errors.As(err, &told):
		return told.Hint
	case errors.As(err, &dns):
		return fmt.Sprintf("The name %q has no address. Check the spec's address, or give ssh_config a HostName for it.", h.alias)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("The host is up, but nothing listens%s: is sshd running there, and on this port?", describePort(h.port))
	case errors.Is(err, context.Canceled):
		return ""
	default:
		return fmt.Sprintf("Is the host up, and does a firewall let port %d through? Try: ssh -p %d %s true", h.port, h.port, h.host)
	}
}

func handshakeError(ctx context.Context, name string, h hop, keys *hostKeys, creds *credentials, err error) *remote.Error {
	var told *remote.Error
	refused, accepted := keys.outcome()
	if errors.As(refused, &told) {
		return told
	}
	e := &remote.Error{Host: name, Op: "connect", Err: fmt.Errorf("%s: %w", h.addr(), err)}
	var negotiation *ssh.AlgorithmNegotiationError
	switch {
	case ctx.Err() != nil && context.Cause(ctx) == errHandshakeTimeout:
		e.Err = fmt.Errorf("%s: connected, but the SSH handshake had no answer within %s: %w", h.addr(), h.timeout, context.DeadlineExceeded)
		e.Hint = "The host is frozen or overloaded, or something else than sshd answers there."
	case ctx.Err() != nil:
		e.Err = fmt.Errorf("%s: SSH handshake stopped: %w", h.addr(), context.Cause(ctx))
	case accepted && creds.allowed != nil:
		e.Op = "authenticate"
		e.Hint, e.Err = creds.failure()
		if !strings.Contains(err.Error(), "unable to authenticate") { // which says nothing more
			e.Err = fmt.Errorf("%w: %w", e.Err, err)
		}
	case errors.As(err, &negotiation):
		e.Hint = "Host and controller share no algorithm that is still considered safe: update sshd on the host."
	case !accepted:
		e.Hint = fmt.Sprintf("Something answers%s, but not as sshd does; or sshd turned the connection away (MaxStartups, PerSourcePenalties, hosts.deny): see its log on the host.", describePort(h.port))
	default:
		e.Hint = "sshd closed the connection before it asked for a key: see its log on the host."
	}
	return e
}
