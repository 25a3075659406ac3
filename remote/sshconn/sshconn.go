// Package sshconn connects to hosts over SSH, the way the ssh command would:
// by ssh_config, the agent, identity files and known_hosts, through any number
// of jump hosts. Unlike the ssh command it never asks and never trusts a new
// host key; it says what to do instead. Nothing it does lasts without end:
// connecting has deadlines, a connection whose host falls silent is closed,
// and a cancelled context ends what it started.
package sshconn

import (
	"context"
	"net"
	"time"
)

// Target says which host to connect to. What is empty comes from ssh_config,
// and else is what the ssh command would take. What is set here wins.
type Target struct {
	Name         string   // the host's name in the spec; errors speak of it
	Address      string   // what one would give to the ssh command: an address, a DNS name or a Host of ssh_config
	Port         int      // ssh_config's, else 22
	User         string   // ssh_config's, else the user that runs this
	IdentityFile string   // tried first; ~ and ssh_config's tokens are expanded
	KnownHosts   string   // instead of the user's known_hosts
	Jump         []string // "[user@]host[:port]", in the order they are passed
}

// Options are the same for all hosts of a run.
type Options struct {
	// ConfigFile is read instead of ~/.ssh/config; os.DevNull for none.
	ConfigFile string
	// DialContext opens the first connection; net.Dialer's when nil.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Passphrase is asked for an encrypted identity file, when no agent has
	// its key. Without it such a file is an error that says so.
	Passphrase func(identityFile string) ([]byte, error)

	// ConnectTimeout bounds opening one TCP connection and, anew, each hop's
	// SSH handshake. ssh_config's ConnectTimeout, else 15 s.
	ConnectTimeout time.Duration
	// AliveInterval is how often a silent host is asked for a sign of life,
	// and AliveCount how many times before the connection counts as lost.
	// ssh_config's ServerAliveInterval and ServerAliveCountMax, else 5 s and 3.
	AliveInterval time.Duration
	AliveCount    int
}

const (
	defaultConnectTimeout = 15 * time.Second
	defaultAliveInterval  = 5 * time.Second
	defaultAliveCount     = 3
)
