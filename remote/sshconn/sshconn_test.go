package sshconn_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"hapair/remote"
	"hapair/remote/remotetest"
	"hapair/remote/sshconn"
	"hapair/remote/sshconn/sshtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// home is a home directory with a key, an empty ssh_config and no agent.
type home struct {
	dir string
	key ssh.PublicKey
}

func newHome(t testing.TB) home {
	t.Helper()
	h := home{dir: t.TempDir()}
	t.Setenv("HOME", h.dir)
	t.Setenv("SSH_AUTH_SOCK", "")
	h.key = sshtest.NewKeyFile(t, h.path("id_ed25519"), "")
	return h
}

func (h home) path(name string) string { return filepath.Join(h.dir, ".ssh", name) }

func (h home) write(t testing.TB, name, content string) string {
	t.Helper()
	if err := os.WriteFile(h.path(name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return h.path(name)
}

// server starts one that lets h's key in, and that h knows.
func (h home) server(t testing.TB, o sshtest.Options) *sshtest.Server {
	t.Helper()
	if o.Authorized == nil {
		o.Authorized = []ssh.PublicKey{h.key}
	}
	s := sshtest.Start(t, o)
	h.knows(t, s)
	return s
}

func (h home) knows(t testing.TB, servers ...*sshtest.Server) {
	t.Helper()
	known, _ := os.ReadFile(h.path("known_hosts"))
	for _, s := range servers {
		known = append(known, s.KnownHostsLine()...)
	}
	h.write(t, "known_hosts", string(known))
}

func target(s *sshtest.Server) sshconn.Target {
	return sshconn.Target{Name: "a", Address: "127.0.0.1", Port: s.Port(), User: s.User}
}

func dial(t testing.TB, to sshconn.Target, o sshconn.Options) remote.Host {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	h, err := sshconn.Dial(ctx, to, o)
	if err != nil {
		var told *remote.Error
		if errors.As(err, &told) {
			t.Fatalf("%v\n%s", err, told.Hint)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// refused connects and wants an error of operation op that says all of texts,
// in its message or its hint.
func refused(t testing.TB, to sshconn.Target, o sshconn.Options, op string, texts ...string) *remote.Error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	h, err := sshconn.Dial(ctx, to, o)
	if err == nil {
		h.Close()
		t.Fatal("connected")
	}
	var told *remote.Error
	if !errors.As(err, &told) || told.Op != op || told.Host != to.Name {
		t.Fatalf("got %v, want an error of %q on %s", err, op, to.Name)
	}
	for _, text := range texts {
		if !strings.Contains(told.Error()+"\n"+told.Hint, text) {
			t.Errorf("%q is missing in:\n%v\n%s", text, told, told.Hint)
		}
	}
	return told
}

func TestSuite(t *testing.T) {
	home := newHome(t)
	greeter := remotetest.Greeter(t)
	for name, o := range map[string]sshtest.Options{
		"Plain":       {},
		"NoSFTP":      {NoSFTP: true},
		"OneSession":  {MaxSessions: 1, NoSFTP: true},
		"TwoSessions": {MaxSessions: 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := home.server(t, o)
			remotetest.Suite(t, func(t *testing.T) remote.Host {
				return dial(t, target(s), sshconn.Options{})
			}, greeter)
		})
	}
}

func TestUnknownHostKey(t *testing.T) {
	home := newHome(t)
	s := sshtest.Start(t, sshtest.Options{Authorized: []ssh.PublicKey{home.key}})
	e := refused(t, target(s), sshconn.Options{}, "verify host key", "unknown host key",
		"ssh-ed25519 "+ssh.FingerprintSHA256(s.HostKeys[0]), home.path("known_hosts"))

	// The last line of the hint is what to do, and it works.
	lines := strings.Split(e.Hint, "\n")
	if out, err := exec.Command("sh", "-c", lines[len(lines)-1]).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", lines[len(lines)-1], err, out)
	}
	dial(t, target(s), sshconn.Options{})
}

func TestChangedHostKey(t *testing.T) {
	home := newHome(t)
	s := sshtest.Start(t, sshtest.Options{Authorized: []ssh.PublicKey{home.key}})
	old := sshtest.NewSigner(t).PublicKey()
	other := home.write(t, "known", fmt.Sprintf("# mine\n[127.0.0.1]:%d %s", s.Port(), ssh.MarshalAuthorizedKey(old)))
	to := target(s)
	to.KnownHosts = "~/.ssh/known"
	e := refused(t, to, sshconn.Options{}, "verify host key", "CHANGED",
		ssh.FingerprintSHA256(s.HostKeys[0]), ssh.FingerprintSHA256(old), other+":2",
		fmt.Sprintf("ssh-keygen -f %s -R '[127.0.0.1]:%d'", other, s.Port()))
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Fatal("this test runs the command of the hint: ", err)
	}
	for _, line := range strings.Split(e.Hint, "\n") {
		if strings.HasPrefix(line, "  ssh-keygen -f") || strings.HasPrefix(line, "  echo") {
			if out, err := exec.Command("sh", "-c", line).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", line, err, out)
			}
		}
	}
	dial(t, to, sshconn.Options{})
}

func TestRevokedHostKey(t *testing.T) {
	home := newHome(t)
	s := home.server(t, sshtest.Options{})
	home.write(t, "known_hosts", "@revoked "+s.KnownHostsLine())
	e := refused(t, target(s), sshconn.Options{}, "verify host key", "revoked")
	if strings.Contains(e.Hint, "echo") {
		t.Errorf("the hint says how to trust a revoked key: %s", e.Hint)
	}
}

// A host with several keys must present the one that is known, however its
// entry is written.
func TestKnownHostsForms(t *testing.T) {
	home := newHome(t)
	rsa := rsaSigner(t)
	ed := sshtest.NewSigner(t)
	s := sshtest.Start(t, sshtest.Options{Authorized: []ssh.PublicKey{home.key}, HostKeys: []ssh.Signer{ed, rsa}})
	where := fmt.Sprintf("[127.0.0.1]:%d", s.Port())
	plain := func(name string, k ssh.PublicKey) string {
		return name + " " + string(ssh.MarshalAuthorizedKey(k))
	}
	for name, line := range map[string]string{
		"rsa only":       plain(where, rsa.PublicKey()),
		"ed25519 only":   plain(where, ed.PublicKey()),
		"both":           plain(where, rsa.PublicKey()) + plain(where, ed.PublicKey()),
		"wildcard":       plain("127.0.0.*", rsa.PublicKey()),
		"among others":   plain("x.example,"+where+",y.example", ed.PublicKey()),
		"after comments": "# known\n\n" + plain("other", ed.PublicKey()) + plain(where, rsa.PublicKey()),
	} {
		t.Run(name, func(t *testing.T) {
			home.write(t, "known_hosts", line)
			dial(t, target(s), sshconn.Options{})
		})
	}
	t.Run("hashed", func(t *testing.T) {
		file := home.write(t, "known_hosts", plain(where, rsa.PublicKey()))
		if out, err := exec.Command("ssh-keygen", "-H", "-f", file).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if hashed, _ := os.ReadFile(file); !strings.HasPrefix(string(hashed), "|1|") {
			t.Fatalf("not hashed: %s", hashed)
		}
		dial(t, target(s), sshconn.Options{})
	})
	t.Run("alias", func(t *testing.T) {
		home.write(t, "known_hosts", plain("[the-alias]:"+fmt.Sprint(s.Port()), ed.PublicKey()))
		home.write(t, "config", "Host 127.0.0.1\n  HostKeyAlias the-alias\n")
		dial(t, target(s), sshconn.Options{})
		os.Remove(home.path("config"))
	})
	t.Run("another type than the host has", func(t *testing.T) {
		only := sshtest.Start(t, sshtest.Options{Authorized: []ssh.PublicKey{home.key}, HostKeys: []ssh.Signer{ed}})
		home.write(t, "known_hosts", plain(fmt.Sprintf("[127.0.0.1]:%d", only.Port()), rsa.PublicKey()))
		refused(t, target(only), sshconn.Options{}, "verify host key", "CHANGED")
	})
	t.Run("authority", func(t *testing.T) {
		ca := sshtest.NewSigner(t)
		cert := &ssh.Certificate{Key: ed.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"127.0.0.1"}, ValidBefore: ssh.CertTimeInfinity}
		if err := cert.SignCert(neverEnds{}, ca); err != nil {
			t.Fatal(err)
		}
		signer, err := ssh.NewCertSigner(cert, ed)
		if err != nil {
			t.Fatal(err)
		}
		only := sshtest.Start(t, sshtest.Options{Authorized: []ssh.PublicKey{home.key}, HostKeys: []ssh.Signer{signer, ed}})
		home.write(t, "known_hosts", "@cert-authority "+plain(fmt.Sprintf("[127.0.0.1]:%d", only.Port()), ca.PublicKey()))
		dial(t, target(only), sshconn.Options{})
	})
}

type neverEnds struct{}

func (neverEnds) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i)
	}
	return len(p), nil
}

func rsaSigner(t testing.TB) ssh.Signer {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rsa")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// startAgent serves keys on a socket and counts how often it was asked.
func startAgent(t *testing.T, comments ...string) (keys []ssh.PublicKey, socket string, asked *atomic.Int32) {
	t.Helper()
	ring := agent.NewKeyring()
	for _, comment := range comments {
		file := filepath.Join(t.TempDir(), "key")
		keys = append(keys, sshtest.NewKeyFile(t, file, ""))
		pem, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := ssh.ParseRawPrivateKey(pem)
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Add(agent.AddedKey{PrivateKey: raw, Comment: comment}); err != nil {
			t.Fatal(err)
		}
	}
	socket = filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	asked = new(atomic.Int32)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			asked.Add(1)
			all.Go(func() {
				defer conn.Close()
				_ = agent.ServeAgent(ring, conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return keys, socket, asked
}

func TestKeys(t *testing.T) {
	home := newHome(t)
	keys, socket, asked := startAgent(t, "laptop", "other")
	t.Setenv("SSH_AUTH_SOCK", socket)

	t.Run("agent", func(t *testing.T) {
		s := home.server(t, sshtest.Options{Authorized: keys[1:]})
		dial(t, target(s), sshconn.Options{})
		if asked.Load() == 0 {
			t.Error("logged in without the agent")
		}
	})
	t.Run("named file first, agent not asked", func(t *testing.T) {
		before := asked.Load()
		s := home.server(t, sshtest.Options{})
		to := target(s)
		to.IdentityFile = "~/.ssh/id_ed25519"
		dial(t, to, sshconn.Options{})
		if asked.Load() != before {
			t.Error("the agent was asked, though the named file was right")
		}
		if got := s.Offered(); len(got) != 1 {
			t.Errorf("offered %q, want the right key alone", got)
		}
	})
	t.Run("default file after agent", func(t *testing.T) {
		s := home.server(t, sshtest.Options{})
		dial(t, target(s), sshconn.Options{})
	})
	t.Run("identities only", func(t *testing.T) {
		s := home.server(t, sshtest.Options{Authorized: keys})
		home.write(t, "config", "Host *\n  IdentitiesOnly yes\n  IdentityFile %d/.ssh/id_ed25519\n")
		refused(t, target(s), sshconn.Options{}, "authenticate", "~/.ssh/id_ed25519", ssh.FingerprintSHA256(home.key))
		if got := s.Offered(); !slices.Equal(got, []string{ssh.FingerprintSHA256(home.key)}) {
			t.Errorf("offered %q", got)
		}
		os.Remove(home.path("config"))
	})
	t.Run("IdentityAgent", func(t *testing.T) {
		t.Setenv("SSH_AUTH_SOCK", "/nowhere")
		s := home.server(t, sshtest.Options{Authorized: keys[:1]})
		home.write(t, "config", "IdentityAgent "+socket+"\n")
		dial(t, target(s), sshconn.Options{})
		t.Setenv("OTHER_AGENT", socket)
		home.write(t, "config", "IdentityAgent $OTHER_AGENT\n")
		dial(t, target(s), sshconn.Options{})
		home.write(t, "config", "IdentityAgent none\n")
		refused(t, target(s), sshconn.Options{}, "authenticate", "SHA256:")
		os.Remove(home.path("config"))
	})
	t.Run("refused", func(t *testing.T) {
		s := home.server(t, sshtest.Options{Authorized: []ssh.PublicKey{}})
		refused(t, target(s), sshconn.Options{}, "authenticate", "user tester",
			"agent: laptop", "agent: other", "~/.ssh/id_ed25519", ssh.FingerprintSHA256(home.key), ".ssh/authorized_keys")
	})
	t.Run("wrong user", func(t *testing.T) {
		s := home.server(t, sshtest.Options{})
		to := target(s)
		to.User = "nobody"
		refused(t, to, sshconn.Options{}, "authenticate", "user nobody")
	})
	t.Run("passwords only", func(t *testing.T) {
		s := home.server(t, sshtest.Options{Methods: []string{"password"}})
		refused(t, target(s), sshconn.Options{}, "authenticate", "takes no keys", "password")
	})
	t.Run("agent's own key file", func(t *testing.T) {
		// IdentityFile may name the public half of a key that only the agent has.
		file := home.write(t, "hardware.pub", string(ssh.MarshalAuthorizedKey(keys[1])))
		s := home.server(t, sshtest.Options{Authorized: keys[1:]})
		to := target(s)
		to.IdentityFile = file
		dial(t, to, sshconn.Options{})
		if got := s.Offered(); len(got) != 1 {
			t.Errorf("offered %q, want the named key alone", got)
		}
	})
	t.Run("agent that is gone", func(t *testing.T) {
		t.Setenv("SSH_AUTH_SOCK", "/nowhere")
		dial(t, target(home.server(t, sshtest.Options{})), sshconn.Options{})
	})
}

func TestEncryptedKey(t *testing.T) {
	home := newHome(t)
	key := sshtest.NewKeyFile(t, home.path("locked"), "open sesame")
	s := home.server(t, sshtest.Options{Authorized: []ssh.PublicKey{key}})
	to := target(s)
	to.IdentityFile = "~/.ssh/locked"
	refused(t, to, sshconn.Options{}, "authenticate", "encrypted key: add it to the agent", "ssh-add "+home.path("locked"))
	dial(t, to, sshconn.Options{Passphrase: func(file string) ([]byte, error) {
		if file != home.path("locked") {
			t.Errorf("asked for the passphrase of %s", file)
		}
		return []byte("open sesame"), nil
	}})
	refused(t, to, sshconn.Options{Passphrase: func(string) ([]byte, error) { return []byte("wrong"), nil }},
		"authenticate", "~/.ssh/locked")

	t.Run("no key at all", func(t *testing.T) {
		os.Remove(home.path("id_ed25519"))
		refused(t, target(s), sshconn.Options{}, "authenticate", "no key to offer", "SSH_AUTH_SOCK is not set")
		to.IdentityFile = "~/.ssh/missing"
		refused(t, to, sshconn.Options{}, "authenticate", "no key to offer", "~/.ssh/missing: no such file")
	})
}

func TestJumpHosts(t *testing.T) {
	home := newHome(t)
	first := home.server(t, sshtest.Options{User: "one"})
	second := home.server(t, sshtest.Options{User: "two"})
	last := home.server(t, sshtest.Options{User: "three"})
	logins := func() [3]int { return [3]int{first.Logins(), second.Logins(), last.Logins()} }

	through := func(t *testing.T, to sshconn.Target, o sshconn.Options) {
		t.Helper()
		before := logins()
		h := dial(t, to, o)
		res, err := h.Run(t.Context(), remote.Cmd{Argv: []string{"echo", "hello"}})
		if err != nil || string(res.Stdout) != "hello\n" {
			t.Errorf("got %q, %v", res.Stdout, err)
		}
		if now := logins(); now != [3]int{before[0] + 1, before[1] + 1, before[2] + 1} {
			t.Errorf("logins on the way: before %v, now %v", before, now)
		}
	}
	t.Run("spec", func(t *testing.T) {
		to := target(last)
		to.Jump = []string{fmt.Sprintf("one@127.0.0.1:%d", first.Port()), fmt.Sprintf("ssh://two@127.0.0.1:%d", second.Port())}
		through(t, to, sshconn.Options{})
	})
	config := fmt.Sprintf(`
Include %s/hosts.d/*
Host bastion
  HostName 127.0.0.1
  User one
  Port %d
Host inner
  HostName 127.0.0.%%h
Host db-*
  HostName 127.0.0.1
  User three
  Port %d
  ProxyJump bastion,two@127.0.0.1:%d
`, filepath.Dir(home.path("x")), first.Port(), last.Port(), second.Port())
	t.Run("ssh_config", func(t *testing.T) {
		home.write(t, "config", config)
		through(t, sshconn.Target{Name: "a", Address: "db-1"}, sshconn.Options{})
	})
	t.Run("nested, and Include", func(t *testing.T) {
		if err := os.MkdirAll(home.path("hosts.d"), 0o700); err != nil {
			t.Fatal(err)
		}
		home.write(t, "hosts.d/middle", fmt.Sprintf("Host middle\n  HostName 127.0.0.1\n  User two\n  Port %d\n  ProxyJump bastion\n", second.Port()))
		other := home.write(t, "other", strings.Replace(config, "ProxyJump bastion,two@127.0.0.1:"+fmt.Sprint(second.Port()), "ProxyJump middle", 1))
		through(t, sshconn.Target{Name: "a", Address: "db-1"}, sshconn.Options{ConfigFile: other})
	})
	t.Run("suite", func(t *testing.T) {
		to := sshconn.Target{Name: "a", Address: "db-1"}
		greeter := remotetest.Greeter(t)
		remotetest.Suite(t, func(t *testing.T) remote.Host { return dial(t, to, sshconn.Options{}) }, greeter)
	})
	t.Run("circle", func(t *testing.T) {
		loop := home.write(t, "loop", "Host x\n  ProxyJump y\nHost y\n  ProxyJump x\n")
		refused(t, sshconn.Target{Name: "a", Address: "x"}, sshconn.Options{ConfigFile: loop}, "connect", "circle")
	})
	t.Run("a hop that refuses", func(t *testing.T) {
		to := target(last)
		to.Jump = []string{fmt.Sprintf("wrong@127.0.0.1:%d", first.Port())}
		refused(t, to, sshconn.Options{}, "authenticate", "hop 1 of 2", "user wrong")
	})
	t.Run("a hop that may not forward", func(t *testing.T) {
		closed := home.server(t, sshtest.Options{User: "one", NoForwarding: true})
		to := target(last)
		to.Jump = []string{fmt.Sprintf("one@127.0.0.1:%d", closed.Port())}
		refused(t, to, sshconn.Options{}, "connect", "hop 2 of 2", "AllowTcpForwarding")
	})
	t.Run("unknown key behind a hop", func(t *testing.T) {
		stranger := sshtest.Start(t, sshtest.Options{Authorized: []ssh.PublicKey{home.key}})
		to := target(stranger)
		to.Jump = []string{"bastion"}
		refused(t, to, sshconn.Options{}, "verify host key", fmt.Sprintf("[127.0.0.1]:%d", stranger.Port()), "hop 2 of 2")
	})
	t.Run("a hop that freezes", func(t *testing.T) {
		to := sshconn.Target{Name: "a", Address: "db-1"}
		h := dial(t, to, sshconn.Options{AliveInterval: 50 * time.Millisecond, AliveCount: 2})
		first.Freeze()
		defer first.Thaw()
		frozen(t, h)
	})
}

func TestConfig(t *testing.T) {
	home := newHome(t)
	s := home.server(t, sshtest.Options{User: "deploy"})
	t.Run("spec wins", func(t *testing.T) {
		home.write(t, "config", "Host 127.0.0.1\n  User wrong\n  Port 1\n  IdentityFile ~/.ssh/none\n  ProxyJump nowhere.invalid\n")
		to := target(s)
		to.IdentityFile = "~/.ssh/id_ed25519"
		refused(t, to, sshconn.Options{}, "connect", "nowhere.invalid")
		home.write(t, "config", "Host 127.0.0.1\n  User wrong\n  Port 1\n  IdentityFile ~/.ssh/none\n  ProxyJump none\n")
		dial(t, to, sshconn.Options{})
	})
	t.Run("tokens", func(t *testing.T) {
		home.write(t, "known-deploy", s.KnownHostsLine())
		t.Setenv("KEYS", home.dir)
		home.write(t, "config", fmt.Sprintf("Host 1\n  HostName 127.0.0.%%h\n  User deploy\n  Port %d\n"+
			"  UserKnownHostsFile /nowhere ~/.ssh/known-%%r\n  IdentityFile ${KEYS}/.ssh/id_ed25519\n", s.Port()))
		dial(t, sshconn.Target{Name: "a", Address: "1"}, sshconn.Options{})
	})
	t.Run("broken", func(t *testing.T) {
		for content, text := range map[string]string{
			"Host x\n  Port many\n":                 `Port "many"`,
			"Host x\n  ProxyCommand nc %h %p\n":     "ProxyJump",
			"Host x\n  IdentityFile ~/%Z\n":         "%Z",
			"Host x\n  IdentityFile ${NOT_THERE}\n": "NOT_THERE",
			"Match exec true\n  Port 1\n":           "Match Exec",
			"Host x\n  ProxyJump a:many\n":          `"many" is not a port`,
		} {
			file := home.write(t, "broken", content)
			refused(t, sshconn.Target{Name: "a", Address: "x"}, sshconn.Options{ConfigFile: file}, "connect", text)
		}
		refused(t, sshconn.Target{Name: "a", Address: "x"}, sshconn.Options{ConfigFile: "/no/such/config"}, "connect", "/no/such/config")
	})
	t.Run("none", func(t *testing.T) {
		dial(t, target(s), sshconn.Options{ConfigFile: os.DevNull})
	})
}

func TestNoWayThere(t *testing.T) {
	home := newHome(t)
	short := sshconn.Options{ConnectTimeout: 200 * time.Millisecond}
	t.Run("mute", func(t *testing.T) {
		s := home.server(t, sshtest.Options{Mute: true})
		e := refused(t, target(s), short, "connect", "handshake had no answer within 200ms")
		if !errors.Is(e, context.DeadlineExceeded) {
			t.Errorf("%v is no deadline", e)
		}
	})
	t.Run("frozen", func(t *testing.T) {
		s := home.server(t, sshtest.Options{})
		s.Freeze()
		refused(t, target(s), short, "connect", "handshake had no answer")
		s.Thaw()
		dial(t, target(s), sshconn.Options{})
	})
	t.Run("slam", func(t *testing.T) {
		refused(t, target(home.server(t, sshtest.Options{Slam: true})), sshconn.Options{}, "connect", "MaxStartups")
	})
	t.Run("nothing listens", func(t *testing.T) {
		e := refused(t, sshconn.Target{Name: "a", Address: "127.0.0.1", Port: 1}, sshconn.Options{}, "connect", "nothing listens on port 1")
		if !errors.Is(e, syscall.ECONNREFUSED) {
			t.Errorf("%v is not ECONNREFUSED", e)
		}
	})
	t.Run("no such name", func(t *testing.T) {
		refused(t, sshconn.Target{Name: "a", Address: "no-such-host.invalid"}, sshconn.Options{}, "connect", `"no-such-host.invalid" has no address`)
	})
	t.Run("black hole", func(t *testing.T) {
		o := short
		o.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		refused(t, sshconn.Target{Name: "a", Address: "192.0.2.1"}, o, "connect", "firewall")
	})
	t.Run("cancelled", func(t *testing.T) {
		s := home.server(t, sshtest.Options{Mute: true})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := sshconn.Dial(ctx, target(s), sshconn.Options{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's end", err)
		}
	})
}

// frozen wants that everything on h ends with "connection lost", and soon.
func frozen(t *testing.T, h remote.Host) {
	t.Helper()
	start := time.Now()
	_, err := h.Run(t.Context(), remote.Cmd{Argv: []string{"sleep", "300"}})
	var told *remote.Error
	if !errors.As(err, &told) || told.Op != "connection lost" {
		t.Errorf("got %v, want a lost connection", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("noticed after %s", took)
	}
}

func TestFrozen(t *testing.T) {
	home := newHome(t)
	o := sshconn.Options{AliveInterval: 50 * time.Millisecond, AliveCount: 2}
	greeter := remotetest.Greeter(t)

	t.Run("idle, then run", func(t *testing.T) {
		s := home.server(t, sshtest.Options{})
		h := dial(t, target(s), o)
		s.Freeze()
		frozen(t, h)
	})
	t.Run("while it runs", func(t *testing.T) {
		s := home.server(t, sshtest.Options{})
		h := dial(t, target(s), o)
		var freeze sync.Once
		c := remote.Cmd{Argv: []string{"sh", "-c", "echo; sleep 300"}}
		c.Stdout = remote.NewLines(func(string) { freeze.Do(s.Freeze) })
		_, err := h.Run(t.Context(), c)
		var told *remote.Error
		if !errors.As(err, &told) || told.Op != "connection lost" || !strings.Contains(err.Error(), "no sign of life") {
			t.Errorf("got %v, want a lost connection", err)
		}
	})
	t.Run("while it takes input", func(t *testing.T) {
		s := home.server(t, sshtest.Options{})
		h := dial(t, target(s), o)
		s.Freeze()
		c := remote.Cmd{Argv: []string{"cat"}, Stdin: io.LimitReader(neverEnds{}, 1<<40), Stdout: io.Discard}
		if _, err := h.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "connection lost") {
			t.Errorf("got %v, want a lost connection", err)
		}
	})
	t.Run("with a deadline", func(t *testing.T) {
		s := home.server(t, sshtest.Options{})
		h := dial(t, target(s), sshconn.Options{})
		s.Freeze()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := h.Run(ctx, remote.Cmd{Argv: []string{"true"}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if _, err := h.Dial(ctx, "tcp", greeter); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial: got %v", err)
		}
		if err := h.Upload(ctx, strings.NewReader("x"), 1, "/tmp/x", 0o600); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("upload: got %v", err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("three calls with a deadline of 200 ms took %s", took)
		}
		h.Close()
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("Close waited for the host: %s", took)
		}
	})
	t.Run("upload", func(t *testing.T) {
		s := home.server(t, sshtest.Options{})
		h := dial(t, target(s), o)
		var freeze sync.Once
		content := io.MultiReader(io.LimitReader(neverEnds{}, 1<<20), readFunc(func(p []byte) (int, error) {
			freeze.Do(s.Freeze)
			return len(p), nil
		}))
		err := h.Upload(t.Context(), content, 1<<30, filepath.Join(t.TempDir(), "file"), 0o600)
		if err == nil || !strings.Contains(err.Error(), "connection lost") {
			t.Errorf("got %v, want a lost connection", err)
		}
	})
	t.Run("tunnel", func(t *testing.T) {
		s := home.server(t, sshtest.Options{})
		h := dial(t, target(s), o)
		conn, err := h.Dial(t.Context(), "tcp", greeter)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		s.Freeze()
		if _, err := io.Copy(io.Discard, conn); err == nil || !strings.Contains(err.Error(), "connection lost") {
			t.Errorf("got %v, want a lost connection", err)
		}
	})
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// A slow host is not a lost one.
func TestStaysAlive(t *testing.T) {
	home := newHome(t)
	s := home.server(t, sshtest.Options{})
	h := dial(t, target(s), sshconn.Options{AliveInterval: 20 * time.Millisecond, AliveCount: 2})
	if _, err := h.Run(t.Context(), remote.Cmd{Argv: []string{"sleep", "1"}}); err != nil {
		t.Errorf("a command that is silent for long: %v", err)
	}
}

func TestDropped(t *testing.T) {
	home := newHome(t)
	s := home.server(t, sshtest.Options{})
	h := dial(t, target(s), sshconn.Options{})
	var drop sync.Once
	c := remote.Cmd{Argv: []string{"sh", "-c", "echo; sleep 300"}}
	c.Stdout = remote.NewLines(func(string) { drop.Do(s.Drop) })
	_, err := h.Run(t.Context(), c)
	var told *remote.Error
	if !errors.As(err, &told) || told.Op != "connection lost" {
		t.Errorf("got %v, want a lost connection", err)
	}
	if _, err := h.Run(t.Context(), remote.Cmd{Argv: []string{"true"}}); !errors.As(err, &told) || told.Op != "connection lost" {
		t.Errorf("afterwards: got %v", err)
	}
}

// The connection through the host must honour write deadlines too, and take no
// memory while nobody reads.
func TestTunnelWriteDeadline(t *testing.T) {
	home := newHome(t)
	s := home.server(t, sshtest.Options{})
	h := dial(t, target(s), sshconn.Options{})
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := h.Dial(t.Context(), "unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(conn, neverEnds{})
	if !errors.Is(err, os.ErrDeadlineExceeded) || n > 64<<20 {
		t.Errorf("wrote %d bytes to nobody: %v", n, err)
	}
}

func TestForwardingForbidden(t *testing.T) {
	home := newHome(t)
	h := dial(t, target(home.server(t, sshtest.Options{NoForwarding: true})), sshconn.Options{})
	_, err := h.Dial(t.Context(), "tcp", "127.0.0.1:6379")
	var told *remote.Error
	if !errors.As(err, &told) || !strings.Contains(told.Hint, "AllowTcpForwarding") {
		t.Errorf("got %v, want a hint at AllowTcpForwarding", err)
	}
}

func TestSessionsForbidden(t *testing.T) {
	home := newHome(t)
	s := home.server(t, sshtest.Options{MaxSessions: 1, NoSFTP: true})
	h := dial(t, target(s), sshconn.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	started := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		c := remote.Cmd{Argv: []string{"sh", "-c", "echo; exec sleep 300"}}
		c.Stdout = remote.NewLines(func(string) { close(started) })
		if _, err := h.Run(ctx, c); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	<-started
	// The only session is taken: others wait their turn, no longer than told.
	short, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	if _, err := h.Run(short, remote.Cmd{Argv: []string{"true"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want a deadline", err)
	}
	cancel()
	all.Wait()
	if _, err := h.Run(t.Context(), remote.Cmd{Argv: []string{"true"}}); err != nil {
		t.Errorf("with a free session: %v", err)
	}
}

func BenchmarkConnectAndRun(b *testing.B) {
	home := newHome(b)
	s := home.server(b, sshtest.Options{})
	for b.Loop() {
		h, err := sshconn.Dial(b.Context(), target(s), sshconn.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := h.Run(b.Context(), remote.Cmd{Argv: []string{"true"}}); err != nil {
			b.Fatal(err)
		}
		h.Close()
	}
}

func BenchmarkUpload(b *testing.B) {
	home := newHome(b)
	h := dial(b, target(home.server(b, sshtest.Options{})), sshconn.Options{})
	const size = 32 << 20
	b.SetBytes(size)
	path := filepath.Join(b.TempDir(), "file")
	for b.Loop() {
		if err := h.Upload(b.Context(), io.LimitReader(neverEnds{}, size), size, path, 0o600); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	home := newHome(b)
	h := dial(b, target(home.server(b, sshtest.Options{})), sshconn.Options{})
	for b.Loop() {
		if _, err := h.Run(b.Context(), remote.Cmd{Argv: []string{"true"}}); err != nil {
			b.Fatal(err)
		}
	}
}
