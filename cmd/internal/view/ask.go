package view

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Ask implements View.
func (h *Human) Ask(ctx context.Context, question string) (string, error) {
	return prompt(ctx, h.screen, question, func() (string, error) {
		line, err := bufio.NewReader(h.in).ReadString('\n')
		if errors.Is(err, io.EOF) && line != "" {
			err = nil
		}
		if _, ok := h.inputTerminal(); !ok && err == nil {
			io.WriteString(h.err.w, "\n") // nobody pressed Enter here
		}
		return strings.TrimSpace(line), err
	})
}

// AskSecret implements View.
func (h *Human) AskSecret(ctx context.Context, question string) ([]byte, error) {
	fd, ok := h.inputTerminal()
	if !ok {
		return nil, errors.New("there is no terminal to ask on")
	}
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	// A Ctrl-C leaves the reading goroutine behind, and with it a terminal that
	// shows nothing of what is typed.
	defer term.Restore(fd, before)
	return prompt(ctx, h.screen, question, func() ([]byte, error) {
		secret, err := term.ReadPassword(fd)
		io.WriteString(h.err.w, "\n")
		return secret, err
	})
}

// inputTerminal is standard input, where that is a terminal.
func (s *screen) inputTerminal() (fd int, ok bool) {
	f, ok := s.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	return int(f.Fd()), true
}

// prompt keeps the screen still while it waits for an answer. A read of
// standard input cannot be called off: when ctx ends first, it is left to end
// with the process.
func prompt[T any](ctx context.Context, s *screen, question string, read func() (T, error)) (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	io.WriteString(s.err.w, s.erase()+s.err.styles.bold.Render(question)+" ")
	defer func() { io.WriteString(s.err.w, s.draw()) }()

	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := read()
		answers <- answer{value, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil {
			io.WriteString(s.err.w, "\n")
			return a.value, fmt.Errorf("read the answer from standard input: %w", a.err)
		}
		return a.value, nil
	case <-ctx.Done():
		io.WriteString(s.err.w, "\n")
		var none T
		return none, context.Cause(ctx)
	}
}
