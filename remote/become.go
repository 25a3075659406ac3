package remote

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed become.sh
var becomeScript string

//go:embed install.sh
var installScript string

// Become says how a login user gets root's rights.
type Become struct {
	Method   string // "sudo", "doas", or "none" (also ""): the login user will do
	Password string // what sudo asks for; empty where it asks for nothing
}

// Sudo is h with root's rights: what it runs and uploads is root's. A login
// user that is root already needs neither sudo nor doas on the host.
//
// A password is written only when sudo prompts for it, and the command's own
// input only once the command runs, so neither ever reads what is meant for
// the other. Refusal to become root, for whatever reason, is an *Error with Op
// "become root" and never an *ExitError. Commands run with LC_ALL=C.
//
// Cancelling the context ends the command with a second one, whatever the
// method: sshd passes no signal on to what is root's.
func Sudo(h Host, b Become) Host {
	if b.Method = cmp.Or(b.Method, "none"); b.Method == "none" {
		b.Password = ""
	}
	return &rootHost{Host: h, become: b}
}

// becomeTimeout is for sudo to come to a decision; a wrong password takes PAM
// some seconds, a dead directory server more.
var becomeTimeout = 30 * time.Second // shorter in tests

type rootHost struct {
	Host
	become Become
	chores Chores
}

// Close ends commands that were cancelled, then closes the host.
func (h *rootHost) Close() error {
	h.chores.Wait()
	return h.Host.Close()
}

func (h *rootHost) Run(ctx context.Context, c Cmd) (Result, error) {
	res, group, err := h.run(ctx, c)
	if group > 1 {
		h.kill(group)
	}
	return res, err
}

// run also returns the process group of a command that it leaves running.
func (h *rootHost) run(ctx context.Context, c Cmd) (res Result, group int, err error) {
	if err := c.Check(); err != nil {
		return Result{}, 0, err
	}
	method := h.become.Method
	if h.become.Password != "" {
		if method != "sudo" {
			return Result{}, 0, h.refused(fmt.Errorf("%s takes a password only from a terminal", method),
				"Allow the login user to become root without one: `permit nopass USER` in doas.conf. Or use sudo.")
		}
		method = "sudo-password"
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	g := newGate(h.become.Password, c)
	defer g.close()
	timer := time.AfterFunc(becomeTimeout, func() { cancel(errNoAnswer) })
	timer.Stop() // until the login shell has started; a busy connection is not sudo's fault
	defer timer.Stop()
	g.onStart = func() { timer.Reset(becomeTimeout) }
	g.onReady = func() { timer.Stop() }

	inner := Cmd{
		Argv:    append([]string{"sh", "-c", becomeScript, "sh", method, g.mark}, c.Argv...),
		Name:    c.Name,
		Stdout:  c.Stdout,
		Stderr:  g,
		Secrets: c.Secrets,
	}
	if c.Name == "" {
		inner.Name = c.String()
	}
	if c.Stdin != nil || h.become.Password != "" {
		inner.Stdin = (*gateInput)(g)
	}
	res, err = h.Host.Run(ctx, inner)
	if method == "none" {
		g.pass()
	}
	ready, group, said, stderr := g.outcome()
	res.Stderr = stderr

	var exit *ExitError
	ended := err == nil || errors.As(err, &exit)
	switch {
	case ready && exit != nil:
		return res, 0, c.Exit(h.String(), exit.Code, stderr)
	case ready && ended:
		return res, 0, nil
	case ready:
		return res, group, err
	case context.Cause(ctx) == errNoAnswer:
		return Result{}, 0, h.refused(fmt.Errorf("%s gave no answer within %s%s", h.become.Method, becomeTimeout, orNothing(": ", said)),
			"Try it by hand as the login user: `"+h.become.Method+" true`. A host that cannot resolve names or reach its directory server answers late.")
	case ended:
		return Result{}, 0, h.explain(said, g.passwordRefused())
	default:
		return Result{}, 0, err
	}
}

var errNoAnswer = errors.New("no answer")

// kill ends a command that outlived its Run: sshd may signal only what belongs
// to the login user.
func (h *rootHost) kill(group int) {
	h.chores.Go(func(ctx context.Context) {
		// An error means that it has ended, or that the host is gone.
		_, _, _ = h.run(ctx, Cmd{Argv: []string{"sh", "-c", `kill -s TERM -- "-$1"`, "sh", strconv.Itoa(group)}})
	})
}

// Upload sends the content as the login user, to a private file, and has root
// put it in place.
func (h *rootHost) Upload(ctx context.Context, r io.Reader, size int64, path string, mode fs.FileMode) error {
	if err := CheckPath(path); err != nil {
		return err
	}
	if h.become.Method == "none" {
		return h.Host.Upload(ctx, r, size, path, mode)
	}
	word := strings.ToLower(rand.Text())
	// Not /tmp, which is often small and in memory.
	staged := "/var/tmp/.hapair." + word
	if err := h.Host.Upload(ctx, r, size, staged, 0o600); err != nil {
		var told *Error
		if errors.As(err, &told) && told.Op == "upload" {
			return &Error{Host: told.Host, Op: told.Op, Err: fmt.Errorf("%s, by way of %w", path, told.Err), Hint: told.Hint}
		}
		return err
	}
	_, err := h.Run(ctx, Cmd{
		Name: "install " + path,
		Argv: []string{"sh", "-c", installScript, "sh", staged, path, fmt.Sprintf("%04o", UnixMode(mode)), word},
	})
	if err == nil {
		return nil
	}
	clean := func(ctx context.Context) {
		// Root's script has done it, if it ran.
		_, _ = h.Host.Run(ctx, Cmd{Argv: []string{"rm", "-f", "--", staged}})
	}
	if ctx.Err() != nil {
		h.chores.Go(clean)
		return err
	}
	clean(ctx)
	return UploadError(ctx, h, path, size, err)
}

func (h *rootHost) refused(err error, hint string) *Error {
	return &Error{Host: h.String(), Op: "become root", Err: err, Hint: hint}
}

// explain turns what sudo or doas said into what to do about it.
func (h *rootHost) explain(said string, wrongPassword bool) *Error {
	method := h.become.Method
	has := func(texts ...string) bool {
		for _, t := range texts {
			if strings.Contains(said, t) {
				return true
			}
		}
		return false
	}
	passwordless := "let the login user become root without one: `USER ALL=(ALL) NOPASSWD: ALL` in a file under /etc/sudoers.d."
	if method == "doas" {
		passwordless = "let the login user become root without one: `permit nopass USER` in doas.conf."
	}
	if said == "" {
		said = "it gave no reason"
	}
	err := fmt.Errorf("%s: %s", method, strings.TrimPrefix(said, method+": "))
	switch {
	case wrongPassword:
		return h.refused(fmt.Errorf("%s refused the password", method),
			"Check the become password: it is the login user's own, not root's.")
	case has("not found", "No such file"):
		return h.refused(err, "Install "+method+" on the host, log in as root, or name the way the host has (sudo, doas, none).")
	case has("a password is required", "a terminal is required", "no password was provided", "Authentication required", "Authorization required"):
		hint := "The login user may not become root without a password, if at all. Give the become password in a variable, or " + passwordless
		if method == "doas" {
			hint = "L" + passwordless[1:]
		}
		return h.refused(err, hint)
	case has("must have a tty"):
		return h.refused(err, "Write `Defaults:USER !requiretty` to a file under /etc/sudoers.d.")
	default:
		return h.refused(err, "The login user may not become root on this host, or not for every command. Grant it, and "+passwordless)
	}
}

// gate stands between a command that is to become root and its streams. It is
// the standard error of become.sh, whose words it takes out, and by them it
// opens the standard input: nothing, then the password, then the command's.
type gate struct {
	mark     string
	password string
	stdin    io.Reader
	out      *Output // of the command proper
	onStart  func()
	onReady  func()

	mu      sync.Mutex
	change  sync.Cond
	held    []byte // seen before the command was ready
	started bool
	prompts int
	ready   bool
	group   int
	closed  bool
	sent    []byte // of the password line, what is still to be read
	asked   int    // prompts answered
}

func newGate(password string, c Cmd) *gate {
	g := &gate{mark: strings.ToLower(rand.Text()), password: password, stdin: c.Stdin, out: NewOutput(Cmd{Stderr: c.Stderr})}
	g.change.L = &g.mu
	return g
}

// heldLimit bounds what is kept of a login that talks before it works.
const heldLimit = 64 << 10

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	if g.ready {
		g.mu.Unlock()
		return g.out.Stderr().Write(p)
	}
	defer g.mu.Unlock()
	g.held = append(g.held, p...)
	if !g.started {
		if _, after, ok := bytes.Cut(g.held, []byte(g.mark+":start;")); ok {
			g.started = true
			g.held = after // what the login shell's start files print is nobody's
			g.onStart()
		}
	}
	for g.take(":password;") {
		g.prompts++
	}
	if before, after, ok := bytes.Cut(g.held, []byte(g.mark+":ready:")); ok {
		if group, rest, ok := bytes.Cut(after, []byte(";")); ok {
			g.ready = true
			g.group, _ = strconv.Atoi(string(group))
			g.held = before
			g.onReady()
			if len(rest) > 0 {
				if _, err := g.out.Stderr().Write(rest); err != nil {
					return 0, err
				}
			}
		}
	}
	if len(g.held) > heldLimit {
		g.held = g.held[len(g.held)-heldLimit:]
	}
	g.change.Broadcast()
	return len(p), nil
}

// take removes one mark from what is held.
func (g *gate) take(what string) bool {
	before, after, ok := bytes.Cut(g.held, []byte(g.mark+what))
	if ok {
		g.held = append(bytes.Clone(before), after...)
	}
	return ok
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.change.Broadcast()
}

// pass makes what was held the command's own words: nobody else spoke.
func (g *gate) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ready {
		g.ready = true
		_, _ = g.out.Stderr().Write(g.held) // as good as the end of the command
	}
}

func (g *gate) passwordRefused() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.prompts > 1
}

// outcome is whether the command ran, in which process group, what was said
// before it did, and its own standard error.
func (g *gate) outcome() (ready bool, group int, said string, stderr []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ready, g.group, lastWords(string(g.held)), g.out.Result().Stderr
}

// gateInput is the gate as the standard input of become.sh.
type gateInput gate

func (in *gateInput) Read(p []byte) (int, error) {
	g := (*gate)(in)
	g.mu.Lock()
	for {
		switch {
		case g.closed:
			g.mu.Unlock()
			return 0, io.EOF
		case len(g.sent) > 0:
			n := copy(p, g.sent)
			g.sent = g.sent[n:]
			g.mu.Unlock()
			return n, nil
		case g.ready || g.password == "": // without a password nothing else reads
			g.mu.Unlock()
			if g.stdin == nil {
				return 0, io.EOF
			}
			return g.stdin.Read(p)
		case g.prompts > 1: // the password was wrong; the end of input ends sudo
			g.mu.Unlock()
			return 0, io.EOF
		case g.prompts == 1 && g.asked == 0:
			g.asked = 1
			g.sent = []byte(g.password + "\n")
		default:
			g.change.Wait()
		}
	}
}

// lastWords is the end of what a program said, in one line.
func lastWords(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) > 3 {
		lines = lines[len(lines)-3:]
	}
	s = strings.Join(lines, "; ")
	const limit = 300
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}

func orNothing(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}
