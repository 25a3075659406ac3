// Package sshtest is an SSH server inside the test's own process. It runs
// commands on this machine, as the user that runs the test, and can be told to
// misbehave as hosts do: refuse, fall silent, or vanish.
package sshtest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// Options say whom the server lets in and what it can do.
type Options struct {
	User         string          // the one who may log in; "tester" when empty
	Authorized   []ssh.PublicKey // the keys that may
	HostKeys     []ssh.Signer    // one new ed25519 key when empty
	MaxSessions  int             // at once on one connection, as in sshd; 0: no limit
	NoSFTP       bool
	NoForwarding bool
	Methods      []string // what it says it takes instead of keys, for example "password"
	MaxAuthTries int      // 6 when 0
	Mute         bool     // takes connections, and never says a word
	Slam         bool     // takes connections, and closes them
	Env          []string // added to the environment of commands
	Dir          string   // their working directory
}

// Server is a running SSH server.
type Server struct {
	Addr     string // 127.0.0.1:port
	User     string
	HostKeys []ssh.PublicKey

	options  Options
	config   *ssh.ServerConfig
	listener net.Listener
	tasks    sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	conns   map[*conn]bool
	thaw    chan struct{} // closed unless frozen
	logins  int
	queried []string // fingerprints offered
}

// Start starts a server that ends with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.User == "" {
		o.User = "tester"
	}
	if len(o.HostKeys) == 0 {
		o.HostKeys = []ssh.Signer{NewSigner(t)}
	}
	s := &Server{User: o.User, options: o, conns: map[*conn]bool{}, thaw: make(chan struct{})}
	close(s.thaw)
	s.config = &ssh.ServerConfig{MaxAuthTries: o.MaxAuthTries}
	if len(o.Methods) > 0 {
		s.config.PasswordCallback = func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) {
			return nil, errors.New("wrong password")
		}
	} else {
		s.config.PublicKeyCallback = s.authorize
	}
	for _, k := range o.HostKeys {
		s.config.AddHostKey(k)
		s.HostKeys = append(s.HostKeys, k.PublicKey())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.listener, s.Addr = l, l.Addr().String()
	s.tasks.Go(s.accept)
	t.Cleanup(s.close)
	return s
}

// Port is where the server listens on 127.0.0.1.
func (s *Server) Port() int {
	_, port, _ := net.SplitHostPort(s.Addr)
	n, _ := strconv.Atoi(port)
	return n
}

// Freeze makes the server take no more bytes and give none, on connections
// that exist and new ones, until Thaw: a stopped process, or dropped packets.
func (s *Server) Freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.thaw = make(chan struct{})
}

// Thaw ends Freeze.
func (s *Server) Thaw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.thaw:
	default:
		close(s.thaw)
	}
}

// Drop closes every connection without a word.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Conn.Close()
	}
}

// Logins is how many connections authenticated.
func (s *Server) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}

// Offered is the fingerprints of the keys that clients offered, in order.
func (s *Server) Offered() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.queried)
}

func (s *Server) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.listener.Close()
	s.Drop()
	s.Thaw()
	s.tasks.Wait()
}

func (s *Server) authorize(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := ssh.FingerprintSHA256(key); !slices.Contains(s.queried, f) {
		s.queried = append(s.queried, f)
	}
	if meta.User() == s.options.User {
		for _, k := range s.options.Authorized {
			if ssh.FingerprintSHA256(k) == ssh.FingerprintSHA256(key) {
				return nil, nil
			}
		}
	}
	return nil, errors.New("not authorized")
}

// conn is a connection that can freeze.
type conn struct {
	net.Conn
	server *Server
}

func (c *conn) wait() {
	c.server.mu.Lock()
	thaw := c.server.thaw
	c.server.mu.Unlock()
	<-thaw
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.wait() // what arrives meanwhile lies in the kernel, as for a stopped process
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	c.wait()
	return c.Conn.Write(p)
}

func (s *Server) accept() {
	for {
		tcp, err := s.listener.Accept()
		if err != nil {
			return
		}
		c := &conn{tcp, s}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			tcp.Close()
			return
		}
		s.conns[c] = true
		s.tasks.Go(func() { s.serve(c) })
		s.mu.Unlock()
	}
}

func (s *Server) serve(c *conn) {
	defer func() {
		c.Conn.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	switch {
	case s.options.Slam:
		return
	case s.options.Mute:
		_, _ = io.Copy(io.Discard, c)
		return
	}
	sc, channels, requests, err := ssh.NewServerConn(c, s.config)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.logins++
	s.mu.Unlock()
	var all sync.WaitGroup
	all.Go(func() { ssh.DiscardRequests(requests) })
	sessions := make(chan struct{}, 1<<10)
	gone, end := context.WithCancel(context.Background())
	defer end()
	for nc := range channels {
		switch nc.ChannelType() {
		case "session":
			if n := s.options.MaxSessions; n > 0 && len(sessions) >= n {
				nc.Reject(ssh.ConnectionFailed, "open failed")
				continue
			}
			sessions <- struct{}{}
			all.Go(func() {
				defer func() { <-sessions }()
				s.session(gone, nc)
			})
		case "direct-tcpip", "direct-streamlocal@openssh.com":
			if s.options.NoForwarding {
				nc.Reject(ssh.Prohibited, "open failed")
				continue
			}
			all.Go(func() { forward(nc) })
		default:
			nc.Reject(ssh.UnknownChannelType, "")
		}
	}
	sc.Close()
	end()
	all.Wait()
}

func forward(nc ssh.NewChannel) {
	network, addr := "tcp", ""
	if nc.ChannelType() == "direct-tcpip" {
		var to struct {
			Host   string
			Port   uint32
			Origin string
			OPort  uint32
		}
		if ssh.Unmarshal(nc.ExtraData(), &to) != nil {
			nc.Reject(ssh.ConnectionFailed, "what?")
			return
		}
		addr = net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port)))
	} else {
		var to struct {
			Path string
			R0   string
			R1   uint32
		}
		if ssh.Unmarshal(nc.ExtraData(), &to) != nil {
			nc.Reject(ssh.ConnectionFailed, "what?")
			return
		}
		network, addr = "unix", to.Path
	}
	target, err := net.Dial(network, addr)
	if err != nil {
		reason := err.Error()
		if errors.Is(err, syscall.ECONNREFUSED) {
			reason = "Connection refused" // as sshd says it
		}
		nc.Reject(ssh.ConnectionFailed, reason)
		return
	}
	defer target.Close()
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	var all sync.WaitGroup
	all.Go(func() { ssh.DiscardRequests(requests) })
	all.Go(func() {
		_, _ = io.Copy(target, ch)
		target.Close()
	})
	_, _ = io.Copy(ch, target)
	ch.Close()
	all.Wait()
}

// session lives until its command ends, even when the client closes it before,
// as with sshd; but not longer than the connection.
func (s *Server) session(gone context.Context, nc ssh.NewChannel) {
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	var all sync.WaitGroup
	defer all.Wait()
	defer ch.Close()
	var cmd *exec.Cmd
	for r := range requests {
		var text struct{ Value string }
		_ = ssh.Unmarshal(r.Payload, &text)
		switch {
		case r.Type == "exec" && cmd == nil:
			// The answer comes first, then the command's end, however soon.
			_ = r.Reply(true, nil)
			if cmd, err = s.start(gone, &all, ch, text.Value); err != nil {
				fmt.Fprintln(ch.Stderr(), err)
				ch.Close()
			}
		case r.Type == "signal" && cmd != nil && text.Value == "TERM":
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		case r.Type == "subsystem" && text.Value == "sftp" && !s.options.NoSFTP:
			_ = r.Reply(true, nil)
			all.Go(func() {
				defer ch.Close()
				if server, err := sftp.NewServer(ch); err == nil {
					_ = server.Serve()
				}
			})
		default:
			_ = r.Reply(false, nil)
		}
	}
}

func (s *Server) start(gone context.Context, all *sync.WaitGroup, ch ssh.Channel, line string) (*exec.Cmd, error) {
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Dir = s.options.Dir
	cmd.Env = append(os.Environ(), s.options.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	all.Go(func() {
		_, _ = io.Copy(stdin, ch)
		stdin.Close()
	})
	all.Go(func() {
		defer ch.Close()
		stop := context.AfterFunc(gone, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		defer stop()
		_ = cmd.Wait() // the state says it all
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if status.Signaled() {
			name := map[syscall.Signal]string{syscall.SIGTERM: "TERM", syscall.SIGKILL: "KILL", syscall.SIGPIPE: "PIPE"}[status.Signal()]
			_, _ = ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Signal string
				Core   bool
				Error  string
				Lang   string
			}{Signal: name}))
			return
		}
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status.ExitStatus())}))
	})
	return cmd, nil
}

// NewSigner makes a key.
func NewSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// NewKeyFile makes a key and an identity file of it, encrypted when there is a
// passphrase.
func NewKeyFile(t testing.TB, path, passphrase string) ssh.PublicKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "test", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// KnownHostsLine is the line of known_hosts that makes the server known.
func (s *Server) KnownHostsLine() string {
	var lines string
	for _, k := range s.HostKeys {
		lines += fmt.Sprintf("[127.0.0.1]:%d %s", s.Port(), ssh.MarshalAuthorizedKey(k))
	}
	return lines
}
