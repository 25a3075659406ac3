package sshconn

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// credentials offers keys to one hop in the order that is most likely to be
// right, and remembers what it did for the error. Later stages cost nothing
// when an earlier one succeeds: the agent is not even asked.
type credentials struct {
	hop        hop
	passphrase func(string) ([]byte, error)
	home       string

	stages    []func() []ssh.Signer
	dialAgent func() (net.Conn, error)
	agentKeys []ssh.Signer
	agentRead bool

	offered map[string]bool // fingerprints
	tried   []string        // keys offered, as the user knows them
	notes   []string        // keys not offered, and why
	allowed []string        // methods the host offers
}

// newCredentials are for one handshake, which lasts as long as ctx; so does the
// connection to the agent.
func newCredentials(ctx context.Context, h hop, o Options) *credentials {
	c := &credentials{hop: h, passphrase: o.Passphrase, offered: map[string]bool{}}
	c.home, _ = os.UserHomeDir()
	c.dialAgent = func() (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", h.agent)
		if err == nil {
			context.AfterFunc(ctx, func() { conn.Close() })
		}
		return conn, err
	}
	if len(h.identityFiles) > 0 {
		c.stages = append(c.stages, func() []ssh.Signer { return c.fromFiles(h.identityFiles, true) })
	}
	if !h.identitiesOnly {
		c.stages = append(c.stages, c.fromAgent)
	}
	if len(h.identityFiles) == 0 {
		var files []string
		for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			files = append(files, filepath.Join(c.home, ".ssh", name))
		}
		c.stages = append(c.stages, func() []ssh.Signer { return c.fromFiles(files, false) })
	}
	return c
}

// next is the ssh.ClientAuthCallback.
func (c *credentials) next(a *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	c.allowed = a.AllowedMethods
	if !slices.Contains(a.AllowedMethods, "publickey") {
		return nil, nil
	}
	for len(c.stages) > 0 {
		stage := c.stages[0]
		c.stages = c.stages[1:]
		if signers := stage(); len(signers) > 0 {
			return ssh.PublicKeys(signers...), nil
		}
	}
	return nil, nil
}

// offer notes signers that were not offered before, and returns them.
func (c *credentials) offer(what string, signers ...ssh.Signer) []ssh.Signer {
	var fresh []ssh.Signer
	for _, s := range signers {
		fingerprint := ssh.FingerprintSHA256(s.PublicKey())
		if c.offered[fingerprint] {
			continue
		}
		c.offered[fingerprint] = true
		c.tried = append(c.tried, fmt.Sprintf("%s (%s %s)", what, s.PublicKey().Type(), fingerprint))
		fresh = append(fresh, s)
	}
	return fresh
}

func (c *credentials) fromAgent() []ssh.Signer {
	var signers []ssh.Signer
	for _, s := range c.agentSigners() {
		name := "agent"
		if k, ok := s.PublicKey().(*agent.Key); ok && k.Comment != "" {
			name = "agent: " + k.Comment
		}
		signers = append(signers, c.offer(name, s)...)
	}
	return signers
}

func (c *credentials) agentSigners() []ssh.Signer {
	if c.agentRead || c.hop.agent == "" {
		return c.agentKeys
	}
	c.agentRead = true
	conn, err := c.dialAgent()
	if err != nil {
		c.note("agent", err)
		return nil
	}
	if c.agentKeys, err = agent.NewClient(conn).Signers(); err != nil {
		c.note("agent", err)
	}
	return c.agentKeys
}

// fromFiles reads identity files. One that was asked for must be there.
func (c *credentials) fromFiles(files []string, named bool) []ssh.Signer {
	var signers []ssh.Signer
	for _, file := range files {
		s, err := c.fromFile(file)
		switch {
		case err == nil:
			signers = append(signers, c.offer(c.short(file), s...)...)
		case named || !errors.Is(err, fs.ErrNotExist):
			c.note(c.short(file), err)
		}
	}
	return signers
}

// fromFile is the key of an identity file, before it its certificate if there
// is one. Where the file is encrypted or has only the public half, the agent
// may have the key.
func (c *credentials) fromFile(file string) ([]ssh.Signer, error) {
	pem, err := os.ReadFile(file)
	var signer ssh.Signer
	if err == nil {
		signer, err = ssh.ParsePrivateKey(pem)
	}
	if err != nil {
		signer, err = c.unlock(file, pem, err)
	}
	if err != nil {
		return nil, err
	}
	if public, err := readPublicKey(file + "-cert.pub"); err == nil {
		if cert, ok := public.(*ssh.Certificate); ok {
			if s, err := ssh.NewCertSigner(cert, signer); err == nil {
				return []ssh.Signer{s, signer}, nil
			}
		}
	}
	return []ssh.Signer{signer}, nil
}

func (c *credentials) unlock(file string, pem []byte, cause error) (ssh.Signer, error) {
	public, err := readPublicKey(strings.TrimSuffix(file, ".pub") + ".pub")
	var locked *ssh.PassphraseMissingError
	encrypted := errors.As(cause, &locked)
	if err != nil && encrypted {
		public = locked.PublicKey
	}
	if public != nil {
		fingerprint := ssh.FingerprintSHA256(public)
		for _, s := range c.agentSigners() {
			if ssh.FingerprintSHA256(s.PublicKey()) == fingerprint {
				return s, nil
			}
		}
	}
	if !encrypted {
		return nil, cause
	}
	if c.passphrase == nil {
		return nil, errors.New("encrypted key: add it to the agent with `ssh-add " + file + "`")
	}
	passphrase, err := c.passphrase(file)
	if err != nil {
		return nil, err
	}
	return ssh.ParsePrivateKeyWithPassphrase(pem, passphrase)
}

func readPublicKey(file string) (ssh.PublicKey, error) {
	line, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(line)
	return key, err
}

func (c *credentials) note(what string, err error) {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	c.notes = append(c.notes, fmt.Sprintf("%s: %v", what, err))
}

func (c *credentials) short(file string) string {
	if rest, ok := strings.CutPrefix(file, c.home+"/"); ok && c.home != "" {
		return "~/" + rest
	}
	return file
}

// failure says what was offered to whom, and what to do.
func (c *credentials) failure() (hint string, err error) {
	h := c.hop
	switch {
	case c.allowed != nil && !slices.Contains(c.allowed, "publickey"):
		return "Allow PubkeyAuthentication in the host's sshd_config; passwords are not used here.",
			fmt.Errorf("%s takes no keys from user %s, only %s", h.addr(), h.user, strings.Join(c.allowed, ", "))
	case len(c.tried) == 0:
		err = fmt.Errorf("no key to offer to %s as user %s", h.addr(), h.user)
		hint = "Name one with identity_file or IdentityFile, or add one to the agent (ssh-add)."
		if h.agent == "" {
			hint += "\nThere is no agent: SSH_AUTH_SOCK is not set."
		}
	default:
		err = fmt.Errorf("%s refused user %s with every key offered: %s", h.addr(), h.user, strings.Join(c.tried, ", "))
		hint = fmt.Sprintf("Put one of their public keys into ~%s/.ssh/authorized_keys on the host, or name the right user and identity_file.", h.user)
		if len(c.tried) > 5 {
			hint += "\nMany hosts give up after six keys: name the right one with identity_file, and IdentitiesOnly yes in ssh_config."
		}
	}
	if len(c.notes) > 0 {
		hint += "\nNot offered: " + strings.Join(c.notes, "; ") + "."
	}
	return hint, err
}
