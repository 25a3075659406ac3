package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"al.essio.dev/pkg/shellescape"
)

// Quote joins arguments into one command line that any POSIX shell splits
// into exactly these arguments again.
func Quote(argv ...string) string { return shellescape.QuoteCommand(argv) }

// Check refuses a command that must not be run: an empty one, one with a byte
// that no command line can carry, and one that would show a secret in the
// host's process list. Every Runner calls it first.
func (c Cmd) Check() error {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return errors.New("run command: no command given")
	}
	for i, arg := range c.Argv {
		if strings.IndexByte(arg, 0) >= 0 {
			return fmt.Errorf("run %s: argument %d holds a NUL byte, which no command line can carry", c.mask(c.Argv[0]), i)
		}
		for _, secret := range c.Secrets {
			if secret != "" && strings.Contains(arg, secret) {
				return fmt.Errorf("run %s: argument %d holds a secret, which the process list of the host would show: pass it on standard input", c.mask(c.Argv[0]), i)
			}
		}
	}
	return nil
}

// Exit is the error of a command that ended with code, as every Runner
// returns it: secrets masked, standard error cut to its last 4 KiB.
func (c Cmd) Exit(host string, code int, stderr []byte) *ExitError {
	text := c.mask(string(stderr))
	if len(text) > exitStderrKept {
		text = text[len(text)-exitStderrKept:]
	}
	return &ExitError{Host: host, Cmd: c.mask(c.name()), Code: code, Stderr: []byte(text)}
}

const exitStderrKept = 4 << 10

// Interrupted is the error of a command whose context ended before it did, as
// every Runner returns it.
func (c Cmd) Interrupted(ctx context.Context, host string) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); cause != err {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return fmt.Errorf("%s: %s: stopped: %w", host, brief(c.mask(c.name())), err)
}

func (c Cmd) name() string {
	if c.Name != "" {
		return c.Name
	}
	return c.String()
}

func (c Cmd) mask(s string) string {
	for _, secret := range c.Secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "(sensitive value)")
		}
	}
	return s
}
