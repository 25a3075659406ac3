package sshconn

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kevinburke/ssh_config"
)

// hop is one SSH connection to make, with everything decided.
type hop struct {
	alias          string // as the user wrote it
	host           string
	port           int
	user           string
	identityFiles  []string
	identitiesOnly bool
	agent          string // its socket; empty for none
	knownHosts     []string
	hostKeyName    string // known_hosts name when it is not the address
	timeout        time.Duration
	aliveInterval  time.Duration
	aliveCount     int
}

func (h hop) addr() string { return net.JoinHostPort(h.host, strconv.Itoa(h.port)) }

// knownName is what the host is called in known_hosts, with its port.
func (h hop) knownName() string {
	return net.JoinHostPort(cmp.Or(h.hostKeyName, h.host), strconv.Itoa(h.port))
}

// route is every hop on the way to t, in order; t is the last.
func route(t Target, o Options) ([]hop, error) {
	c, err := readConfig(o.ConfigFile)
	if err != nil {
		return nil, err
	}
	r := router{config: c, target: t, options: o}
	return r.route(t, nil)
}

type router struct {
	config  *config
	target  Target
	options Options
}

// maxHops is more than anyone has, and less than a loop.
const maxHops = 16

func (r router) route(t Target, seen []string) ([]hop, error) {
	here := fmt.Sprintf("%s@%s:%d", t.User, t.Address, t.Port)
	if slices.Contains(seen, here) || len(seen) >= maxHops {
		return nil, fmt.Errorf("%s: ProxyJump leads in a circle, back to %s", r.config.path, t.Address)
	}
	seen = append(slices.Clip(seen), here)
	last, err := r.hop(t)
	if err != nil {
		return nil, err
	}
	jumps := t.Jump
	if len(jumps) == 0 {
		if jumps, err = r.configuredJumps(last); err != nil {
			return nil, err
		}
	}
	var hops []hop
	for i, jump := range jumps {
		jt, err := parseJump(jump)
		if err != nil {
			return nil, err
		}
		jt.IdentityFile, jt.KnownHosts = r.target.IdentityFile, r.target.KnownHosts
		if i == 0 { // the others are reached through the first, whatever ssh_config says
			before, err := r.route(jt, seen)
			if err != nil {
				return nil, err
			}
			hops = append(hops, before...)
			continue
		}
		h, err := r.hop(jt)
		if err != nil {
			return nil, err
		}
		hops = append(hops, h)
	}
	return append(hops, last), nil
}

func (r router) configuredJumps(h hop) ([]string, error) {
	value := r.config.get(h.alias, "ProxyJump")
	if value == "" {
		if command := r.config.get(h.alias, "ProxyCommand"); command != "" && command != "none" {
			return nil, fmt.Errorf("%s: ProxyCommand for %s is not supported: use ProxyJump", r.config.path, h.alias)
		}
		return nil, nil
	}
	if strings.EqualFold(value, "none") {
		return nil, nil
	}
	value, err := r.config.expand(value, h, false)
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(value, func(c rune) bool { return c == ',' || c == ' ' }), nil
}

// parseJump reads "[user@]host[:port]", also as an ssh:// URI.
func parseJump(s string) (Target, error) {
	rest := strings.TrimSuffix(strings.TrimPrefix(s, "ssh://"), "/")
	var t Target
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		t.User, rest = rest[:i], rest[i+1:]
	}
	t.Address = strings.Trim(rest, "[]")
	if host, port, err := net.SplitHostPort(rest); err == nil {
		t.Address = host
		if t.Port, err = strconv.Atoi(port); err != nil || t.Port < 1 || t.Port > 65535 {
			return t, fmt.Errorf("jump host %q: %q is not a port", s, port)
		}
	}
	if t.Address == "" {
		return t, fmt.Errorf("jump host %q: no host in it", s)
	}
	return t, nil
}

func (r router) hop(t Target) (hop, error) {
	c, alias := r.config, t.Address
	if alias == "" {
		return hop{}, errors.New("no address to connect to")
	}
	h := hop{
		alias:          alias,
		host:           alias,
		port:           t.Port,
		user:           cmp.Or(t.User, c.get(alias, "User"), c.user),
		identitiesOnly: strings.EqualFold(c.get(alias, "IdentitiesOnly"), "yes"),
		hostKeyName:    c.get(alias, "HostKeyAlias"),
		timeout:        r.options.ConnectTimeout,
		aliveInterval:  r.options.AliveInterval,
		aliveCount:     r.options.AliveCount,
	}
	var err error
	number := func(key string) (n int) {
		value := c.get(alias, key)
		if value == "" || err != nil || strings.EqualFold(value, "none") {
			return 0
		}
		if n, err = strconv.Atoi(value); err != nil || n < 0 {
			err = fmt.Errorf("%s: %s %q for %s is not a number", c.path, key, value, alias)
		}
		return n
	}
	seconds := func(key string) time.Duration { return time.Duration(number(key)) * time.Second }
	h.port = cmp.Or(h.port, number("Port"), 22)
	h.timeout = cmp.Or(h.timeout, seconds("ConnectTimeout"), defaultConnectTimeout)
	h.aliveInterval = cmp.Or(h.aliveInterval, seconds("ServerAliveInterval"), defaultAliveInterval)
	h.aliveCount = cmp.Or(h.aliveCount, number("ServerAliveCountMax"), defaultAliveCount)

	expand := func(value string, file bool) (s string) {
		if err == nil {
			s, err = c.expand(value, h, file)
		}
		return s
	}
	if name := c.get(alias, "HostName"); name != "" {
		h.host = expand(name, false)
	}
	files := c.getAll(alias, "IdentityFile")
	if t.IdentityFile != "" {
		files = append([]string{t.IdentityFile}, files...)
	}
	for _, f := range files {
		if !strings.EqualFold(f, "none") {
			h.identityFiles = append(h.identityFiles, expand(f, true))
		}
	}
	known := []string{t.KnownHosts}
	if t.KnownHosts == "" {
		known = strings.Fields(cmp.Or(c.get(alias, "UserKnownHostsFile"), "~/.ssh/known_hosts ~/.ssh/known_hosts2"))
	}
	for _, f := range known {
		if !strings.EqualFold(f, "none") {
			h.knownHosts = append(h.knownHosts, expand(f, true))
		}
	}
	h.agent = os.Getenv("SSH_AUTH_SOCK")
	switch agent := c.get(alias, "IdentityAgent"); {
	case agent == "" || agent == "SSH_AUTH_SOCK":
	case strings.EqualFold(agent, "none"):
		h.agent = ""
	case strings.HasPrefix(agent, "$") && !strings.HasPrefix(agent, "${"):
		h.agent = os.Getenv(agent[1:])
	default:
		h.agent = expand(agent, true)
	}
	return h, err
}

// config is the user's ssh_config; the system's is not read.
type config struct {
	path   string
	parsed *ssh_config.Config
	user   string
	home   string
}

func readConfig(path string) (*config, error) {
	c := &config{path: path}
	if u, err := user.Current(); err == nil {
		c.user, c.home = u.Username, u.HomeDir
	}
	if home, err := os.UserHomeDir(); err == nil {
		c.home = home
	}
	if path == "" {
		c.path = filepath.Join(c.home, ".ssh", "config")
	}
	content, err := os.ReadFile(c.path)
	if path == "" && errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("read ssh_config: %w", err)
	}
	if c.parsed, err = ssh_config.DecodeBytes(content); err != nil {
		return nil, fmt.Errorf("%s: %w", c.path, err)
	}
	return c, nil
}

// get is the first value for key, as ssh_config has it. The library's errors
// are about nodes of other types than its own parser makes.
func (c *config) get(alias, key string) string {
	value, _ := c.parsed.Get(alias, key)
	return value
}

func (c *config) getAll(alias, key string) []string {
	values, _ := c.parsed.GetAll(alias, key)
	return values
}

// expand replaces ssh_config's tokens ("TOKENS" in its manual) that make sense
// before a connection exists. In the name of a file, ~ and ${VARIABLE} too.
func (c *config) expand(value string, h hop, file bool) (string, error) {
	if file {
		if rest, ok := strings.CutPrefix(value, "~"); ok && (rest == "" || rest[0] == '/') {
			value = c.home + rest
		}
		var err error
		if value, err = expandEnvironment(value); err != nil {
			return "", fmt.Errorf("%s: %w", c.path, err)
		}
	}
	if !strings.Contains(value, "%") {
		return value, nil
	}
	var out strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] != '%' {
			out.WriteByte(value[i])
			continue
		}
		i++
		token := byte(0)
		if i < len(value) {
			token = value[i]
		}
		switch token {
		case '%':
			out.WriteByte('%')
		case 'h':
			out.WriteString(h.host)
		case 'n':
			out.WriteString(h.alias)
		case 'p':
			out.WriteString(strconv.Itoa(h.port))
		case 'r':
			out.WriteString(h.user)
		case 'u':
			out.WriteString(c.user)
		case 'd':
			out.WriteString(c.home)
		case 'i':
			out.WriteString(strconv.Itoa(os.Getuid()))
		case 'l', 'L':
			name, err := os.Hostname()
			if err != nil {
				return "", fmt.Errorf("expand %q: %w", value, err)
			}
			if token == 'L' {
				name, _, _ = strings.Cut(name, ".")
			}
			out.WriteString(name)
		default:
			return "", fmt.Errorf("%s: %q for %s: the token %%%c is not supported here", c.path, value, h.alias, token)
		}
	}
	return out.String(), nil
}

func expandEnvironment(value string) (string, error) {
	for {
		before, rest, ok := strings.Cut(value, "${")
		if !ok {
			return value, nil
		}
		name, after, ok := strings.Cut(rest, "}")
		content, set := os.LookupEnv(name)
		if !ok || !set {
			return "", fmt.Errorf("%q: the environment has no %q", value, name)
		}
		value = before + content + after
	}
}
