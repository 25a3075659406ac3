package sshconn

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"hapair/remote"
)

// systemKnownHosts counts besides the user's, as for the ssh command.
const systemKnownHosts = "/etc/ssh/ssh_known_hosts"

// hostKeys is what known_hosts says about one hop.
type hostKeys struct {
	hop  hop
	name string // of the host in the spec
	db   *knownhosts.HostKeyDB

	mu       sync.Mutex // the key exchange has a goroutine of its own
	refused  error      // why the presented key was
	accepted bool
}

func readHostKeys(name string, h hop) (*hostKeys, error) {
	var files []string
	for _, f := range append(slices.Clone(h.knownHosts), systemKnownHosts) {
		if _, err := os.Stat(f); err == nil {
			files = append(files, f)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read known_hosts: %w", err)
		}
	}
	db, err := knownhosts.NewDB(files...)
	if err != nil {
		return nil, fmt.Errorf("read known_hosts: %w", err)
	}
	return &hostKeys{hop: h, name: name, db: db}, nil
}

// algorithms orders them so that the host presents a key that is known, if it
// has one; without that, a host with several keys looks like a changed one.
func (k *hostKeys) algorithms() []string {
	algorithms := k.db.HostKeyAlgorithms(k.hop.knownName())
	rest := ssh.SupportedAlgorithms().HostKeys
	slices.SortStableFunc(rest, func(a, b string) int { return preference(a) - preference(b) })
	for _, a := range rest {
		// A certificate helps only where its authority is known.
		if !strings.Contains(a, "-cert-") && !slices.Contains(algorithms, a) {
			algorithms = append(algorithms, a)
		}
	}
	return algorithms
}

func preference(algorithm string) int {
	if algorithm == ssh.KeyAlgoED25519 {
		return 0
	}
	return 1
}

// check is the ssh.HostKeyCallback. A jump host's connection has no address
// that known_hosts could know, so only the name counts.
func (k *hostKeys) check(name string, _ net.Addr, key ssh.PublicKey) error {
	err := k.db.HostKeyCallback()(name, &net.TCPAddr{IP: net.IPv4zero}, key)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.accepted = true
		return nil
	}
	k.refused = k.explain(err, key)
	return k.refused
}

func (k *hostKeys) outcome() (refused error, accepted bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.refused, k.accepted
}

func (k *hostKeys) explain(err error, key ssh.PublicKey) error {
	e := &remote.Error{Host: k.name, Op: "verify host key"}
	file := "~/.ssh/known_hosts"
	if len(k.hop.knownHosts) > 0 {
		file = k.hop.knownHosts[0]
	}
	where := knownhosts.Normalize(k.hop.knownName())
	shown := fmt.Sprintf("%s %s", key.Type(), ssh.FingerprintSHA256(key))
	compare := fmt.Sprintf("Compare the fingerprint with what the host itself shows, on its console:\n"+
		"  for k in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $k; done\n"+
		"If it is the same, trust the key with:\n  %s", k.trust(file, where, key))

	var revoked *xknownhosts.RevokedError
	var keyErr *xknownhosts.KeyError
	switch {
	case errors.As(err, &revoked):
		e.Err = fmt.Errorf("%s presents a revoked key: %s (%s:%d)", where, shown, revoked.Revoked.Filename, revoked.Revoked.Line)
		e.Hint = "Do not connect. Whoever marked the key @revoked knows why; give the host a new one."
	case errors.As(err, &keyErr) && len(keyErr.Want) > 0:
		var known []string
		files := []string{}
		for _, w := range keyErr.Want {
			known = append(known, fmt.Sprintf("%s %s (%s:%d)", w.Key.Type(), ssh.FingerprintSHA256(w.Key), w.Filename, w.Line))
			if !slices.Contains(files, w.Filename) {
				files = append(files, w.Filename)
			}
		}
		e.Err = fmt.Errorf("the host key of %s CHANGED: it presents %s, known is %s", where, shown, strings.Join(known, ", "))
		e.Hint = "Either the host was installed anew or given a new key, or someone stands between you and it.\n" + compare
		for _, f := range files {
			e.Hint = strings.Replace(e.Hint, "trust the key with:\n", "trust the key with:\n  "+remote.Quote("ssh-keygen", "-f", f, "-R", where)+"\n", 1)
		}
	case errors.As(err, &keyErr):
		e.Err = fmt.Errorf("unknown host key of %s: %s", where, shown)
		e.Hint = compare
	default: // a certificate that no known authority signed, or one that expired
		e.Err = fmt.Errorf("host key of %s: %s: %w", where, shown, err)
		e.Hint = "Have the host's certificate renewed, or trust its plain key."
	}
	return e
}

// trust is the command that makes just this key known. ssh-keyscan would ask
// the network a second time, and cannot see behind a jump host.
func (k *hostKeys) trust(file, where string, key ssh.PublicKey) string {
	if _, ok := key.(*ssh.Certificate); ok {
		host, port, _ := net.SplitHostPort(k.hop.knownName())
		return remote.Quote("ssh-keyscan", "-p", port, host) + " >> " + remote.Quote(file)
	}
	line := knownhosts.Line([]string{where}, key)
	return remote.Quote("echo", line) + " >> " + remote.Quote(file)
}

// describePort is for hints that name the sshd to look at.
func describePort(port int) string {
	if port == 22 {
		return ""
	}
	return " on port " + strconv.Itoa(port)
}
