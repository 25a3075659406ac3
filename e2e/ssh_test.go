package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hapair/remote"
	"hapair/remote/lab"
	"hapair/remote/remotetest"
	"hapair/remote/sshconn"
)

// TestSSH is remote/sshconn against real hosts: OpenSSH, sudo, and a kernel
// whose packets can be dropped. It needs root.
func TestSSH(t *testing.T) {
	ctx := t.Context()
	var hosts []lab.Host
	for i, name := range []string{"a", "b", "c"} {
		hosts = append(hosts, lab.Host{Name: name, Interface: "eth0",
			Address: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, 0, byte(i + 1)}), 24)})
	}
	l, err := lab.Up(ctx, lab.Config{Name: ours + "ssh", Hosts: hosts}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Down(context.WithoutCancel(ctx), l.Name()); err != nil {
			t.Error(err)
		}
	})
	s := sshLab{l}
	// Nobody's own keys and known_hosts; the lab's cache stays where it is.
	t.Setenv("HOME", t.TempDir())
	t.Setenv("SSH_AUTH_SOCK", "")

	const sshd = "127.0.0.1:22" // as the host sees itself
	for user, become := range map[string]remote.Become{
		"root":               {},
		lab.UserSudo:         {Method: "sudo"},
		lab.UserSudoPassword: {Method: "sudo", Password: l.OpsPassword()},
	} {
		t.Run("suite as "+user, func(t *testing.T) {
			remotetest.Suite(t, func(t *testing.T) remote.Host {
				return remote.Sudo(s.dial(t, s.target("a", user), s.options()), become)
			}, sshd)
		})
	}
	t.Run("suite through two hosts", func(t *testing.T) {
		to := s.target("c", "root")
		to.Jump = []string{lab.UserPlain + "@10.77.0.1", lab.UserSudo + "@10.77.0.2:22"}
		remotetest.Suite(t, func(t *testing.T) remote.Host {
			return remote.Sudo(s.dial(t, to, s.options()), remote.Become{})
		}, sshd)
	})
	t.Run("the lab's own ssh_config", func(t *testing.T) {
		o := s.options()
		o.ConfigFile = l.SSHConfig()
		s.dial(t, sshconn.Target{Name: "first", Address: "a"}, o)
	})
	t.Run("rights", s.rights)
	t.Run("keys", s.keys)
	t.Run("frozen", s.frozen)
	t.Run("disk full", s.diskFull)
	t.Run("host key", s.hostKey)
}

type sshLab struct{ *lab.Lab }

func (s sshLab) target(host, user string) sshconn.Target {
	h, err := s.Host(host)
	if err != nil {
		panic(err)
	}
	return sshconn.Target{Name: host, Address: h.Address.Addr().String(), User: user, IdentityFile: s.IdentityFile(), KnownHosts: s.KnownHosts()}
}

func (s sshLab) options() sshconn.Options {
	return sshconn.Options{ConfigFile: os.DevNull, DialContext: s.DialContext}
}

func (s sshLab) dial(t *testing.T, to sshconn.Target, o sshconn.Options) remote.Host {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
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

func (s sshLab) sh(t *testing.T, host, script string) string {
	t.Helper()
	out, err := s.Sh(t.Context(), host, script)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tells wants an error of operation op that has all of texts in it or its hint.
func tells(t *testing.T, err error, op string, texts ...string) *remote.Error {
	t.Helper()
	var told *remote.Error
	if !errors.As(err, &told) || told.Op != op {
		t.Fatalf("got %v, want an error of %q", err, op)
	}
	for _, text := range texts {
		if !strings.Contains(told.Error()+"\n"+told.Hint, text) {
			t.Errorf("%q is missing in:\n%v\n%s", text, told, told.Hint)
		}
	}
	return told
}

func (s sshLab) rights(t *testing.T) {
	whoami := remote.Cmd{Argv: []string{"id", "-un"}}
	for name, test := range map[string]struct {
		user   string
		become remote.Become
		texts  []string
	}{
		"no right":         {lab.UserPlain, remote.Become{Method: "sudo"}, []string{"password is required"}},
		"no right, asked":  {lab.UserPlain, remote.Become{Method: "sudo", Password: "guess"}, []string{"refused the password"}},
		"password missing": {lab.UserSudoPassword, remote.Become{Method: "sudo"}, []string{"password is required", "NOPASSWD"}},
		"wrong password":   {lab.UserSudoPassword, remote.Become{Method: "sudo", Password: "guess"}, []string{"refused the password"}},
		"no doas":          {lab.UserSudo, remote.Become{Method: "doas"}, []string{"not found", "Install doas"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			h := remote.Sudo(s.dial(t, s.target("a", test.user), s.options()), test.become)
			_, err := h.Run(ctx, whoami)
			tells(t, err, "become root", test.texts...)
		})
	}
	t.Run("root needs no sudo", func(t *testing.T) {
		h := remote.Sudo(s.dial(t, s.target("a", "root"), s.options()), remote.Become{Method: "doas"})
		if res, err := h.Run(t.Context(), whoami); err != nil || string(res.Stdout) != "root\n" {
			t.Errorf("got %q, %v", res.Stdout, err)
		}
	})
	t.Run("password not in the process list", func(t *testing.T) {
		h := remote.Sudo(s.dial(t, s.target("a", lab.UserSudoPassword), s.options()), remote.Become{Method: "sudo", Password: s.OpsPassword()})
		res, err := h.Run(t.Context(), remote.Cmd{Argv: []string{"sh", "-c", `cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\0' '\n'`}})
		if err != nil || !strings.Contains(string(res.Stdout), "cmdline") {
			t.Fatalf("saw %d bytes of processes: %v", len(res.Stdout), err)
		}
		if strings.Contains(string(res.Stdout), s.OpsPassword()) {
			t.Error("the password stands in the process list")
		}
	})
}

func (s sshLab) keys(t *testing.T) {
	key := filepath.Join(t.TempDir(), "stranger")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	to := s.target("a", lab.UserSudo)
	to.IdentityFile = key
	_, err := sshconn.Dial(t.Context(), to, s.options())
	tells(t, err, "authenticate", "user deploy", key, "SHA256:", "~deploy/.ssh/authorized_keys")

	to = s.target("a", "nobody-here")
	_, err = sshconn.Dial(t.Context(), to, s.options())
	tells(t, err, "authenticate", "user nobody-here")
}

// frozen cuts a host off in two ways and wants everything on it to end.
func (s sshLab) frozen(t *testing.T) {
	for name, how := range map[string]struct{ freeze, thaw string }{
		"sshd stopped": {
			"systemctl kill --signal=STOP ssh.service",
			"systemctl kill --signal=CONT ssh.service",
		},
		"packets dropped": {
			`nft 'table inet frozen { chain in { type filter hook input priority 0; tcp dport 22 drop; }; chain out { type filter hook output priority 0; tcp sport 22 drop; }; }'`,
			"nft delete table inet frozen",
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := s.options()
			o.AliveInterval, o.AliveCount, o.ConnectTimeout = 300*time.Millisecond, 2, time.Second
			h := remote.Sudo(s.dial(t, s.target("b", lab.UserSudo), o), remote.Become{Method: "sudo"})
			patient := s.dial(t, s.target("b", "root"), s.options())
			conn, err := h.Dial(t.Context(), "tcp", "127.0.0.1:22")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()

			var once sync.Once
			var frozen time.Time
			freeze := func() {
				once.Do(func() {
					s.sh(t, "b", how.freeze)
					frozen = time.Now()
				})
			}
			t.Cleanup(func() {
				if _, err := s.Sh(context.WithoutCancel(t.Context()), "b", how.thaw); err != nil {
					t.Error(err)
				}
			})
			c := remote.Cmd{Argv: []string{"sh", "-c", "echo; exec sleep 300"}}
			c.Stdout = remote.NewLines(func(string) { freeze() })
			_, err = h.Run(t.Context(), c)
			tells(t, err, "connection lost", "no sign of life")
			if took := time.Since(frozen); took > 5*time.Second {
				t.Errorf("noticed after %s", took)
			}
			if _, err := io.Copy(io.Discard, conn); err == nil || !strings.Contains(err.Error(), "connection lost") {
				t.Errorf("a tunnel: got %v", err)
			}
			if _, err := h.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "connection lost") {
				t.Errorf("the next command: got %v", err)
			}

			// One that has not noticed yet keeps its deadlines all the same.
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := patient.Run(ctx, remote.Cmd{Argv: []string{"true"}}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("with a deadline: got %v", err)
			}
			if err := patient.Upload(ctx, strings.NewReader("x"), 1, "/root/x", 0o600); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("upload with a deadline: got %v", err)
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("a deadline of 1 s took %s", took)
			}
			start = time.Now()
			_, err = sshconn.Dial(t.Context(), s.target("b", "root"), o)
			tells(t, err, "connect", "10.77.0.2")
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("connecting to a frozen host took %s", took)
			}
		})
	}
	// The host is itself again.
	s.dial(t, s.target("b", "root"), s.options())
}

func (s sshLab) diskFull(t *testing.T) {
	s.sh(t, "a", "mkdir /srv/small; mount -t tmpfs -o size=2m,mode=0777 tmpfs /srv/small; echo old >/srv/small/old")
	const size = 8 << 20
	content := func() io.Reader { return io.LimitReader(zeros{}, size) }
	for user, become := range map[string]remote.Become{
		"root":       {},
		lab.UserSudo: {Method: "sudo"},
	} {
		t.Run(user, func(t *testing.T) {
			h := remote.Sudo(s.dial(t, s.target("a", user), s.options()), become)
			err := h.Upload(t.Context(), content(), size, "/srv/small/big", 0o644)
			tells(t, err, "upload", "a: upload: /srv/small/big: no space left on device: 8.0 MiB needed, 2.0 MiB free", "Make room in /srv/small")

			files := []remote.File{
				{Path: "/srv/small/old", Content: []byte("new\n"), Mode: 0o644},
				{Path: "/srv/small/new", Content: make([]byte, 4<<20), Mode: 0o644},
			}
			if err := remote.WriteFiles(t.Context(), h, files); err == nil || !strings.Contains(err.Error(), "/srv/small/new: write: ") || !strings.Contains(err.Error(), "No space left") {
				t.Errorf("got %v, want the file's name and the reason", err)
			}
			if left := s.sh(t, "a", "cd /srv/small; ls -A; cat old; ls -d /var/tmp/.hapair.* 2>/dev/null || :"); left != "old\nold\n" {
				t.Errorf("left behind: %q", left)
			}
		})
	}
	t.Run("by the way", func(t *testing.T) { // where sudo's uploads pass
		s.sh(t, "a", "mount -t tmpfs -o size=2m,mode=1777 tmpfs /var/tmp")
		t.Cleanup(func() {
			if _, err := s.Sh(context.WithoutCancel(t.Context()), "a", "umount /var/tmp"); err != nil {
				t.Error(err)
			}
		})
		h := remote.Sudo(s.dial(t, s.target("a", lab.UserSudo), s.options()), remote.Become{Method: "sudo"})
		err := h.Upload(t.Context(), content(), size, "/root/big", 0o644)
		tells(t, err, "upload", "/root/big", "no space left on device: 8.0 MiB needed, 2.0 MiB free", "Make room in /var/tmp")
		if left := s.sh(t, "a", "ls -A /var/tmp; ls -d /root/big /root/.hapair.* 2>/dev/null || :"); left != "" {
			t.Errorf("left behind: %q", left)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// hostKey gives a host a new key and follows the advice that one gets.
func (s sshLab) hostKey(t *testing.T) {
	known := filepath.Join(t.TempDir(), "known_hosts")
	content, err := os.ReadFile(s.KnownHosts())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(known, content, 0o600); err != nil {
		t.Fatal(err)
	}
	to := s.target("c", "root")
	to.KnownHosts = known
	s.dial(t, to, s.options())

	fingerprint := s.sh(t, "c", `rm /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
		systemctl restart ssh; ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | cut -d ' ' -f 2`)
	_, err = sshconn.Dial(t.Context(), to, s.options())
	told := tells(t, err, "verify host key", "CHANGED", strings.TrimSpace(fingerprint),
		fmt.Sprintf("ssh-keygen -f %s -R 10.77.0.3", known))
	if out, err := exec.Command("sh", "-c", advice(told.Hint)).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", told.Hint, err, out)
	}
	s.dial(t, to, s.options())

	if err := os.WriteFile(known, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = sshconn.Dial(t.Context(), to, s.options())
	told = tells(t, err, "verify host key", "unknown host key", strings.TrimSpace(fingerprint))
	if out, err := exec.Command("sh", "-c", advice(told.Hint)).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", told.Hint, err, out)
	}
	s.dial(t, to, s.options())
}

// advice is the commands of a hint that trust a key: its indented lines after
// the first, which only looks.
func advice(hint string) string {
	var commands []string
	for line := range strings.Lines(hint) {
		if strings.HasPrefix(line, "  ") {
			commands = append(commands, line)
		}
	}
	return strings.Join(commands[1:], "")
}
